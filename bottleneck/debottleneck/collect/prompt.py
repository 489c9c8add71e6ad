"""Ask the scheduler to run this process soon after it wakes, and beside the script.

A sampler that has to wait until a core is free sees the script at the very moments
at which one of its threads stopped, and not at random ones. One that wakes on the
trainer's own core sees it running too often: a core that idles while the trainer
waits takes some 50 us to wake, in which a short wait ends, and one that works does
not. (Reads of 0.25 ms, O_DIRECT: seen waiting 16 to 45 % of the time instead of 57
in every third run, 51 to 62 % once the sampler stayed off.)
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from pathlib import Path

SLICE_NS = 100_000
"""The shortest time slice that Linux grants; a short one comes early (sched(7))."""

_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_ATTRIBUTES = struct.Struct("<IIQiIQQQ")
"""struct sched_attr: size, policy, flags, nice, priority, runtime and two deadlines."""


class Aside:
    """Keeps this thread off the core that another process's main thread is on."""

    def __init__(self, pid: int) -> None:
        self._stat = f"/proc/{pid}/stat"
        self._allowed = os.sched_getaffinity(0)
        self._avoided = -1

    def step(self) -> None:
        """Move if need be; does nothing where there is one core only."""
        if len(self._allowed) < 2:
            return
        try:
            core = core_of(Path(self._stat).read_bytes())
            if core != self._avoided:
                os.sched_setaffinity(0, (self._allowed - {core}) or self._allowed)
                self._avoided = core
        except (OSError, ValueError):  # gone, or its cores were taken from us
            self._allowed = set()


def core_of(stat: bytes) -> int:
    """The core a thread ran on last, from `/proc/PID/stat` (proc(5), field 39).

    Raises:
        ValueError: Not of the kernel's form.
    """
    fields = stat.rpartition(b")")[2].split()
    if len(fields) < 37:
        raise ValueError(f"unexpected text in stat: {stat[:80]!r}")
    return int(fields[36])


def ask_for_short_slice() -> bool:
    """Set the slice of the calling thread; needs no privilege, Linux 6.12 or later.

    Returns:
        False where the system call is unknown or refused; an older kernel accepts
        and ignores it.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    normal = (_ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, SLICE_NS, 0, 0)
    call = ctypes.CDLL(None, use_errno=True).syscall
    return int(call(number, 0, _ATTRIBUTES.pack(*normal), 0)) == 0
