"""Which calls of a run take the same arguments, and could be made at the first one's.

A run is described call by call: an argument is shared with the first call that got
the same object at the same place (its leader), or the call's own. Own arguments that
are the same objects in two runs (the layer, its settings) can be foreseen; with the
leader's arguments of the moment they make up the whole call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

from debottleneck.agent.calls import Place
from debottleneck.agent.wrap import Found
from debottleneck.strategies.automatic.evidence import Look, meet
from debottleneck.strategies.automatic.runs import StageCall, same
from debottleneck.strategies.conflicts import (
    PLAIN,
    Reach,
    flattened,
    is_buffer,
    sharing,
)
from debottleneck.strategies.randomness import Draws
from debottleneck.strategies.spec import ONE_FORWARD


@dataclass(frozen=True)
class CallShape:
    """One call of a run, without the arguments that change from step to step.

    Attributes:
        found: What is called.
        leader: Position of the first call with the same arguments; its own if none.
        places: All argument places, in their order.
        shared: Place -> the leader's place with the same object.
        own: Arguments that are not the leader's.
        feeds: Position of the earlier call whose result it takes, None for none.
    """

    found: Found
    leader: int
    places: tuple[Place, ...]
    shared: Mapping[Place, Place]
    own: Mapping[Place, Any]
    feeds: int | None

    def foreseen(self, leader: Mapping[Place, Any]) -> dict[Place, Any]:
        """Its arguments, given its leader's."""
        shared, own = self.shared, self.own
        return {p: leader[shared[p]] if p in shared else own[p] for p in self.places}

    def as_call(self, leader: Mapping[Place, Any]) -> StageCall:
        """The call itself, given its leader's arguments."""
        items = self.foreseen(leader)
        args = tuple(value for place, value in items.items() if isinstance(place, int))
        kwargs = {place: v for place, v in items.items() if isinstance(place, str)}
        return StageCall(args, kwargs, self.found, self.found.function)

    def is_that(self, call: StageCall, leader: Mapping[Place, Any]) -> bool:
        """Whether the call is the one foreseen."""
        items = call.items()
        return (
            call.found.function is self.found.function
            and tuple(items) == self.places
            and all(same(items[p], v) for p, v in self.foreseen(leader).items())
        )


@dataclass(frozen=True)
class Plan:
    """What the next run of this kind will look like.

    Attributes:
        parts: Its calls.
        members: Leader -> positions of those that can be made with it.
    """

    parts: tuple[CallShape, ...]
    members: Mapping[int, tuple[int, ...]]

    @property
    def ahead(self) -> frozenset[int]:
        """Positions of all calls that can be made ahead of their turn."""
        return frozenset(i for members in self.members.values() for i in members)


class Portrait:
    """Describes one run while it happens, all its calls made where they are.

    Args:
        guess: What the run before makes likely; its members are watched closely.
    """

    def __init__(self, guess: Plan | None) -> None:
        self.parts: list[CallShape] = []
        self.objection = ""
        self._guess = guess
        self._leaders: dict[int, dict[Place, Any]] = {}
        self._outputs: list[list[Any]] = []
        self._before: dict[int, Look] = {}
        self._changed: dict[int, Reach] = {}

    def before(self, call: StageCall) -> Look | None:
        """Describe a call that is about to be made; look at it if it matters."""
        position, items = len(self.parts), call.items()
        self._outputs += [[]] * (position - len(self._outputs))  # of calls that raised
        leader = self._leader_of(items)
        theirs = self._leaders.get(leader, {})
        shared = _in_common(items, theirs)
        shared |= {p: p for p, v in items.items() if p in theirs and same(v, theirs[p])}
        own = {p: v for p, v in items.items() if p not in shared}
        if leader == position:
            self._leaders[position], own = items, {}
        feeds = self._source_of(items)
        self.parts.append(
            CallShape(call.found, leader, tuple(items), shared, own, feeds)
        )
        return self._watch(position, call, items)

    def after(
        self, call: StageCall, result: Any, look: Look | None, draws: Draws | None
    ) -> None:
        """Take in what the call returned and what it changed."""
        position = len(self.parts) - 1
        given = _mutable(list(call.items().values()))
        self._outputs.append(_not_among(given, _mutable(result)))
        if look is None or draws is None:
            return
        self._changed[position] = look.changed(look.again())
        if draws.news() and position in self._wanted():
            self._object(
                f"forward of layer {position + 1} draws random numbers from the "
                "generator that all share, so its turn matters"
            )

    @property
    def seen(self) -> frozenset[int]:
        """Positions of calls that were looked at before and after."""
        return frozenset(self._changed)

    def finished(self) -> None:
        """Hold what the calls changed against what the others read."""
        if self._guess is None:
            return
        for leader, members in self._guess.members.items():
            group = [i for i in (leader, *members) if i in self._changed]
            for one, other in permutations(group, 2):
                if meet(self._changed[one], self._before[other].reach):
                    self.objection = (
                        f"your layers share state: forward of layer {one + 1} changes "
                        f"what that of layer {other + 1} uses"
                    )
                    return

    def _leader_of(self, items: Mapping[Place, Any]) -> int:
        """The earlier call that has most arguments in common; itself if none has."""
        best, most = len(self.parts), 0
        for leader, theirs in self._leaders.items():
            shared = len(_in_common(items, theirs))
            if shared > most:
                best, most = leader, shared
        return best

    def _source_of(self, items: Mapping[Place, Any]) -> int | None:
        """The last earlier call whose result is among these arguments."""
        held = _mutable(list(items.values()))
        for position in range(len(self._outputs) - 1, -1, -1):
            outputs = self._outputs[position]
            if len(_not_among(held, outputs)) < len(outputs):
                return position
        return None

    def _wanted(self) -> frozenset[int]:
        return self._guess.ahead if self._guess is not None else frozenset()

    def _watch(
        self, position: int, call: StageCall, items: Mapping[Place, Any]
    ) -> Look | None:
        guess = self._guess
        if guess is None or position >= len(guess.parts):
            return None
        for member in guess.members.get(position, ()):
            if self.parts[position].places == guess.parts[position].places:
                part = guess.parts[member]
                foreseen = list(part.foreseen(items).values())
                self._before[member] = Look.of(part.found.function, foreseen)
        if position in guess.members:
            self._before[position] = Look.of(call.found.function, list(items.values()))
            return self._before[position]
        look = self._before.get(position)
        if look is None:
            return None
        changed = look.changed(look.again())
        if changed.buffers or changed.holders:
            self._object(
                f"what forward of layer {position + 1} reads is changed after the "
                f"first layer has begun"
            )
        return Look.of(call.found.function, list(items.values()))

    def _object(self, why: str) -> None:
        self.objection = self.objection or why


def _in_common(
    items: Mapping[Place, Any], leader: Mapping[Place, Any]
) -> dict[Place, Place]:
    """Places of a call -> places of its leader that hold the same object."""
    places = {id(v): p for p, v in leader.items() if not isinstance(v, PLAIN)}
    found = {p: places[id(v)] for p, v in items.items() if id(v) in places}
    return {p: p if leader.get(p) is items[p] else q for p, q in found.items()}


def _mutable(value: Any) -> list[Any]:
    return [each for each in flattened(value) if not isinstance(each, PLAIN)]


def _not_among(given: Sequence[Any], found: Sequence[Any]) -> list[Any]:
    """Those found that are none of the given objects, nor views of their memory."""
    known = {id(each) for each in given}
    buffers = [each for each in given if is_buffer(each)]
    return [
        each
        for each in found
        if id(each) not in known and not (is_buffer(each) and sharing([each], buffers))
    ]


def common(one: Sequence[CallShape], other: Sequence[CallShape]) -> Plan | None:
    """What two runs of the same calls have in common; None when they differ."""
    if len(one) != len(other):
        return None
    members: dict[int, list[int]] = {}
    for position, (first, second) in enumerate(zip(one, other, strict=True)):
        if first.found.function is not second.found.function:
            return None
        if _can_be_foreseen(position, first, second):
            members.setdefault(second.leader, []).append(position)
    fixed = {leader: tuple(positions) for leader, positions in members.items()}
    ahead = {i for positions in fixed.values() for i in positions}
    parts = [p if i in ahead else replace(p, own={}) for i, p in enumerate(other)]
    return Plan(tuple(parts), fixed)


def _can_be_foreseen(position: int, first: CallShape, second: CallShape) -> bool:
    return (
        second.leader != position
        and first.leader == second.leader
        and first.places == second.places
        and first.shared == second.shared
        and first.feeds is None
        and second.feeds is None
        and first.own.keys() == second.own.keys()
        and all(same(first.own[p], value) for p, value in second.own.items())
    )


def likely(parts: Sequence[CallShape]) -> Plan:
    """A plan from one run alone: every call whose arguments its leader shares."""
    plan = common(parts, parts)
    assert plan is not None
    return plan


def why_not(parts: Sequence[CallShape]) -> str:
    """One sentence: why no call of this run can be made ahead."""
    if len(parts) == 1:
        return ONE_FORWARD
    for position, part in enumerate(parts):
        if part.feeds is not None:
            return (
                f"your layers feed each other: forward of layer {position + 1} reads "
                f"the output of layer {part.feeds + 1}"
            )
    return (
        "your layers do not take the same arguments: forward of layer 2 gets others "
        "than layer 1, so it cannot begin before its turn"
    )
