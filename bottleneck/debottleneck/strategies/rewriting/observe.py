"""Iterations of a loop observed: how long each line takes, what it touches."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from time import perf_counter_ns, thread_time_ns
from types import FrameType
from typing import Any

from debottleneck.agent.changes import ChangeWitness, array_in
from debottleneck.strategies.conflicts import size
from debottleneck.strategies.rewriting.callees import Callees
from debottleneck.strategies.rewriting.divide import Observation
from debottleneck.strategies.rewriting.flatten import FlatLoop, Line
from debottleneck.strategies.rewriting.foreign import Bound
from debottleneck.strategies.rewriting.known import is_array
from debottleneck.strategies.rewriting.locations import (
    MOST_ELEMENTS,
    Effects,
    far,
    names_of,
    owner_of,
    reach,
)
from debottleneck.strategies.rewriting.replicas import renewable
from debottleneck.strategies.rewriting.tracing import Events, Tracing
from debottleneck.strategies.rewriting.values import (
    FRESH,
    NOTHING,
    Names,
    Value,
    joined,
    may_run,
)

OBSERVED = 3
"""Iterations that are compared: what more than one touches lives on."""

MOST_PASSES = 5
"""Over the lines of one, as what one binds another one finds in the next iteration."""

TRACED = 2
"""The first of them are looked at so closely that they are slow."""


_LISTED = (list, dict, set, deque)

_COPIED = (list, dict, set, bytearray)


class Observed:
    """Collects what is seen."""

    def __init__(self, flat: FlatLoop) -> None:
        self._flat = flat
        self._place = {line.number: n for n, line in enumerate(flat.lines)}
        self._uses = [line.uses for line in flat.lines]
        self._binders = Counter(name for line in flat.lines for name in line.binds)
        self._ns: list[list[int]] = []
        self._looks: list[list[Effects]] = []
        self._values: dict[int, Any] = {}
        self._seen = Observation([], [])
        self._tracing = Tracing()
        self._events: dict[int, Events] = {}
        self._bound: Bound = {}
        self._rebound: Names = {}
        self._new: dict[str, object] = {}
        self._cpu_ns: list[list[int]] = []
        self._before: list[Any] = []  # what there was, kept alive
        self._last = self._cpu_last = 0
        self._witness = ChangeWitness()

    @property
    def enough(self) -> bool:
        """Whether as many iterations were seen as it takes."""
        return len(self._looks) >= OBSERVED

    def begin(self) -> bool:
        """The next item is asked for; whether this iteration is a slow one."""
        for times in (self._ns, self._cpu_ns):
            del times[len(self._looks) :]  # of an iteration that was left
        self._ns.append([0] * (len(self._place) + 1))
        self._cpu_ns.append([0] * (len(self._place) + 1))
        self._events.clear()
        traced = len(self._looks) < TRACED
        if traced:
            self._tracing.start()
        self._witness.begin()
        self._last, self._cpu_last = perf_counter_ns(), thread_time_ns()
        return traced

    def came(self) -> None:
        """The item is there."""
        self._book(-1, -1)

    def note(self, number: int, value: Any) -> Any:
        """A line was run; returns the value that it gave."""
        self._book(self._place[number], number)
        self._values[number] = value
        return value

    def _book(self, place: int, number: int) -> None:
        """What passed since the last time is that line's."""
        now, cpu_now = perf_counter_ns(), thread_time_ns()
        self._ns[-1][place] += now - self._last
        self._cpu_ns[-1][place] += cpu_now - self._cpu_last
        if self._tracing.on:
            self._events[number] = self._tracing.taken()
        if self._witness.met():
            self._seen.changers.add(number)
        self._last, self._cpu_last = perf_counter_ns(), thread_time_ns()

    def stop(self) -> None:
        """Nothing is looked at for now."""
        self._tracing.stop()
        self._witness.end()

    def look(self, frame: FrameType, iterator: Any, besides: Mapping[str, Any]) -> None:
        """The iteration is over: see what each of its lines touched."""
        self.stop()
        space, local = frame.f_globals, frame.f_locals
        bound = {*self._binders, *self._flat.names}
        own = bound if local is space else {*local}
        names = {n: Value.of(local[n]) for n in own if n in local}
        names |= {n: Value.of(v) for n, v in besides.items()}
        self._bound, self._rebound, self._new = {}, {}, {}
        for _ in range(MOST_PASSES):
            told = self._told()
            found = self._followed(space, dict(names), local, iterator)
            if self._told() == told:
                break
        for line, effects in zip(self._flat.lines, found[:-1], strict=True):
            both = {owner for owner, _ in effects.reads & effects.writes}
            changed = [local.get(name) for name in line.uses & {*line.binds}]
            changed += [v for v in effects.held.values() if owner_of(v) in both]
            if any(array_in(value) is not None for value in changed):
                self._seen.changers.add(line.number)
        self._looks.append(found)
        self._seen.sizes = {n: size(value) for n, value in self._values.items()}
        # what is held by other names than those that it binds
        kept = [v for n, v in {**space, **local}.items() if n not in bound]
        if len(self._looks) == OBSERVED - 1:
            self._before = [held for value in kept for held in far(value)]
        elif self.enough:
            before = {owner_of(held) for held in self._before}
            self._before = []
            items = [local[name] for name in self._flat.names if name in local]
            self._seen.lasting = _owners(kept)
            called = names_of({**space, **local})
            for effects in found:
                effects.names = called
            self._seen.holds = {-1: _owners(items) & before}
            self._seen.held = {n: _owners([local[n]]) for n in bound if n in local}
            for number, value in self._values.items():
                self._seen.holds[number] = _owners([value]) & before
                held = [one for one in reach(value) if not is_array(one)]
                if not self._seen.lasting.isdisjoint(map(owner_of, held)):
                    self._seen.known.add(number)

    def _told(self) -> dict[Any, set[int]]:
        """What is known of what may be bound where."""
        every: dict[Any, Value] = dict(self._rebound)
        for owner, held in self._bound.items():
            every |= {(owner, attribute): value for attribute, value in held.items()}
        return {key: {*map(id, value.roots)} for key, value in every.items()}

    def _followed(
        self, space: dict[str, Any], names: Names, local: Any, iterator: Any
    ) -> list[Effects]:
        """The effects of each line, and last of the iterable."""
        for name, value in self._rebound.items():
            names[name] = joined([names.get(name, FRESH), value])
        found = [self._line(line, space, names, local) for line in self._flat.lines]
        callees = Callees(space, names, self._bound)
        callees.iterate(Value.of(iterator))
        self._events.get(-1, Events()).into(callees)
        return [*found, callees.effects]

    def _line(
        self, line: Line, space: dict[str, Any], names: Names, local: Any
    ) -> Effects:
        callees = Callees(space, names, self._bound)
        used = not line.temporary or any(line.temporary in u for u in self._uses)
        callees.statement(line.node, used=used)
        self._events.get(line.number, Events()).into(callees)
        seen = self._values.get(line.number)
        if line.temporary:
            told = names.get(line.temporary, FRESH)
            made = FRESH if seen is None else _taken_from(seen, told)
            exact = [one.sample for one in told.each if one.known]
            if any(not isinstance(one, _COPIED) and not is_array(one) for one in exact):
                self._seen.known.add(line.number)
            names[line.temporary] = self._or_runs(made, told)
        for index, name in enumerate(line.binds):
            told = names.get(name, FRESH)
            if isinstance(seen, tuple):
                names[name] = _taken_from(seen[index], told)
            elif self._binders[name] == 1 and name in local:
                names[name] = _taken_from(local[name], told)
            else:  # some object that this iteration made, or another one
                new = self._new.setdefault(name, object())
                names[name] = Value(NOTHING, (*told.roots, new))
            names[name] = self._or_runs(names[name], told)
            if names[name].others or len(names[name].before) > 1:
                self._rebound[name] = names[name]
        return callees.effects

    def _or_runs(self, value: Value, told: Value) -> Value:
        """What was seen, or what may be called instead by what the code says."""
        return joined([value, *(one for one in told.each if may_run(one.sample))])

    def seen(self) -> Observation:
        """What all iterations showed."""
        *before, last = self._looks
        owners = [{o for e in look for o, _ in e.touches} for look in self._looks]
        for look in before:
            for one, other in zip(last, look, strict=True):
                one.add(other)
        often = {o for n, some in enumerate(owners) for o in some if o in owners[n - 1]}
        seen = self._seen
        seen.effects = last
        seen.ns, seen.cpu_ns = (
            [float(min(each)) for each in zip(*times, strict=True)]
            for times in (self._ns, self._cpu_ns)
        )
        seen.fresh = set[Any]().union(*owners) - often - seen.lasting
        seen.connections = [*filter(renewable, self._tracing.connections.values())]
        return seen


def _taken_from(seen: Any, told: Value) -> Value:
    """What was seen; and the rest that the code tells of, where it is no new object.

    So it is where it lies in something told, or that is too much to list.
    """
    value = Value.of(seen)
    if not value.before:
        return value
    held = [(root, [*reach(root)]) for root in told.before]
    lies = any(owner_of(one) == owner_of(seen) for _, every in held for one in every)
    more = [root for root, every in held if lies or any(map(_is_long, every))]
    return Value(seen, (seen, *(root for root in more if root is not seen)))


def _is_long(value: Any) -> bool:
    return isinstance(value, _LISTED) and len(value) > MOST_ELEMENTS


def _owners(values: Iterable[Any]) -> set[Any]:
    return {owner_of(held) for value in values for held in far(value)}
