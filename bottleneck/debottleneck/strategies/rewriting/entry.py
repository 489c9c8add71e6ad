"""One entry of a loop that is rewritten, from its first item ahead to its end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from debottleneck.agent import ending
from debottleneck.errors import StrategyError
from debottleneck.strategies.rewriting.ahead import STOPPED, AheadItems, Item, Lost
from debottleneck.strategies.rewriting.decide import Decision
from debottleneck.strategies.rewriting.flatten import LEAVES, Line
from debottleneck.strategies.rewriting.replicas import Load
from debottleneck.strategies.rewriting.split import LoopItems, names_of, values_before
from debottleneck.strategies.rewriting.tracebacks import own_trace
from debottleneck.strategies.rewriting.tracing import Files
from debottleneck.strategies.rewriting.watch import Look

if TYPE_CHECKING:
    from debottleneck.strategies.rewriting.entries import Rewriting

JUDGED = 20
"""Iterations after which it must not have lost."""

PASSED = 5
"""In the shortest so many on end: processes that begin and other programs take time."""

LOSES = 1.03
"""Longer than the plain step by this factor it is undone."""

FIRST_CHECK = 32
"""Iterations of one entry before what is ahead is checked, then twice as many."""


class Raising(list[Any]):
    """Values of lines, up to the one that raised."""

    def __init__(self, made: Item, lines: Sequence[Line]) -> None:
        super().__init__(made.values)
        assert made.error is not None
        self._error = made.error
        made.error.__traceback__ = own_trace(made.error, lines)

    def __getitem__(self, index: Any) -> Any:
        value = super().__getitem__(index)
        if value is names_of:  # it did not run
            raise self._error
        return value


class EntryRun:
    """One entry of a loop whose plan is made.

    Attributes:
        plainly: Whether the rest of the items is to go through as written.
    """

    def __init__(
        self, of: Rewriting, decision: Decision, source: LoopItems,
        index: Iterator[Any], load: Any,
    ) -> None:  # fmt: skip
        self._of, self._decision, self.source = of, decision, source
        self._index, self._load = index, load
        self._ahead: AheadItems | None = None
        self._state: Any = None
        self._first: Any = None
        self._files = Files()
        self._carry: Any = None
        self._done = 0
        self._over = False
        self.plainly = False

    def run(self) -> Iterator[Any]:
        """The items; what their lines made is there before each."""
        yield from self._watched()
        if self._over or self.plainly:
            return
        self._first = self._decision.kept.snapshot()
        self._files.start()
        try:
            apart = self._decision.plan.where == "process"
            given = self._index, self._load, self._carry
            begin = partial(self._decision.begin, *given)
            self._ahead = self._of.begin(begin, apart=apart)
        except StrategyError as error:
            self._of.ended(str(error))
            yield from self._in_turn()
            return
        yield from self._beside()

    def close(self) -> None:
        """End what runs; if the loop was left early, undo what ran ahead."""
        if self._first is not None:
            self._files.stop()
        if self._ahead is not None:
            self._ahead.close()
            self._decision.replicas.close()
            if not self._over:
                self._decision.kept.restore(self._state)
                told = self.plainly or self._has_left() or ending.is_ending()
                if self._decision.ahead_of_it and not told:
                    what = self._decision.ahead_of_it
                    self._of.ended(f"an exception left it, with {what} ahead of it")

    def _has_left(self) -> bool:
        """Whether a line that ran ahead has left the loop: nothing is ahead of it."""
        made, flat = [*self._of.values], self._decision.flat
        if made and flat.target is None and not made[0]:
            return True
        ends = [made[line.number] for line in flat.lines if made and line.leaves]
        return any(isinstance(end, tuple) and end[:1] == (LEAVES,) for end in ends)

    def _watched(self) -> Iterator[Any]:
        """An item made in its turn, with a look at both sides; at most entries none."""
        sides = self._decision.sides
        if self._of.entries > 4 and self._of.entries & (self._of.entries - 1):
            return
        theirs = Look(sides.stays, sides.fresh)
        replicas = self._decision.replicas
        made = self.one(replicas.tried(self._load))
        if made is None:
            return
        met = theirs.changed()
        mine = Look(sides.ahead, sides.fresh)
        yield self.give(made)
        met |= mine.changed()
        if met or replicas.differs:
            both = met and f"both sides change {self._decision.word(met)}"
            self._of.ended(both or replicas.differs)
            self.plainly = True

    def one(self, load: Load | None = None) -> Item | None:
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
                (load or self._load)(values, carry)
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
        if self.source.raised is error or found is None:
            error.__traceback__ = own_trace(error, ())
            raise error
        return Item(found[0], found[1], None, None, error)

    def give(self, made: Item) -> Any:
        """Put what was made in place; returns what the loop is given."""
        self._state = made.state
        self._of.values = made.values
        if made.error is not None:
            self._of.values = Raising(made, self._decision.flat.lines)
        if self._decision.flat.item is not None:
            return self._of.values[self._decision.flat.item]
        return made.item

    def _beside(self) -> Iterator[Any]:
        ahead = self._ahead
        assert ahead is not None
        began, check, shortest = perf_counter_ns(), FIRST_CHECK, math.inf
        while True:
            try:
                made = ahead.take()
            except Lost as lost:
                self._of.ended(f"{lost}; the rest was loaded as written")
                yield from self._made_here()
                return
            except BaseException as error:  # noqa: BLE001 - raised at its place
                yield self.give(self._failed(error))
                self._over = True
                return
            if isinstance(made, str):
                if made == STOPPED and ahead.apart:
                    yield from self._made_here()
                    return
                self._over = True
                self.plainly = made == STOPPED
                return
            self._done += 1
            self._of.fetched += 1
            if ahead.lost and not self._of.is_over:
                self._of.ended(f"{ahead.lost}; the rest was loaded as written")
            if self._done == check:
                check *= 2
                yield from self._checked(ahead, made)
                if self._of.is_over and ahead.apart:
                    yield from self._made_here()
                    return
            else:
                yield self.give(made)
            if self._files.met is not None and not self._of.is_over:
                self._give_up(ahead, f"{self._files.met.name} was written")
            first = self._of.entries == 1 and not self._of.is_over
            if first and self._of.judged and self._done % PASSED == 0:
                now = perf_counter_ns()
                shortest, began = min(shortest, (now - began) / PASSED), now
                if self._done == JUDGED:
                    self._judge(ahead, shortest)

    def _judge(self, ahead: AheadItems, step_ns: float) -> None:
        plain = self._of.plain_ns
        if step_ns > LOSES * plain:
            self._of.ended(
                f"a step took {step_ns / 1e6:.2f} ms, {plain / 1e6:.2f} without"
            )
            if not ahead.apart:  # else only there it has moved
                ahead.stop()

    def _checked(self, ahead: AheadItems, made: Item) -> Iterator[Any]:
        """An iteration with nothing made in order beside it, looked at."""
        with ahead.lock:
            mine = Look(self._decision.sides.ahead, self._decision.sides.fresh)
            yield self.give(made)
            met = mine.changed()
        if met:
            self._give_up(ahead, f"both sides change {self._decision.word(met)}")

    def _give_up(self, ahead: AheadItems, why: str) -> None:
        """What was made ahead is no longer true."""
        self._of.ended(why)
        ahead.stale = True
        ahead.stop()

    def _made_here(self) -> Iterator[Any]:
        """Without the process: the rest is made here, from the right item on."""
        assert self._ahead is not None
        self._ahead.close()
        self._ahead = None
        self._decision.kept.restore(self._first)
        for _ in range(self._done):  # it has not moved here
            next(self._index)
        yield from self._in_turn()
