"""The loop as programs of simulated threads: as it is, and with strategies applied.

What a plan has run ahead, and statements whose turns are shared, have helper threads
of their own. What is left is made by the trainer as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from random import Random
from typing import TYPE_CHECKING

from debottleneck.prediction.demand import Demand, Part, Producer
from debottleneck.prediction.engine import (
    GIVE,
    HOLD,
    MARK,
    NATIVE,
    TAKE,
    WAIT,
    Counter,
    Gil,
    Op,
    Thread,
)
from debottleneck.recording.machine import Machine

if TYPE_CHECKING:
    from debottleneck.prediction.parallel import SharedTurns
    from debottleneck.prediction.prefetch import SimulatedAhead

SHAPE = 2.0
"""Of the gamma distribution of stretches of code between two releases of the GIL:
less even than a clock, more even than chance."""

Ops = list[Op]
Step = Sequence[Part]

QUEUE_DEPTH = 4
"""Batches that the script's own producers keep ready: it is not known, and matters
little where one side is always the slower one."""

MOST_CYCLES = 2000
"""Times that a part gives the GIL up at most in the simulation."""


@dataclass(frozen=True)
class SimulatedLoop:
    """What is simulated.

    Attributes:
        demand: The recorded loop.
        steps: The steps to replay, in order.
        machine: What it runs on.
        rng: Of how stretches of code differ.
        others: Whoever the loop waits for when asked: they serve one at a time.
    """

    demand: Demand
    steps: Sequence[Step]
    machine: Machine
    rng: Random
    others: Counter = field(default_factory=partial(Counter, 1))

    def gil(self) -> Gil | None:
        """One for each process."""
        return Gil() if self.machine.gil else None

    def locked(self, wait: float) -> Ops:
        """A wait for threads that work when they are asked to."""
        return [(TAKE, self.others), (WAIT, wait), (GIVE, self.others)]


@dataclass
class Cycles:
    """Parts as operations, the same for the same part.

    Attributes:
        loop: Whose parts they are.
        fine: Whether the GIL is given up as often as measured, which matters where
            another thread of the process wants it.
    """

    loop: SimulatedLoop
    fine: bool
    _known: dict[int, Ops] = field(default_factory=dict)

    def of(self, part: Part) -> Ops:
        """Its operations."""
        ops = self._known.get(id(part))
        if ops is None:
            ops = self._known[id(part)] = self._ops(part)
        return ops

    def _ops(self, part: Part) -> Ops:
        count = max(1, round(part.releases)) if self.fine else 1
        count = min(count, MOST_CYCLES)
        lock = 0.0 if self.loop.demand.producers else part.lock
        python = self._spread(part.python, count)
        native = self._spread(part.native, count)
        ops: Ops = []
        for number in range(count):
            if (part.outside or lock) and number == count // 2:
                ops.append((HOLD, python[number] / 2))
                ops += [(WAIT, part.outside)] if part.outside else []
                ops += self.loop.locked(lock) if lock else []
                ops.append((HOLD, python[number] / 2))
            elif part.python:
                ops.append((HOLD, python[number]))
            if part.native or count > 1:
                ops.append((NATIVE, native[number]))
        return ops

    def _spread(self, total: float, count: int) -> list[float]:
        """Random pieces that add up to the whole; one piece is all of it."""
        if count == 1:
            return [total]
        drawn = [self.loop.rng.gammavariate(SHAPE, 1.0) for _ in range(count)]
        scale = total / sum(drawn)
        return [scale * weight for weight in drawn]


def threads(
    loop: SimulatedLoop,
    gil: Gil | None,
    feed: Feed,
    ahead: SimulatedAhead | None,
    shared: Sequence[SharedTurns],
) -> list[Thread]:
    """The trainer first, then everybody else."""
    helpers = ahead.helpers() if ahead is not None else []
    helpers += [thread for each in shared for thread in each.helpers()]
    fine = any(thread.gil is gil for thread in feed.threads)
    fine = fine or (ahead is not None and ahead.always)
    steps = loop.steps if ahead is None else ahead.stays
    program = _trainer(steps, ahead, feed, shared, Cycles(loop, fine))
    return [Thread(program, gil), *helpers, *feed.threads]


def _trainer(
    steps: Sequence[Step],
    ahead: SimulatedAhead | None,
    feed: Feed,
    shared: Sequence[SharedTurns],
    cycles: Cycles,
) -> Iterator[Op]:
    by_line = {each.line: each for each in shared}
    for number, step in enumerate(steps):
        yield MARK, 0.0
        if ahead is not None:
            yield from ahead.take(number)
        for line, parts in groupby(step, key=lambda part: part.line):
            if line in by_line:
                yield from by_line[line].make(list(parts))
                continue
            for part in parts:
                if part.takes:
                    yield from feed.take(number)
                yield from cycles.of(part)
    yield MARK, 0.0


class Feed:
    """The script's own threads or processes that make its batches."""

    def __init__(self, loop: SimulatedLoop, gil: Gil | None) -> None:
        self._loop = loop
        makers = loop.demand.producers
        self._items = [Counter() for _ in makers]
        self._room = [Counter(QUEUE_DEPTH) for _ in makers]
        self.threads = [
            thread
            for number, maker in enumerate(makers)
            for thread in self._made_by(number, maker, gil)
        ]

    def take(self, number: int) -> Iterator[Op]:
        """The trainer takes the next batch, from one after the other."""
        if self._items:
            which = number % len(self._items)
            yield TAKE, self._items[which]
            yield GIVE, self._room[which]

    def _made_by(
        self, number: int, maker: Producer, gil: Gil | None
    ) -> Iterator[Thread]:
        own = self._loop.gil() if maker.apart else gil
        yield Thread(self._program(number, maker), own)

    def _program(self, number: int, maker: Producer) -> Iterator[Op]:
        ops = Cycles(self._loop, fine=not maker.apart).of(maker.work)
        while True:
            yield from ops
            yield TAKE, self._room[number]
            yield GIVE, self._items[number]
