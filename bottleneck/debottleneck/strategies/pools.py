"""Threads that strategies run their calls on, kept and reused.

`concurrent.futures.ThreadPoolExecutor` joins its threads when the interpreter ends: a
fetch that waits for data that never comes would keep a finished script alive. These
threads are daemons, and they get a moment at exit. Futures are those of
`concurrent.futures`.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, ParamSpec, TypeVar

from debottleneck.strategies.standstill import waits

P = ParamSpec("P")
T = TypeVar("T")

EXIT_GRACE_S = 2.0
"""How long the interpreter's end waits for calls that still run."""

_Task = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...], dict[str, Any]]
_Queue = SimpleQueue["_Task | None"]
"""Every thread that reads None ends."""


class Workers:
    """Up to `size` threads, one more for each call until there are so many.

    Nothing here keeps it alive: when it is dropped, its threads do what was
    submitted and end. That needs no lock, so the garbage collector may do it in the
    midst of anything.

    Args:
        size: The most threads.
        what: Middle of their names, "bottleneck-WHAT-1".
        stop: Has calls that are under way come to their end; waits for none.
    """

    def __init__(
        self, size: int, what: str, stop: Callable[[], object] = lambda: None
    ) -> None:
        self.size = size
        self._what = what
        self._stop = stop
        self._closed = False
        self._begin()
        with _lock:
            _live.add(self)

    def _begin(self) -> None:
        """Without threads: at first, and in a forked child."""
        self._lock = threading.RLock()
        self._tasks: _Queue = SimpleQueue()
        self._threads: list[threading.Thread] = []
        end = weakref.finalize(self, self._tasks.put, None)
        end.atexit = False

    def submit(
        self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Have `call(*args, **kwargs)` made on a thread.

        Raises:
            RuntimeError: It was shut down, or no thread can be started any more.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("these workers were shut down")
            self._tasks.put((future, call, args, kwargs))
            if len(self._threads) < self.size:
                self._start_one()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; the threads end after those that were submitted."""
        with self._lock:
            self._closed = True
            if cancel_futures:
                self._stop()
                self._cancel()
            self._tasks.put(None)
        if wait:
            self.join()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the threads to end; whether they did.

        A thread of these workers that shuts them down does not wait for itself.
        """
        until = None if timeout_s is None else monotonic() + timeout_s
        others = [t for t in self._threads if t is not threading.current_thread()]
        for thread in others:
            thread.join(None if until is None else max(0.0, until - monotonic()))
        return not any(thread.is_alive() for thread in others)

    def _start_one(self) -> None:
        name = f"bottleneck-{self._what}-{len(self._threads) + 1}"
        thread = threading.Thread(
            target=_serve, args=(self._tasks,), name=name, daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the interpreter is ending
            if not self._threads:
                self._cancel()
                raise
            return
        self._threads.append(thread)

    def _cancel(self) -> None:
        while True:
            try:
                task = self._tasks.get_nowait()
            except Empty:
                return
            if task is not None:
                task[0].cancel()


_lock = threading.RLock()
_live: weakref.WeakSet[Workers] = weakref.WeakSet()
_shared: dict[int, Workers] = {}
_here = threading.local()


def shared(workers: int) -> Workers:
    """The process's threads for this many calls at once, the same every time."""
    with _lock:
        if workers not in _shared:
            _shared[workers] = Workers(workers, "shared")
        return _shared[workers]


def is_worker() -> bool:
    """Whether the calling thread is one of these."""
    return getattr(_here, "worker", False)


def as_worker() -> None:
    """Have the calling thread count as one of these, as those of a forked child do."""
    _here.worker = True


@contextmanager
def at_work() -> Iterator[None]:
    """Have the calling thread count as one of these for a while."""
    before = is_worker()
    _here.worker = True
    try:
        yield
    finally:
        _here.worker = before


def close_all(grace_s: float | None = None) -> None:
    """End all threads; drop calls that none has begun.

    Args:
        grace_s: How long to wait for calls that run; by default until they return.
    """
    with _lock:
        pools = list(_live)
        _shared.clear()
    for pool in pools:
        pool.shutdown(wait=False, cancel_futures=True)
    until = None if grace_s is None else monotonic() + grace_s
    for pool in pools:
        pool.join(None if until is None else max(0.0, until - monotonic()))


@waits
def _serve(tasks: _Queue) -> None:
    as_worker()
    while (task := tasks.get()) is not None:
        _make(*task)
        del task  # an idle thread keeps no batch alive
    tasks.put(None)  # for the next thread


def _make(
    future: Future[Any],
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
        trace = error.__traceback__
        future.set_exception(error.with_traceback(trace and trace.tb_next))
        del future, call, args, kwargs, trace  # this frame lives as long as the error
    else:
        future.set_result(result)


def _after_fork() -> None:
    """Threads do not live on in a forked child: begin without them."""
    global _lock
    _lock = threading.RLock()
    _here.worker = False
    _shared.clear()
    for pool in list(_live):
        pool._begin()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(close_all, EXIT_GRACE_S)
