"""The addresses at which another process reads this one's GIL."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
import sysconfig
import threading

import pytest

from debottleneck.agent import gil

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/mem"), reason="this system has no /proc"
)


def read(address: int) -> int:
    """A word of this process's memory, read without letting go of the GIL."""
    return ctypes.c_uint64.from_address(address).value


@pytest.fixture
def found() -> dict[str, int]:
    """Where the GIL is, on a build that has one."""
    answer = gil.locate()
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert isinstance(answer, str)
        pytest.skip(answer)
    assert isinstance(answer, dict), answer
    return answer


def test_the_switch_interval_is_there(found: dict[str, int]) -> None:
    """The first word is the interval in microseconds, and follows it."""
    assert read(found["gil"]) == round(sys.getswitchinterval() * 1e6)
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(0.012345)
        assert read(found["gil"]) == 12345
    finally:
        sys.setswitchinterval(before)


def test_locating_restores_the_interval() -> None:
    """Nothing of the search is left behind."""
    before = sys.getswitchinterval()
    gil.locate()
    assert sys.getswitchinterval() == before


def test_the_last_holder_leads_to_a_thread(found: dict[str, int]) -> None:
    """The holder's thread state holds the kernel's id of the thread that reads."""
    ids = []

    def look() -> None:
        state = read(found["gil"] + 8)
        ids.append((read(state + found["native_id_offset"]), threading.get_native_id()))

    look()
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert [seen for seen, _ in ids] == [own for _, own in ids]


def test_it_is_the_same_in_a_process_of_many_imports() -> None:
    """A process of its own, with a full heap, finds its GIL as well."""
    code = (
        "import json, decimal, email.message\n"
        "from debottleneck.agent import gil\n"
        "import sysconfig\n"
        "free = bool(sysconfig.get_config_var('Py_GIL_DISABLED'))\n"
        "assert isinstance(gil.locate(), str if free else dict), gil.locate()\n"
    )
    source = os.path.dirname(os.path.dirname(os.path.dirname(gil.__file__)))
    environment = {**os.environ, "PYTHONPATH": source}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_another_interpreter_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no CPython, a sentence says why there is no `gil` row."""

    class Other:
        name = "pypy"

    monkeypatch.setattr(sys, "implementation", Other())
    assert gil.locate() == "pypy has no GIL state that can be read"


def test_a_free_threaded_build_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GIL there is nothing to wait for, and that is said."""
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: 1)
    assert "free-threaded" in gil.locate()


def test_the_word_is_little_endian_everywhere_we_run() -> None:
    """The search packs what the machine stores."""
    assert struct.pack("<Q", 1) == struct.pack("=Q", 1)
