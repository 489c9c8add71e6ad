"""Prefetch, simulated: batches ahead of the trainer, or the elements of one batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

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
from debottleneck.prediction.programs import Cycles, Feed, SimulatedLoop, Step, span

LEAST_IN_PROCESS = 2
"""Elements in a message to a process, which costs 0.1 to 0.2 ms."""


def sizes(count: int, workers: int, least: int = 1) -> list[int]:
    """Lengths of the parts of a batch, from its end to its beginning.

    The trainer and the workers meet where each has done its share. Far from there a
    part is long, to save hand-overs; near it short, so that nobody waits long. The
    first calls are the trainer's in any case.
    """
    found, left = [], count
    meeting = 0.9 * count / (workers + 1)
    while left > 0.75 * meeting:
        size = min(left, max(least, int((left - meeting) / (2 * workers))))
        found.append(size)
        left -= size
    return found


@dataclass(frozen=True)
class Size:
    """How a prefetch is set up.

    Attributes:
        workers: Threads or processes.
        ahead: Batches begun and not taken at most.
        apart: Whether they are processes.
        bytes: Of a batch, which go through shared memory then.
        receiving: What taking one costs the trainer then, in messages' costs.
    """

    workers: int
    ahead: int
    apart: bool
    bytes: int = 0
    receiving: float = 0.0


class ChildProcess:
    """A process that makes what a thread of the trainer's process asks it for.

    Args:
        loop: The loop.
    """

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


class _Fetching:
    """Threads that fetch, each with a process of its own if they have any."""

    def __init__(
        self, loop: SimulatedLoop, gil: Gil | None, size: Size, workers: int
    ) -> None:
        self._loop, self._gil, self._size = loop, gil, size
        self._workers = workers

    def helpers(self) -> list[Thread]:
        """The workers."""
        helpers = []
        for _ in range(self._workers):
            remote = ChildProcess(self._loop) if self._size.apart else None
            helpers.append(Thread(self._work(remote), self._gil))
            helpers += [remote.thread()] if remote else []
        return helpers

    def _work(self, remote: ChildProcess | None) -> Iterator[Op]:
        """What one of them does."""
        raise NotImplementedError


class Ahead(_Fetching):
    """Loads made by workers in order, at most so many ahead.

    Args:
        loop: The loop.
        gil: The trainer's.
        size: Workers and depth.
        feed: The script's own producers, where the loads take from them.
    """

    def __init__(
        self, loop: SimulatedLoop, gil: Gil | None, size: Size, feed: Feed | None = None
    ) -> None:
        super().__init__(loop, gil, size, size.workers)
        self._feed = feed
        stages = loop.demand.inputs
        self._items = [
            step[first:end]
            for step in loop.steps
            for first, end in inputs(step, stages).items()
        ]
        self._begun = Counter()
        self._ready = [Counter() for _ in self._items]
        self._next = self._taken = self._asked = 0
        self._cycles = Cycles(loop, fine=not size.apart)
        self.always = not size.apart  # threads fetch while the trainer trains

    def takes(self, step: Step) -> dict[int, int]:
        """Every load, with what prepares it."""
        return inputs(step, self._loop.demand.inputs)

    def make(self, number: int, step: Step, first: int, end: int) -> Iterator[Op]:
        """Take what is ready, and let the next one begin."""
        call_ns, place = self._loop.machine.call_ns, self._taken
        self._taken += 1
        yield HOLD, call_ns / 2
        while self._asked < min(len(self._items), place + 1 + self._size.ahead):
            self._asked += 1
            yield GIVE, self._begun
        yield TAKE, self._ready[place]
        received = self._size.receiving * self._loop.machine.message_ns
        yield HOLD, call_ns / 4 + received

    def _work(self, remote: ChildProcess | None) -> Iterator[Op]:
        call_ns = self._loop.machine.call_ns
        while True:
            yield TAKE, self._begun
            place = self._next
            self._next += 1
            yield HOLD, call_ns / 4
            if self._feed is not None:
                yield from self._feed.take(place)
            if remote is not None:
                yield from remote.call(self._job(place))
            else:
                yield from self._job(place)
            yield GIVE, self._ready[place]

    def _job(self, place: int) -> Iterator[Op]:
        for part in self._items[place]:
            yield from self._cycles.of(part)
        if self._size.apart:
            yield NATIVE, self._loop.machine.copy_ns_per_byte * self._size.bytes


@dataclass(eq=False)
class _Some:
    """Elements in a row that a worker may make, and who makes them."""

    count: int
    piece: Part
    begun: bool = False
    ready: Counter = field(default_factory=Counter)


class Elements(_Fetching):
    """The loads within one load, made by workers from its end and the trainer.

    Args:
        loop: The loop.
        gil: The trainer's.
        size: Workers, the trainer being one of them.
        count: Elements of a batch.
    """

    always = False

    def __init__(
        self, loop: SimulatedLoop, gil: Gil | None, size: Size, count: int
    ) -> None:
        super().__init__(loop, gil, size, max(1, size.workers - 1))
        self._sizes = sizes(count, self._workers, LEAST_IN_PROCESS if size.apart else 1)
        self._own = count - sum(self._sizes)
        self._count = count
        self._given = Counter()
        self._queue: deque[_Some] = deque()
        self._cycles = Cycles(loop, fine=True)
        self._pieces: dict[int, Part] = {}

    def takes(self, step: Step) -> dict[int, int]:
        """Every load."""
        return span(step, "load")

    def make(self, number: int, step: Step, first: int, end: int) -> Iterator[Op]:
        """Hand parts out, make the first elements, then take or make each part."""
        call_ns = self._loop.machine.call_ns
        part = step[first]
        piece = self._pieces.setdefault(id(part), share_of(part, 1 / self._count))
        begun = [_Some(size, piece) for size in self._sizes]
        for some in begun:
            self._queue.append(some)
            yield HOLD, call_ns / 2
            yield GIVE, self._given
        yield from self._made(piece, self._own)
        for some in reversed(begun):
            if some.begun:
                yield TAKE, some.ready
                yield HOLD, call_ns / 4
            else:
                some.begun = True
                yield from self._made(piece, some.count)

    def _work(self, remote: ChildProcess | None) -> Iterator[Op]:
        while True:
            yield TAKE, self._given
            some = self._queue.popleft()
            if some.begun:
                continue
            some.begun = True
            yield HOLD, self._loop.machine.call_ns / 4
            job = self._made(some.piece, some.count)
            yield from remote.call(job) if remote is not None else job
            yield GIVE, some.ready

    def _made(self, piece: Part, count: int) -> Iterator[Op]:
        for _ in range(count):
            yield from self._cycles.of(piece)


def inputs(step: Step, stages: Sequence[str]) -> dict[int, int]:
    """Runs of parts that begin with a load and go on with what prepares its batch."""
    ends: dict[int, int] = {}
    begun = -1
    for place, part in enumerate(step):
        if part.stage == stages[0]:
            begun = place
            ends[begun] = place + 1
        elif part.stage in stages[1:] and begun >= 0:
            ends[begun] = place + 1
        elif part.stage != "other":
            begun = -1
    return ends


def share_of(part: Part, share: float) -> Part:
    """That much of a part."""
    names = ("python", "native", "outside", "lock", "releases")
    return replace(part, **{name: getattr(part, name) * share for name in names})
