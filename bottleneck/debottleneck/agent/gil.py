"""Find CPython's GIL in this process, so that another process can read it.

The state starts with the switch interval; setting a few odd intervals and looking
for them in `_PyRuntime` gives its address on every build, without offset tables.
`PyThreadState.native_thread_id` is found likewise, so that the holder's thread
state, read from outside, leads to the kernel's thread id.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import sysconfig
import threading

INTERVALS = (0.004321, 0.007654, 0.003333)
_WORD = 8
_PAGE = 4096
_STATE_BYTES = 640
_RUNTIME_BYTES = 600_000
"""More than `_PyRuntime` of any version (3.14: 0.5 MB); the GIL comes early in it."""


def locate() -> dict[str, int] | str:
    """Addresses for the wait sampler, or the reason why there are none.

    Returns:
        `gil` (address of the GIL's state: interval, last holder, locked, switch
        number, 8 bytes each) and `native_id_offset` (within a PyThreadState); or a
        sentence.
    """
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} has no GIL state that can be read"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this is a free-threaded build: it has no GIL to wait for"
    runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    try:
        memory = os.open("/proc/self/mem", os.O_RDONLY)
    except OSError as error:
        return f"this process may not read its own memory ({error.strerror})"
    try:
        gil = _find_interval(memory, runtime)
        offset = _find_native_id(memory)
    finally:
        os.close(memory)
    if gil is None or offset is None:
        return "the GIL's state was not found in this interpreter"
    return {"gil": gil, "native_id_offset": offset}


def _read(memory: int, address: int, size: int) -> bytes:
    """What can be read of that range, page by page: never a fault, as a pointer may."""
    text = b""
    while len(text) < size:
        here = address + len(text)
        step = min(_PAGE - here % _PAGE, size - len(text))
        try:
            page = os.pread(memory, step, here)
        except OSError:
            return text
        if len(page) < step:
            return text + page
        text += page
    return text


def _find_interval(memory: int, runtime: int) -> int | None:
    before = sys.getswitchinterval()
    common: set[int] | None = None
    try:
        for interval in INTERVALS:
            sys.setswitchinterval(interval)
            number = round(interval * 1e6)
            text = _read(memory, runtime, _RUNTIME_BYTES)
            hits = _positions(text, struct.pack("<Q", number))
            common = hits if common is None else common & hits
    finally:
        sys.setswitchinterval(before)
    return runtime + min(common) if common else None


def _positions(memory: bytes, word: bytes) -> set[int]:
    positions, place = set(), memory.find(word)
    while place >= 0:
        if place % _WORD == 0:
            positions.add(place)
        place = memory.find(word, place + 1)
    return positions


def _find_native_id(memory: int) -> int | None:
    """Offset of native_thread_id, agreed on by this thread and another one."""
    hits = [_native_id_positions(memory)]
    other = threading.Thread(target=lambda: hits.append(_native_id_positions(memory)))
    other.start()
    other.join()
    both = hits[0] & hits[1]
    return min(both) if both else None


def _native_id_positions(memory: int) -> set[int]:
    get = ctypes.pythonapi.PyThreadState_Get
    get.restype = ctypes.c_void_p
    text = _read(memory, get(), _STATE_BYTES)
    return _positions(text, struct.pack("<Q", threading.get_native_id()))


def allow_tracer(pid: int) -> None:
    """Where Yama restricts ptrace, let that process and its children read us."""
    pr_set_ptracer = 0x59616D61
    ctypes.CDLL(None).prctl(pr_set_ptracer, ctypes.c_ulong(pid), 0, 0, 0)
