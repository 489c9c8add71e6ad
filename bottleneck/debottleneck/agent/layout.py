"""Where CPython keeps a thread's frames, found from values that are known here.

So another process can read which code holds a lock (`collect.holders`). No table of
offsets: each is where a known pointer or number lies in memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
import threading

VERSIONS = ((3, 11), (3, 12), (3, 13))
"""Those whose locks are semaphores that a lock object points to."""

INSTRUCTION = 56
"""Offset of the instruction pointer in a frame, in all of them."""

_TEXT = "bottleneck looks for this text"


def locate() -> dict[str, int] | None:
    """What `collect.holders.Layout` needs; None where it is not found."""
    if sys.version_info[:2] not in VERSIONS:
        return None
    try:
        with open("/proc/self/mem", "rb", buffering=0) as memory:
            return _locate(memory.fileno())
    except (ValueError, OSError):
        return None


def _locate(memory: int) -> dict[str, int]:
    get = ctypes.pythonapi.PyThreadState_Get
    get.restype = ctypes.c_void_p
    frame, state = sys._getframe(), get()
    above = frame.f_back
    if above is None:
        raise ValueError(frame)
    code = above.f_code
    inner, outer = _word(memory, id(frame) + 24), _word(memory, id(above) + 24)
    of_inner = os.pread(memory, 72, inner)
    method = threading.Condition.wait.__code__  # whose name is not its qualified one
    of_method = os.pread(memory, 240, id(method))
    of_code, of_state = os.pread(memory, 240, id(code)), os.pread(memory, 640, state)
    top, within = 0, -1
    if struct.pack("<Q", inner) in of_state:
        top = _place(of_state, inner)
    for at in range(0, 0 if top else 400, 8):  # C functions only: no frame of ours
        value = struct.unpack_from("<Q", of_state, at)[0]
        with contextlib.suppress(OSError, OverflowError):
            record = os.pread(memory, 24, value)
            if inner in struct.unpack("<QQQ", record) and not top:
                top, within = at, record.index(struct.pack("<Q", inner))
    return {
        "state": state,
        "ident": _place(of_state, threading.get_ident()),
        "native_id": _place(of_state, threading.get_native_id()),
        "top": top,
        "within": within,
        "previous": _place(of_inner, outer),
        "code": _place(of_inner, id(frame.f_code)),
        "instruction": INSTRUCTION,
        "start": _word(memory, outer + INSTRUCTION) - above.f_lasti - id(code),
        "first": _place(of_code, code.co_firstlineno, "<i"),
        "exceptions": _place(of_code, id(code.co_exceptiontable)),
        "lines": _place(of_code, id(code.co_linetable)),
        "file": _place(of_code, id(code.co_filename)),
        "name": _place(of_method, id(method.co_qualname)),
        "text": os.pread(memory, 128, id(_TEXT)).index(_TEXT.encode()),
        "method": id(type(threading.Condition().__exit__)),
        "builtin": id(type(len)),
        "inline": int(sys.version_info >= (3, 13)),
    }


def _word(memory: int, address: int) -> int:
    return int.from_bytes(os.pread(memory, 8, address), "little")


def _place(text: bytes, value: int, kind: str = "<Q") -> int:
    """The first aligned place of that number behind an object's head.

    Raises:
        ValueError: It is not there.
    """
    word = struct.pack(kind, value)
    for at in range(16 * (kind == "<i"), len(text) - len(word) + 1, len(word)):
        if text.startswith(word, at):
            return at
    raise ValueError(value)
