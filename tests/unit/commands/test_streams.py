"""Standard error that loses what cannot be written, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from debottleneck.commands.target import new_folder
from debottleneck.errors import UsageError

SPEAK = """\
import os, sys
from debottleneck.commands import streams
from debottleneck.commands.target import say
streams.secure()
with open("file", "w") as file:
    say("hello " * 20000)
    os.write(2, b"raw") if sys.argv[1:] == ["raw"] else None
print("out")
sys.exit(5)
"""


def spoken(
    tmp_path: Path, env: dict[str, str], *words: str, **how: object
) -> tuple[int, str]:
    """Exit code and standard output of a process that speaks to its stderr."""
    command = [sys.executable, "-c", SPEAK, *words]
    settings = {"stdout": subprocess.PIPE, "text": True, "timeout": 60, **how}
    done = subprocess.run(command, cwd=tmp_path, env=env, check=False, **settings)
    assert (tmp_path / "file").read_text() == ""
    return done.returncode, done.stdout


def test_whole_lines_reach_a_reader(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """More than a pipe holds is written in pieces."""
    with (tmp_path / "said").open("wb") as said:
        assert spoken(tmp_path, environment, stderr=said) == (5, "out\n")
    assert (tmp_path / "said").read_text() == f"bottleneck: {'hello ' * 20000}\n"


@pytest.mark.parametrize("raw", ["", "raw"])
def test_a_closed_descriptor(
    tmp_path: Path, environment: dict[str, str], raw: str
) -> None:
    """Lines go nowhere: not to stdout, and to no file opened since."""
    how = {"preexec_fn": lambda: os.close(2)}
    assert spoken(tmp_path, environment, raw, **how) == (5, "out\n")


def _full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def _unread() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("opened", [_full, _unread])
def test_a_descriptor_that_takes_nothing(
    tmp_path: Path, environment: dict[str, str], opened: Callable[[], int]
) -> None:
    """No exception, and the exit code is not python's 120 of a failed flush."""
    descriptor = opened()
    try:
        assert spoken(tmp_path, environment, stderr=descriptor) == (5, "out\n")
    finally:
        os.close(descriptor)


def test_each_gets_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever makes it has it; the next number is tried, but not for one's own name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "now")
    names = [new_folder(None, "a/train.py", prefix="x-").name for _ in range(3)]
    assert names == ["x-train-now", "x-train-now-2", "x-train-now-3"]
    assert new_folder(Path("mine"), "train.py").is_dir()
    with pytest.raises(UsageError, match="exists already"):
        new_folder(Path("mine"), "train.py")
