"""One loop that is rewritten: learned, planned, watched, then run ahead.

The copy of the loop (see `flatten`) asks here for each item, and takes from here what
was made ahead. A loop goes through stages: some iterations as written, with each line
timed and what it touches noted; the plan; some with the lines ahead run in their turn
and both sides watched; the rest with them beside it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice, repeat
from time import perf_counter_ns
from types import FrameType
from typing import Any, TypeVar

from debottleneck.agent import marks
from debottleneck.agent.entries import LoopEntry, runs
from debottleneck.agent.turns import LoopPoint
from debottleneck.errors import StrategyError
from debottleneck.strategies import pools, standstill
from debottleneck.strategies.rewriting import known
from debottleneck.strategies.rewriting.decide import Decision, decide
from debottleneck.strategies.rewriting.entry import EntryRun
from debottleneck.strategies.rewriting.flatten import FlatLoop
from debottleneck.strategies.rewriting.keeping import Reachable
from debottleneck.strategies.rewriting.locations import limited
from debottleneck.strategies.rewriting.notes import FAILED, Notes
from debottleneck.strategies.rewriting.observe import Observed
from debottleneck.strategies.rewriting.opening import joins, resumed
from debottleneck.strategies.rewriting.plan import (
    BY_ITSELF,
    NO_GAIN,
    Plan,
    Reason,
    Wanted,
)
from debottleneck.strategies.rewriting.split import UNSET, LoopItems
from debottleneck.strategies.spec import PREFETCH

T = TypeVar("T")

LONG = 0.5
"""Of the time of what stays; what runs in order for longer is opened."""

SLACK = 1.05
"""Calls are opened even where it gains nothing yet, if it may cost so little."""


class Rewriting:
    """What the copy of one loop refers to.

    Attributes:
        values: Of the present iteration, by line.
        taken: Which lines take them.
        out: Given every line's value that is not taken; returns it.
        unset: Stands for names that are not bound.
        decision: The plan, once there is one.
        entries: How often the loop was entered.
        fetched: Items made ahead.
        plain_ns: Length of an iteration as written.
        several: Whether several threads may be in it, each for itself.
        judged: Whether it is undone where its first iterations have lost.
    """

    several = False
    judged = True

    def __init__(
        self, point: LoopPoint, flat: FlatLoop, settings: Wanted, notes: Notes
    ) -> None:
        self.unset = UNSET
        self.values: Any = []
        self._none = (False,) * len(flat.lines)
        self.taken = self._none
        self.out: Any = {}.get
        self._point, self._flat = point, flat
        self._settings, self._notes = settings, notes
        self._owner: LoopEntry | None = None
        self._turns: Iterator[Any] | None = None
        self._observed: Observed | None = None
        self.plain_ns = 0
        self.decision: Decision | None = None
        self.entries = self.fetched = 0
        self._failed = False

    # What the copy calls.

    def begins(self) -> bool:
        """Whether this entry of the loop goes through the copy."""
        run = runs()[-1] if runs() else None
        if run is None or (run.point.run is not run and not self.several):
            return False  # another thread's is under way
        if self._owner is not None or pools.is_worker():
            return False
        self._owner = run
        return True

    def items(self, rest: Any) -> Iterator[Any]:
        """The items of a `for` loop."""
        frame = sys._getframe(1)
        self._turns = self._items([frame], iter(rest))
        return self._turns

    def turn(self) -> bool:
        """Whether a `while` loop may go on; its own condition follows."""
        if self._turns is None:
            self._turns = self._items([sys._getframe(1)], repeat(None))
        return next(self._turns, self) is not self

    def leave(self, run: LoopEntry) -> None:
        """That entry of the loop is over, however that came."""
        if self._owner is run:
            iterator, self._turns = self._turns, None
            if iterator is not None:
                iterator.close()  # type: ignore[attr-defined] # a generator
            self._end()

    def _end(self) -> None:
        self._owner = None
        self.taken, self.out, self.values = self._none, {}.get, []

    # The stages of an entry.

    def _items(self, frames: list[FrameType], iterator: Iterator[Any]) -> Iterator[Any]:
        """Items with a mark before each.

        Args:
            frames: The loop's, taken out: what refers to it would be a cycle.
            iterator: Its items.
        """
        self.entries += 1
        run = self._owner
        steps = self._stages(frames.pop(), self._source(iterator))
        while run is not None:
            if marks.recording():
                run.passed()
            standstill.pause()
            try:
                item = next(steps)
            except StopIteration:
                run.unbegun()
                run.done = 0
                return
            yield item

    def _source(self, iterator: Iterator[Any]) -> LoopItems:
        return LoopItems(iterator)

    def _stages(self, frame: FrameType, source: LoopItems) -> Iterator[Any]:
        if self.decision is None and not self._failed:
            yield from self._observe(frame, source)
        if source.ended:
            return
        decision = self.decision
        if decision is not None and not decision.plan.reason and decision.tied():
            self.ended(decision.tied())
        if decision is None or self.is_over:
            decision = None
        elif decision.flat.item is not None and self.entries > 1:
            yield from islice(source, 1)  # so that its generator is under way
        entry = decision and self._aside(partial(self._entry, decision, frame, source))
        del frame
        if entry:
            try:
                yield from entry.run()
            finally:
                entry.close()
                self.taken = self._none
                source.iterator = resumed(source.iterator, entry.source.iterator)
        if not entry or entry.plainly:
            yield from source

    def _entry(
        self, decision: Decision, frame: FrameType, source: LoopItems
    ) -> EntryRun | None:
        """The run of one entry; None if what it goes over is of another kind."""
        opened = decision.of_entry(frame, source.iterator)
        if opened is None:
            return None
        decision, iterator = opened
        made, inner = decision.split_for(frame), LoopItems(iterator)
        self.taken = made.taken
        return EntryRun(self, decision, inner, made.index(inner), made.load)

    def _aside(self, call: Callable[[], T]) -> T | None:
        """What a call of ours gives; where it fails the loop is plain from there on."""
        try:
            with limited():
                return call()
        except StrategyError as error:
            self._failed = True
            self._notes.planned(self._refused(error))
            return None
        except Exception as error:  # noqa: BLE001 - the script runs without us
            self._failed = True
            text = " ".join(f"{type(error).__name__}: {error}".split())
            where = f"{os.path.basename(self._point.file)}:{self._point.plan.line}"
            text = f"the loop at {where} runs as written: {text}"
            self._notes.say(PREFETCH, FAILED, text)
            return None

    def _refused(self, error: StrategyError) -> Plan:
        """The plan of a loop that cannot be planned."""
        file, line = self._point.file, self._point.plan.line
        return Plan(PREFETCH, file, line, reason=Reason(error.what))

    def _observe(self, frame: FrameType, source: LoopItems) -> Iterator[Any]:
        """Iterations as written, then in turn with calls opened; the plan."""
        self._observed = observed = self._observed or Observed(self._flat)
        take = partial(next, source, self)
        yield from self._looked(observed, take, frame, source, {}, plain=True)
        if not observed.enough or self._failed:
            return
        decide_now = partial(self._decided, self._flat, observed, frame, {})
        decision = self._aside(decide_now)
        if decision is None:
            return
        plan = decision.plan
        if plan.reason in ("", NO_GAIN) and plan.in_order_ns > LONG * plan.stays_ns:
            yield from self._open(decision, frame, source)
        if source.ended or self._failed:
            return
        decision = self.decision or decision
        if known.is_loader_of_torch(source.iterator):
            decision = decision.refused(BY_ITSELF)
        self.decision, self._observed = decision, None
        self._aside(partial(self._notes.planned, self.decision.plan))

    def _open(
        self, decision: Decision, frame: FrameType, source: LoopItems
    ) -> Iterator[Any]:
        """See whether less has to run in order with calls opened."""
        opened = self._aside(partial(decision.opened, frame, source.iterator))
        if opened is None:
            return
        more, inner = opened[0], self._source(opened[1])
        observed = Observed(more.flat)
        yield from self._in_turn(more, observed, frame, inner)
        source.iterator = resumed(source.iterator, inner.iterator)
        if inner.ended:
            source.ended = True
            return
        decide_now = partial(self._decided, more.flat, observed, frame, more.besides)
        better = None if self._failed else self._aside(decide_now)
        if better is None:
            return
        ahead = {*better.division.order, *better.division.heavy}
        within = [n for n, line in more.flat.numbered.items() if line.opened]
        all_ahead = all(n in ahead for n in within)
        if joins(source.iterator) and {*within} & {*better.division.order}:
            return  # at its end one may have taken an item that another has not
        shorter = better.plan.bound_ns < SLACK * decision.plan.bound_ns
        closed, made = decision.plan, better.plan
        leaves = made.feeds and made.where != closed.where and not closed.reason
        if all_ahead and shorter and not leaves and not made.reason:
            plan = replace(made, closed=closed)
            self.decision = replace(better, plan=plan)

    def _decided(
        self, flat: FlatLoop, observed: Observed, frame: FrameType,
        besides: Mapping[str, Any],
    ) -> Decision:  # fmt: skip
        seen = observed.seen()
        left = Reachable(frame, frame.f_globals)
        return decide(flat, seen, self._settings, self._point, frame, besides, left)

    def _in_turn(
        self,
        decision: Decision,
        observed: Observed,
        frame: FrameType,
        source: LoopItems,
    ) -> Iterator[Any]:
        """Iterations whose lines ahead are run in turn, each noted."""
        made = self._aside(partial(decision.split_for, frame, observed.note))
        if made is None:
            return
        entry = EntryRun(self, decision, source, made.index(source), made.load)
        self.taken = made.taken

        def take() -> Any:
            item = entry.one()
            return self if item is None else entry.give(item)

        yield from self._looked(observed, take, frame, source, decision.besides)
        self.taken = self._none

    def _looked(
        self, observed: Observed, take: Callable[[], Any], frame: FrameType,
        source: LoopItems, besides: Mapping[str, Any], *, plain: bool = False,
    ) -> Iterator[Any]:  # fmt: skip
        """Iterations observed, as many as it takes; `take` gives self for no more."""
        self.out, source.came = observed.note, observed.came
        try:
            while not observed.enough:
                began = perf_counter_ns()
                slow = self._aside(observed.begin)
                item = self if slow is None else take()
                if item is self:
                    return
                yield item
                if plain and not slow:
                    self.plain_ns = max(self.plain_ns, perf_counter_ns() - began)
                self._aside(partial(observed.look, frame, source.iterator, besides))
                if self._failed:
                    return
        finally:
            observed.stop()
            self.out, source.came = {}.get, None

    def begin(self, make: Callable[[], T], *, apart: bool) -> T:
        """Run ahead from here on; `apart` where a process is forked for it."""
        return make()

    def ended(self, why: str) -> None:
        """It is not worth it, or not safe: the loop is plain from here on."""
        assert self.decision is not None
        self.decision = self.decision.refused(why)
        self._notes.undone(self.decision.plan)

    @property
    def is_over(self) -> bool:
        """Whether it was given up."""
        return self.decision is not None and self.decision.plan.reason != ""
