"""A discrete-event simulation of threads on cores, with CPython's GIL.

A thread's program is a sequence of operations: hold the GIL, run native code, wait
for the outside, take from or give to another thread. Resources are cores, shared
evenly by the threads that compute, and a GIL for each process.

The GIL is CPython's (Python/ceval_gil.c): a thread that gives it up wakes one waiter,
which needs `wake_ns` to come and finds it taken if another was faster; a waiter that
saw no hand-over for the switch interval asks the holder to drop it, and the holder
then waits until somebody else has had it. A thread that returns from a short wait
hence queues behind one in Python code for a whole interval: the convoy effect.

Computing threads share cores evenly (processor sharing), so the work left of each is
kept on a clock of its own that runs at the common pace; no end has to be moved when
a thread comes or goes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from debottleneck.recording.machine import Machine

HOLD, NATIVE, WAIT, TAKE, GIVE, MARK = range(6)
"""Operations, each a pair with its amount: nanoseconds of Python code, of native
code, or of waiting for the outside; a `Counter` to take one from or give one to;
whatever marks an end of a step."""

Op = tuple[int, "float | Counter"]


@dataclass(eq=False)
class Counter:
    """What threads pass to each other: items of a queue, or places in it.

    Attributes:
        value: How many there are to take.
    """

    value: int = 0
    waiting: deque[Thread] = field(default_factory=deque, repr=False)


@dataclass(eq=False)
class Gil:
    """One process's lock.

    Attributes:
        holder: Who has it.
        switches: How many times it came to another thread.
    """

    holder: Thread | None = None
    last: Thread | None = None
    switches: int = 0
    waiting: deque[Thread] = field(default_factory=deque, repr=False)
    dropped_by: Thread | None = None


@dataclass(eq=False)
class Thread:
    """A thread of the simulated process.

    Attributes:
        program: Its operations, made as they are needed.
        gil: Of its process; None where there is no GIL.
        marks: Times in ns at which it marked.
        blocked_ns: Time it waited for other threads.
        outside_ns: Time it waited for the outside.
        gil_ns: Time it waited for the GIL.
    """

    program: Iterator[Op]
    gil: Gil | None
    marks: list[float] = field(default_factory=list)
    turn: int = 0
    left: float = 0.0
    debt: float = 0.0
    seen_switches: int = 0
    signalled: bool = False
    queued: bool = False
    since: float = 0.0
    cold: bool = False
    blocked_ns: float = 0.0
    outside_ns: float = 0.0
    gil_ns: float = 0.0


REFILL_PACE = 2.0
"""Time lost for each of Python code just after the GIL came from another core:
measured 1.5 to 2 with pure-Python pickling and tokenising."""

_CAME, _RETURNED, _IMPATIENT = range(3)


def refill_ns(hold_ns: float, most_ns: float) -> float:
    """How much longer Python code takes whose caches another core, or nobody, has.

    It runs a third as fast at first; after some time its objects are near again.
    """
    if most_ns <= 0:
        return 0.0
    return most_ns * -math.expm1(-REFILL_PACE * hold_ns / most_ns)


class Simulation:
    """Runs threads until the first of them ends."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.now = self.busy_ns = 0.0
        self._numbers = count()
        self._clocks = [0.0, 0.0]
        self._ends: tuple[list[tuple[float, int, Thread]], ...] = ([], [])
        self._timed: list[tuple[float, int, int, Thread, int]] = []
        self._computing = 0
        self._paces = (1.0, 1.0)
        self._known: dict[int, tuple[float, float]] = {}

    def run(self, threads: Sequence[Thread], most_events: int = 10_000_000) -> float:
        """Simulate until the first thread's program ends; returns the time, ns.

        Raises:
            RuntimeError: All threads wait for each other, or it takes too long.
        """
        main = threads[0]
        self._main_ended = False
        self._main = main
        for thread in threads:
            self._go(thread)
        for _ in range(most_events):
            if self._main_ended:
                return self.now
            self._next()
        raise RuntimeError("the simulated loop does not come to an end")

    # -- time ----------------------------------------------------------------

    def _next(self) -> None:
        """Advance to the next event and let its thread go on."""
        best, kind = float("inf"), -1
        for which in (HOLD, NATIVE):
            ends = self._ends[which]
            while ends and ends[0][1] != ends[0][2].turn:
                heappop(ends)
            if ends:
                remaining = (ends[0][0] - self._clocks[which]) / self._paces[which]
                if self.now + remaining < best:
                    best, kind = self.now + max(remaining, 0.0), which
        if self._timed and self._timed[0][0] < best:
            at, _, what, thread, turn = heappop(self._timed)
            self._advance(at)
            if turn == thread.turn:
                self._happen(what, thread)
            return
        if kind < 0:
            raise RuntimeError("every simulated thread waits for another one")
        self._advance(best)
        _, _, thread = heappop(self._ends[kind])
        self._computes(-1)
        thread.turn = next(self._numbers)
        self._go(thread)

    def _advance(self, at: float) -> None:
        passed = at - self.now
        if passed > 0:
            self.busy_ns += passed * min(self._computing, self._machine.cores)
            self._clocks[HOLD] += passed * self._paces[HOLD]
            self._clocks[NATIVE] += passed * self._paces[NATIVE]
            self.now = at

    def _computes(self, change: int) -> None:
        self._computing += change
        number = self._computing
        paces = self._known.get(number)
        if paces is None:
            paces = self._known[number] = self._machine.paces(number)
        self._paces = paces

    def _compute(self, thread: Thread, kind: int, amount: float) -> None:
        thread.turn = turn = next(self._numbers)
        heappush(self._ends[kind], (self._clocks[kind] + amount, turn, thread))
        self._computes(1)

    def _later(self, delay: float, what: int, thread: Thread) -> None:
        entry = (self.now + delay, next(self._numbers), what, thread, thread.turn)
        heappush(self._timed, entry)

    # -- threads -------------------------------------------------------------

    def _go(self, thread: Thread) -> None:
        """Make operations until one takes time."""
        for kind, amount in thread.program:
            if kind == HOLD:
                self._hold(thread, amount)  # type: ignore[arg-type] # nanoseconds
                return
            if kind == NATIVE:
                self._release(thread)
                self._compute(thread, NATIVE, amount)  # type: ignore[arg-type]
                return
            if kind == WAIT:
                self._release(thread)
                thread.turn = next(self._numbers)
                thread.outside_ns += amount  # type: ignore[operator]
                self._later(amount, _RETURNED, thread)  # type: ignore[arg-type]
                return
            if kind == MARK:
                thread.marks.append(self.now)
            elif kind == GIVE:
                self._give(thread, amount)  # type: ignore[arg-type] # a counter
            elif not self._take(thread, amount):  # type: ignore[arg-type]
                return
        self._release(thread)
        if thread is self._main:
            self._main_ended = True

    def _take(self, thread: Thread, counter: Counter) -> bool:
        if counter.value > 0:
            counter.value -= 1
            return True
        self._release(thread)
        thread.turn = next(self._numbers)
        thread.since = self.now
        counter.waiting.append(thread)
        return False

    def _give(self, thread: Thread, counter: Counter) -> None:
        if not counter.waiting:
            counter.value += 1
            return
        thread.debt += self._machine.signal_ns
        waiter = counter.waiting.popleft()
        waiter.blocked_ns += self.now - waiter.since
        self._later(self._wake(waiter), _RETURNED, waiter)

    def _wake(self, waiter: Thread) -> float:
        """How long it takes to come: its core may have gone to sleep meanwhile."""
        machine = self._machine
        if self.now - waiter.since <= machine.awake_ns:
            return machine.wake_soon_ns
        waiter.cold = True
        return machine.wake_ns

    def _happen(self, what: int, thread: Thread) -> None:
        if what == _RETURNED:
            self._go(thread)
        elif what == _CAME:
            self._came(thread)
        else:
            self._impatient(thread)

    # -- the GIL -------------------------------------------------------------

    def _hold(self, thread: Thread, amount: float) -> None:
        """Run Python code, as soon as the GIL is had."""
        gil = thread.gil
        if thread.cold:
            thread.cold = False
            amount += refill_ns(amount, self._machine.cold_ns)
        thread.left = amount + thread.debt
        thread.debt = 0.0
        if gil is None or gil.holder is thread:
            self._compute(thread, HOLD, thread.left)
        elif gil.holder is None:
            self._acquire(thread, gil)
        else:
            self._queue(thread, gil)

    def _acquire(self, thread: Thread, gil: Gil) -> None:
        if thread.queued:
            thread.queued = False
            thread.gil_ns += self.now - thread.since
        gil.holder = thread
        if gil.last is not thread:
            if gil.last is not None:
                thread.left += refill_ns(thread.left, self._machine.refill_most_ns)
            gil.last = thread
            gil.switches += 1
        self._compute(thread, HOLD, thread.left)
        forced = gil.dropped_by
        if forced is not None and forced is not thread:
            gil.dropped_by = None
            self._queue(forced, gil)

    def _queue(self, thread: Thread, gil: Gil) -> None:
        """Wait for the GIL, for a switch interval before asking for it."""
        thread.turn = next(self._numbers)
        thread.signalled = False
        if not thread.queued:
            thread.queued, thread.since = True, self.now
        gil.waiting.append(thread)
        self._watch_out(thread, gil)

    def _watch_out(self, thread: Thread, gil: Gil) -> None:
        thread.seen_switches = gil.switches
        self._later(self._machine.switch_interval_ns, _IMPATIENT, thread)

    def _release(self, thread: Thread) -> None:
        gil = thread.gil
        if gil is None or gil.holder is not thread:
            return
        gil.holder = None
        self._signal(thread, gil)

    def _signal(self, thread: Thread, gil: Gil) -> None:
        """Wake the first waiter; it comes a little later."""
        for waiter in gil.waiting:
            if not waiter.signalled:
                waiter.signalled = True
                waiter.turn = next(self._numbers)
                thread.debt += self._machine.signal_ns
                self._later(self._wake(waiter), _CAME, waiter)
                return

    def _came(self, thread: Thread) -> None:
        """A woken waiter: takes the GIL, or waits anew if another was faster."""
        gil = thread.gil
        assert gil is not None
        gil.waiting.remove(thread)
        if gil.holder is None:
            self._acquire(thread, gil)
        else:
            self._queue(thread, gil)

    def _impatient(self, thread: Thread) -> None:
        """A waiter's interval is over: the holder drops the GIL if it has not moved."""
        gil = thread.gil
        assert gil is not None
        holder = gil.holder
        if holder is None or gil.switches != thread.seen_switches:
            thread.turn = next(self._numbers)
            self._watch_out(thread, gil)
            return
        holder.left = self._cut(holder)
        gil.holder, gil.dropped_by = None, holder
        self._signal(holder, gil)

    def _cut(self, holder: Thread) -> float:
        """Take a thread off its core; returns the Python code it has left to run."""
        ends = self._ends[HOLD]
        end = next(entry for entry in ends if entry[1] == holder.turn)
        holder.turn = next(self._numbers)
        self._computes(-1)
        return max(end[0] - self._clocks[HOLD], 0.0)
