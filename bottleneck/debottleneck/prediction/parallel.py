"""Parallel forward and update, simulated: the turns of a loop side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from debottleneck.prediction.demand import Part
from debottleneck.prediction.engine import GIVE, HOLD, TAKE, Counter, Gil, Op, Thread
from debottleneck.prediction.programs import Cycles, Ops, SimulatedLoop
from debottleneck.prediction.sides import share_of
from debottleneck.strategies.rewriting.each import MOST_WAITING
from debottleneck.strategies.rewriting.plan import Plan

BEGIN = 1.0
"""What a worker does before a turn, in costs of a call handed over: it enters the
caller's context (measured: turns begin 0.2 ms late, waking and cold caches
included)."""


@dataclass(eq=False)
class Job:
    """One turn that a worker may make.

    Attributes:
        ops: Its operations.
        begun: Whether somebody makes it, or has.
        ready: Given to when it is made.
    """

    ops: Ops
    begun: bool = False
    ready: Counter = field(default_factory=Counter)


class SharedTurns:
    """The turns of one loop, made by the trainer and by threads beside it."""

    def __init__(
        self, loop: SimulatedLoop, gil: Gil | None, plan: Plan, workers: int
    ) -> None:
        self._loop, self._gil = loop, gil
        self._turns, self._workers = plan.turns, workers
        self._entries = max(1, round(plan.entries))
        (piece,) = plan.pieces
        self.line = piece.line
        own = [part for part in loop.demand.parts if part.line == piece.line]
        steps = max(len(loop.demand.steps), 1)
        work = sum(part.work for part in own) / steps
        waits = sum(part.length - part.work for part in own) / steps
        waited = piece.ns - piece.cpu_ns
        self._work_share = min(piece.cpu_ns / work, 1.0) if work > 0 else 0.0
        self._wait_share = min(waited / waits, 1.0) if waits > 0 else 0.0
        self._known: dict[int, tuple[Part, Part]] = {}
        self._made: list[Part] = []  # `Cycles` knows them by their identity
        self._jobs: deque[Job] = deque()
        self._given = Counter()
        self._cycles = Cycles(loop, fine=workers > 1)

    def helpers(self) -> list[Thread]:
        """The threads beside the trainer."""
        return [Thread(self._help(), self._gil) for _ in range(self._workers - 1)]

    def make(self, parts: Sequence[Part]) -> Iterator[Op]:
        """What the trainer does of a statement with such a loop in it."""
        pieces = []
        for part in parts:
            rest, piece = self._divided(part)
            yield from self._cycles.of(rest)
            pieces.append(piece)
        turn = _as_one(pieces)
        self._made.append(turn)
        for _ in range(self._entries):
            yield from self._entry(turn)

    def _divided(self, part: Part) -> tuple[Part, Part]:
        """What of a part is not in the loop, and one turn of it; kept for `Cycles`."""
        if id(part) not in self._known:
            work, waits = self._work_share, self._wait_share
            one = 1 / (self._turns * self._entries)
            rest = share_of(part, 1 - work, 1 - waits)
            self._known[id(part)] = rest, share_of(part, work * one, waits * one)
        return self._known[id(part)]

    def _entry(self, turn: Part) -> Iterator[Op]:
        call_ns = self._loop.machine.call_ns
        jobs = [Job(self._cycles.of(turn)) for _ in range(self._turns)]
        for job in jobs[:-1]:
            self._jobs.append(job)
            yield HOLD, call_ns / 2
            yield GIVE, self._given
        yield from jobs[-1].ops
        for job in reversed(jobs[:-1]):
            if job.begun:
                yield TAKE, job.ready
            else:
                job.begun = True
                yield from job.ops

    def _help(self) -> Iterator[Op]:
        while True:
            yield TAKE, self._given
            job = self._jobs.popleft()
            if job.begun:
                continue
            job.begun = True
            yield HOLD, self._loop.machine.call_ns * BEGIN
            yield from job.ops
            yield GIVE, job.ready


def _as_one(pieces: Sequence[Part]) -> Part:
    """One turn: a statement may have thousands of marks, and turns as many entries."""
    names = ("python", "native", "outside", "lock", "releases")
    sums = (sum(getattr(piece, name) for piece in pieces) for name in names)
    return Part(pieces[0].stage, "", *sums)


def workers_of(plan: Plan, asked: int) -> int:
    """Threads for its turns: each that waits has its own."""
    (piece,) = plan.pieces
    waits = piece.cpu_ns < piece.ns / 2
    return min(MOST_WAITING if waits else asked, plan.turns)
