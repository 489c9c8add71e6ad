"""Which lines of a flat loop can run ahead: by what depends on what.

Two lines that use the same thing, one of which changes it, keep their order; where
the thing lives on from one iteration to the next they depend on each other both ways
and are one knot. What trains stays, with all that depends on it; what only leads to
it runs ahead. Lines ahead that change what lives on run in order, the rest may run at
the same time.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from debottleneck.agent.dataflow import last_word
from debottleneck.strategies.conflicts import is_random
from debottleneck.strategies.rewriting.bindings import certain
from debottleneck.strategies.rewriting.flatten import FlatLoop
from debottleneck.strategies.rewriting.locations import (
    Effects,
    Location,
    meet,
    owner_of,
    word,
)
from debottleneck.strategies.rewriting.plan import (
    ACTS,
    HEAVY,
    ORDER,
    STAYS,
    Piece,
    Reason,
)

SHORTEST_NS = 100_000
"""A load that takes less is not worth handing over."""


@dataclass
class Observation:
    """What iterations of a flat loop were seen to do.

    Attributes:
        effects: Of each line, and last of the loop's own iterable.
        ns: Time of each line, and last of the iterable, a step.
        fresh: Owners that an iteration makes anew.
        lasting: Owners that names hold which the loop does not bind.
        known: Lines that give objects which are known by other names too.
        cpu_ns: What of `ns` is on a core.
        sizes: Bytes of each line's value, by its number.
        held: Owners that each name holds which the loop binds, at an iteration's end.
        holds: Owners of what there was before that each line's value holds, by its
            number, and at -1 those of the item.
        changers: Lines that read and change arrays which were there before.
        connections: That each worker may have one of its own of.
    """

    effects: list[Effects]
    ns: list[float]
    fresh: set[Any] = field(default_factory=set)
    lasting: set[Any] = field(default_factory=set)
    known: set[int] = field(default_factory=set)
    cpu_ns: list[float] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)
    held: dict[str, set[Any]] = field(default_factory=dict)
    holds: dict[int, set[Any]] = field(default_factory=dict)
    changers: set[int] = field(default_factory=set)
    connections: Sequence[Any] = ()


@dataclass(frozen=True)
class Division:
    """The sides of a loop.

    Attributes:
        order: Lines ahead that run in order.
        heavy: Lines ahead that may run at the same time.
        stays: The others.
        iterable: Whether the loop's own iterable may run ahead.
        changed: Locations that live on and that the lines ahead change.
        reason: Why nothing runs ahead, "" if something does.
        edited: What lines would do after its edit, None without one.
    """

    order: tuple[int, ...]
    heavy: tuple[int, ...]
    stays: tuple[int, ...]
    iterable: bool
    changed: frozenset[Location]
    reason: Reason = ACTS
    edited: Observation | None = None


def divide(
    flat: FlatLoop, seen: Observation, space: Any = None, shared: Collection[str] = ()
) -> Division:
    """Divide a loop.

    Args:
        flat: Its lines.
        seen: What they do.
        space: Owner of the module's variables.
        shared: Names that are the same to both sides at any time.
    """
    return _Graph(flat, seen, space, shared).division()


class _Graph:
    """What depends on what; the iterable is the node after the last line."""

    def __init__(
        self, flat: FlatLoop, seen: Observation, space: Any, shared: Collection[str]
    ) -> None:
        self._lines = flat.lines
        self._flat = flat
        self._seen = seen
        self._count = len(flat.lines)
        self._uses = [line.uses for line in flat.lines] + [set[str]()]
        self._binds = [{*line.binds, line.temporary} - {""} for line in flat.lines]
        self._binds.append(set(flat.names))
        self._far: set[str] = set()  # also used or bound by what the loop calls
        self._call_names(space)
        self._shared = set(shared)
        self._after: list[set[int]] = [set() for _ in self._binds]
        self._states: list[set[Location]] = [set() for _ in self._binds]
        self._carried = self._carried_names()
        kept = (seen.held.get(name, set()) for name in self._carried)
        self._fresh = seen.fresh - set[Any]().union(*kept)
        self._connect()

    def _call_names(self, space: Any) -> None:
        """Names of the loop that functions use which it calls."""
        bound = set[str]().union(*self._binds, *self._uses)
        for node, effects in enumerate(self._seen.effects):
            for locations, into in (
                (effects.reads, self._uses), (effects.writes, self._binds)
            ):  # fmt: skip
                for owner, attribute in locations:
                    name = attribute.removeprefix("cell ")
                    met = bound & {name}
                    if owner == space and name == "*":
                        met = bound
                    elif owner != space and name == attribute:
                        continue
                    into[node] |= met
                    self._uses[node] |= met
                    self._far |= met

    def _order(self) -> list[int]:
        """Nodes as they run in one iteration."""
        return [self._count, *range(self._count)]

    def _carried_names(self) -> set[str]:
        """Names that may be read before they are bound anew in an iteration."""
        fixed: set[str] = set(self._flat.names)
        carried: set[str] = set()
        bound, used = set[str]().union(*self._binds), set[str]().union(*self._uses)
        used |= {n for n in bound if sum(n in names for names in self._binds) > 1}
        for place, line in enumerate(self._lines):
            carried |= (self._uses[place] & bound) - fixed
            sure = certain([line.node])
            carried |= (self._binds[place] & used) - {line.temporary} - sure - fixed
            fixed |= sure
        return carried | self._shared

    def _connect(self) -> None:
        for place, one in enumerate(self._order()):
            for other in self._order()[place:]:
                self._relate(one, other)
        for place, line in enumerate(self._lines):
            if self._is_condition(place):
                self._states[place] |= {(None, "control")}
            if line.leaves:
                later = range(place + 1, self._count)
                self._after[place] |= {n for n in later if self._states[n]}
                self._states[place] |= {(None, "control")}

    def _is_condition(self, place: int) -> bool:
        """Whether it is the condition of a `while` loop."""
        value = getattr(self._lines[place].node, "value", None)
        constant = isinstance(value, ast.Constant)
        return self._flat.target is None and place == 0 and not constant

    def _relate(self, one: int, other: int) -> None:
        """Edges between two nodes, the first of which runs first; or of one alone."""
        names = self._named(one, other) | self._named(other, one)
        both = names & self._carried
        later = both - self._shared - self._far
        if one != other and not self._binds[other] & later:
            # What the one binds comes to the other with each item, and never back.
            both -= later
        elif one != other and not self._binds[one] & later:
            self._after[other].add(one)
            both -= later
        effects = self._seen.effects
        first, second = effects[one], effects[other]
        met = meet(first.writes, second.touches) | meet(second.writes, first.touches)
        lasting = {loc for loc in met if loc[0] not in self._fresh}
        lasting |= {("name", name) for name in both}
        if one == other:
            self._states[one] |= lasting
            return
        forward = self._binds[one] & (self._uses[other] | self._binds[other])
        if forward or met or lasting:
            self._after[one].add(other)
        if lasting:
            self._after[other].add(one)

    def _named(self, one: int, other: int) -> set[str]:
        """Names that the one binds and the other uses or binds."""
        return self._binds[one] & (self._uses[other] | self._binds[other])

    def _reach(self, start: Iterable[int]) -> set[int]:
        waiting, found = [*start], set(start)
        while waiting:
            for other in self._after[waiting.pop()] - found:
                found.add(other)
                waiting.append(other)
        return found

    def _staying(self) -> set[int]:
        """What trains, what nothing uses, and all that depends on either."""
        seeds = {n for n, line in enumerate(self._lines) if line.stays}
        nodes = range(self._count + 1)
        reached = [self._reach([n]) for n in range(self._count + 1)]
        seeds |= self._training(reached)
        seeds |= {n for n in nodes if self._seen.effects[n].bound}
        first = min(seeds, default=0)
        for node in range(self._count):
            if self._lines[node].opened or self._is_condition(node):
                continue  # it runs where the call would have
            if node < first and not self._states[node] and reached[node] == {node}:
                continue  # it only takes time, before what trains
            if all(node in reached[other] for other in reached[node]):
                seeds.add(node)  # a knot that leads to nothing else
        return self._reach(seeds)

    def _training(self, reached: Sequence[set[int]]) -> set[int]:
        """What trains: by what it calls, else arrays are changed last of all in it."""
        nodes = range(self._count)
        named = {n for n in nodes if self._seen.effects[n].stages}
        changers = {n for n in nodes if self._lines[n].number in self._seen.changers}
        last = {
            n for n in changers if all(n in reached[o] for o in reached[n] & changers)
        }
        return named or last

    def division(self) -> Division:
        stays = self._staying()
        iterable = self._count not in stays
        ahead = [n for n in range(self._count) if n not in stays]
        order = {n for n in ahead if self._states[n]}
        heavy = set(ahead) - order
        self._move_needed(order, heavy)
        spent = sum(self._seen.ns[n] for n in ahead)
        spent += self._seen.ns[self._count] * iterable
        reason, edited = ACTS, None
        if not iterable or spent < SHORTEST_NS:
            reason, edited = self._why(stays, spent)
        places = {*ahead} | ({self._count} if iterable else set())
        changed = set[Location]().union(*(self._states[n] for n in places))
        changed = {c for c in changed if c[0] is not None and c[0] != "name"}
        return Division(
            self._numbers(order), self._numbers(heavy),
            self._numbers(stays - {self._count}),
            iterable, frozenset(changed), reason, edited,
        )  # fmt: skip

    def _numbers(self, places: set[int]) -> tuple[int, ...]:
        return tuple(self._lines[place].number for place in sorted(places))

    def _move_needed(self, order: set[int], heavy: set[int]) -> None:
        """Heavy lines run in order before what needs or changes theirs, or leaves."""
        while True:
            moved = {
                one
                for one in heavy
                for other in order
                if other in self._after[one]
                or (one < other and self._binds[other] & self._uses[one])
                or (one < other and self._lines[other].leaves)
            }
            if not moved:
                return
            order |= moved
            heavy -= moved

    def _why(self, stays: set[int], spent: float) -> tuple[Reason, Observation | None]:
        """Why the heaviest thing that leads to what trains cannot run ahead."""
        effects, ns = self._seen.effects, self._seen.ns
        trains = self._training([self._reach([n]) for n in range(self._count)])
        leads = {n for n in stays - trains if self._reach([n]) - {n}}
        heaviest = max(leads, key=lambda n: ns[n], default=None)
        if heaviest is None or ns[heaviest] < SHORTEST_NS:
            took = f"{spent / 1e3:.0f} us in the steps looked at"
            return Reason(f"what could run ahead took only {took}"), None
        if why := Reason.of(effects[heaviest].bound):
            return why, self._with(heaviest, bound="") if why.edit else None
        for one, other in self._pairs(heaviest, stays, trains):
            met = meet(effects[one].writes, effects[other].touches)
            lasting = {loc for loc in met if loc[0] not in self._fresh}
            found = [word(loc, effects) for loc in sorted(lasting, key=str)]
            found += sorted(self._named(one, other) & self._carried)
            if found:
                where = f"line {self._place(one)} changes {found[0]}"
                text = f"{where}, which line {self._place(other)} uses"
                owners = {owner for owner, _ in lasting}
                edit, edited = self._edit(one, other, owners, one in trains)
                return Reason(text, edit), edited
        place = self._place(heaviest)
        return Reason(f"line {place} needs what comes of the training"), None

    def _pairs(
        self, heaviest: int, stays: set[int], trains: set[int]
    ) -> Iterator[tuple[int, int]]:
        """Which may keep it where it is: with it, and with what it needs."""
        for node in sorted(stays - {heaviest}, key=lambda n: (n not in trains, n)):
            yield from ((node, heaviest), (heaviest, node))
        for need in sorted(stays - trains - {heaviest}):
            if heaviest in self._reach([need]):
                for node in sorted(trains):
                    yield from ((node, need), (need, node))

    def _edit(
        self, one: int, other: int, owners: set[Any], trains: bool
    ) -> tuple[str, Observation | None]:
        """What would let the one line change nothing that the other uses."""
        effects, line = self._seen.effects[one], f"line {self._place(one)}"
        drawn = {owner_of(h) for h in effects.held.values() if is_random(h)}
        if owners and owners <= drawn:
            writes = {((one, o) if o in owners else o, a) for o, a in effects.writes}
            reads = {at for at in effects.reads if at[0] not in owners}
            edited = self._with(one, reads=reads, writes=writes)
            return f"let {line} draw from a generator of its own", edited
        if not owners or trains:
            return "", None
        left = {(owner, at) for owner, at in effects.writes if owner not in owners}
        see = f"if line {self._place(other)} need not see that"
        return f"{see}, let {line} change a copy", self._with(one, writes=left)

    def _with(self, node: int, **changes: Any) -> Observation:
        """What was seen, but for one line."""
        effects = [*self._seen.effects]
        effects[node] = replace(effects[node], **changes)
        return replace(self._seen, effects=effects)

    def _place(self, node: int) -> int:
        return self._flat.place if node == self._count else self._lines[node].place


def pieces_of(
    flat: FlatLoop, division: Division, seen: Observation, *, by_workers: bool
) -> tuple[Piece, ...]:
    """The lines of a loop; those of one statement that are alike as one."""
    found: dict[Piece, tuple[float, float]] = {}
    cpu_ns = seen.cpu_ns or [0.0] * len(seen.ns)
    keys = _keys(flat, division, HEAVY if by_workers else ORDER)
    for key, ns, cpu, effects in zip(keys, seen.ns, cpu_ns, seen.effects, strict=True):
        alike = replace(key, stages=tuple(sorted(effects.stages)))
        before = found.get(alike, (0.0, 0.0))
        found[alike] = (before[0] + ns, before[1] + cpu)
    return tuple(
        replace(key, ns=ns, cpu_ns=min(cpu, ns)) for key, (ns, cpu) in found.items()
    )


def _keys(flat: FlatLoop, division: Division, heavy: str) -> Iterator[Piece]:
    """Each line, and the loop's own iterable, with no times yet."""
    sides = dict.fromkeys(division.order, ORDER) | dict.fromkeys(division.heavy, heavy)
    for line in flat.lines:
        call = getattr(line.node, "value", None)
        name = last_word(call) if isinstance(call, ast.Call) else ""
        side = sides.get(line.number, STAYS)
        yield Piece(line.within or line.place, side, 0.0, 0.0, name)
    yield Piece(flat.place, ORDER if division.iterable else STAYS, 0.0, 0.0)


def size_of(flat: FlatLoop, division: Division, seen: Observation) -> int:
    """Bytes that lines which stay take from lines ahead."""
    stays = [line for line in flat.lines if line.number in division.stays]
    used = {name for line in stays for name in line.uses}
    return sum(
        seen.sizes.get(line.number, 0)
        for line in flat.lines
        if line not in stays and used & {*line.binds, line.temporary}
    )
