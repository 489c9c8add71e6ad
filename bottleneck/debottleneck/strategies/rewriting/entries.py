"""One loop that is rewritten: learned, planned, watched, then run ahead.

The copy of the loop (see `flatten`) asks here for each item, and takes from here what
was made ahead. A loop goes through stages: some iterations as written, with each line
timed and what it touches noted; the plan; some with the lines ahead run in their turn
and both sides watched; the rest with them beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import islice, repeat
from time import perf_counter_ns
from types import FrameType
from typing import Any

from debottleneck.agent import marks, turns
from debottleneck.agent.turns import LoopPoint
from debottleneck.errors import StrategyError
from debottleneck.strategies import pools
from debottleneck.strategies.rewriting import ahead as running
from debottleneck.strategies.rewriting.ahead import Ahead, Item, Lost
from debottleneck.strategies.rewriting.decide import Decision, Settings, decide
from debottleneck.strategies.rewriting.flatten import FlatLoop
from debottleneck.strategies.rewriting.notes import Voice
from debottleneck.strategies.rewriting.observe import Observed
from debottleneck.strategies.rewriting.split import UNSET, values_before
from debottleneck.strategies.rewriting.watch import Look

JUDGED = 20
"""Iterations after which it must not have lost."""

LOSES = 1.03
"""Longer than the plain step by this factor it is undone."""

FIRST_CHECK = 32
"""Iterations of one entry before what is ahead is checked, then twice as many."""


class Raising(list[Any]):
    """Values of lines, up to the one that raised."""

    def __init__(self, values: list[Any], error: BaseException, missing: Any) -> None:
        super().__init__(values)
        self._error, self._missing = error, missing

    def __getitem__(self, index: Any) -> Any:
        value = super().__getitem__(index)
        if value is self._missing:
            raise self._error
        return value


class Rewriting:
    """What the copy of one loop refers to.

    Args:
        point: The loop.
        flat: Its lines.
        settings: What was asked for.
        voice: Says what is done.

    Attributes:
        values: Of the present iteration, by line.
        taken: Which lines take them.
        out: Given every line's value that is not taken; returns it.
        unset: Stands for names that are not bound.
        decision: The plan, once there is one.
        entries: How often the loop was entered.
        fetched: Items made ahead.
        plain_ns: Length of an iteration as written.
    """

    def __init__(
        self, point: LoopPoint, flat: FlatLoop, settings: Settings, voice: Voice
    ) -> None:
        self.unset = UNSET
        self.values: Any = []
        self._none = (False,) * len(flat.lines)
        self.taken = self._none
        self.out: Any = {}.get
        self._point, self._flat = point, flat
        self._settings, self._voice = settings, voice
        self._owner: turns.Run | None = None
        self._turns: Iterator[Any] | None = None
        self._observed: Observed | None = None
        self.plain_ns = 0
        self.decision: Decision | None = None
        self.entries = self.fetched = 0

    # What the copy calls.

    def begins(self) -> bool:
        """Whether this entry of the loop goes through the copy."""
        if self._owner is not None or pools.is_worker():
            return False
        self._owner = turns.runs()[-1]
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

    def leave(self, run: turns.Run) -> None:
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
        steps = self._stages(frames.pop(), _Source(iterator))
        while run is not None:
            if marks.recording():
                run.passed()
            try:
                item = next(steps)
            except StopIteration:
                run.done = 0
                return
            yield item

    def _stages(self, frame: FrameType, source: _Source) -> Iterator[Any]:
        if self.decision is None:
            yield from self._observe(frame, source)
        if source.ended:
            return
        decision = self.decision
        if decision is None or decision.plan.reason:
            del frame
            yield from source
            return
        if decision.flat.item is not None and self.entries > 1:
            yield from islice(source, 1)  # so that its generator is under way
        opened = decision.of_entry(frame, source.iterator)
        if opened is None:
            yield from source
            return
        made = opened.decision.split_for(frame)
        del frame
        inner = _Source(opened.iterator)
        self.taken = made.taken
        entry = _Entry(self, opened.decision, inner, made.index(inner), made.load)
        try:
            yield from entry.run()
        finally:
            entry.close()
            self.taken = self._none
        if entry.plainly:
            yield from source

    def _observe(self, frame: FrameType, source: _Source) -> Iterator[Any]:
        """Iterations as written, then in turn with calls opened; the plan."""
        self._observed = observed = self._observed or Observed(self._flat)
        self.out = observed.note
        while not observed.enough:
            began = perf_counter_ns()
            observed.begin()
            item = next(source, self)
            if item is self:
                return
            observed.came()
            yield item
            self.plain_ns = max(self.plain_ns, perf_counter_ns() - began)
            observed.look(frame, source.iterator, {})
        self.out = {}.get
        decision = self._decided(self._flat, observed, frame, {})
        plan = decision.plan
        if not plan.reason and plan.in_order_ns > plan.stays_ns / 2:
            yield from self._open(decision, frame, source)
        self.decision, self._observed = self.decision or decision, None
        self._voice.planned(self.decision.plan)

    def _open(
        self, decision: Decision, frame: FrameType, source: _Source
    ) -> Iterator[Any]:
        """See whether less has to run in order with calls opened."""
        opened = decision.opened(frame, source.iterator)
        if opened is None:
            return
        more, inner = opened.decision, _Source(opened.iterator)
        observed = Observed(more.flat)
        yield from self._in_turn(more, observed, frame, inner)
        if inner.ended:
            source.ended = True
            return
        better = self._decided(more.flat, observed, frame, more.besides)
        ahead = {*better.division.order, *better.division.heavy}
        all_ahead = all(n in ahead for n, k in more.flat.numbered.items() if k.opened)
        shorter = better.plan.bound_ns < decision.plan.bound_ns
        if all_ahead and shorter and not better.plan.reason:
            self.decision = better

    def _decided(
        self, flat: FlatLoop, observed: Observed, frame: FrameType,
        besides: Mapping[str, Any],
    ) -> Decision:  # fmt: skip
        seen = observed.seen()
        return decide(flat, seen, self._settings, self._point, frame, besides)

    def _in_turn(
        self, decision: Decision, observed: Observed, frame: FrameType, source: _Source
    ) -> Iterator[Any]:
        """Iterations whose lines ahead are run in turn, each noted."""
        made = decision.in_turn(frame, observed.note)
        entry = _Entry(self, decision, source, made.index(source), made.load)
        self.taken = made.taken
        try:
            while not observed.enough:
                observed.begin()
                source.came = observed.came
                item = entry.one()
                if item is None:
                    return
                yield entry.give(item)
                observed.look(frame, source.iterator, decision.besides)
        finally:
            source.came = None
            self.taken = self._none

    def ended(self, why: str) -> None:
        """It is not worth it, or not safe: the loop is plain from here on."""
        assert self.decision is not None
        self.decision = self.decision.refused(why)
        self._voice.undone(self.decision.plan)

    @property
    def is_over(self) -> bool:
        """Whether it was given up."""
        return self.decision is not None and self.decision.plan.reason != ""


class _Source:
    """The loop's own items; tells what it raised from what lines raise.

    Attributes:
        raised: What it raised.
        ended: Whether it is over.
        came: Called after each item.
    """

    def __init__(self, iterator: Iterator[Any]) -> None:
        self.iterator = iterator
        self.raised: BaseException | None = None
        self.ended = False
        self.came: Callable[[], None] | None = None

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> Any:
        try:
            item = next(self.iterator)
            if self.came is not None:
                self.came()
            return item
        except StopIteration:
            self.ended = True
            raise
        except BaseException as error:
            self.raised = error
            raise


class _Entry:
    """One entry of a loop whose plan is made.

    Attributes:
        plainly: Whether the rest of the items is to go through as written.
    """

    def __init__(
        self, of: Rewriting, decision: Decision, source: _Source,
        index: Iterator[Any], load: Any,
    ) -> None:  # fmt: skip
        self._of, self._decision, self._source = of, decision, source
        self._index, self._load = index, load
        self._ahead: Ahead | None = None
        self._state: Any = None
        self._carry: Any = None
        self._done = 0
        self._over = False
        self.plainly = False

    def run(self) -> Iterator[Any]:
        yield from self._watched()
        if self._over or self.plainly:
            return
        try:
            self._ahead = self._decision.begin(self._index, self._load, self._carry)
        except StrategyError as error:
            self._of.ended(str(error))
            yield from self._in_turn()
            return
        yield from self._beside()

    def close(self) -> None:
        """End what runs; if the loop was left early, undo what ran ahead."""
        if self._ahead is not None:
            self._ahead.close()
            if not self._over:
                self._decision.restore(self._state)
        self._of.fetched += self._done

    def _watched(self) -> Iterator[Any]:
        """An item made in its turn, with a look at both sides; at most entries none."""
        sides = self._decision.sides
        if self._of.entries > 4 and self._of.entries & (self._of.entries - 1):
            return
        theirs = Look(sides.stays, sides.fresh)
        made = self.one()
        if made is None:
            return
        met = theirs.changed()
        mine = Look(sides.ahead, sides.fresh)
        yield self.give(made)
        met |= mine.changed()
        if met:
            self._of.ended(f"both sides change {self._decision.word(met)}")
            self.plainly = True

    def one(self) -> Item | None:
        """The next item, made here and now."""
        try:
            item, values, carry = next(self._index)
        except StopIteration:
            self._over = True
            return None
        except BaseException as error:  # noqa: BLE001 - raised at its place
            return self._failed(error)
        made = Item(item, values, carry)
        self._carry = carry
        if carry is not None:
            try:
                self._load(values, carry)
            except BaseException as error:  # noqa: BLE001 - raised at its place
                made.error = error
        return made

    def _in_turn(self) -> Iterator[Any]:
        while (made := self.one()) is not None:
            yield self.give(made)

    def _failed(self, error: BaseException) -> Item:
        """What to make of what the index side raised."""
        cause = error.__cause__
        if isinstance(error, RuntimeError) and isinstance(cause, StopIteration):
            error = cause
        found = values_before(error)
        if self._source.raised is error or found is None:
            raise error
        return Item(found[0], found[1], None, None, error)

    def give(self, made: Item) -> Any:
        self._state = made.state
        missing = self._decision.missing
        if made.error is not None:
            self._of.values = Raising(made.values, made.error, missing)
        else:
            self._of.values = made.values
        if self._decision.flat.item is not None:
            return self._of.values[self._decision.flat.item]
        return made.item

    def _beside(self) -> Iterator[Any]:
        ahead = self._ahead
        assert ahead is not None
        began, check = perf_counter_ns(), FIRST_CHECK
        while True:
            try:
                made = ahead.take()
            except Lost as lost:
                yield from self._made_here(str(lost))
                return
            except BaseException as error:  # noqa: BLE001 - raised at its place
                yield self.give(self._failed(error))
                self._over = True
                return
            if isinstance(made, str):
                self._over = True
                self.plainly = made == running.STOPPED
                return
            self._done += 1
            if ahead.lost and not self._of.is_over:
                self._of.ended(f"{ahead.lost}; the rest was loaded as written")
            if self._done == check and self._decision.checked:
                check *= 2
                yield from self._checked(ahead, made)
            else:
                yield self.give(made)
            if self._done == JUDGED and self._of.entries == 1:
                self._judge(ahead, perf_counter_ns() - began)

    def _judge(self, ahead: Ahead, passed: int) -> None:
        plain = self._of.plain_ns
        if passed / JUDGED > LOSES * plain:
            text = (
                f"a step took {passed / JUDGED / 1e6:.2f} ms, {plain / 1e6:.2f} without"
            )
            self._of.ended(text)
            ahead.stop()

    def _checked(self, ahead: Ahead, made: Item) -> Iterator[Any]:
        """An iteration with nothing made in order beside it, looked at."""
        with ahead.lock:
            mine = Look(self._decision.sides.ahead, self._decision.sides.fresh)
            yield self.give(made)
            met = mine.changed()
        if met:
            self._of.ended(f"both sides change {self._decision.word(met)}")
            ahead.stop()

    def _made_here(self, why: str) -> Iterator[Any]:
        """A process is lost: the rest is made here, from the right item on."""
        assert self._ahead is not None
        self._of.ended(f"{why}; the rest was loaded as written")
        self._ahead.close()
        self._ahead = None
        for _ in range(self._done):  # it has not moved here
            next(self._index)
        yield from self._in_turn()
