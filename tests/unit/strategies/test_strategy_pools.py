"""The threads that strategies run on."""

from __future__ import annotations

import gc
import os
import threading
import traceback
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from debottleneck.strategies import pools

LONG_S = 60.0
"""Far more than anything here takes."""


def ours() -> list[threading.Thread]:
    """Threads of strategies that are alive."""
    return [t for t in threading.enumerate() if t.name.startswith("bottleneck-")]


@contextmanager
def ended(workers: pools.Workers) -> Iterator[pools.Workers]:
    """Shut down afterwards."""
    yield workers
    workers.shutdown()


@pytest.fixture(autouse=True)
def all_end() -> Iterator[None]:
    """Every thread of ours ends after the test."""
    yield
    pools.close_all()
    for thread in ours():
        thread.join(LONG_S)


def test_calls_return_through_futures() -> None:
    """Results come back in futures, and calls know that they run on a worker."""
    with ended(pools.Workers(2, "test")) as workers:
        future = workers.submit(lambda x, *, y: (x + y, pools.is_worker()), 1, y=2)
        assert future.result(LONG_S) == (3, True)
    assert not pools.is_worker()


def test_no_more_threads_than_allowed() -> None:
    """Calls beyond the size wait."""
    begun, go = threading.Semaphore(0), threading.Event()

    def call() -> None:
        begun.release()
        assert go.wait(LONG_S)

    with ended(pools.Workers(3, "test")) as workers:
        for _ in range(5):
            workers.submit(call)
        for _ in range(3):
            assert begun.acquire(timeout=LONG_S)
        assert sorted(thread.name for thread in ours()) == [
            f"bottleneck-test-{number}" for number in (1, 2, 3)
        ]
        assert not begun.acquire(blocking=False)
        go.set()
    assert not ours()


def test_an_exception_is_the_calls_own() -> None:
    """It carries the user's frames only, and no cycle keeps it alive."""

    def fails() -> None:
        raise KeyError("here")

    with ended(pools.Workers(1, "test")) as workers:
        future = workers.submit(fails)
        error = future.exception(LONG_S)
        assert isinstance(error, KeyError)
        frames = traceback.extract_tb(error.__traceback__)
        assert [frame.name for frame in frames] == ["fails"]
        seen = weakref.ref(future)
        gc.disable()
        try:
            del error, future, frames
            workers.submit(int).result(LONG_S)
            assert seen() is None
        finally:
            gc.enable()


def test_dropped_workers_end_their_threads() -> None:
    """Without a shutdown: what was submitted is still done."""
    workers = pools.Workers(1, "test")
    future = workers.submit(int, "7")
    del workers
    assert future.result(LONG_S) == 7
    for thread in ours():
        thread.join(LONG_S)
    assert not ours()


def test_shutdown_drops_what_has_not_begun() -> None:
    """With `cancel_futures`; the call under way ends, and no more are taken."""
    begun, go = threading.Event(), threading.Event()

    def call() -> str:
        begun.set()
        assert go.wait(LONG_S)
        return "done"

    workers = pools.Workers(1, "test")
    first, second = workers.submit(call), workers.submit(call)
    assert begun.wait(LONG_S)
    workers.shutdown(wait=False, cancel_futures=True)
    assert second.cancelled()
    go.set()
    assert first.result(LONG_S) == "done"
    with pytest.raises(RuntimeError, match="shut down"):
        workers.submit(call)


def test_the_end_waits_for_a_moment_only() -> None:
    """A call that does not return is left to its daemon thread; others are new."""
    begun, go = threading.Event(), threading.Event()
    pool = pools.shared(1)
    assert pools.shared(1) is pool
    assert pools.shared(3) is not pool
    future = pool.submit(lambda: begun.set() or go.wait(LONG_S))
    assert begun.wait(LONG_S)
    pools.close_all(grace_s=0.01)
    assert not future.done()
    assert pools.shared(1) is not pool
    assert all(thread.daemon for thread in ours())
    go.set()
    assert future.result(LONG_S)


def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call says so; nothing waits for a thread that never comes."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    workers = pools.Workers(2, "test")
    with pytest.raises(RuntimeError, match="can't start"):
        workers.submit(int)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_begins_without_threads() -> None:
    """What was made before the fork works there, with threads of the child's own."""
    kept, shared = pools.Workers(1, "test"), pools.shared(1)
    for pool in (kept, shared):
        pool.submit(int).result(LONG_S)
    child = os.fork()
    if not child:
        good = kept.submit(int, "3").result(LONG_S) == 3
        good &= pools.shared(1).submit(int, "4").result(LONG_S) == 4
        good &= pools.shared(1) is not shared
        os._exit(0 if good else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    kept.shutdown()
