"""Ask the scheduler to run this process soon after it wakes.

A sampler that has to wait until a core is free sees the script at the very moments
at which one of its threads stopped, and not at random ones.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

SLICE_NS = 100_000
"""The shortest time slice that Linux grants; a short one comes early (sched(7))."""

_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_ATTRIBUTES = struct.Struct("<IIQiIQQQ")
"""struct sched_attr: size, policy, flags, nice, priority, runtime and two deadlines."""


def ask_for_short_slice() -> bool:
    """Set the slice of the calling thread; needs no privilege, Linux 6.12 or later.

    Returns:
        False where the system call is unknown or refused; an older kernel accepts
        and ignores it.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if platform.system() != "Linux" or number is None:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    normal = (_ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, SLICE_NS, 0, 0)
    call = ctypes.CDLL(None, use_errno=True).syscall
    return int(call(number, 0, _ATTRIBUTES.pack(*normal), 0)) == 0
