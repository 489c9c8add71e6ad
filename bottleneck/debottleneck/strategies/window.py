"""One iteration of a prefetch: a bounded window of batches that threads fetch."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from time import monotonic_ns
from typing import Generic, TypeVar

from debottleneck.errors import StrategyError
from debottleneck.strategies import pools, sources
from debottleneck.strategies.adaptive import Reporting, Tally
from debottleneck.strategies.sources import Source

T = TypeVar("T")

_OURS = (__file__, sources.__file__, pools.__file__)


class Window(Generic[T]):
    """Calls that were begun and not yet handed over.

    Args:
        order: Give them in the order in which they were added; False: as they are
            completed, a failure still after all before it.
    """

    def __init__(self, order: bool) -> None:
        self._order = order
        self._futures: list[Future[T]] = []
        self._wake = threading.Event()

    def __len__(self) -> int:
        return len(self._futures)

    def add(self, future: Future[T]) -> None:
        """Put it last."""
        self._futures.append(future)
        if not self._order:
            wake = self._wake.set  # refers to nothing that holds the future
            future.add_done_callback(lambda _: wake())

    def ready(self) -> Future[T] | None:
        """What `take` returns without waiting, if it does."""
        for future in self._futures[: 1 if self._order else None]:
            failed = future.done() and not _is_good(future)
            if future.done() and (not failed or future is self._futures[0]):
                return future
            if failed:
                return None
        return None

    def take(self) -> Future[T]:
        """Wait for the next one; interrupted, it stays."""
        while True:
            self._wake.clear()
            future = self.ready()
            if future is not None:
                self._futures.remove(future)
                return future
            if self._order:
                with suppress(CancelledError):
                    self._futures[0].exception()
            else:
                self._wake.wait()

    def clear(self) -> None:
        """Forget all."""
        self._futures.clear()


def _is_good(future: Future[T]) -> bool:
    """Whether one that is done has a result."""
    return not future.cancelled() and future.exception() is None


class Batches(Reporting, Generic[T]):
    """An iterator whose next batches are being fetched.

    At most `workers` batches are being fetched and `depth` more are ready or wait
    for a thread. The threads start with the first batch asked for and end with the
    last one, with `close`, or when this object is dropped; they refer to the source
    only.

    Args:
        source: Hands out the calls.
        tally: How many threads, and what it comes to.
        depth: Batches beyond those being fetched.
        order: Deliver in the source's order; False: as they are completed.
        clock: Nanoseconds, monotonic.
    """

    def __init__(
        self,
        source: Source[T],
        tally: Tally,
        depth: int,
        *,
        order: bool = True,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._source = source
        self._tally = tally
        self._depth = depth
        self._clock = clock
        self._pool = pools.Workers(tally.workers, "prefetch")
        self._window = Window[T](order)
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = threading.Event()
        self._failed = False
        # Dropped rather than closed: what is queued is skipped, without any waiting.
        weakref.finalize(self, source.stop).atexit = False

    def __iter__(self) -> Batches[T]:
        return self

    def __next__(self) -> T:
        self._check_process()
        with self._lock:
            future = self._take()
            if future is not None and future.exception() is None:
                self._fill()
                return future.result()
            error = _ending(future)
            self._rest(isinstance(error, StopIteration))
        try:
            raise error
        finally:
            del error, future  # the frame is in the error's traceback

    def close(self, *, wait: bool = True) -> None:
        """Fetch no more, and drop what was fetched.

        Args:
            wait: Return when fetches that have begun have ended too.
        """
        self._closed.set()
        self._source.stop()
        self._pool.shutdown(wait, cancel_futures=True)

    def _rest(self, ended: bool) -> None:
        """Let the threads go, even if the exception that is raised now is kept.

        At the end this waits: what the loop does next may rely on nobody reading the
        source.
        """
        self._window.clear()
        self._source.go_on()
        wait = ended and not self._closed.is_set()
        self._pool.shutdown(wait, cancel_futures=True)
        self._failed = not ended

    def _begin_again(self) -> None:
        """An iterator that failed may go on, in a thread of its own again."""
        self._pool.join()
        self._pool = pools.Workers(self._tally.workers, "prefetch")
        self._failed = False

    def _take(self) -> Future[T] | None:
        """The next one that is done; None at the end."""
        if self._failed and not self._closed.is_set():
            self._begin_again()
        self._fill()
        if self._closed.is_set() or not len(self._window):
            return None
        began_ns = None if self._window.ready() else self._clock()
        future = self._window.take()
        if future.cancelled() and self._closed.is_set():
            return None
        if future.exception() is None:
            now_ns = self._clock()
            self._tally.add(now_ns, 0 if began_ns is None else now_ns - began_ns)
            self._pool.resize(self._tally.workers)
        return future

    def _fill(self) -> None:
        most = self._tally.workers + self._depth
        while len(self._window) < most and not self._closed.is_set():
            call = self._source.next_call()
            if call is None:
                self._pool.shutdown(wait=False)  # each thread ends with its last one
                return
            try:
                self._window.add(self._pool.submit(call))
            except RuntimeError:  # no thread to be had
                if len(self._window):
                    self._source.give_back()
                    return
                self._window.add(pools.made_here(call))

    def _check_process(self) -> None:
        if self._pid == os.getpid():
            return
        if len(self._window):
            raise StrategyError(
                "the batches of this prefetch are fetched in the process that forked "
                "this one",
                "begin the iteration after the fork",
            )
        self._pid = os.getpid()


def _ending(future: Future[T] | None) -> BaseException:
    """What is raised instead of a batch, without our frames in its traceback."""
    if future is None:
        return StopIteration()
    error = future.exception()
    assert error is not None
    if isinstance(error, StopIteration):
        return StopIteration(*error.args)
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in _OURS:
        trace = trace.tb_next
    return error.with_traceback(trace)
