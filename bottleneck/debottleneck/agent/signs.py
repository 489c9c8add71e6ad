"""What tells of training, the best sign first, and in which loops it was seen."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from debottleneck.agent import dataflow, turns
from debottleneck.agent.changes import ChangePoint
from debottleneck.agent.dataflow import Flow
from debottleneck.agent.turns import LoopPoint
from debottleneck.recording.spool import BY_OPTIMIZER
from debottleneck.words import STEP

Chain = tuple[LoopPoint, ...]
"""Loops around something that happened, outermost first."""

OPTIMIZER, BACKWARD, NAMED, CHANGE, UPDATE_NAME, LISTS, NAME, LOAD = range(8)
WHY = {
    OPTIMIZER: BY_OPTIMIZER,
    BACKWARD: "a backward pass",
    NAMED: "the stages that you named",
    CHANGE: "arrays that its iterations read and change",
    UPDATE_NAME: "a call whose name says that it trains",
    LISTS: "lists of numbers that its iterations read and change",
    NAME: "calls whose names say that they compute",
    LOAD: "calls whose names say that they load",
}
"""Kinds of evidence, the best first -> what the loop holds."""

TRAINING = (OPTIMIZER, BACKWARD, NAMED, CHANGE, UPDATE_NAME)
"""Evidence that a statement trains."""

ASKED = "the line that you gave"
ELSEWHERE = "the steps that a framework begins"

COVERS = 0.8
"""A loop that takes less of what one around it does to train is a part of its step."""

NEARLY = 0.98
"""The same for a few turns over one and the same: more takes nothing else to speak of.
"""

FEWEST_ITERATIONS = 5
"""Iterations of a loop around it, before that one may be the step; and with fewer an
entry a loop that trains with an item of one around it is a part of that one's step."""

USUAL = 0.5
"""A loop trains an array that so much of its changes find again in the same entry."""

RARE = 0.05
"""Changes at a place that happen less often than this part of the most frequent ones
(an average kept once an epoch) do not make the step larger."""

COMPUTES = ("forward", "loss", "backward", "update")
"""Stages of a library that tell of training; it may call back for others."""


class Happenings:
    """What was seen to happen: in which loops, and in which statements of each."""

    def __init__(self) -> None:
        self._chains: dict[int, Counter[Chain]] = {}
        self._rows: dict[int, dict[LoopPoint, Counter[int]]] = {}
        self._changes: dict[int, dict[ChangePoint, Counter[Chain]]] = {
            CHANGE: {},
            LISTS: {},
        }

    def note(
        self,
        kind: int,
        chain: Chain,
        change: ChangePoint | None = None,
        shared: int = 0,
    ) -> None:
        """It happens now, in the statements that run.

        Args:
            kind: What happens.
            chain: The loops around it.
            change: Of a change, the place.
            shared: Of a change, how many of the loops were not entered anew since the
                array was changed before.
        """
        if change is None:
            self._chains.setdefault(kind, Counter())[chain] += 1
        else:
            seen = self._changes[kind].setdefault(change, Counter())
            seen[chain[:shared]] += 1
            seen[chain] += change.again
            change.again = 0
        rows = self._rows.setdefault(kind, {})
        for point in chain:
            rows.setdefault(point, Counter())[point.row] += 1

    def times(self, kind: int) -> int:
        """How often."""
        if kind in self._changes:
            return sum(seen.total() for seen in self._changes[kind].values())
        return self._chains.get(kind, Counter()).total()

    def best(self) -> tuple[int, Chain]:
        """The best kind that happens in loops, and those around all of it."""
        kinds = {
            **self._chains,
            **{kind: self._trained(kind) for kind in self._changes},
        }
        for kind in sorted(kinds):
            if inner := _common(kinds[kind]):
                return kind, inner
        return LOAD + 1, ()

    def _trained(self, kind: int) -> Counter[Chain]:
        """The loops that train what outlives their entries, else anything."""
        every, trained = self._changes[kind], Counter[Chain]()
        lasting = {point: seen for point, seen in every.items() if point.is_lasting}
        for seen in (lasting or every).values():
            trained[_usual(seen)] += seen.total()
        del trained[()]
        return trained

    @property
    def lasts(self) -> bool:
        """Whether what is trained was seen to outlive the entries of its loops."""
        return any(point.is_lasting for point in self._changes[CHANGE])

    def training(self, point: LoopPoint) -> set[int]:
        """Its statements in which something was seen to train."""
        kinds = [kind for kind in TRAINING if kind in self._rows] or [LISTS]
        seen = (self._rows.get(kind, {}).get(point, ()) for kind in kinds)
        return set[int]().union(*seen)

    def sides(self, point: LoopPoint) -> list[str]:
        """Of each statement, see `dataflow.sides`."""
        training = self.training(point)
        flows = _flows(point, training)
        if not training:
            return [""] * len(flows)
        computing = self._rows.get(NAME, {}).get(point, ())
        return dataflow.sides(flows, training, computing)

    def outwards(
        self, chain: Chain, made: Callable[[LoopPoint, LoopPoint], int]
    ) -> Chain:
        """Up to the loop whose iteration is the author's step.

        Args:
            chain: A loop that trains, and those around it.
            made: How long something is made ready, in a loop, for one within it.
        """
        step = len(chain) - 1
        for index in range(step - 1, -1, -1):
            outer, inner = chain[index], chain[step]
            if outer.count >= FEWEST_ITERATIONS and (
                self._covered(outer, inner, made(outer, inner))
                < self._border(outer, inner)
            ):
                step = index
        return chain[: step + 1]

    def _border(self, outer: LoopPoint, inner: LoopPoint) -> float:
        """The part of `outer` below which `inner` is a part of its step."""
        if inner.count >= FEWEST_ITERATIONS * inner.entries:
            return COVERS
        if self._feeds(outer, outer.plan.items):
            return math.inf
        return COVERS if self._feeds(inner, inner.plan.rows[0].flow.writes) else NEARLY

    def _feeds(self, point: LoopPoint, names: frozenset[str]) -> bool:
        """Whether the loop trains with what it binds these names to, and that alone."""
        training = self.training(point) - {0}
        head, *flows = _flows(point, training)
        head = replace(head, writes=names, touches=frozenset())
        return bool(dataflow.sides([head, *flows], training)[0])

    def _covered(self, outer: LoopPoint, inner: LoopPoint, ready: int) -> float:
        """The part that `inner` is of what `outer` does to train."""
        training = self.training(outer)
        used = sum(
            ns
            for index, (ns, side) in enumerate(
                zip(outer.row_ns, self.sides(outer), strict=True)
            )
            if side and index not in training
        )
        return inner.ns / max(inner.ns + used + ready, 1)

    def all_sides(self, loops: Chain) -> dict[int, str]:
        """Of the statements of the loop and those around it, and of loops in these.

        What stands in a loop within is of the side that the whole of it is of.
        """
        places: dict[tuple[str, int], str] = {}
        sides: dict[int, str] = {}
        for point in loops:
            for row, site, side in zip(
                point.plan.rows, point.sites, self.sides(point), strict=True
            ):
                sides[site] = side
                places[point.file, row.line] = side
        chosen = {(point.file, point.plan.line) for point in loops}
        for point in turns.points():  # in the order in which they stand
            place = point.file, point.plan.line
            if place in places and place not in chosen:
                for row, site in zip(point.plan.rows, point.sites, strict=False):
                    sides[site] = places[place]
                    places.setdefault((point.file, row.line), places[place])
        return sides


def _flows(point: LoopPoint, training: Collection[int]) -> list[Flow]:
    """Of its statements; what decides whether one trains is what that one uses.

    What is done now and then and binds nothing (it prints, saves, evaluates) makes
    nothing: that it changes what it is given is hardly ever so.
    """
    flows = []
    for index, row in enumerate(point.plan.rows):
        flow = row.flow
        if index in training:
            flow = replace(flow, reads=flow.reads | row.under)
        elif row.under and not flow.writes:
            flow = replace(flow, touches=frozenset())
        flows.append(flow)
    return flows


def _common(chains: Counter[Chain]) -> Chain:
    """The innermost loop around everything that happened, and those around it.

    Where a script trains in several loops one after the other, the longest.
    """
    parts: dict[LoopPoint, dict[Chain, int]] = {}
    for chain, times in chains.items():
        parts.setdefault(chain[0], {})[chain] = times
    shared = []
    for part in parts.values():
        least = RARE * max(part.values())
        shared.append(_shared([c for c, times in part.items() if times >= least]))
    return max(shared, key=lambda chain: chain[-1].ns, default=())


def _usual(seen: Counter[Chain]) -> Chain:
    """The innermost loops that `USUAL` of the changes of an array have around them."""
    return max(
        (
            chain
            for chain in seen
            if sum(n for c, n in seen.items() if c[: len(chain)] == chain)
            >= USUAL * seen.total()
        ),
        key=len,
        default=(),
    )


def _shared(chains: Sequence[Chain]) -> Chain:
    """The loops that all of them begin with."""
    count = 0
    while all(len(c) > count and c[count] is chains[0][count] for c in chains):
        count += 1
    return chains[0][:count]


def kind_of(stage: str, name: str, kind: str) -> int | None:
    """What a stage that is entered tells of the loops around it."""
    if stage == "load":
        return LOAD
    if kind in ("framework", "jitted") and stage not in COMPUTES:
        return None
    if kind in ("torch", "framework", "jitted"):
        if stage == "update":
            return None if name.endswith("zero_grad") else OPTIMIZER
        return BACKWARD if stage == "backward" else NAME
    trains = stage in ("backward", "update", STEP)
    if kind in ("api", "option"):
        return NAMED if trains else NAME
    if trains:
        return UPDATE_NAME
    return NAME if stage in ("forward", "loss") else None
