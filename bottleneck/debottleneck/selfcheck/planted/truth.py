"""What a planted loop knows of itself: exact counters.

The loops run under plain `python` from any folder, so this module lies beside them
and imports the standard library only.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

SETTLED_NS = 50_000
"""Counters read within this time of each other belong together."""

_schedstat = threading.local()
_pread = ctypes.PyDLL(None).pread  # os.pread would hand the GIL to a waiting thread


def counters_ns() -> tuple[int, int, int]:
    """The calling thread's wall clock, CPU clock and run-queue delay, all at once."""
    while True:
        wall, cpu, delay = time.monotonic_ns(), time.thread_time_ns(), _run_delay_ns()
        if time.monotonic_ns() - wall < SETTLED_NS:
            return wall, cpu, delay


def _run_delay_ns() -> int:
    """Run-queue delay from /proc/thread-self/schedstat (proc_pid_schedstat(5))."""
    if not hasattr(_schedstat, "fd"):
        path = "/proc/thread-self/schedstat"
        _schedstat.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        _schedstat.text = ctypes.create_string_buffer(64)
    size = _pread(_schedstat.fd, _schedstat.text, 63, 0)
    return int(_schedstat.text.raw[:size].split()[1])


class Watch:
    """Sums of the calling thread's exact counters over the named spans."""

    def __init__(self) -> None:
        self._sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count what passes inside the block as `name`."""
        before = counters_ns()
        try:
            yield
        finally:
            sums = self._sums[name]
            for index, after in enumerate(counters_ns()):
                sums[index] += after - before[index]

    def seconds(self) -> dict[str, dict[str, float]]:
        """Per name: wall, on a core, in the run queue, and waiting for the rest."""
        return {
            name: {
                "wall_s": wall / 1e9,
                "cpu_s": cpu / 1e9,
                "runqueue_s": delay / 1e9,
                "waited_s": (wall - cpu - delay) / 1e9,
            }
            for name, (wall, cpu, delay) in self._sums.items()
        }
