"""Make several calls at once: the calling thread and pool threads share them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import Any, Generic, ParamSpec, TypeVar

from debottleneck.strategies import pools, torch_context
from debottleneck.strategies.blas import Limits, limit, restore

P = ParamSpec("P")
T = TypeVar("T")


def results(calls: Sequence[Callable[[], T]], workers: int) -> list[T]:
    """What the calls return, in their order; at most `workers` run at once.

    Calls begin in their order. After one that raised no other begins, and those that
    run are waited for; then the first exception in the order is raised. On a thread
    of a strategy, and with one worker, the calls run one after the other.
    """
    workers = min(workers, len(calls))
    if workers <= 1 or pools.is_worker():
        return [call() for call in calls]
    with together(calls, workers) as shared:
        pass
    return shared.results()


@contextmanager
def together(
    calls: Sequence[Callable[[], T]], workers: int
) -> Iterator[SharedCalls[T]]:
    """Calls that pool threads make beside a `with` block; at its end the rest here.

    The first exception of a call is raised there, unless the block raises one.

    Args:
        calls: In the order in which they begin.
        workers: Threads, the calling one among them.
    """
    workers = min(workers, len(calls) + 1)
    limits, shared = limit(workers), SharedCalls(calls)
    futures: list[Future[None]] = []
    try:
        _submit(futures, shared, workers - 1, limits)
        limits.in_worker()
        yield shared
        with pools.at_work():  # as the helpers are: nothing within is shared anew
            shared.take_part()
        _wait(futures)
    finally:
        shared.stop()
        _wait(futures)
        restore()
    shared.results()


def carrying(function: Callable[P, T], limits: Limits | None = None) -> Callable[P, T]:
    """`function` for one call on a worker, under the calling thread's settings.

    Context variables (NumPy's error state among them) and torch's grad mode and
    autocast are those of the thread that calls this. What the function sets in them
    is not brought back.
    """
    context, torch_settings = copy_context(), torch_context.captured()

    def carried(*args: P.args, **kwargs: P.kwargs) -> T:
        if limits is not None:
            limits.in_worker()
        with torch_settings():
            return context.run(function, *args, **kwargs)

    return carried


class SharedCalls(Generic[T]):
    """Calls that several threads take one after the other."""

    def __init__(self, calls: Sequence[Callable[[], T]]) -> None:
        self._left = deque(enumerate(calls))
        self._done: dict[int, T] = {}
        self._raised: dict[int, BaseException] = {}

    def take_part(self) -> None:
        """Make calls until none is left or one has raised."""
        while True:
            try:
                index, call = self._left.popleft()
            except IndexError:
                return
            try:
                self._done[index] = call()
            except BaseException as error:  # noqa: BLE001 - raised on the calling thread
                self._raised[index] = error
                self.stop()

    def stop(self) -> None:
        """Let no further call begin."""
        self._left.clear()

    def results(self) -> list[T]:
        """All results in order, or the first exception."""
        if self._raised:
            raise self._raised[min(self._raised)]
        return [self._done[index] for index in sorted(self._done)]


def _submit(
    futures: list[Future[None]], shared: SharedCalls[Any], helpers: int, limits: Limits
) -> None:
    """Ask pool threads to take part; with none to be had, the caller does it all."""
    with suppress(RuntimeError):  # the interpreter is ending
        pool = pools.shared(helpers)
        for _ in range(helpers):
            futures.append(pool.submit(carrying(shared.take_part, limits)))


def _wait(futures: Sequence[Future[None]]) -> None:
    """Until every helper that has begun has ended; the others are let go."""
    for future in futures:
        if not future.cancel():
            future.result()
