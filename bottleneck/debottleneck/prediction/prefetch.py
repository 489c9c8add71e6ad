"""Prefetch, simulated: what its plan says runs ahead, in order and by workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from debottleneck.prediction.demand import Part
from debottleneck.prediction.engine import (
    GIVE,
    HOLD,
    NATIVE,
    TAKE,
    Counter,
    Gil,
    Op,
    Thread,
)
from debottleneck.prediction.programs import Cycles, Feed, SimulatedLoop, Step
from debottleneck.prediction.sides import PartsBySide, has_workers
from debottleneck.strategies.rewriting.plan import HEAVY, ORDER, STAYS, Plan


class ChildProcess:
    """A process that makes what a thread of the trainer's process asks it for."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self._asked, self._answered = Counter(), Counter()
        self._job: Iterable[Op] = ()

    def call(self, job: Iterable[Op]) -> Iterator[Op]:
        """What the thread does: ask, wait, receive."""
        half = self._loop.machine.message_ns / 2
        yield HOLD, half
        self._job = job
        yield GIVE, self._asked
        yield TAKE, self._answered
        yield HOLD, half

    def thread(self) -> Thread:
        """The process."""
        return Thread(self._serve(), self._loop.gil())

    def _serve(self) -> Iterator[Op]:
        half = self._loop.machine.message_ns / 2
        while True:
            yield TAKE, self._asked
            yield HOLD, half
            yield from self._job
            yield HOLD, half
            yield GIVE, self._answered


class SimulatedAhead:
    """The lines of a loop that run ahead of it.

    Attributes:
        stays: Of each step what the trainer still does itself.
        always: Whether its threads want the trainer's GIL while it trains.
    """

    def __init__(
        self, loop: SimulatedLoop, gil: Gil | None, plan: Plan, feed: Feed
    ) -> None:
        self._loop, self._gil, self._plan, self._feed = loop, gil, plan, feed
        self._by_workers, self._apart = has_workers(plan), plan.where == "process"
        sides = PartsBySide(plan, loop.demand.parts)
        divided = [[sides.divide(part) for part in step] for step in loop.steps]
        self._order = [_of_side(step, ORDER) for step in divided]
        self._heavy = [_of_side(step, HEAVY) for step in divided]
        self.stays = [_of_side(step, STAYS) for step in divided]
        self._room = Counter(plan.depth)
        self._begun = Counter()
        self._ready = [Counter() for _ in loop.steps]
        self._next = 0
        self._cycles = Cycles(loop, fine=not self._apart)
        self.always = not self._apart  # threads work while the trainer trains

    def take(self, number: int) -> Iterator[Op]:
        """What the trainer does for the item of a step."""
        call_ns = self._loop.machine.call_ns
        yield HOLD, call_ns / 2
        yield TAKE, self._ready[number]
        yield GIVE, self._room
        yield HOLD, call_ns / 4

    def helpers(self) -> list[Thread]:
        """The thread that keeps the order, the workers, and their processes."""
        inner = self._apart and not self._by_workers
        remote = ChildProcess(self._loop) if inner else None
        threads = [Thread(self._in_order(remote), self._gil)]
        threads += [remote.thread()] if remote else []
        for _ in range(self._plan.workers if self._by_workers else 0):
            remote = ChildProcess(self._loop) if self._apart else None
            threads.append(Thread(self._work(remote), self._gil))
            threads += [remote.thread()] if remote else []
        return threads

    def _in_order(self, remote: ChildProcess | None) -> Iterator[Op]:
        call_ns = self._loop.machine.call_ns
        for number, parts in enumerate(self._order):
            yield TAKE, self._room
            yield HOLD, call_ns / 4
            yield from self._made(parts, number, remote)
            if self._by_workers:
                yield HOLD, call_ns / 2
                yield GIVE, self._begun
            else:
                yield GIVE, self._ready[number]

    def _work(self, remote: ChildProcess | None) -> Iterator[Op]:
        while True:
            yield TAKE, self._begun
            number = self._next
            self._next += 1
            yield HOLD, self._loop.machine.call_ns / 4
            yield from self._made(self._heavy[number], number, remote)
            yield GIVE, self._ready[number]

    def _made(
        self, parts: Sequence[Part], number: int, remote: ChildProcess | None
    ) -> Iterator[Op]:
        if any(part.takes for part in parts):
            yield from self._feed.take(number)
        job = self._job(parts, remote is not None)
        yield from remote.call(job) if remote is not None else job

    def _job(self, parts: Step, apart: bool) -> Iterator[Op]:
        for part in parts:
            yield from self._cycles.of(part)
        if apart:
            yield NATIVE, self._loop.machine.copy_ns_per_byte * self._plan.size


def _of_side(step: Sequence[dict[str, Part]], side: str) -> list[Part]:
    return [parts[side] for parts in step if side in parts]
