"""One iteration of a prefetch whose threads run in a process of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic_ns
from typing import Generic, TypeVar

from debottleneck.strategies.adaptive import Report, Reporting, Tally
from debottleneck.strategies.sources import Source
from debottleneck.strategies.window import Batches

T = TypeVar("T")


class FromProcess(Reporting, Generic[T]):
    """An iterator over what a process fetches and sends.

    The bound is that of `Batches`: `workers` being fetched and `depth` more. One
    worker needs no thread there. With several, one batch more is being sent.

    Args:
        make: Makes the source, in the process.
        tally: How many threads there, and what it comes to.
        depth: Batches beyond those being fetched.
        order: Deliver in the source's order; False: as they are completed.
    """

    def __init__(
        self,
        make: Callable[[], Source[T]],
        tally: Tally,
        depth: int,
        *,
        order: bool = True,
    ) -> None:
        from debottleneck.strategies.process import Items

        self._tally = tally
        if tally.is_one:
            self._items = Items(partial(_one_by_one, make, tally), depth=depth)
        else:
            fetch = partial(_fetch, make, tally, order)
            self._items = Items(fetch, depth=max(1, depth - 1))

    def __iter__(self) -> FromProcess[T]:
        return self

    def __next__(self) -> T:
        began_ns = monotonic_ns()
        batch, report = next(self._items)
        self._tally.received(report, monotonic_ns() - began_ns)
        return batch

    def close(self, *, wait: bool = True) -> None:
        """End the process, and drop what was fetched.

        Args:
            wait: No difference: a process is ended in the midst of a fetch.
        """
        self._items.close()


def _one_by_one(
    make: Callable[[], Source[T]], tally: Tally
) -> Iterator[tuple[T, Report]]:
    """Runs in the process."""
    source = make()
    while (call := source.next_call()) is not None:
        try:
            batch = call()
        except StopIteration:
            return
        yield batch, tally.report()


def _fetch(
    make: Callable[[], Source[T]], tally: Tally, order: bool
) -> Iterator[tuple[T, Report]]:
    """Runs in the process."""
    with Batches(make(), tally, 0, order=order) as batches:
        for batch in batches:
            yield batch, tally.report()
