"""Prefetch, simulated: batches ahead of the trainer, or the elements of one batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from debottleneck.prediction.demand import Part
from debottleneck.prediction.engine import (
    GIVE,
    HOLD,
    NATIVE,
    TAKE,
    WAIT,
    Counter,
    Gil,
    Op,
    Thread,
)
from debottleneck.prediction.programs import Cycles, Feed, Loop, Step, span
from debottleneck.strategies.automatic.fanout import sizes


@dataclass(frozen=True)
class Size:
    """How a prefetch is set up.

    Attributes:
        workers: Threads or processes.
        ahead: Batches begun and not taken at most.
        apart: Whether they are processes.
        bytes: Of a batch, which go through shared memory then.
    """

    workers: int
    ahead: int
    apart: bool
    bytes: int = 0


class Ahead:
    """Loads made by workers in order, at most so many ahead.

    Args:
        loop: The loop.
        gil: The trainer's.
        size: Workers and depth.
        feed: The script's own producers, where the loads take from them.
    """

    def __init__(
        self, loop: Loop, gil: Gil | None, size: Size, feed: Feed | None = None
    ) -> None:
        self._loop, self._gil, self._size, self._feed = loop, gil, size, feed
        self._items = [
            part for step in loop.steps for part in step if part.stage == "load"
        ]
        self._begun = Counter()
        self._ready = [Counter() for _ in self._items]
        self._next = self._taken = 0
        self._asked = 0

    @property
    def always(self) -> bool:
        """Threads fetch while the trainer trains."""
        return not self._size.apart

    def takes(self, step: Step) -> dict[int, int]:
        """Every load."""
        return span(step, "load")

    def make(self, number: int, step: Step, first: int, end: int) -> Iterator[Op]:
        """Take what is ready, and let the next one begin."""
        machine, place = self._loop.machine, self._taken
        self._taken += 1
        while self._asked < min(len(self._items), place + 1 + self._size.ahead):
            self._asked += 1
            yield GIVE, self._begun
        yield HOLD, machine.call_ns / 2
        yield TAKE, self._ready[place]
        if self._size.apart:
            yield HOLD, machine.message_ns
        else:
            yield HOLD, machine.call_ns / 4

    def helpers(self) -> list[Thread]:
        """The workers."""
        made = []
        for _ in range(self._size.workers):
            gil = self._loop.gil() if self._size.apart else self._gil
            made.append(Thread(self._work(), gil))
        return made

    def _work(self) -> Iterator[Op]:
        apart, machine = self._size.apart, self._loop.machine
        cycles = Cycles(self._loop, fine=not apart)
        while True:
            yield TAKE, self._begun
            place = self._next
            self._next += 1
            yield HOLD, machine.message_ns if apart else machine.call_ns / 2
            if self._feed is not None:
                yield from self._feed.take(place)
            yield from cycles.of(self._items[place])
            if apart:
                yield NATIVE, machine.copy_ns_per_byte * self._size.bytes
                yield WAIT, machine.delay_ns
            yield GIVE, self._ready[place]


class Elements:
    """The loads within one load, made by workers from its end and the trainer.

    Args:
        loop: The loop.
        gil: The trainer's.
        size: Workers, the trainer being one of them.
        count: Elements of a batch.
    """

    LEAST_APART = 2

    def __init__(self, loop: Loop, gil: Gil | None, size: Size, count: int) -> None:
        self._loop, self._gil, self._size = loop, gil, size
        self._helpers = max(1, size.workers - 1)
        least = self.LEAST_APART if size.apart else 1
        self._parts = sizes(count, self._helpers, least)
        self._own = count - sum(self._parts)
        self._count = count
        self._jobs = Counter()
        self._queue: list[tuple[list[int], int, Part, Counter]] = []
        self._cycles = Cycles(loop, fine=not size.apart)
        self._pieces: dict[int, Part] = {}

    @property
    def always(self) -> bool:
        """Its workers rest while the trainer trains."""
        return False

    def takes(self, step: Step) -> dict[int, int]:
        """Every load."""
        return span(step, "load")

    def make(self, number: int, step: Step, first: int, end: int) -> Iterator[Op]:
        """Hand parts out, make the first elements, then take or make each part."""
        machine, apart = self._loop.machine, self._size.apart
        piece = self._piece(step[first])
        begun: list[tuple[list[int], int, Part, Counter]] = []
        for size in self._parts:
            job = ([0], size, piece, Counter())
            begun.append(job)
            self._queue.append(job)
            yield HOLD, machine.message_ns / 2 if apart else machine.call_ns / 4
            yield GIVE, self._jobs
        yield from self._elements(piece, self._own)
        for state, size, _, ready in reversed(begun):
            if state[0]:
                yield TAKE, ready
                yield HOLD, machine.message_ns / 2 if apart else machine.call_ns / 4
            else:
                state[0] = 2
                yield from self._elements(piece, size)

    def _elements(self, piece: Part, size: int) -> Iterator[Op]:
        for _ in range(size):
            yield from self._cycles.of(piece)

    def _piece(self, part: Part) -> Part:
        """One element's share of a load."""
        found = self._pieces.get(id(part))
        if found is None:
            found = self._pieces[id(part)] = share_of(part, 1 / self._count)
        return found

    def helpers(self) -> list[Thread]:
        """The workers."""
        apart = self._size.apart
        gils = [self._loop.gil() if apart else self._gil for _ in range(self._helpers)]
        return [Thread(self._work(), gil) for gil in gils]

    def _work(self) -> Iterator[Op]:
        machine, apart = self._loop.machine, self._size.apart
        while True:
            yield TAKE, self._jobs
            state, size, piece, ready = self._queue.pop(0)
            if state[0]:
                continue
            state[0] = 1
            yield HOLD, machine.message_ns if apart else machine.call_ns / 4
            yield from self._elements(piece, size)
            if apart:
                share = self._size.bytes * size / self._count
                yield NATIVE, machine.copy_ns_per_byte * share
                yield WAIT, machine.delay_ns
            yield GIVE, ready


def share_of(part: Part, share: float) -> Part:
    """That much of a part."""
    return replace(
        part,
        python=part.python * share,
        native=part.native * share,
        outside=part.outside * share,
        lock=part.lock * share,
        releases=part.releases * share,
    )
