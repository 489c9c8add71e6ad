from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from debottleneck.strategies import blas
from debottleneck.strategies.blas import Library, Limits, limit, limited, restore


class Pool:
    """A library that keeps one number for the process."""

    def __init__(self, threads: int, most: int = 99, name: str = "a pool") -> None:
        self.threads = threads
        self.most = most
        self.asked: list[int] = []
        self.library = Library(name, self.get, self.put)

    def get(self) -> int:
        """Its threads."""
        return self.threads

    def put(self, threads: int) -> None:
        """Set them, as far as it lets itself be told."""
        self.asked.append(threads)
        self.threads = min(threads, self.most)


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arithmetic does not depend on this machine."""
    monkeypatch.setattr(blas, "cores", lambda: 8)


def test_threads_are_divided_and_restored() -> None:
    """Two workers get four threads each; afterwards all eight are back."""
    pool = Pool(8)
    with limited(2, (pool.library,)) as limits:
        assert pool.threads == limits.threads == 4
        assert limits.known
        assert limits.verified
    assert pool.threads == 8


def test_never_less_than_one() -> None:
    """More workers than cores get one thread each."""
    pool = Pool(8)
    with limited(100, (pool.library,)):
        assert pool.threads == 1


def test_a_number_is_never_raised() -> None:
    """What the user has set lower stays, and is not touched."""
    pool = Pool(1)
    with limited(2, (pool.library,)) as limits:
        assert pool.asked == []
        assert limits.changes == ()
    assert pool.asked == []


def test_a_library_that_does_not_obey_is_told() -> None:
    """What it says afterwards is compared with what it was asked for."""
    pool = Pool(8)
    pool.put = lambda threads: None  # type: ignore[method-assign]
    library = Library("deaf", pool.get, lambda threads: None)
    with limited(4, (library,)) as limits:
        assert not limits.verified
        assert limits.changes == (blas.Change("deaf", 8, 2, 8),)


def test_nothing_known_says_so() -> None:
    """Without a library nothing is done, and the limits say so."""
    with limited(2, ()) as limits:
        assert not limits.known
        limits.in_worker()


def test_nested_limits_are_set_and_restored_once() -> None:
    """Inside a limit another one changes nothing; the outer one restores."""
    pool = Pool(8)
    with limited(2, (pool.library,)):
        with limited(8, (pool.library,)) as inner:
            assert inner.threads == 4
        assert pool.threads == 4
    assert pool.asked == [4, 8]


def test_limit_and_restore_may_be_far_apart() -> None:
    """Whoever comes first sets, whoever leaves last restores, in any order."""
    pool = Pool(8)
    limit(2, (pool.library,))
    limit(2, (pool.library,))
    restore()
    assert pool.threads == 4
    restore()
    assert pool.threads == 8
    restore()
    assert pool.asked == [4, 8]


def test_libraries_of_threads_are_set_by_the_worker() -> None:
    """A library with a number for each thread is set on the worker itself."""
    local = threading.local()
    library = Library(
        "by thread",
        lambda: getattr(local, "threads", 8),
        lambda threads: setattr(local, "threads", threads),
        by_thread=True,
    )
    seen: list[int] = []

    def work(limits: Limits) -> None:
        seen.append(library.get())
        limits.in_worker()
        seen.append(library.get())

    with limited(4, (library,)) as limits:
        thread = threading.Thread(target=work, args=(limits,))
        thread.start()
        thread.join()
    assert seen == [8, 2]
    assert library.get() == 8


def test_the_pools_of_numpy_are_found() -> None:
    """NumPy's own BLAS is among the mapped files; it obeys and is restored."""
    code = """if True:
        import numpy as np
        from debottleneck.strategies import blas
        np.ones((4, 4)) @ np.ones((4, 4))
        before = [library.get() for library in blas.mapped()]
        with blas.limited(1000) as limits:
            assert limits.verified
            assert all(library.get() == 1 for library in blas.mapped())
        assert [library.get() for library in blas.mapped()] == before
        print(len(before))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    linux = sys.platform == "linux"
    assert not linux or int(done.stdout) >= 1


def test_nothing_is_imported_or_loaded_by_looking() -> None:
    """A process without NumPy has no pool, and gets none by being asked."""
    code = """if True:
        import sys
        from debottleneck.strategies import blas
        assert blas.mapped() == ()
        assert "numpy" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_not_limited() -> None:
    """A child of the moment has its threads back, and can limit them itself."""
    code = """if True:
        import os
        from debottleneck.strategies import blas
        numbers = [8]
        pool = blas.Library("pool", lambda: numbers[-1], numbers.append)
        with blas.limited(1000, (pool,)):
            child = os.fork()
            if child == 0:
                with blas.limited(1000, (pool,)):
                    os._exit(numbers != [8, 1, 8, 1])
            raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
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
