"""Divide the threads of BLAS and OpenMP among workers, and give them back.

A product that runs on every core, made by four workers at once, asks for four times
the cores. So each worker gets its share: the libraries are found among the files
mapped into the process and asked through ctypes. OpenBLAS, MKL, BLIS and torch keep
one number for the process, set from the calling thread before any work is handed
out; OpenMP keeps one for each thread, which a worker sets for itself.
"""

from __future__ import annotations

import ctypes
import math
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from debottleneck.recording.environment import cpu_quota, usable_cores

Names = tuple[tuple[str, str], ...]

_OPENBLAS: Names = tuple(
    (
        f"{prefix}openblas_get_num_threads{suffix}",
        f"{prefix}openblas_set_num_threads{suffix}",
    )
    for prefix in ("", "scipy_")
    for suffix in ("", "64_", "_64")
)
_OPENMP: Names = (("omp_get_max_threads", "omp_set_num_threads"),)

_KINDS: tuple[tuple[str, str, Names, bool], ...] = (
    ("OpenBLAS", r"lib(scipy_)?openblas", _OPENBLAS, False),
    ("MKL", r"libmkl_rt", (("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),), False),
    (
        "BLIS",
        r"libblis",
        (("bli_thread_get_num_threads", "bli_thread_set_num_threads"),),
        False,
    ),
    ("OpenMP", r"lib(gomp|iomp5|omp)\b", _OPENMP, True),
)
"""Library, pattern of its file, its functions, whether each thread has a number."""

_BRING_LIBRARIES = ("numpy", "scipy", "torch", "sklearn", "numexpr", "cv2")
"""Modules after whose import the mapped files are read again."""


@dataclass(frozen=True)
class Library:
    """One thread pool.

    Attributes:
        name: What a person calls it.
        get: Its number of threads.
        put: Sets it.
        by_thread: Whether each thread has a number of its own.
    """

    name: str
    get: Callable[[], int]
    put: Callable[[int], object]
    by_thread: bool = False


@dataclass(frozen=True)
class Change:
    """What was asked of one library, and what it says afterwards."""

    name: str
    before: int
    wanted: int
    now: int


@dataclass(frozen=True)
class Limits:
    """The threads that each worker may use now.

    Attributes:
        threads: A worker's share of the cores, 0 where no library is known.
        changes: Libraries that were set; one that had no more than that is not.
    """

    threads: int
    changes: tuple[Change, ...] = ()
    _by_thread: tuple[Library, ...] = ()

    @property
    def known(self) -> bool:
        """Whether any thread pool was found."""
        return self.threads > 0

    @property
    def verified(self) -> bool:
        """Whether every library says what it was asked for."""
        return all(change.now == change.wanted for change in self.changes)

    def in_worker(self) -> None:
        """Take the share on this thread; a worker calls it before its work."""
        for library in self._by_thread:
            if library.get() > self.threads:
                library.put(self.threads)


def cores() -> int:
    """Cores that this process may keep busy, the control group's quota included."""
    return max(1, min(usable_cores(), _quota()))


@cache
def _quota() -> int:
    quota = cpu_quota()
    return sys.maxsize if quota is None else math.ceil(quota)


class _Held:
    """Who has limited the pools, so that the first sets and the last restores."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.limits = Limits(0)
        self.restore: list[tuple[Library, int]] = []
        self.count = 0


_held = _Held()


def _after_fork() -> None:
    """A forked child gives back at once what its parent had limited."""
    global _held
    before, _held = _held.restore, _Held()
    while before:
        library, threads = before.pop()
        library.put(threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def limit(workers: int, libraries: tuple[Library, ...] | None = None) -> Limits:
    """Divide the threads among that many workers until `restore`.

    While another limit holds, that one stays: a number is set once, before work is
    handed out, and never while workers are busy.

    Args:
        workers: How many will call into the libraries at once.
        libraries: The pools, by default those found in this process.
    """
    with _held.lock:
        _held.count += 1
        if _held.count == 1:
            found = mapped() if libraries is None else libraries
            _held.limits = _set(found, max(1, cores() // max(1, workers)))
        return _held.limits


def restore() -> None:
    """Give back what `limit` took, once the last one who asked has ended."""
    with _held.lock:
        _held.count = max(0, _held.count - 1)
        if _held.count == 0:
            while _held.restore:
                library, threads = _held.restore.pop()
                library.put(threads)


@contextmanager
def limited(
    workers: int, libraries: tuple[Library, ...] | None = None
) -> Iterator[Limits]:
    """`limit` for the body, then `restore`."""
    limits = limit(workers, libraries)
    try:
        yield limits
    finally:
        restore()


def _set(libraries: tuple[Library, ...], share: int) -> Limits:
    if not libraries:
        return Limits(0)
    changes = []
    for library in libraries:
        before = library.get()
        if before > share:
            _held.restore.append((library, before))
            library.put(share)
            changes.append(Change(library.name, before, share, library.get()))
    by_thread = tuple(library for library in libraries if library.by_thread)
    return Limits(share, tuple(changes), by_thread)


def mapped() -> tuple[Library, ...]:
    """The thread pools in this process; empty where its files cannot be listed."""
    loaded = tuple(name in sys.modules for name in _BRING_LIBRARIES)
    return _mapped(os.getpid(), loaded)


@cache
def _mapped(pid: int, loaded: tuple[bool, ...]) -> tuple[Library, ...]:
    """Cached by what might have brought a library since."""
    found = [library for path in _files() for library in _in_file(path)]
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        found.insert(0, Library("torch", torch.get_num_threads, torch.set_num_threads))
    return tuple(found)


def _files() -> list[str]:
    try:
        lines = Path("/proc/self/maps").read_text(errors="replace").splitlines()
    except OSError:
        return []
    paths = (line.partition("/") for line in lines if ".so" in line)
    return sorted({slash + rest for _, slash, rest in paths if slash})


def _in_file(path: str) -> Iterator[Library]:
    for name, pattern, functions, by_thread in _KINDS:
        if not re.match(pattern, path.rpartition("/")[2]):
            continue
        try:
            library = ctypes.CDLL(path, mode=getattr(os, "RTLD_NOLOAD", 0))
        except OSError:
            continue
        for get, put in functions:
            if hasattr(library, get) and hasattr(library, put):
                asks, sets = getattr(library, get), getattr(library, put)
                asks.restype, sets.argtypes = ctypes.c_int, (ctypes.c_int,)
                yield Library(name, asks, sets, by_thread)
                break
