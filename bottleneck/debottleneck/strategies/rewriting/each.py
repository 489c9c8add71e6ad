"""Loops and comprehensions of independent turns: side by side, joined at their end.

When a module is compiled, what such a loop goes over is handed to a point here. For a
`for` statement the point has all items but the last run in threads, by a function
generated of the body, and gives the last one to the statement itself, so that its
names are bound as always; the next item is asked for when the rest must be done. A
comprehension is made one element at a time.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from time import perf_counter_ns, thread_time_ns
from types import CodeType, FrameType, FunctionType
from typing import Any

from debottleneck.agent.generated import (
    codes_of,
    listed,
    located,
    parsed,
)
from debottleneck.errors import StrategyError
from debottleneck.strategies import pools
from debottleneck.strategies.blas import cores
from debottleneck.strategies.rewriting.bindings import exposed, names_in
from debottleneck.strategies.rewriting.callees import Callees
from debottleneck.strategies.rewriting.independent import Finder, Turns
from debottleneck.strategies.rewriting.locations import (
    Effects,
    Location,
    iterators_in,
    limited,
    meet,
    names_of,
    owner_of,
    word,
)
from debottleneck.strategies.rewriting.notes import Notes
from debottleneck.strategies.rewriting.plan import Plan, Reason, handed
from debottleneck.strategies.rewriting.standing import Standing
from debottleneck.strategies.rewriting.values import Value
from debottleneck.strategies.spec import FORWARD, UPDATE
from debottleneck.strategies.together import results, together

TIMED = 2
"""Entries as written that are timed first."""

ITEM_NS = 50_000
"""Turns that take less are not worth handing over."""

MOST_ITEMS = 256
"""Turns that are looked at for what they touch."""

MOST_WAITING = 16
"""Threads for turns that wait most of the time."""

JUDGED = 20
"""Entries after which the shortest must not be longer than the shortest before:
their mean holds what is done once, and what else the machine does."""

_LISTS = (list, tuple, range)


def prepare(
    tree: ast.Module, file: str, asked: Sharing, kind: type[EachPoint] | None = None
) -> dict[str, object]:
    """Hand loops of a module to points, in place; the points by their placeholders.

    Args:
        tree: The module.
        file: Where it stands.
        asked: What was asked for.
        kind: Points that only look, if any: no comprehension becomes a call then.
    """
    walker = Finder(only_look=kind is not None)
    walker.visit(tree)
    return {
        placeholder: (kind or EachPoint)(turns, file, asked)
        for placeholder, turns in walker.found.items()
    }


@dataclass(frozen=True)
class Sharing:
    """What was asked for.

    Attributes:
        workers: Strategy -> threads, 0 where nobody says how many.
        notes: Where it is said what is done.
        refused: Plans that came to nothing.
    """

    workers: dict[str, int]
    notes: Notes
    refused: list[Plan]


class EachPoint:
    """One loop: what its code calls."""

    def __init__(self, turns: Turns, file: str, asked: Sharing) -> None:
        self._turns, self._file, self._asked = turns, file, asked
        self._entries = self._ns = self._items = self._cpu_ns = self.done = 0
        self._plain_ns = self._fast_ns = sys.maxsize  # the shortest entry of each
        self._standing: Standing | None = None
        self._codes: dict[tuple[str, ...], CodeType] = {}
        self.plan: Plan | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process the loop is plain."""
        from debottleneck.agent.points import stand_in

        return stand_in(each=iter, listed=_plainly)

    def each(self, items: Iterable[Any]) -> Iterable[Any]:
        """What a `for` statement goes over."""
        listed = None if self._is_off() else as_list(items)
        if listed is None or len(listed) < 2:
            return items if listed is None else listed
        if self._entries < TIMED:
            return self._timed(listed)
        began = perf_counter_ns()
        if not self._safely(listed, sys._getframe(1)):
            return listed
        return self._beside(listed, sys._getframe(1), began)

    def listed(
        self, items: Iterable[Any], made: Callable[[Iterable[Any]], list[Any]]
    ) -> list[Any]:
        """A comprehension's list."""
        listed = None if self._is_off() else as_list(items)
        if listed is None or len(listed) < 2:
            return made(items if listed is None else listed)
        if self._entries < TIMED:
            began, cpu_began = perf_counter_ns(), thread_time_ns()
            found = made(listed)
            cpu_ns = thread_time_ns() - cpu_began
            self._book(perf_counter_ns() - began, cpu_ns, len(listed))
            return found
        began = perf_counter_ns()
        if not self._safely(listed, sys._getframe(1)):
            return made(listed)
        assert self.plan is not None
        calls = [partial(made, (item,)) for item in listed]
        found = [one for part in results(calls, self.plan.workers) for one in part]
        self._judge(perf_counter_ns() - began)
        return found

    def _is_off(self) -> bool:
        refused = self.plan is not None and self.plan.reason != ""
        return refused or pools.is_worker()

    def _timed(self, items: Sequence[Any]) -> Iterator[Any]:
        ns, cpu_ns = 0, 0
        for item in items:
            began, cpu_began = perf_counter_ns(), thread_time_ns()
            yield item
            ns += perf_counter_ns() - began
            cpu_ns += thread_time_ns() - cpu_began
        self._book(ns, cpu_ns, len(items))

    def _book(self, ns: int, cpu_ns: int, items: int) -> None:
        self._entries += 1
        self._ns += ns
        self._plain_ns = min(self._plain_ns, ns)
        self._cpu_ns += cpu_ns
        self._items += items
        if self._entries == TIMED and self._ns / self._items < ITEM_NS:
            self._refuse("its turns are too short", FORWARD)

    def _safely(self, items: Sequence[Any], frame: FrameType) -> bool:
        """Whether they can; not where that cannot be told."""
        try:
            return self._may(items, frame)
        except Exception as error:  # noqa: BLE001 - the script runs without us
            return self._refuse(f"{type(error).__name__}: {error}", FORWARD)

    def _may(self, items: Sequence[Any], frame: FrameType) -> bool:
        """Whether these items can go side by side."""
        self._entries += 1
        given = [*items, *self._named(frame)]
        if self._standing is not None and self._standing.holds(given):
            return True
        if len(items) > MOST_ITEMS:
            return self._refuse("it has too many turns", FORWARD)
        try:
            with limited():
                effects = [self._effects(item, frame) for item in items]
        except StrategyError as error:
            return self._refuse(error.what, FORWARD)
        strategy = self._strategy(effects)
        if strategy not in self._asked.workers:
            return self._refuse("", strategy)
        bound = next((each.bound for each in effects if each.bound), "")
        carried = self._carried(frame, effects)
        variables = frame.f_globals | frame.f_locals
        why = Reason.first([bound, _dependent(effects, variables), carried])
        if why:
            return self._refuse(why, strategy)
        self._standing = Standing(given, effects)
        if self.plan is None:
            waits = self._cpu_ns < self._ns / 2  # each that waits its own thread
            most = MOST_WAITING if waits else cores()
            count = min(self._asked.workers[strategy] or most, len(items))
            if count < 2:
                return self._refuse("", strategy)
            self.plan = Plan(
                strategy, self._file, self._turns.line, workers=count,
                places=(self._turns.line,),
            )  # fmt: skip
            self._asked.notes.side_by_side(self.plan)
        return True

    def _named(self, frame: FrameType) -> list[Any]:
        """What the names hold that its turns use."""
        local, space = frame.f_locals, frame.f_globals
        names = sorted(self._turns.used - self._turns.bound)
        return [local.get(name, space.get(name)) for name in names]

    def _strategy(self, effects: Sequence[Effects]) -> str:
        """Which strategy these turns are a matter of."""
        stages = {stage for each in effects for stage in each.stages}
        if not self._turns.is_statement:
            return FORWARD
        computes = stages and not stages & {"update", "backward", "step"}
        if computes or not any(each.writes for each in effects):
            return FORWARD
        return UPDATE

    def _effects(self, item: Any, frame: FrameType) -> Effects:
        local, space = frame.f_locals, frame.f_globals
        bound = self._turns.bound
        names = {n: Value.of(v) for n, v in local.items() if n not in bound}
        if local is space:
            names = {}
        callees = Callees(space, names)
        callees.bind(self._turns.target, Value.of(item))
        for node in self._turns.body:
            callees.statement(node)
        return callees.effects

    def _carried(self, frame: FrameType, effects: Sequence[Effects]) -> str:
        """A name by which a turn depends on the one before, as a sentence."""
        bound = self._turns.bound
        early = exposed(self._turns.body) & bound
        early -= names_in(self._turns.target, ast.Store)
        if early:
            return f"each turn uses {min(early)} of the one before"
        space = owner_of(frame.f_globals)
        called = {a.removeprefix("cell ") for e in effects for o, a in e.touches}
        code = frame.f_code
        shared = bound & called & {
            *(a for e in effects for o, a in e.touches if o == space),
            *code.co_cellvars, *code.co_freevars,
        }  # fmt: skip
        if not shared:
            return ""
        name = min(shared)
        return Reason(f"a function that it calls uses {name}", handed(name))

    def _refuse(self, why: str, strategy: str) -> bool:
        """Leave the loop as it is from here on; "" where that need not be said."""
        before, line = self.plan, self._turns.line
        reason = Reason.of(why or "it was not asked for")
        self.plan = Plan(strategy, self._file, line, reason=reason, stays_ns=self._ns)
        if before is not None:
            self._asked.notes.undone(self.plan)
        elif why:
            self._asked.refused.append(self.plan)
        return False

    def _judge(self, ns: int) -> None:
        self.done += 1
        self._fast_ns = min(self._fast_ns, ns)
        if self.done == JUDGED and self._fast_ns > self._plain_ns:
            fast, plain = self._fast_ns / 1e6, self._plain_ns / 1e6
            assert self.plan is not None
            self._refuse(
                f"it took {fast:.2f} ms, {plain:.2f} without", self.plan.strategy
            )

    def _beside(
        self, items: Sequence[Any], frame: FrameType, began: int
    ) -> Iterator[Any]:
        """The last item for the statement itself, while threads do the others."""
        one = self._one(frame)
        assert self.plan is not None
        calls = [partial(one, item) for item in items[:-1]]
        return self._joined(together(calls, self.plan.workers), items[-1], began)

    def _joined(
        self, beside: AbstractContextManager[Any], last: Any, began: int
    ) -> Iterator[Any]:
        with beside:
            yield last
        self._judge(perf_counter_ns() - began)

    def _one(self, frame: FrameType) -> Callable[[Any], None]:
        """A turn as a function of its item."""
        local, space = frame.f_locals, frame.f_globals
        names: list[str] = []
        if local is not space:
            names = sorted(self._turns.given & {*local})
        function = FunctionType(self._code_of(tuple(names)), space)
        return partial(function, *(local[name] for name in names))

    def _code_of(self, names: tuple[str, ...]) -> CodeType:
        """The code of a turn that is given these names, made once."""
        if names not in self._codes:
            turns = self._turns
            text = f"def turn({listed(names)} $item):\n    $TARGET = $item\n    $BODY"
            turn = parsed(text, TARGET=turns.target, BODY=turns.body)[0]
            self._codes[names] = codes_of([located(turn, turns.target)], self._file)[0]
        return self._codes[names]


def _dependent(effects: Sequence[Effects], variables: Mapping[str, Any]) -> str:
    """What one turn changes and another one uses, as a sentence; "" for nothing."""
    writers: dict[Any, set[int]] = {}
    for number, each in enumerate(effects):
        for owner, _ in each.writes:
            writers.setdefault(owner, set()).add(number)
    written: set[Location] = set().union(*(each.writes for each in effects))
    for number, each in enumerate(effects):
        for location in meet(each.touches, written):
            if writers[location[0]] - {number}:
                others = [effects[n] for n in writers[location[0]] - {number}]
                if any(meet([location], other.writes) for other in others):
                    each.names = names_of(variables)
                    return f"its turns share {word(location, effects)}"
    return ""


def as_list(items: Iterable[Any]) -> Sequence[Any] | None:
    """The items, if listing them runs no code of the user's; None if it might."""
    if isinstance(items, _LISTS):
        return items if len(items) <= MOST_ITEMS else None
    if isinstance(items, zip | enumerate | reversed):
        parts = iterators_in(items)
        if all(type(part) in _ITERATORS or isinstance(part, _LISTS) for part in parts):
            return [*items]
    if isinstance(items, type({}.values()) | type({}.items()) | type({}.keys())):
        return [*items]
    return None


_LISTED: tuple[Any, ...] = ([], (), range(0), {}.values(), {}.items())
_ITERATORS = {type(iter(each)) for each in _LISTED}


def _plainly(items: Iterable[Any], made: Callable[..., list[Any]]) -> list[Any]:
    return made(items)
