"""Threads of BLAS and OpenMP are divided among workers and given back."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from debottleneck.strategies import blas
from debottleneck.strategies.blas import Library, Limits, limit, restore

Holds = Callable[..., None]


class Pool:
    """A library that keeps one number for the process."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.asked: list[int] = []
        self.library = Library(lambda: self.threads, self.put)

    def put(self, threads: int) -> None:
        """Set them."""
        self.asked.append(threads)
        self.threads = threads


@contextmanager
def limited(workers: int) -> Iterator[Limits]:
    """Limited for the body."""
    yield limit(workers)
    restore()


@pytest.fixture
def holds(monkeypatch: pytest.MonkeyPatch) -> Holds:
    """Says which libraries this process of eight cores has."""
    monkeypatch.setattr(blas, "cores", lambda: 8)

    def say(*libraries: Library) -> None:
        monkeypatch.setattr(blas, "mapped", lambda: libraries)

    return say


@pytest.mark.parametrize(
    ("threads", "workers", "share", "asked"),
    [(8, 2, 4, [4, 8]), (8, 100, 1, [1, 8]), (1, 2, 4, [])],
)
def test_threads_are_divided_and_restored(
    holds: Holds, threads: int, workers: int, share: int, asked: list[int]
) -> None:
    """Never to less than one, and never to more than the user has set."""
    pool = Pool(threads)
    holds(pool.library)
    with limited(workers) as limits:
        assert limits.threads == share
        assert pool.threads == min(share, threads)
    assert (pool.threads, pool.asked) == (threads, asked)


def test_nested_limits_are_set_and_restored_once(holds: Holds) -> None:
    """Inside a limit another one changes nothing; the outer one restores."""
    pool = Pool(8)
    holds(pool.library)
    with limited(2):
        with limited(8) as inner:
            assert inner.threads == 4
        assert pool.threads == 4
    assert pool.asked == [4, 8]


def test_limit_and_restore_may_be_far_apart(holds: Holds) -> None:
    """Whoever comes first sets, whoever leaves last restores, in any order."""
    pool = Pool(8)
    holds(pool.library)
    limit(2)
    limit(2)
    restore()
    assert pool.threads == 4
    restore()
    restore()
    assert pool.asked == [4, 8]


def test_libraries_of_threads_are_set_by_the_worker(holds: Holds) -> None:
    """A library with a number for each thread is set on the worker itself."""
    local = threading.local()
    library = Library(
        lambda: getattr(local, "threads", 8),
        lambda threads: setattr(local, "threads", threads),
        by_thread=True,
    )
    holds(library)
    seen: list[int] = []

    def work(limits: Limits) -> None:
        seen.append(library.get())
        limits.in_worker()
        seen.append(library.get())

    with limited(4) as limits:
        thread = threading.Thread(target=work, args=(limits,))
        thread.start()
        thread.join()
    assert seen == [8, 2]
    assert library.get() == 8


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(
            """if True:
            import numpy as np
            from debottleneck.strategies import blas
            np.ones((4, 4)) @ np.ones((4, 4))
            before = [library.get() for library in blas.mapped()]
            blas.limit(1000)
            assert all(library.get() == 1 for library in blas.mapped())
            blas.restore()
            assert [library.get() for library in blas.mapped()] == before != []
            """,
            id="those of NumPy are found, obey and are restored",
        ),
        pytest.param(
            """if True:
            import sys
            from debottleneck.strategies import blas
            assert blas.mapped() == ()
            assert "numpy" not in sys.modules
            """,
            id="looking imports nothing",
        ),
        pytest.param(
            """if True:
            import os
            from debottleneck.strategies import blas
            numbers = [8]
            pool = blas.Library(lambda: numbers[-1], numbers.append)
            blas.mapped = lambda: (pool,)
            blas.limit(1000)
            child = os.fork()
            if child == 0:
                blas.limit(1000)
                os._exit(numbers != [8, 1, 8, 1])
            raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            """,
            id="a forked child has its threads back and can limit them itself",
        ),
    ],
)
def test_in_a_process_of_its_own(code: str) -> None:
    """Libraries are found among the mapped files, and forks are survived."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.torch
def test_torch_is_limited_on_every_thread() -> None:
    """Torch's threads are divided for the caller and for workers, and restored."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    seen: list[int] = []

    def work(limits: Limits) -> None:
        limits.in_worker()
        seen.append(torch.get_num_threads())

    with limited(1000) as limits:
        assert torch.get_num_threads() == 1
        thread = threading.Thread(target=work, args=(limits,))
        thread.start()
        thread.join()
    assert seen == [1]
    assert torch.get_num_threads() == before
