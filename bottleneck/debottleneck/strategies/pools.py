"""Threads that strategies run their calls on, kept and reused.

`concurrent.futures.ThreadPoolExecutor` joins its threads when the interpreter ends: a
fetch that waits for data that never comes would keep a finished script alive. These
threads are daemons, they get a moment at exit, and their number can change. Futures
are those of `concurrent.futures`.
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
_ALL_LEAVE = None
"""Every thread that reads this in its queue ends."""
_ONE_LEAVES = "leave"
"""The thread that reads this ends."""
_Queue = SimpleQueue["_Task | str | None"]


class Workers:
    """Up to `size` threads, started when calls find none idle.

    Nothing here keeps it alive: when it is dropped, its threads do what was
    submitted and end. That needs no lock, so the garbage collector may do it in the
    midst of anything.

    Args:
        size: The most threads.
        what: Middle of their names, "bottleneck-WHAT-1".
    """

    def __init__(self, size: int, what: str) -> None:
        self.size = size
        self._what = what
        self._closed = False
        self._begin()
        with _lock:
            _live.add(self)

    def _begin(self) -> None:
        """Without threads: at first, and in a forked child."""
        self._lock = threading.RLock()
        self._tasks: _Queue = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._count = 0
        end = weakref.finalize(self, self._tasks.put, _ALL_LEAVE)
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
            # First the task: a thread that began without one would count as idle.
            self._tasks.put((future, call, args, kwargs))
            if not self._idle.acquire(blocking=False) and self._count < self.size:
                self._start_one()
        return future

    def resize(self, size: int) -> None:
        """Allow this many threads; those beyond it end after what is queued."""
        if size == self.size:
            return
        with self._lock:
            self.size = size
            for _ in range(self._count - size):
                self._idle.acquire(blocking=False)
                self._tasks.put(_ONE_LEAVES)
                self._count -= 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; the threads end after those that were submitted.

        Args:
            wait: Return when the last thread has ended.
            cancel_futures: Drop calls that no thread has begun.
        """
        with self._lock:
            was_closed, self._closed = self._closed, True
            if cancel_futures:
                self._cancel()
            if cancel_futures or not was_closed:
                for _ in range(self._count):  # wakes all at once
                    self._tasks.put(_ALL_LEAVE)
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
        name = f"bottleneck-{self._what}-{self._count + 1}"
        thread = threading.Thread(
            target=_serve, args=(self._tasks, self._idle), name=name, daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the interpreter is ending
            if not self._count:
                self._cancel()
                raise
            return
        self._count += 1
        if len(self._threads) > 2 * self._count:  # those that left after a resize
            self._threads = [other for other in self._threads if other.is_alive()]
        self._threads.append(thread)

    def _cancel(self) -> None:
        while True:
            try:
                task = self._tasks.get_nowait()
            except Empty:
                return
            if isinstance(task, tuple):
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


def made_here(call: Callable[[], T]) -> Future[T]:
    """The call made on the calling thread, where there is no other."""
    future: Future[T] = Future()
    make(future, call)
    return future


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
def _serve(tasks: _Queue, idle: threading.Semaphore) -> None:
    as_worker()
    while True:
        try:
            task = tasks.get_nowait()
        except Empty:
            idle.release()
            task = tasks.get()
        if not isinstance(task, tuple):
            if task is _ALL_LEAVE:
                tasks.put(_ALL_LEAVE)  # for the next thread
            return
        future, call, args, kwargs = task
        make(future, call, *args, **kwargs)
        del task, future, call, args, kwargs  # an idle thread keeps no batch alive


def make(
    future: Future[Any], call: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> None:
    """Make a call here and now, and put what comes of it into its future."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
        future.set_exception(_without_first_frame(error))
        del future, call, args, kwargs  # this frame lives as long as the error
    else:
        future.set_result(result)


def _without_first_frame(error: BaseException) -> BaseException:
    trace = error.__traceback__
    return error.with_traceback(trace.tb_next if trace else None)


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
