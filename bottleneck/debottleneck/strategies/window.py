"""One iteration of a prefetch: a bounded window of batches that threads fetch."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from queue import SimpleQueue
from time import monotonic_ns
from typing import Generic, TypeVar

from debottleneck.errors import StrategyError
from debottleneck.strategies import pools, sources
from debottleneck.strategies.adaptive import Reporting, Tally
from debottleneck.strategies.sources import Source

T = TypeVar("T")

_OURS = (__file__, sources.__file__, pools.__file__)


class InOrder(Generic[T]):
    """Futures in the order in which they were added."""

    def __init__(self) -> None:
        self._futures: deque[Future[T]] = deque()

    def __len__(self) -> int:
        return len(self._futures)

    def add(self, future: Future[T]) -> None:
        """Put it last."""
        self._futures.append(future)

    def is_ready(self) -> bool:
        """Whether `take` returns without waiting."""
        return self._futures[0].done()

    def take(self) -> Future[T]:
        """Wait for the first one; interrupted, it stays."""
        with suppress(CancelledError):
            self._futures[0].exception()
        return self._futures.popleft()

    def clear(self) -> None:
        """Forget all."""
        self._futures.clear()


class AsCompleted(Generic[T]):
    """Futures in the order in which they complete; failures after all before them."""

    def __init__(self) -> None:
        self._positions: dict[Future[T], int] = {}
        self._done: SimpleQueue[Future[T]] = SimpleQueue()
        self._failed: tuple[int, Future[T]] | None = None
        self._added = 0

    def __len__(self) -> int:
        return len(self._positions) + (self._failed is not None)

    def add(self, future: Future[T]) -> None:
        """Take it when it is done."""
        self._positions[future] = self._added
        self._added += 1
        future.add_done_callback(self._done.put)

    def is_ready(self) -> bool:
        """Whether `take` returns without waiting, as far as can be seen."""
        return not self._done.empty()

    def take(self) -> Future[T]:
        """Wait for the next one."""
        while self._failed is None or self._any_before(self._failed[0]):
            future = self._done.get()
            position = self._positions.pop(future, None)
            if position is None or self._is_beyond(position):
                continue
            if not future.cancelled() and future.exception() is None:
                return future
            self._failed = position, future
        return self._failed[1]

    def clear(self) -> None:
        """Forget all."""
        self._positions.clear()
        self._failed = None

    def _is_beyond(self, position: int) -> bool:
        return self._failed is not None and position > self._failed[0]

    def _any_before(self, position: int) -> bool:
        return any(other < position for other in self._positions.values())


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
        self._window = (InOrder[T] if order else AsCompleted[T])()
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
        began_ns = None if self._window.is_ready() else self._clock()
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
