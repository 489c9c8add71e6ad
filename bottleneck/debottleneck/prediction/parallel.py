"""Parallel forward and parallel update, simulated: calls of one run side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from debottleneck.prediction.engine import GIVE, HOLD, TAKE, Counter, Gil, Op, Thread
from debottleneck.prediction.programs import Cycles, Ops, SimulatedLoop, Step

BEGIN, TORCH_BEGIN = 1.0, 2.5
"""What a worker does before a call, in costs of a call handed over: it enters the
caller's context, with torch its grad mode and autocast too (measured: calls begin 0.2
and 0.36 ms late, waking and cold caches included)."""


@dataclass(eq=False)
class Job:
    """One call that a worker may make.

    Attributes:
        ops: Its operations.
        begun: Whether somebody makes it, or has.
        ready: Given to when it is made.
    """

    ops: Ops
    begun: bool = False
    done: bool = False
    ready: Counter = field(default_factory=Counter)


class Pool:
    """Workers that make jobs in the order in which they are given.

    Args:
        loop: The loop.
        gil: The trainer's.
        workers: Threads beside the trainer.
    """

    def __init__(self, loop: SimulatedLoop, gil: Gil | None, workers: int) -> None:
        self._loop, self._gil, self._workers = loop, gil, workers
        self._jobs: deque[Job] = deque()
        self._given = Counter()
        self._torch = any(
            part.name.startswith("torch.") for step in loop.steps[:1] for part in step
        )
        self.cycles = Cycles(loop, fine=workers > 0)

    def give(self, job: Job) -> Iterator[Op]:
        """Hand a job over."""
        self._jobs.append(job)
        yield HOLD, self._loop.machine.call_ns / 2
        yield GIVE, self._given

    def threads(self) -> list[Thread]:
        """Its workers."""
        return [Thread(self._work(), self._gil) for _ in range(self._workers)]

    def _work(self) -> Iterator[Op]:
        begin_ns = self._loop.machine.call_ns * (TORCH_BEGIN if self._torch else BEGIN)
        while True:
            yield TAKE, self._given
            job = self._jobs.popleft()
            if job.begun:
                continue
            job.begun = True
            yield HOLD, begin_ns
            yield from job.ops
            job.done = True
            yield GIVE, job.ready


class _Pooled:
    """Calls that a pool makes.

    Args:
        pool: Makes them.
    """

    always = False

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def helpers(self) -> list[Thread]:
        """The pool's."""
        return self._pool.threads()


class Forward(_Pooled):
    """Calls on the same arguments are begun by the first of them.

    Args:
        pool: Makes the others.
        leader: The function whose call is the first, "" for any.
        size: Calls that share arguments, of a run; 0 for all of a function's.
    """

    def __init__(self, pool: Pool, leader: str, size: int) -> None:
        super().__init__(pool)
        self._leader, self._size = leader, size

    def takes(self, step: Step) -> dict[int, int]:
        """Runs of calls of the same function, with what lies between them."""
        return runs(step, "forward", self._leader, self._size)

    def make(self, number: int, step: Step, first: int, end: int) -> Iterator[Op]:
        """The first here, the others by whoever is free, each in its turn."""
        cycles = self._pool.cycles
        parts = step[first:end]
        jobs = {
            place: Job(cycles.of(part))
            for place, part in enumerate(parts)
            if place and part.stage == "forward"
        }
        for job in jobs.values():
            yield from self._pool.give(job)
        for place, part in enumerate(parts):
            if place in jobs:
                yield from self._turn(jobs[place], list(jobs.values()))
            else:
                yield from cycles.of(part)

    def _turn(self, job: Job, jobs: Sequence[Job]) -> Iterator[Op]:
        if not job.begun:
            job.begun = job.done = True
            yield from job.ops
            return
        for other in reversed(jobs):
            if job.done:
                break
            if not other.begun:
                other.begun = True
                yield from other.ops
                other.done = True
                yield GIVE, other.ready
        yield TAKE, job.ready


class Update(_Pooled):
    """Calls return at once; the last one of a run waits for them all."""

    def takes(self, step: Step) -> dict[int, int]:
        """Runs of calls, with what lies between them."""
        return runs(step, "update", "", 0)

    def make(self, number: int, step: Step, first: int, end: int) -> Iterator[Op]:
        """All but the last by workers; then wait."""
        cycles, jobs = self._pool.cycles, []
        for part in step[first : end - 1]:
            if part.stage == "update":
                jobs.append(Job(cycles.of(part)))
                yield from self._pool.give(jobs[-1])
            else:
                yield from cycles.of(part)
        yield from cycles.of(step[end - 1])
        for job in jobs:
            yield TAKE, job.ready


def runs(step: Step, stage: str, leader: str, size: int) -> dict[int, int]:
    """Runs of at least two calls of a stage, and what lies between them.

    Args:
        step: The parts of a step.
        stage: The stage.
        leader: The function whose call begins a run, "" for any.
        size: Calls of a run; 0 for as many as are of one function.
    """
    ends: dict[int, int] = {}
    calls: list[int] = []
    for place, part in enumerate([*step, None]):
        if part is not None and part.stage == "other":
            continue
        like = part is not None and part.stage == stage
        room = bool(calls) and len(calls) < (size or len(step))
        if like and room and (size or part.name == step[calls[0]].name):  # type: ignore[union-attr] # it is like
            calls.append(place)
            continue
        if len(calls) > 1:
            ends[calls[0]] = calls[-1] + 1
        begins = like and leader in ("", part.name)  # type: ignore[union-attr] # it is like
        calls = [place] if begins else []
    return ends
