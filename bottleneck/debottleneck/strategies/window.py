"""One iteration of a prefetch: threads fetch batches, a bounded number ahead."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic_ns
from typing import Any, Generic, Self, TypeVar

from debottleneck.errors import StrategyError
from debottleneck.strategies import pools
from debottleneck.strategies.adaptive import Adaptive
from debottleneck.strategies.standstill import waits
from debottleneck.strategies.together import carrying

T = TypeVar("T")

_FETCH, _LEAVE, _STOP = "fetch", "leave", "stop"
"""What a thread is told: one batch; that it is one too many; that all end."""

_Made = tuple[int, Any, BaseException | None]
"""Number of a batch, the batch, what was raised instead; below 0: it was closed."""


class Closing:
    """What loops over a prefetch have in common: an end by `with`."""

    def close(self) -> None:
        """End it, and drop what was fetched; fetches that have begun end first."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(frozen=True)
class Source:
    """Where batches come from.

    Attributes:
        items: Pulled by one thread after the other, in order.
        load: Makes a batch of an item, several at once; None: the items are they.
        ends: What `load` raises where the sequence ends.
        close: Called when nothing more is to come.
    """

    items: Iterator[Any]
    load: Callable[[Any], Any] | None = None
    ends: tuple[type[Exception], ...] = ()
    close: Callable[[], object] = lambda: None

    def what_for(self, error: BaseException, *, loading: bool) -> BaseException:
        """What is raised for an error, without the frame that caught it."""
        if loading and isinstance(error, self.ends):
            return StopIteration()
        trace = error.__traceback__
        error = error.with_traceback(trace and trace.tb_next)
        if loading and isinstance(error, StopIteration):  # not the end of the items
            failed = RuntimeError("load raised StopIteration")
            failed.__cause__ = error
            return failed
        return error


class _Feed:
    """What the threads of one iteration share; it keeps nothing of that alive.

    Attributes:
        told: What threads are to do, a word for one of them.
        done: What they made.
    """

    def __init__(self, source: Source) -> None:
        self.told: SimpleQueue[str] = SimpleQueue()
        self.done: SimpleQueue[_Made] = SimpleQueue()
        self._begun = 0
        self._source = source
        self._turn = threading.Lock()
        self._stopped = False

    @waits
    def run(self) -> None:
        """What a thread does."""
        while (word := self.told.get()) == _FETCH and not self._stopped:
            self.fetch()
        if word != _LEAVE:
            self.told.put(_STOP)  # for the next thread

    def fetch(self) -> None:
        """Make the next batch, here and now."""
        source, loading = self._source, False
        try:
            with self._turn:
                if self._stopped:
                    return
                number, self._begun = self._begun, self._begun + 1
                item = next(source.items)
            loading = True
            batch = item if source.load is None else source.load(item)
        except BaseException as error:  # noqa: BLE001 - raised where it is taken
            self._stopped = True
            self.done.put((number, None, source.what_for(error, loading=loading)))
        else:
            self.done.put((number, batch, None))

    def stop(self) -> None:
        """Fetch no more. Takes no lock: the garbage collector may call it."""
        self._stopped = True
        self.told.put(_STOP)
        self.done.put((-1, None, None))


class Batches(Closing, Generic[T]):
    """An iterator whose next batches are being fetched.

    At most `workers` batches are being fetched and `depth` more are ready. The
    threads start with the first batch asked for and end with the last one, with
    `close`, or when this object is dropped. They run with the context variables and
    PyTorch settings (gradients, autocast) of whoever asks.

    Args:
        source: Where they come from.
        workers: Threads, 0 for those who ask, or what finds their number.
        depth: Batches beyond those being fetched.
    """

    def __init__(self, source: Source, workers: int | Adaptive, depth: int) -> None:
        self._source, self._depth = source, depth
        self._tuner = None if isinstance(workers, int) else workers
        if not isinstance(workers, int):
            workers.begin()
            workers = workers.workers
        self._workers = workers
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._over = self._begun = False
        self._begin()

    def _begin(self) -> None:
        """At first, and where an iterator that has failed may go on."""
        self._feed = _Feed(self._source)
        self._pool = pools.Workers(sys.maxsize, "prefetch", self._feed.stop)
        self._held: dict[int, tuple[Any, BaseException | None]] = {}
        self._asked = self._taken = self._threads = 0
        # Dropped rather than closed: threads end without any waiting.
        weakref.finalize(self, self._feed.stop).atexit = False

    def __iter__(self) -> Batches[T]:
        return self

    def __next__(self) -> T:
        if self._over:
            raise StopIteration
        if self._begun and self._pid != os.getpid():
            raise StrategyError(
                "the batches of this prefetch are fetched in the process that forked "
                "this one",
                "begin the iteration after the fork",
            )
        with self._lock:
            batch, error = self._take()
        if error is None:
            return batch  # type: ignore[no-any-return] # what the source gives
        try:
            raise error
        finally:
            del error  # the frame is in its traceback

    def close(self) -> None:
        """Fetch no more, and drop what was fetched; what has begun ends first."""
        self._over = True
        self._source.close()
        self._pool.shutdown(cancel_futures=True)

    def _take(self) -> tuple[Any, BaseException | None]:
        if not self._begun:
            self._begun, self._pid = True, os.getpid()
        self._ask()
        began_ns, waits = monotonic_ns(), not self._threads
        while self._taken not in self._held:
            if not self._threads:
                self._feed.fetch()
            try:
                made = self._feed.done.get_nowait()
            except Empty:
                waits = True
                made = _waited_for(self._feed.done)
            if made[0] < 0:
                return None, StopIteration()
            self._held[made[0]] = made[1:]
        batch, error = self._held.pop(self._taken)
        self._taken += 1
        if error is not None:
            self._rest(isinstance(error, StopIteration))
            return None, error
        now_ns = monotonic_ns()
        if self._tuner is not None:
            waited_ns = now_ns - began_ns if waits else 0
            self._workers = self._tuner.batch(now_ns, waited_ns)
        self._ask()
        return batch, None

    def _ask(self) -> None:
        """Have batches fetched up to the bound, by so many threads."""
        workers = self._workers
        if not workers:
            return
        while self._asked < self._taken + workers + self._depth:
            self._asked += 1
            self._feed.told.put(_FETCH)
        try:
            while self._threads < workers:
                self._pool.submit(carrying(self._feed.run))
                self._threads += 1
        except RuntimeError:  # no more threads to be had
            return
        while self._threads > workers:
            self._threads -= 1
            self._feed.told.put(_LEAVE)

    def _rest(self, ended: bool) -> None:
        """Let the threads go, even if the exception that is raised now is kept.

        At the end this waits: what the loop does next may rely on nobody reading the
        source.
        """
        again = self._source.load is None and not self._over
        self._pool.shutdown(ended or again, cancel_futures=True)
        if again:
            self._begin()
        else:
            self._source.close()
        self._over = not again


@waits
def _waited_for(done: SimpleQueue[_Made]) -> _Made:
    return done.get()
