"""What strategies would do with the loop of a profiled run: planned, and not done.

The training loop goes through its other copy for some iterations, as written, until
there is a plan, and goes on in its marked copy. Loops within it whose turns may be
independent are timed. Each plan is an event of the recording; the time that it took
to learn is a block of its own, in which no step is quiet.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic_ns
from types import FrameType, ModuleType
from typing import Any, TypeVar, cast

from debottleneck.agent import copies, discover, entries, evidence, marks
from debottleneck.agent.entries import LoopEntry, runs
from debottleneck.agent.points import stand_in
from debottleneck.agent.turns import LoopPoint
from debottleneck.errors import StrategyError
from debottleneck.recording import spool
from debottleneck.strategies import pools
from debottleneck.strategies.rewriting import each, feeding
from debottleneck.strategies.rewriting import install as acting
from debottleneck.strategies.rewriting.decide import Decision
from debottleneck.strategies.rewriting.entries import Rewriting
from debottleneck.strategies.rewriting.flatten import FlatLoop
from debottleneck.strategies.rewriting.locations import limited
from debottleneck.strategies.rewriting.notes import Notes
from debottleneck.strategies.rewriting.plan import TURNS, Piece, Plan, Reason, Wanted
from debottleneck.strategies.rewriting.split import LoopItems
from debottleneck.strategies.spec import FORWARD, PREFETCH, UPDATE

T = TypeVar("T")

EVENT = "plan"
"""Kind of the line in the process's events."""

MOST_COUNTED = 64
"""Entries of a loop within one iteration after which its turns are judged anyway."""


def install(folder: Path, config: Mapping[str, Any]) -> None:
    """Ask for plans in a run that is recorded."""
    if not evidence.searching():
        return
    copies.copy_with(acting.copy_of, returning=True)
    known = config.get("loop") is not None
    entries.listen_with(_Hand(evidence.search(), known))
    asked = each.Sharing(dict.fromkeys((FORWARD, UPDATE), 0), _SILENT, [])
    discover.prepare_with(partial(each.prepare, asked=asked, kind=AskedTurns))


def after_torch(torch: ModuleType) -> None:
    """Nothing more: torch's own remedies are planned by nobody."""


def note(plan: Plan, began: int) -> None:
    """Write a plan down, and since when it was being made."""
    marks.note({"event": EVENT, **plan.as_json()})
    block = {"event": "block", "kind": spool.PLANNING}
    marks.note({**block, "start_ns": began, "end_ns": monotonic_ns()})


def _failed(error: Exception) -> None:
    """An error of ours ends the asking, and not the script."""
    entries.listen_with(evidence.search() if evidence.searching() else None)
    what = f"plans of strategies: {type(error).__name__}: {error}"
    marks.note({"event": "failure", "what": what})


_SILENT = Notes(None)
"""Nobody hears: plans are events."""


class _Hand(acting.Hand):
    """Has the training loop go through its other copy, once."""

    def __init__(self, search: evidence.Search, known: bool) -> None:
        super().__init__(search, Wanted(None, None, process=False), _SILENT, known)
        self._asked: set[LoopPoint] = set()

    def turned(self, run: LoopEntry) -> None:
        """An iteration begins."""
        try:
            super().turned(run)
        except RecursionError:  # the user's own next call will say so
            return
        except Exception as error:  # noqa: BLE001 - ours, whatever it is
            _failed(error)

    def feed(self, point: LoopPoint) -> None:
        """It hands over what it makes: let it be planned, for one of its threads."""
        if point not in self._asked:
            self._asked.add(point)
            wanted = Wanted(None, None, process=True)
            point.rewritten = AskedFeed(point, point.plan.flat, wanted, self._notes)

    def too_short(self, point: LoopPoint) -> None:
        """Its iterations are too short for anything."""
        if point not in self._asked and point.count >= acting.SURE:
            self._asked.add(point)
            reason = acting.short(point)
            plan = Plan(PREFETCH, point.file, point.plan.line, reason=Reason(reason))
            note(plan, monotonic_ns())

    def hand_over(self, point: LoopPoint) -> None:
        """Let it be planned, unless it is already."""
        flat = point.plan.flat
        if isinstance(flat, FlatLoop) and point not in self._asked:
            self._asked.add(point)
            point.rewritten = AskedLoop(point, flat, self._settings, self._notes)


class _Marked(LoopItems):
    """Items with a mark before each."""

    def __init__(self, iterator: Iterator[Any], run: LoopEntry) -> None:
        super().__init__(iterator)
        self._run = run

    def __next__(self) -> Any:
        if marks.recording():
            self._run.passed()
        try:
            return super().__next__()
        except StopIteration:
            self._run.done = 0
            raise


class AskedLoop(Rewriting):
    """A loop that is planned, and then goes on in its marked copy."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._began = 0
        self._sources: list[LoopItems] = []

    def items(self, rest: Any) -> Iterator[Any]:
        """The items of a `for` loop; `rest` is an iterator already."""
        self._turns = self._items([sys._getframe(1)], rest)
        return self._turns

    def _aside(self, call: Callable[[], T]) -> T | None:
        """What fails is seen where the items are given."""
        with limited():
            return call()

    def _source(self, iterator: Iterator[Any]) -> LoopItems:
        assert self._owner is not None
        source = _Marked(iterator, self._owner)
        self._sources.append(source)
        return source

    def _items(self, frames: list[FrameType], iterator: Iterator[Any]) -> Iterator[Any]:
        self._began = self._began or monotonic_ns()
        run, taken = self._owner, self._source(iterator)
        assert run is not None
        try:
            yield from self._observe(frames.pop(), taken)
        except StrategyError as error:
            note(self._refused(error), self._began)
        except Exception as error:  # ours, unless an iterator of the user's raised it
            if any(source.raised is error for source in self._sources):
                raise
            _failed(error)
        else:
            if self.decision is None:
                return
            note(self.decision.plan, self._began)
        self._point.rewritten = None
        self._end()
        if not taken.ended:
            run.returns = True
            run.rest = None if self._flat.target is None else iterator

    def _open(
        self, decision: Decision, frame: FrameType, source: LoopItems
    ) -> Iterator[Any]:
        """As when it is acted on, where that does not change the order of lines."""
        ahead = {*decision.division.order, *decision.division.heavy}
        sides = [line.number in ahead for line in self._flat.lines]
        if sides == sorted(sides, reverse=True):
            yield from super()._open(decision, frame, source)


class AskedFeed(feeding.Fed, AskedLoop):
    """One in a thread of the script's own, that feeds the training."""


class AskedTurns(each.EachPoint):
    """A loop whose turns are timed and judged, and left as they are."""

    _first = -1

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process the loop is plain, and nothing of ours is needed."""
        return stand_in(each=partial(cast, None))

    def each(self, items: Iterable[Any]) -> Iterable[Any]:
        """What a `for` statement or a comprehension goes over."""
        search = evidence.search() if evidence.searching() else None
        if search is None or not search.settled or pools.is_worker():
            return items
        chosen, stack = search.chosen, runs()
        if chosen is None or all(run.point is not chosen for run in stack):
            return items
        if chosen.plan.line == self._turns.line and chosen.file == self._file:
            return items
        listed = each.as_list(items)
        if listed is None or len(listed) < 2:
            return items if listed is None else listed
        if self._first < 0:
            self._first = chosen.count
        passed = chosen.count - self._first
        enough = self._entries >= each.TIMED and passed > 0
        if not enough and self._entries < MOST_COUNTED:
            return self._timed(listed)
        self.each = _same  # type: ignore[method-assign] # from here on as it is
        try:
            self._judged(listed, sys._getframe(1), max(passed, 1))
        except Exception as error:  # noqa: BLE001 - ours, whatever it is
            _failed(error)
        return listed

    def _judged(self, items: Sequence[Any], frame: FrameType, passed: int) -> None:
        began, entered = monotonic_ns(), self._entries
        if self.plan is None:
            self._may(items, frame)
        if self.plan is None:
            return
        piece = Piece(self._turns.line, TURNS, self._ns / passed, self._cpu_ns / passed)
        plan = replace(
            self.plan,
            pieces=(piece,),
            turns=round(self._items / entered),
            entries=entered / passed,
            around=tuple(_around(frame)),
        )
        note(plan, began)


def _around(frame: FrameType | None) -> Iterator[tuple[int, int]]:
    """The loops that a frame is in, and the line where it is in each."""
    points = [run.point for run in runs()]
    while frame is not None:
        file, line = frame.f_code.co_filename, frame.f_lineno
        for point in points:
            if point.file == file and point.plan.line <= line <= point.plan.end:
                yield point.plan.line, line
        points = [p for p in points if p.file != file or p.plan.line > line]
        frame = frame.f_back


def _same(items: Iterable[Any]) -> Iterable[Any]:
    return items
