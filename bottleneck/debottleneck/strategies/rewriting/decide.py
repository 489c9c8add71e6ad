"""From what was seen of a loop to its plan, and to what runs by that plan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import FrameType
from typing import Any

from debottleneck.agent.turns import LoopPoint
from debottleneck.strategies.rewriting.ahead import (
    AheadItems,
    Given,
    Heavy,
    Received,
    can_go,
    in_processes,
    stated,
    with_load,
)
from debottleneck.strategies.rewriting.divide import (
    Division,
    Observation,
    divide,
    pieces_of,
    size_of,
)
from debottleneck.strategies.rewriting.elsewhere import dangers, is_watched
from debottleneck.strategies.rewriting.flatten import FlatLoop
from debottleneck.strategies.rewriting.keeping import (
    Kept,
    comes_back,
    kept_of,
    leaves_early,
    of_this_process,
    streams_in,
    travels,
)
from debottleneck.strategies.rewriting.locations import (
    Effects,
    Location,
    declared_global,
    is_shared,
    owner_of,
    word,
)
from debottleneck.strategies.rewriting.opening import (
    Iterable,
    opened,
    opened_iterable,
    under_way,
)
from debottleneck.strategies.rewriting.plan import (
    ACTS,
    DRAWN,
    NO_GAIN,
    Plan,
    Reason,
    Wanted,
)
from debottleneck.strategies.rewriting.replicas import OWN, Replicas, renewed
from debottleneck.strategies.rewriting.split import Split, split
from debottleneck.strategies.spec import PREFETCH

MOST_AUTO = 16
"""Workers where they are chosen here."""

HEAVY = 0.2
"""Lines that may run at the same time and take less of what runs ahead do not get
workers of their own."""

SMALL = 0.05
"""Lines that take less of what runs ahead are not named."""

LEAST_GAIN = 0.03
"""Of the step; a plan that allows no more is none."""

PATIENCE, PATIENCE_S = 10, 1.0
"""A process may take so many times the usual and so many seconds more."""


@dataclass(frozen=True)
class BothSides:
    """What both sides use.

    Attributes:
        ahead: Of the lines ahead and the loop's iterable.
        stays: Of the others.
        fresh: Owners that each iteration makes anew.
    """

    ahead: Effects
    stays: Effects
    fresh: frozenset[Any]

    def release(self, lasting: Collection[Any]) -> None:
        """Keep nothing alive but what the script holds by names."""
        for side in (self.ahead, self.stays):
            side.release(lasting)


Opened = tuple["Decision", Any]
"""A decision, and the iterator that its loop goes over."""


@dataclass(frozen=True)
class Decision:
    """A plan, and what it takes to run by it."""

    plan: Plan
    flat: FlatLoop
    division: Division
    sides: BothSides
    kept_names: frozenset[str]
    file: str
    besides: Mapping[str, Any] = field(default_factory=dict)
    kept: Kept = field(default_factory=Kept)
    ahead_of_it: str = ""
    """What is not brought back when an exception leaves the loop."""
    replicas: Replicas = field(default_factory=Replicas)
    """What each worker has of its own."""

    def split_for(
        self, frame: FrameType, note: Callable[[int, Any], Any] | None = None
    ) -> Split:
        """The functions for one entry; with `note` all in order, each line noted."""
        division = self.division
        if note is not None:
            lines = {*division.order, *division.heavy}
            order = tuple(n for n in self.flat.numbered if n in lines)
            division = replace(division, order=order, heavy=())
        space, local = frame.f_globals, frame.f_locals
        kept, file = self.kept_names, self.file
        return split(self.flat, division, space, local, kept, file, note, self.besides)

    def opened(self, frame: FrameType, iterator: Any) -> Opened | None:
        """The same with what runs in order opened, if any of it can be."""
        space, flat, order = frame.f_globals, self.flat, self.division.order
        within = Iterable(iterator, {})
        through = opened_iterable(flat, iterator, space)
        if through is not None:
            flat, within = through, under_way(iterator, space)
        lines = self.flat.numbered
        order = (*order, *(n for n in flat.numbered if n not in lines))
        bound = {*flat.names, *(n for line in flat.lines for n in line.binds)}
        writes = self.sides.ahead.writes | self.sides.stays.writes
        changed = {name for _, name in writes}
        bound |= {name for at, name in writes if at == owner_of(space)}
        local = {**space, **frame.f_locals, **within.names}
        outer = {n: v for n, v in local.items() if n not in bound}
        flat = opened(flat, order, space, outer, changed)
        if flat is self.flat:
            return None
        new = tuple(n for n in flat.numbered if n not in lines)
        division = replace(self.division, order=(*self.division.order, *new))
        more = replace(self, flat=flat, division=division, besides=within.names)
        return more, within.iterator

    def of_entry(self, frame: FrameType, iterator: Any) -> Opened | None:
        """The same for what this entry goes over; None if it is of another kind."""
        if not self.replicas.are_those_of(frame):
            return None
        if self.flat.item is None:
            return self, iterator
        within = under_way(iterator, frame.f_globals)
        if within.iterator is iterator:
            return None
        return replace(self, besides=within.names), within.iterator

    def begin(
        self, index: Iterator[Given], load: Callable[..., None], carry: Any
    ) -> AheadItems:
        """Run ahead from here on; in threads where `carry` cannot go to a process.

        Raises:
            StrategyError: No process can be started.
        """
        plan = self.plan
        if plan.heavy and plan.where == "process" and not can_go(carry):
            plan = replace(plan, where="thread")
        if plan.where == "process" and not plan.heavy:
            return self._in_child(index, load)
        heavy: Heavy | None = None
        limit_s = None
        if self.division.heavy and plan.heavy and plan.where == "process":
            own, lines = self.replicas.around(load), self.division.heavy
            heavy = in_processes(own, self.flat.told_by(lines), plan.workers)
            limit_s = PATIENCE * plan.heavy_ns / 1e9 + PATIENCE_S
        elif self.division.heavy and plan.heavy:
            heavy = Heavy(self.replicas.around(load), plan.workers)
        elif self.division.heavy:
            index = with_load(index, load)
        return AheadItems(index, heavy, load, plan.depth, self.kept.snapshot, limit_s)

    def _in_child(
        self, index: Iterator[Given], load: Callable[..., None]
    ) -> AheadItems:
        from debottleneck.strategies.process import Items

        streams = streams_in(self.sides.ahead)  # what `make` holds is brought back
        make = partial(stated, with_load(index, load), streams, self.kept.snapshot)
        depth = self.plan.depth
        there = Received(Items(make, depth=depth, name="load"))
        limit_s = PATIENCE * self.plan.ahead_ns / 1e9 + PATIENCE_S
        return AheadItems(there, None, load, depth, lambda: there.state, limit_s)

    def tied(self) -> str:
        """Why an entry is to run on its own thread alone, "" if nothing ties it."""
        held = self.sides.ahead.held.values()
        owned = (getattr(one, "_is_owned", None) for one in held if is_shared(one))
        if any(is_owned() for is_owned in owned if is_owned):
            return "its thread holds a lock that the lines ahead take"
        return "the script traces what its thread runs" if is_watched() else ""

    def refused(self, why: str) -> Decision:
        """The same, given up."""
        return replace(self, plan=replace(self.plan, reason=Reason.of(why)))

    def word(self, met: set[Location]) -> str:
        """What both sides meet in."""
        found = min(met, key=str)
        return word(found, [self.sides.ahead, self.sides.stays])


def decide(
    flat: FlatLoop, seen: Observation, settings: Wanted, point: LoopPoint,
    frame: FrameType, besides: Mapping[str, Any], left: Container[Any],
) -> Decision:  # fmt: skip
    """Make the plan of one loop.

    Args:
        flat: Its lines.
        seen: What they do.
        settings: What was asked for.
        point: Where it is.
        frame: That of the function that it runs in.
        besides: Names that are no variables of the frame.
        left: Owners of what may be used afterwards.
    """
    decision = _decision(flat, seen, settings, point, frame, besides, left)
    edited, reason = decision.division.edited, decision.plan.reason
    if edited is None:
        return decision
    after = _decision(flat, edited, settings, point, frame, besides, left).plan
    if after.reason:  # the edit is not enough
        return decision.refused(Reason(reason))
    return replace(decision, plan=replace(after, reason=reason))


def _decision(
    flat: FlatLoop, seen: Observation, settings: Wanted, point: LoopPoint,
    frame: FrameType, besides: Mapping[str, Any], left: Container[Any],
) -> Decision:  # fmt: skip
    """By what was seen, or would be after an edit."""
    seen, own = renewed(seen, flat, frame, partial(_divided, flat, frame=frame))
    division, kept_names = _divided(flat, seen, frame)
    ns = dict(zip([*flat.numbered, -1], seen.ns, strict=True))
    by_line = dict(zip(ns, seen.effects, strict=True))
    spent = {n: ns[n] for n in ns if n not in division.stays}
    ahead = _together(by_line, spent)
    sides = BothSides(ahead, _together(by_line, division.stays), frozenset(seen.fresh))
    ahead_ns = sum(spent.values())
    heavy_ns = sum(ns[n] for n in division.heavy)
    stays_ns = sum(seen.ns) - ahead_ns
    heavy = division.heavy if heavy_ns > HEAVY * ahead_ns else ()
    workers = _workers(settings, heavy_ns, stays_ns) if heavy else 1
    lost = {at for at in division.changed if not travels(at, ahead, left)}
    there = heavy or spent
    apart = bool(heavy or not lost)
    apart = apart and _can_be_apart(flat, there, by_line, seen, sides, kept_names)
    plan = Plan(
        PREFETCH, point.file, point.plan.line,
        order=division.order, heavy=heavy,
        places=_places(flat, _worth(spent)), worth=_worth(spent),
        ahead_ns=ahead_ns, heavy_ns=heavy_ns if heavy else 0.0, stays_ns=stays_ns,
        workers=workers, where="process" if settings.process and apart else "thread",
        depth=settings.depth or max(2, 2 * workers), reason=division.reason,
        pieces=pieces_of(flat, division, seen, by_workers=bool(heavy)),
        apart=apart, size=size_of(flat, division, seen),
    )  # fmt: skip
    kept = kept_of(division, ahead)
    early, ahead_of_it = _left(
        leaves_early(flat, division), lost, ahead, frame.f_globals, kept_names
    )
    reason = plan.reason or _reason(plan, sides, kept_names, frame, early)
    unwritten = OWN if own else _unwritten(plan, flat, division, kept, kept_names)
    sides.release(seen.lasting)
    return Decision(
        replace(plan, reason=reason, unwritten=unwritten), flat, division, sides,
        kept_names, point.file, besides, kept, ahead_of_it, own,
    )  # fmt: skip


def _can_be_apart(
    flat: FlatLoop, there: Collection[int], by_line: Mapping[int, Effects],
    seen: Observation, sides: BothSides, kept_names: frozenset[str],
) -> bool:  # fmt: skip
    """Whether lines, -1 for the iterable, may run in a process, which gives copies.

    What the rest changes is not to be a copy, nor are names that functions read.
    """
    if of_this_process(_together(by_line, there), sides.ahead, sides.stays):
        return False
    told = flat.told_by(there)
    changed = {owner for owner, _ in sides.stays.writes}
    bound = {name for line in flat.lines if line.number in there for name in line.binds}
    if -1 in there:
        bound |= {*flat.names}
        told += (-1,)
    held = [seen.holds.get(number, set()) for number in told]
    if not seen.known.isdisjoint(told) or kept_names & bound:
        return False
    return changed.isdisjoint(set[Any]().union(*held))


def _left(
    early: bool, lost: set[Location], ahead: Effects, space: dict[str, Any],
    names: Collection[str],
) -> tuple[set[Location], str]:  # fmt: skip
    """What cannot be brought back where the loop is left early; what is ahead then."""
    gone = {at for at in lost if not comes_back(at, ahead)}
    left = gone | {(owner_of(space), name) for name in names} if early else set()
    return left, word(min(gone, key=str), [ahead]) if gone else ""


def _together(by_line: Mapping[int, Effects], numbers: Collection[int]) -> Effects:
    effects = Effects()
    for number in numbers:
        effects.add(by_line[number])
    return effects


def _divided(
    flat: FlatLoop, seen: Observation, frame: FrameType
) -> tuple[Division, frozenset[str]]:
    """The division, and names that callees ahead read where the module has them."""
    shared: frozenset[str] = frozenset()
    owner, declared = owner_of(frame.f_globals), declared_global(frame.f_code)
    while True:
        division = divide(flat, seen, owner, shared)
        ahead = {*division.order, *division.heavy, -1}
        lines = flat.numbered
        bound = {*flat.names, *(n for a in ahead - {-1} for n in lines[a].binds)}
        called = {
            a.removeprefix("cell ")
            for number, effects in zip([*lines, -1], seen.effects, strict=True)
            for o, a in effects.touches
            if number in ahead and (o == owner or a.startswith("cell "))
        }
        kept = frozenset(bound & (called | declared))
        if kept <= shared:
            return division, kept
        shared |= kept


def _reason(
    plan: Plan, sides: BothSides, kept: frozenset[str], frame: FrameType,
    left: set[Location],
) -> Reason:  # fmt: skip
    """Why it is not done although something could run ahead."""
    if why := Reason.first([*dangers(sides.ahead, kept, frame, left)]):
        return why
    plain = plan.ahead_ns + plan.stays_ns
    return NO_GAIN if plain - plan.bound_ns < LEAST_GAIN * plain else ACTS


def _workers(settings: Wanted, heavy_ns: float, stays_ns: float) -> int:
    if settings.workers is not None:
        return settings.workers
    return int(min(MOST_AUTO, heavy_ns // max(stays_ns, 1.0) + 1))


def _unwritten(
    plan: Plan, flat: FlatLoop, division: Division, kept: Kept, names: Collection[str]
) -> str:
    """Why lines of the library could not do the same."""
    if names:
        return f"functions that run ahead use {min(names)}, which the loop sets"
    if kept.streams and plan.where == "process" and not plan.heavy:
        return DRAWN
    if leaves_early(flat, division) and (kept.streams or kept.attributes):
        return "the loop may be left early, and what ran ahead is then brought back"
    return ""


def _worth(ns: Mapping[int, float]) -> tuple[int, ...]:
    """What takes time of the lines ahead, -1 for the loop's own iterable.

    All of them where each is small.
    """
    return tuple(n for n in ns if ns[n] > SMALL * sum(ns.values())) or tuple(ns)


def _places(flat: FlatLoop, worth: tuple[int, ...]) -> tuple[int, ...]:
    """The user's lines of these."""
    lines = flat.numbered
    found = {flat.place if n < 0 else lines[n].place for n in worth}
    return tuple(sorted(found))
