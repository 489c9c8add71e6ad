"""Memory and CPU time of a script and of every process it started."""

from __future__ import annotations

import contextlib
import math
import os
import time

import numpy as np
from numpy.typing import NDArray

from debottleneck.collect.proc import busy_seconds, children_of

Floats = NDArray[np.float64]

COSTLY = 50
"""Reading the memory of several processes walks their page tables: the next reading
waits for so many times the duration of the last one, which bounds it at 2 %."""

_MB = 1e6


class Usage:
    """Follows one process tree; what could not be read counts as unknown."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0.0
        self._cpu: list[tuple[float, float, float]] = []
        self._due_s = 0.0
        self._begun: dict[int, int] = {}

    def look(self) -> None:
        """Read the tree as it is now."""
        pids = tree_of(self._pid)
        for pid in pids:
            self._begun.setdefault(pid, started(pid))
        seconds = [cpu_seconds(pid) for pid in pids]
        if any(seconds):
            everybody = busy_seconds()
            others = math.nan if everybody is None else everybody - sum(seconds)
            self._cpu.append((float(time.monotonic_ns()), sum(seconds), others))
        begun = time.monotonic()
        if begun >= self._due_s:
            self._peak = max(self._peak, memory_mb(pids))
            if len(pids) > 1:
                self._due_s = begun + COSTLY * (time.monotonic() - begun)

    def left(self) -> list[int]:
        """Those seen so far that still run, also when their parent has ended."""
        return [pid for pid, at in self._begun.items() if at and started(pid) == at]

    @property
    def peak_mb(self) -> float | None:
        """The largest sum seen, megabytes of 10**6 bytes; None without /proc."""
        return self._peak or None

    @property
    def cpu(self) -> Floats:
        """Rows of monotonic ns, CPU seconds of the tree and of others, shape (n, 3)."""
        return np.array(self._cpu, np.float64).reshape(-1, 3)


def tree_of(pid: int) -> list[int]:
    """A process and its descendants, itself first; those that have ended too."""
    tree = [pid]
    for parent in tree:  # which grows meanwhile
        tree += [child for child in children_of(parent) if child not in tree]
    return tree


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its ended children; 0 if unknown."""
    ticks = sum(int(field) for field in _stat(pid)[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def work_of(pid: int) -> tuple[int, ...]:
    """What changes while a process's main thread computes or any thread writes."""
    ticks = [int(field) for field in _stat(pid, f"task/{pid}/")[11:13]]
    with contextlib.suppress(OSError), open(f"/proc/{pid}/io") as file:
        ticks += [int(line.split()[1]) for line in file if line.startswith("wchar")]
    return tuple(ticks)


def started(pid: int) -> int:
    """When a process began, to tell it from a later one of its number; 0 if gone."""
    fields = _stat(pid)
    return int(fields[19]) if len(fields) > 19 and fields[0] not in "ZX" else 0


def _stat(pid: int, task: str = "") -> list[str]:
    """The fields after the name, which begin with the state; [] if unknown."""
    try:
        with open(f"/proc/{pid}/{task}stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def memory_mb(pids: list[int]) -> float:
    """What the processes keep in memory together, 0 if unknown.

    Anonymous and shared memory of all of them, each page once (a forked process
    shares its parent's until one of them writes), and the files that the first one
    has mapped, which are mostly the libraries that all of them share.
    """
    main = _fields(f"/proc/{pids[0]}/status")
    own = main.get("RssFile", 0)
    if len(pids) == 1:
        return (own + main.get("RssAnon", 0) + main.get("RssShmem", 0)) / _MB
    shared = 0
    for pid in pids:
        rollup = _fields(f"/proc/{pid}/smaps_rollup")
        if "Pss_Anon" not in rollup:  # no such file before Linux 5.4, or not ours
            rollup = _fields(f"/proc/{pid}/status")
        shared += rollup.get("Pss_Anon", rollup.get("RssAnon", 0))
        shared += rollup.get("Pss_Shmem", rollup.get("RssShmem", 0))
    return (own + shared) / _MB


def _fields(path: str) -> dict[str, int]:
    """Lines of `Name:  123 kB` as bytes."""
    sizes: dict[str, int] = {}
    with contextlib.suppress(OSError), open(path, errors="replace") as file:
        for line in file:
            name, _, rest = line.partition(":")
            words = rest.split()
            if len(words) == 2 and words[1] == "kB" and words[0].isdecimal():
                sizes[name] = int(words[0]) * 1024
    return sizes
