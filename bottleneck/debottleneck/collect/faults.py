"""What a page fault costs on this machine, and how many were of huge pages.

The kernel counts a thread's faults exactly, its time in the kernel by clock ticks:
both together bound the time that faults took (`analysis.counted`).
"""

from __future__ import annotations

import ctypes
import mmap
import time
from statistics import median

PAGE = mmap.PAGESIZE
PAGES, HUGE = 64, 2 << 20
REPEATS = 5


def prices() -> dict[str, float]:
    """Nanoseconds from mapping a fresh page to giving it back: a usual, a huge one."""
    small = median(_life(PAGES, PAGE, "MADV_NOHUGEPAGE") for _ in range(REPEATS))
    return {"fault_ns": small, "huge_fault_ns": _life(1, HUGE, "MADV_HUGEPAGE")}


def _life(count: int, size: int, advice: str) -> float:
    """CPU time a page, less that of writing to it once more."""
    begun = time.thread_time_ns()
    memory = mmap.mmap(-1, max(count * size, 2 * HUGE), mmap.MAP_PRIVATE)
    if hasattr(mmap, advice):
        memory.madvise(getattr(mmap, advice))
    begin = -_address(memory) % HUGE
    places = range(begin, begin + count * size, size)
    for place in places:
        memory[place] = 1
    touched = time.thread_time_ns()
    for place in places:
        memory[place] = 1
    again = time.thread_time_ns()
    memory.close()
    closed = time.thread_time_ns()
    return max((touched - begun) - (again - touched) + (closed - again), 0) / count


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def huge_faults() -> int:
    """Faults so far that brought a huge page, of all processes; 0 if unknown."""
    try:
        with open("/proc/vmstat") as file:
            lines = (line.split() for line in file)
            return next(int(n) for name, n in lines if name == "thp_fault_alloc")
    except (OSError, ValueError, StopIteration):
        return 0
