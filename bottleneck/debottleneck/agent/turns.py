"""What the code of prepared loops refers to: iterations and statements are marked here.

Each loop keeps its own cost down: where iterations are short only every k-th one is
marked, and a loop that is no training loop hands over to its plain copy.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import compress, count, islice
from typing import Any, Protocol

from debottleneck.agent import marks
from debottleneck.agent.loops import LoopPlan
from debottleneck.agent.points import stand_in
from debottleneck.recording.spool import ENTER, STEP_END, STEP_START
from debottleneck.words import LINE, STEP

COST = 0.02
"""The part of a loop's time that its marks may take."""

MARK_NS = 1000.0
"""A mark takes about so long, what decides about it included."""

TINY_NS = 3_000.0
"""A loop of shorter iterations trains nothing: its marked copy alone, silent, would
cost more than is allowed."""

LONGEST_STRETCH = 1000
"""Iterations without marks in a row, at most."""

FIRST_LOOK = 8
"""Iterations before a loop's cost is looked at, then each time that they doubled."""


class Listener(Protocol):
    """Is told of the loops' progress while the training loop is being looked for."""

    def entered(self, run: Run) -> None:
        """A loop begins."""

    def turned(self, run: Run) -> None:
        """An iteration of it begins, one that is marked."""


class _Runs(threading.local):
    """The loops that a thread is in, outermost first."""

    def __init__(self) -> None:
        self.stack: list[Run] = []


_runs = _Runs()
_points: list[LoopPoint] = []
_listener: list[Listener] = []


def listen_with(listener: Listener) -> None:
    """Tell this of every marked iteration from now on."""
    _listener[:] = [listener]


def runs() -> list[Run]:
    """The loops that this thread is in, outermost first."""
    return _runs.stack


def points() -> list[LoopPoint]:
    """Every loop of the user's code that was compiled so far."""
    return _points


class LoopPoint:
    """One loop of the user's code: what its marked copy calls.

    Args:
        plan: What it consists of.
        file: Where it stands.
        is_open: Whether its marked copy runs from the beginning.

    Attributes:
        bounds: Whether what the tool asks for is done between its iterations.
        open: Whether the marked copy runs when the loop is entered.
        on: Whether its statements are marked now.
        count: Iterations so far.
        entries: How many times it was entered.
        ns: Time of its iterations.
        row: Index of the statement that runs, or ran last.
        row_ns: Time of each statement, whatever runs within it.
        since: When the present statement began.
        kept: True for the training loop and those around it: never closed.
    """

    __slots__ = (
        "_active", "_codes", "bounds", "count", "entries", "file", "kept", "ns", "on",
        "open", "plan", "row", "row_ns", "since", "site", "stretch",
    )  # fmt: skip

    def __init__(self, plan: LoopPlan, file: str, is_open: bool = True) -> None:
        self.plan = plan
        self.file = file
        self.open = is_open
        self.on = self.bounds = True
        self.kept = False
        self.site = -1
        self.count = self.entries = self.ns = self.stretch = 0
        self.row = self.since = 0
        self.row_ns = [0] * len(plan.rows)
        self._active = [True] * len(plan.rows)
        self._codes: list[int] = []
        _points.append(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process the loop is plain."""
        return stand_in(open=False, on=False)

    @property
    def sites(self) -> list[int]:
        """Sites of its statements."""
        return [code >> 2 for code in self._codes]

    @property
    def mean_ns(self) -> float:
        """Length of an iteration."""
        return self.ns / max(self.count, 1)

    def __enter__(self) -> None:
        if self.site < 0:
            self._register()
        self.on = True
        self.entries += 1
        run = Run(self)
        _runs.stack.append(run)
        if _listener:
            _listener[0].entered(run)

    def __exit__(self, *error: object) -> None:
        stack = _runs.stack
        while stack:
            run = stack.pop()
            if run.point is self:
                run.leave()
                return

    def turns(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items of a `for` loop, until it falls silent."""
        run = _runs.stack[-1]
        iterator = iter(items)
        while run.begin():
            try:
                yield next(iterator)
            except StopIteration:
                run.done = 0
                run.rest = ()
                return
            if self.stretch:
                yield from run.unmarked(iterator)
        run.rest = iterator

    def rest(self) -> Iterable[Any]:
        """What is left of the items for the plain copy."""
        run = _runs.stack[-1]
        rest, run.rest = run.rest, ()
        return rest

    def turn(self) -> bool:
        """Whether a `while` loop goes on in its marked copy."""
        run = _runs.stack[-1]
        if run.skipped:
            if self.on:
                run.hush()
            run.skipped -= 1
            run.done += 1
            run.count += 1
            return True
        if not self.on:
            run.loud()
        if not run.begin():
            run.handed = True
            return False
        if self.stretch:
            run.skipped = self.stretch
        return True

    def handed(self) -> bool:
        """Whether the plain copy of a `while` loop goes on."""
        run = _runs.stack[-1]
        if not run.handed:
            run.done -= 1  # the condition was false: it did not begin
        return run.handed

    def at(self, index: int) -> None:
        """A statement begins."""
        if self._active[index]:
            now = marks.mark_row(self._codes[index])
            if now:
                self.row_ns[self.row] += now - self.since
                self.row, self.since = index, now

    def silence(self, share: float) -> None:
        """Mark small statements no more that follow small ones.

        Args:
            share: Of an iteration, below which a statement is small.
        """
        limit = share * sum(self.row_ns)
        small = [ns < limit for ns in self.row_ns]
        for index in range(2, len(small)):
            self._active[index] = not (small[index] and small[index - 1])

    def _register(self) -> None:
        plan = self.plan
        self.site = marks.site_of(
            STEP, plan.text, self.file, plan.line, "loop", end=plan.end
        )
        for row in plan.rows:
            site = marks.site_of(
                LINE, row.text, self.file, row.line, "statement",
                end=row.end, within=self.site,
            )  # fmt: skip
            self._codes.append(site << 2 | ENTER)


class Run:
    """One entry of a loop, on one thread.

    Attributes:
        point: The loop.
        count: Iterations begun, marked or not.
        done: Iterations completed since the last mark.
        rest: Items for the plain copy.
        handed: Whether a `while` loop's plain copy goes on.
        skipped: Iterations of a `while` loop that are still to go unmarked.
    """

    __slots__ = (
        "_began", "_counter", "_look", "_marked", "_stretch", "_written", "count", "done", "handed", "point",
        "rest", "skipped",
    )  # fmt: skip

    def __init__(self, point: LoopPoint) -> None:
        self.point = point
        self.count = self.done = self.skipped = 0
        self.rest: Iterable[Any] = ()
        self.handed = False
        self._look = FIRST_LOOK
        self._began = self._marked = self._stretch = 0
        self._written = marks.written()
        self._counter = count()

    def begin(self) -> bool:
        """Mark an iteration; False where the plain copy is to go on."""
        point = self.point
        if point.bounds:
            if point.kept:
                marks.close_stages()
            marks.attend()
        now = marks.mark_row(point.site << 2 | STEP_START, self.done)
        if not now:
            return False
        self._book(now)
        marks.mark_row(point._codes[0])
        point.row, point.since = 0, now
        self.count += 1
        self._marked += 1
        self.done = 1
        if self.count >= self._look and not self._worth(now):
            self.done = 0
            return False
        if _listener:
            _listener[0].turned(self)
        return True

    def unmarked(self, iterator: Iterator[Any]) -> Iterator[Any]:
        """Items of iterations in which nothing is marked."""
        self._counter = count()
        self._stretch = 1
        self.hush()
        yield from islice(compress(iterator, self._counter_from()), self.point.stretch)
        self._end_stretch()

    def hush(self) -> None:
        """Iterations begin in which nothing is marked: a stretch of its own."""
        now = marks.mark_row(self.point.site << 2 | STEP_START, self.done)
        self._book(now)
        self.done = 0
        self.point.on = False
        marks.hush(True)

    def loud(self) -> None:
        """All is marked again."""
        self.point.on = True
        marks.hush(False)

    def leave(self) -> None:
        """The loop is over, or its plain copy is."""
        if self._stretch:
            self._end_stretch()
        elif not self.point.on:
            self.loud()
        now = marks.mark_row(self.point.site << 2 | STEP_END, self.done)
        if now:
            self._book(now)
            for outer in _runs.stack[-1:]:  # back in its statement, wherever this was
                marks.mark_row(outer.point._codes[outer.point.row])

    def _counter_from(self) -> Iterator[int]:
        next(self._counter)
        return self._counter

    def _end_stretch(self) -> None:
        self._stretch = 0
        passed = next(self._counter) - 1
        self.count += passed
        self.done += passed
        self.loud()

    def _book(self, now: int) -> None:
        """Add what passed since the last mark of the loop."""
        point = self.point
        if now and self._began:
            if point.on:
                point.row_ns[point.row] += now - point.since
            point.ns += now - self._began
            point.count += self.done
        self._began = now

    def _worth(self, now: int) -> bool:
        """Whether to go on marking; sets how many iterations go unmarked."""
        point = self.point
        self._look = self.count * 2
        mean = point.mean_ns
        if mean < TINY_NS and not point.kept:
            point.open = False
            return False
        written = marks.written()
        cost = MARK_NS * (written - self._written) / max(self._marked, 1)
        self._written, self._marked = written, 0
        wanted = round(cost / (COST * max(mean, 1.0))) - 1
        point.stretch = min(max(wanted, 0), LONGEST_STRETCH)
        return True
