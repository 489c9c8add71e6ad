"""Divide the threads of BLAS and OpenMP among workers, and give them back.

A product that runs on every core, made by four workers at once, asks for four times
the cores. So each worker gets its share, set before any work is handed out: OpenBLAS,
MKL, BLIS and torch keep one number for the process; OpenMP keeps one for each thread,
which a worker sets for itself. This runs inside the script, whose interpreter need not
have threadpoolctl, and threadpoolctl knows neither torch nor a number for each thread.
"""

from __future__ import annotations

import ctypes
import math
import os
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from debottleneck.recording.cores import cpu_quota, usable_cores

_FILE = re.compile(r"lib((scipy_)?openblas|mkl_rt|blis|(gomp|iomp5|omp)\b)")
"""Beginning of the name of a library's file."""

_BY_THREAD = ("omp_get_max_threads", "omp_set_num_threads")
_FUNCTIONS = (
    *(
        (f"{start}_get_num_threads{end}", f"{start}_set_num_threads{end}")
        for start in ("openblas", "scipy_openblas")
        for end in ("", "64_", "_64")
    ),
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
    ("bli_thread_get_num_threads", "bli_thread_set_num_threads"),
    _BY_THREAD,
)
"""What tells and what sets the number; of a library, the first that it has."""


@dataclass(frozen=True)
class Library:
    """One thread pool.

    Attributes:
        get: Its number of threads.
        put: Sets it.
        by_thread: Whether each thread has a number of its own.
    """

    get: Callable[[], int]
    put: Callable[[int], object]
    by_thread: bool = False


@dataclass(frozen=True)
class Limits:
    """The threads that each worker may use now.

    Attributes:
        threads: A worker's share of the cores.
        by_thread: Libraries that each worker sets for itself.
    """

    threads: int
    by_thread: tuple[Library, ...] = ()

    def in_worker(self) -> None:
        """Take the share on this thread; a worker calls it before its work."""
        for library in self.by_thread:
            if library.get() > self.threads:
                library.put(self.threads)


def cores() -> int:
    """Cores that this process may keep busy, the control group's quota included."""
    return max(1, min(usable_cores(), _quota()))


@cache
def _quota() -> int:
    quota = cpu_quota()
    return sys.maxsize if quota is None else math.ceil(quota)


_lock = threading.Lock()
_limits = Limits(0)
_holders = 0
_before: list[tuple[Library, int]] = []
"""Who has limited the pools, so that the first sets and the last restores."""


def limit(workers: int) -> Limits:
    """Divide the threads among that many workers until `restore`.

    While another limit holds, that one stays: a number is set once, before work is
    handed out, and never while workers are busy. A number is never raised.

    Args:
        workers: How many will call into the libraries at once.
    """
    global _holders, _limits
    with _lock:
        _holders += 1
        if _holders == 1:
            libraries, share = mapped(), max(1, cores() // max(1, workers))
            for library in libraries:
                before = library.get()
                if before > share:
                    _before.append((library, before))
                    library.put(share)
            by_thread = tuple(library for library in libraries if library.by_thread)
            _limits = Limits(share, by_thread)
        return _limits


def restore() -> None:
    """Give back what `limit` took, once the last one who asked has ended."""
    global _holders
    with _lock:
        _holders = max(0, _holders - 1)
        if _holders == 0:
            _put_back()


def _put_back() -> None:
    while _before:
        library, threads = _before.pop()
        library.put(threads)


def _after_fork() -> None:
    """A forked child gives back at once what its parent had limited."""
    global _lock, _holders
    _lock, _holders = threading.Lock(), 0
    _put_back()


os.register_at_fork(after_in_child=_after_fork)


def mapped() -> tuple[Library, ...]:
    """The thread pools in this process; empty where its files cannot be listed."""
    return _mapped(len(sys.modules))


@lru_cache(maxsize=1)
def _mapped(modules: int) -> tuple[Library, ...]:
    """Looked for again when a module was imported, which may have brought a library."""
    libraries = [library for path in _files() if (library := _in_file(path))]
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        libraries.insert(0, Library(torch.get_num_threads, torch.set_num_threads))
    return tuple(libraries)


def _files() -> list[str]:
    try:
        lines = Path("/proc/self/maps").read_text(errors="replace").splitlines()
    except OSError:
        return []
    paths = {line[line.index("/") :] for line in lines if "/" in line and ".so" in line}
    return sorted(path for path in paths if _FILE.match(os.path.basename(path)))


def _in_file(path: str) -> Library | None:
    try:
        library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD)
    except OSError:
        return None
    for names in _FUNCTIONS:
        if all(hasattr(library, name) for name in names):
            get, put = (getattr(library, name) for name in names)
            get.restype, put.argtypes = ctypes.c_int, (ctypes.c_int,)
            return Library(get, put, names == _BY_THREAD)
    return None
