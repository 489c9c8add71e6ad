"""What the code of prepared loops refers to: iterations and statements are marked here.

Each loop keeps its own cost down: where iterations are short only every k-th one is
marked, and a loop that is no training loop hands over to its plain copy. A `for`
loop's items come through iterators of C alone: between the loop and what it iterates
over stands no frame of ours, and nothing holds an item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from time import monotonic_ns
from types import WrapperDescriptorType
from typing import Any

from debottleneck.agent import entries, marks, sites
from debottleneck.agent.entries import LoopEntry, runs
from debottleneck.agent.pace import MARK_NS, Pace
from debottleneck.agent.plans import LoopPlan
from debottleneck.agent.points import stand_in
from debottleneck.recording.spool import ENTER
from debottleneck.words import LINE, STEP

TINY_NS = 3_000.0
"""A loop of shorter iterations trains nothing: its marked copy alone, silent, would
cost more than is allowed."""

TINY_ENTRY_NS = 100_000.0
"""So is one that is over sooner, as to enter and leave it is marked, too."""

FIRST_LOOK = 8
"""Iterations before a loop's cost is looked at, then each time that they doubled."""


_points: list[LoopPoint] = []
_trains: list[LoopPoint] = []


def settle_on(point: LoopPoint | None) -> None:
    """This is the training loop, for certain; None takes it back."""
    _trains[:] = [point] if point is not None else []


def points() -> list[LoopPoint]:
    """Every loop of the user's code that was compiled so far."""
    return _points


class LoopPoint:
    """One loop of the user's code: what its marked copy calls.

    It is marked for one thread at a time, and not within itself.

    Attributes:
        bounds: Whether what the tool asks for is done between its iterations.
        open: Whether the marked copy runs when the loop is entered.
        on: Whether its statements are marked now.
        count: Iterations so far.
        entries: How many times it was entered.
        ns: Time of its iterations, that of marks taken off.
        row: Index of the statement that runs, or ran last.
        row_ns: Time of each statement, whatever runs within it; of marked iterations.
        since: When the present statement began, 0 where none is marked.
        inner: Loops that were met within it, not within one of those.
        kept: True for the training loop and those around it: never closed.
        passes: Entries that pass as a whole after each one that is marked.
        codes: Of the marks of its statements.
        run: Its present entry.
        wanted: Whether it is to be marked at all.
        watched: Whether the listener is told of its statements.
        stretch: Iterations that go unmarked after each one that is marked.
        rewritten: What its other copy refers to, see `copies`; that copy
            goes on where there is one.
    """

    __slots__ = (
        "_active", "_ended", "_left", "_look", "_pace", "_whole", "bounds",
        "codes", "count", "entries", "file", "inner", "kept", "ns", "on", "open",
        "passes", "plan", "rewritten", "row", "row_ns", "run", "since", "site",
        "stretch", "wanted", "watched",
    )  # fmt: skip

    def __init__(self, plan: LoopPlan, file: str) -> None:
        self.plan = plan
        self.file = file
        self.open = self.wanted = True
        self.on = self.bounds = True
        self.kept = self.watched = False
        self.inner: set[LoopPoint] = set()
        self.rewritten: Any = None
        self.run: LoopEntry | None = None
        self.site = -1
        self.count = self.entries = self.ns = self.stretch = 0
        self.row = self.since = 0
        self.row_ns = [0] * len(plan.rows)
        self._active = [True] * len(plan.rows)
        self.codes: list[int] = []
        self._look = FIRST_LOOK
        self._pace = Pace()
        self.passes = self._left = self._whole = self._ended = 0
        _points.append(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process the loop is plain."""
        return stand_in(open=False, on=False)

    @property
    def sites(self) -> list[int]:
        """Sites of its statements."""
        return [code >> 2 for code in self.codes]

    @property
    def is_long(self) -> bool:
        """Whether its statements are worth being told apart."""
        return self._pace.turn_ns >= TINY_NS and self._pace.entry_ns >= TINY_ENTRY_NS

    @property
    def mean_ns(self) -> float:
        """Length of an iteration."""
        return self.ns / max(self.count, 1)

    items = iter
    """Called as the `for` statement would: no frame of ours, and `__iter__` once."""

    def allow(self, marked: bool) -> None:
        """Say whether it is marked from its next entry on."""
        self.wanted = marked
        self.open = marked and self.run is None

    def __enter__(self) -> None:
        if self.site < 0:
            self._register()
        stack = runs()
        heard = not stack or (stack[-1].point.on and not self._is_in_stage())
        run = LoopEntry(self)
        stack.append(run)
        if self.run is None and heard:
            for outer in stack[-2:-1]:
                outer.point.inner.add(self)
            self.open = False
            self.on = True
            self.run = run
            self.entries += 1
            run.whole = self._passes() and run.hush(whole=True)
            self._whole += run.whole
            if not run.whole:
                entries.tell_entered(run)

    def __exit__(self, *error: object) -> None:
        stack = runs()
        if self._here() is None:
            return
        try:
            while True:
                run = stack.pop()
                run.leave()
                if run.point is self:
                    return
        except RecursionError:  # the user's own is on its way
            return

    def turns(self, iterator: Iterator[Any]) -> Iterator[Any]:
        """The items of a `for` loop, until it falls silent."""
        run = self._here()
        if run is None:
            return map(next, repeat(iterator))
        if run.whole:
            run.rest = iterator
            return iter(())
        return map(next, chain.from_iterable(map(run.more, repeat(iterator))))

    def each(self, iterator: Iterator[Any]) -> Iterator[Any]:
        """All items of a comprehension, those after it falls silent too."""
        parts: list[Callable[[], Iterable[Any]]] = [lambda: self.turns(iterator)]
        return chain.from_iterable(map(_called, [*parts, self.rest]))

    def rest(self) -> Iterable[Any]:
        """What is left of the items for the plain copy."""
        run = self._here()
        if run is None:
            return ()
        if run.rest is None:  # all were taken: the last iteration did not begin
            run.settle()
            run.unbegun()
            return ()
        rest, run.rest = run.rest, None
        return rest if _is_its_own(rest) else map(next, repeat(rest))

    def iterator(self) -> Iterator[Any]:
        """What goes over the rest of the items, for the copy of a strategy."""
        run = self._here()
        if run is None or run.rest is None:
            return iter(self.rest())
        rest, run.rest = run.rest, None
        return rest

    @property
    def fresh(self) -> bool:
        """Whether its items are asked for anew, and not what is left of them."""
        run = self._here()
        return run is None or run.rest is None

    def back(self) -> bool:
        """Whether its marked copy goes on after the copy of a strategy."""
        run = self._here()
        if run is None or not run.returns:
            return False
        run.returns = run.handed = False
        run.done = 1
        return True

    def turn(self) -> bool:
        """Whether a `while` loop goes on in its marked copy."""
        run = self._here()
        if run is None:
            return True
        if run.whole:
            run.handed = True
            return False
        if run.skipped:
            run.skipped -= 1
            run.done += 1
            return True
        now = monotonic_ns()
        if not self.on:
            run.loud()
        elif self.stretch and run.begun and run.hush(now):
            run.skipped = self.stretch - 1
            run.done += 1
            return True
        if not run.begin(now):
            run.handed = True
            return False
        return True

    def handed(self) -> bool:
        """Whether the plain copy of a `while` loop goes on."""
        run = self._here()
        if run is None:
            return False
        if not run.handed:
            run.unbegun()  # the condition was false
        return run.handed

    def at(self, index: int) -> None:
        """A statement begins."""
        if self._active[index]:
            now = marks.mark_row(self.codes[index])
            if now and self.since:
                self.row_ns[self.row] += now - self.since
                self.row, self.since = index, now
                if self.watched:
                    entries.tell_row(self)

    def silence(self, share: float) -> None:
        """Mark small statements no more that follow small ones.

        Args:
            share: Of an iteration, below which a statement is small.
        """
        limit = share * sum(self.row_ns)
        small = [ns < limit for ns in self.row_ns]
        for index in range(2, len(small)):
            self._active[index] = not (small[index] and small[index - 1])

    def again(self) -> None:
        """Mark the statement that runs: another loop within it is over."""
        if self.run is not None:
            marks.mark_row(self.codes[self.row])

    def book(
        self, now: int, passed: int, busy: int, iterations: int, written: int
    ) -> None:
        """Add what passed since the last mark of the loop.

        Args:
            now: Monotonic nanoseconds.
            passed: Nanoseconds since that mark, the agent's own taken off.
            busy: Of these on a core.
            iterations: How many were completed in it.
            written: How many marks were written in it.
        """
        is_marked = self.since > 0  # else nothing of it was
        if is_marked:
            self.row_ns[self.row] += now - self.since
            self.since = 0
        took = max(passed - round(MARK_NS * written), iterations)
        self._pace.book(took, busy, iterations, written, marked=is_marked)
        self.ns += took
        self.count += iterations

    def is_worth_it(self) -> bool:
        """Whether to go on marking it; says how many iterations go unmarked."""
        if self.count + self.entries < self._look:
            return True
        self._look = 2 * (self.count + self.entries)
        if self._pace.turn_ns < TINY_NS and not self.kept:
            self.allow(False)
            return False
        self.stretch = self._pace.stretch()
        followed = (p.kept if self.kept else p.wanted for p in self.inner)
        if any(followed) or entries.is_each_told():
            self.stretch = 0  # their iterations would be lost
        return True

    def is_over(self) -> None:
        """Mark it more rarely when it is entered, or no more, if it is over soon."""
        marked = self.entries - self._whole
        if self.ns > self._ended:
            self._pace.left(self.ns - self._ended)
            self._ended = self.ns
        if marked >= FIRST_LOOK and not self.kept:
            self.allow(self.wanted and self._pace.entry_ns >= TINY_ENTRY_NS)
            self.passes = self._pace.passes(len(self.plan.rows))

    def _passes(self) -> bool:
        """Whether this entry goes through the plain copy, and is marked as a whole.

        Not before the training loop is known: it may be this one.
        """
        if self.kept or not _trains or entries.is_each_told():
            return False
        self._left = (self._left or self.passes + 1) - 1
        return self._left > 0

    def _here(self) -> LoopEntry | None:
        """This thread's entry of the loop."""
        stack = runs()
        if stack and stack[-1].point is self:
            return stack[-1]
        return next((run for run in reversed(stack) if run.point is self), None)

    def _is_in_stage(self) -> bool:
        """Whether it is within a stage of the step, which is one row as it is."""
        runs_now = bool(_trains) and _trains[0].run is not None
        return runs_now and not self.kept and marks.in_stage()

    def _register(self) -> None:
        plan = self.plan
        site = sites.site_of(
            STEP, plan.text, self.file, plan.line, "loop", end=plan.end
        )
        self.codes = [
            sites.site_of(
                LINE, row.text, self.file, row.line, "statement",
                end=row.end, within=site,
            ) << 2 | ENTER
            for row in plan.rows
        ]  # fmt: skip
        self.site = site


def _called(call: Callable[[], Iterable[Any]]) -> Iterable[Any]:
    return call()


def _is_its_own(iterator: Iterator[Any]) -> bool:
    """Whether `iter` of it is itself: others may begin anew."""
    how = getattr(type(iterator), "__iter__", None)
    code = getattr(how, "__code__", None)
    return isinstance(how, WrapperDescriptorType) or (
        code is not None and code.co_code == _ITSELF
    )


_ITSELF = (lambda self: self).__code__.co_code
