"""Find CPython's GIL in this process, so that another process can read it.

The state starts with the switch interval; setting a few odd intervals and looking
for them in `_PyRuntime` gives its address on every build, without offset tables.
`PyThreadState.native_thread_id` is found likewise, so that the holder's thread
state, read from outside, leads to the kernel's thread id.
"""

from __future__ import annotations

import ctypes
import struct
import sys
import sysconfig
import threading

INTERVALS = (0.004321, 0.007654, 0.003333)
_WORD = 8
_STATE_BYTES = 640


def locate() -> dict[str, int] | str:
    """Addresses for the wait sampler, or the reason why there are none.

    Returns:
        `runtime` and `runtime_bytes` (the range of `_PyRuntime`), `gil` (address of
        the GIL's state: interval, last holder, locked, switch number, 8 bytes each),
        `native_id_offset` (within a PyThreadState); or a sentence.
    """
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} has no GIL state that can be read"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this is a free-threaded build: it has no GIL to wait for"
    runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    end = _mapped_end(runtime)
    if end is None:
        return "/proc/self/maps does not show the interpreter's runtime"
    gil = _find_interval(runtime, min(end - runtime, 1 << 20))
    offset = _find_native_id()
    if gil is None or offset is None:
        return "the GIL's state was not found in this interpreter"
    found = {"runtime": runtime, "runtime_bytes": end - runtime, "gil": gil}
    return {**found, "native_id_offset": offset}


def _mapped_end(address: int) -> int | None:
    """End of the run of adjoining mappings that holds `address`."""
    try:
        with open("/proc/self/maps", encoding="ascii", errors="replace") as file:
            lines = file.readlines()
    except OSError:
        return None
    end = None
    for line in lines:
        low, _, high = line.split(" ", 1)[0].partition("-")
        inside = int(low, 16) <= address < int(high, 16)
        if inside or (end is not None and int(low, 16) == end):
            end = int(high, 16)
    return end


def _find_interval(runtime: int, size: int) -> int | None:
    before = sys.getswitchinterval()
    hits: set[int] | None = None
    try:
        for interval in INTERVALS:
            sys.setswitchinterval(interval)
            number = round(interval * 1e6)
            memory = ctypes.string_at(runtime, size)
            found = _positions(memory, struct.pack("<Q", number))
            hits = found if hits is None else hits & found
    finally:
        sys.setswitchinterval(before)
    return runtime + hits.pop() if hits and len(hits) == 1 else None


def _positions(memory: bytes, word: bytes) -> set[int]:
    found, place = set(), memory.find(word)
    while place >= 0:
        if place % _WORD == 0:
            found.add(place)
        place = memory.find(word, place + 1)
    return found


def _find_native_id() -> int | None:
    """Offset of native_thread_id, agreed on by this thread and another one."""
    hits = [_native_id_positions()]
    other = threading.Thread(target=lambda: hits.append(_native_id_positions()))
    other.start()
    other.join()
    both = hits[0] & hits[1]
    return min(both) if both else None


def _native_id_positions() -> set[int]:
    get = ctypes.pythonapi.PyThreadState_Get
    get.restype = ctypes.c_void_p
    state = get()
    memory = ctypes.string_at(state, _STATE_BYTES)
    return _positions(memory, struct.pack("<Q", threading.get_native_id()))


def allow_tracer(pid: int) -> None:
    """Where Yama restricts ptrace, let that process and its children read us."""
    pr_set_ptracer = 0x59616D61
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(pr_set_ptracer, ctypes.c_ulong(pid), 0, 0, 0)
