"""Which loop is the training loop: seen by what happens in it while it runs.

The step is one iteration of the smallest loop that holds all changes of parameters:
an optimizer's steps, else arrays that outlive the loop's entries and are both read
and changed by its iterations. If what is made ready for that loop takes a good part
of the iterations of one around it, that one is the author's step (a few gradient
steps for each file that is read). Names are a hint where nothing is seen to change.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from time import monotonic_ns
from typing import Any

from debottleneck.agent import dataflow, marks, turns
from debottleneck.agent.points import stand_in
from debottleneck.agent.turns import LoopPoint, Run
from debottleneck.words import STEP

Chain = tuple[LoopPoint, ...]
"""Loops around something that happened, outermost first."""

OPTIMIZER, BACKWARD, NAMED, CHANGE, UPDATE_NAME, NAME, LOAD = range(7)
WHY = {
    OPTIMIZER: "an optimizer's step",
    BACKWARD: "a backward pass",
    NAMED: "the stages that you named",
    CHANGE: "arrays that its iterations read and change",
    UPDATE_NAME: "a call whose name says that it trains",
    NAME: "calls whose names say that they compute",
    LOAD: "calls whose names say that they load",
}
"""Kinds of evidence, the best first -> what the loop holds."""

TRAINING = (OPTIMIZER, BACKWARD, NAMED, CHANGE, UPDATE_NAME)
"""Evidence that a statement trains."""

BY_TIME = "nothing that is known to train, but it takes the run's time and repeats"
ASKED = "the line that you gave"

RARE = 0.05
"""Changes at a place that happen less often than this part of the most frequent ones
(an average kept once an epoch) do not make the step larger."""

COVERS = 0.8
"""A loop that takes less of what one around it does to train is a part of its step."""

FEWEST_ITERATIONS = 5
"""Iterations of a loop around it, before that one may be the step."""

ENOUGH_EVENTS, ENOUGH_NS, LONGEST_NS = 24, 300_000_000, 1_500_000_000
"""When the search ends: so much was seen of a loop for so long; or names alone, and
nothing better came for as long as the last of these."""

LOOK_NS = 2_000_000
"""The choice is looked at so often, at most."""

STEP_NS = 200_000
"""Without evidence, no loop of shorter iterations is the training loop."""

SMALL = 0.003
"""A statement of less than this part of the step is not told from its neighbour."""

_FLOATS = ("float", "complex")


class ChangePoint:
    """A statement that may change a parameter: what it changes, before and after.

    Attributes:
        on: Whether it is looked at.
    """

    __slots__ = ("_before", "_kept", "_looks", "_same", "on")

    def __init__(self) -> None:
        self.on = searching()
        self._looks = self._same = 0
        self._before: Any = None
        self._kept: dict[int, Any] = {}
        _changes.append(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process nobody looks."""
        return stand_in(on=False)

    def before(self, value: Any) -> None:
        """What it is, before the statement."""
        self._before = array_in(value)

    def after(self, value: Any) -> None:
        """What it is after; told if the array was there the last time."""
        before, after = self._before, array_in(value)
        self._before = None
        self._looks += 1
        if before is not None and after is not None and _alike(before, after):
            known = self._kept.get(id(before))
            if known is not None and known() is before:
                self._same += 1
                happened(CHANGE)
            self._keep(after)
        if self._looks >= ENOUGH_EVENTS and self._same < self._looks // 2:
            self.stop()

    def settle(self) -> None:
        """The training loop is known: look no more, unless it never ran yet."""
        if self._looks:
            self.stop()

    def stop(self) -> None:
        """Look no more."""
        self.on = False
        self._kept = {}

    def _keep(self, array: Any) -> None:
        import weakref

        try:
            self._kept[id(array)] = weakref.ref(array)
        except TypeError:
            return
        if len(self._kept) > 4 * ENOUGH_EVENTS:
            self._kept = {k: r for k, r in self._kept.items() if r() is not None}


def array_in(value: Any, depth: int = 2) -> Any:
    """A float array of more than one number that `value` is, or holds first."""
    if hasattr(type(value), "__dlpack__"):
        real = any(word in str(value.dtype) for word in _FLOATS)
        return value if real and len(value.shape) and value.shape != (1,) else None
    inner: Sequence[Any] = ()
    if isinstance(value, dict):
        inner = [*value.values()][:4]
    elif isinstance(value, list | tuple):
        inner = value[:4]
    found = (array_in(each, depth - 1) for each in inner if depth)
    return next((each for each in found if each is not None), None)


def _alike(one: Any, other: Any) -> bool:
    return bool(one.shape == other.shape and one.dtype == other.dtype)


_changes: list[ChangePoint] = []
_search: list[Search] = []


def searching() -> bool:
    """Whether loops are followed at all."""
    return bool(_search)


def happened(kind: int) -> None:
    """Something that tells of training happened on this thread, within its loops."""
    if _search:
        _search[0].happened(kind)


def start(asked: Mapping[str, Any] | None, opening: Callable[[int], bool]) -> None:
    """Begin to look for the training loop.

    Args:
        asked: `file` and `line` of the loop if the user says which.
        opening: Opens functions that its iterations call, see `opened.opener`.
    """
    _search[:] = [Search(asked, opening)]
    turns.listen_with(_search[0])
    marks.witness_with(_search[0].witness)


class Search:
    """Follows the loops of the script until the training loop is known.

    Args:
        asked: `file` and `line` of the loop, None to find it.
        opening: Called with the number of each marked iteration once the search is
            over, until it returns False.

    Attributes:
        settled: Whether it is over.
        chosen: The loop, as far as is known.
    """

    def __init__(
        self, asked: Mapping[str, Any] | None, opening: Callable[[int], bool]
    ) -> None:
        self._asked = asked
        self._opener = opening
        self._opening: Callable[[int], bool] | None = None
        self._known_enough = False
        self._news = False
        self._number = self._due = 0
        self._chains: dict[int, Counter[Chain]] = {}
        self._rows: dict[int, dict[LoopPoint, Counter[int]]] = {}
        self._ready: dict[tuple[LoopPoint, LoopPoint], int] = {}
        self._met: dict[tuple[LoopPoint, LoopPoint], int] = {}
        self._depth: dict[LoopPoint, int] = {}
        self._thread = 0
        self._since = 0
        self._told: tuple[Any, ...] = ()
        self.settled = False
        self.chosen: LoopPoint | None = None
        self._chain: Chain = ()

    def witness(self, site: int) -> None:
        """A stage is entered."""
        kind = _kind_of(*marks.mark_of(site))
        if kind is not None:
            self.happened(kind)

    def happened(self, kind: int) -> None:
        """Note the loops around it, and the statement of each."""
        stack = turns.runs()
        if not stack or not self._is_ours(kind):
            return
        chain = tuple(run.point for run in stack)
        if self.settled and self.chosen in chain:
            return
        self._news = True
        self._chains.setdefault(kind, Counter())[chain] += 1
        rows = self._rows.setdefault(kind, {})
        for point in chain:
            rows.setdefault(point, Counter())[point.row] += 1

    def entered(self, run: Run) -> None:
        """Note what passed in the statements around, as made ready for this loop."""
        now = monotonic_ns()
        self._since = self._since or now
        stack = turns.runs()
        point = run.point
        self._depth.setdefault(point, len(stack))
        for outer in stack[:-1]:
            key, begun = (outer.point, point), outer.point.since
            if self._met.get(key) != begun:  # else it is entered again in the same row
                self._met[key] = begun
                self._ready[key] = self._ready.get(key, 0) + now - begun

    def turned(self, run: Run) -> None:
        """See whether another loop is the training loop than was thought."""
        point = run.point
        if point is self.chosen:
            self._opened(run)
        now = monotonic_ns()
        if now < self._due or (self.settled and not self._is_new(point)):
            return
        self._due = now + LOOK_NS
        kind, chain = self._choose()
        if not chain or chain[-1].count < min(point.count, FEWEST_ITERATIONS):
            return
        if chain != self._chain:
            self._chain, self.chosen = chain, chain[-1]
            self._opening, self._number = self._opener, 0
            self.settled = False
        self._news = False
        self._tell(kind)
        if not self.settled and self._is_over(kind):
            self._settle(kind)

    def _is_new(self, point: LoopPoint) -> bool:
        """Whether anything may change the choice that was made."""
        around = point in self._chain and point is not self.chosen
        return self._news or (around and point.count <= 2 * FEWEST_ITERATIONS)

    def _opened(self, run: Run) -> None:
        """Let functions be opened, once the loop is known well enough."""
        if self._opening is not None and self._known_enough:
            self._number += 1
            if not self._opening(self._number):
                self._opening = None
                times = {"start_ns": self._since, "end_ns": monotonic_ns()}
                marks.note({"event": "block", "kind": "loops", **times})

    def _is_ours(self, kind: int) -> bool:
        """Whether this thread is the one that trains; one that only loads is not."""
        ident = threading.get_ident()
        if not self._thread and kind < NAME:
            self._thread = ident
        return ident == (self._thread or threading.main_thread().ident)

    def _choose(self) -> tuple[int, Chain]:
        """The kind of evidence that decides, and the loop with those around it."""
        if self._asked:
            return -1, self._asked_for()
        for kind in sorted(self._chains):
            inner = _common(self._chains[kind])
            if inner:
                return kind, self._outwards(inner)
        return LOAD + 1, self._by_time()

    def _asked_for(self) -> Chain:
        assert self._asked
        chain = tuple(run.point for run in turns.runs())
        for index, point in enumerate(chain):
            file = os.path.abspath(point.file)
            if (file, point.plan.line) == (self._asked["file"], self._asked["line"]):
                return chain[: index + 1]
        return ()

    def _outwards(self, chain: Chain) -> Chain:
        """Up to the loop whose iteration is the author's step."""
        step = len(chain) - 1
        for index in range(step - 1, -1, -1):
            outer = chain[index]
            if outer.count >= FEWEST_ITERATIONS and (
                self._covered(outer, chain[step]) < COVERS
            ):
                step = index
        return chain[: step + 1]

    def _covered(self, outer: LoopPoint, inner: LoopPoint) -> float:
        """The part that `inner` is of what `outer` does to train."""
        side = self._sides(outer)
        inputs = sum(
            ns for index, ns in enumerate(outer.row_ns) if side[index] == dataflow.INPUT
        )
        ready = self._ready.get((outer, inner), 0)
        return inner.ns / max(inner.ns + inputs + ready, 1)

    def _sides(self, point: LoopPoint) -> list[str]:
        """Of each statement, see `dataflow.sides`."""
        rows: dict[int, set[int]] = {
            kind: set(points.get(point, ())) for kind, points in self._rows.items()
        }
        training = set[int]().union(*(rows.get(kind, ()) for kind in TRAINING))
        flows = [row.flow for row in point.plan.rows]
        if not training:
            return [""] * len(flows)
        return dataflow.sides(flows, training, rows.get(NAME, ()))

    def _by_time(self) -> Chain:
        """The smallest loop that the main thread is in and that takes the time."""
        if threading.get_ident() != threading.main_thread().ident:
            return ()
        chain = tuple(run.point for run in turns.runs())
        passed = monotonic_ns() - self._since
        if passed < ENOUGH_NS:
            return ()
        for index in range(len(chain) - 1, -1, -1):
            point = chain[index]
            long = point.mean_ns > STEP_NS and point.ns > COVERS * passed
            if long and point.count >= FEWEST_ITERATIONS:
                return chain[: index + 1]
        return ()

    def _is_over(self, kind: int) -> bool:
        assert self.chosen
        if kind < 0:
            return True
        passed = monotonic_ns() - self._since
        few = self.chosen.count < FEWEST_ITERATIONS
        if few or passed < ENOUGH_NS:
            return False
        events = sum(self._chains.get(kind, Counter()).values())
        return (kind <= CHANGE and events >= ENOUGH_EVENTS) or passed > LONGEST_NS

    def _settle(self, kind: int) -> None:
        """The loop is known: of loops met so far what is no part of it falls silent."""
        assert self.chosen
        self._known_enough = True
        if kind > UPDATE_NAME:  # a hint only: a better one may come
            return
        self.settled = True
        for change in _changes:
            change.settle()
        running = {run.point for run in turns.runs()}
        for point in turns.points():
            point.kept = point in self._chain
            point.bounds = point is self.chosen or not point.entries
            if point.entries and not point.kept:
                within = point in running or self._depth[point] > len(self._chain)
                point.open = within and point.mean_ns > STEP_NS / 4
            point.open = point.open or point.kept
        self.chosen.silence(SMALL)

    def _tell(self, kind: int) -> None:
        """Write down the loop, when it is another one than was thought."""
        assert self.chosen
        chosen = self.chosen
        side = self._sides(chosen)
        told = (chosen.site, kind, tuple(side))
        if told == self._told:
            return
        self._told = told
        others = [
            point.site
            for point in turns.points()
            if point is not chosen
            and point.count >= FEWEST_ITERATIONS
            and point.mean_ns > STEP_NS / 10
        ]
        marks.note(
            {
                "event": "loop",
                "site": chosen.site,
                "tid": threading.get_native_id(),
                "why": {-1: ASKED, **WHY}.get(kind, BY_TIME),
                "others": others,
                "sides": [*zip(chosen.sites, side, strict=True)],
            }
        )


def _common(chains: Counter[Chain]) -> Chain:
    """The innermost loop around everything that happened, and those around it.

    Where a script trains in several loops one after the other, the longest.
    """
    most = max(chains.values())
    often = [chain for chain, times in chains.items() if times >= RARE * most]
    parts = {chain[0]: [c for c in often if c[0] is chain[0]] for chain in often}
    shared = [_shared(part) for part in parts.values()]
    return max(shared, key=lambda chain: chain[-1].ns)


def _shared(chains: Sequence[Chain]) -> Chain:
    """The loops that all of them begin with."""
    count = 0
    while all(len(c) > count and c[count] is chains[0][count] for c in chains):
        count += 1
    return chains[0][:count]


def _kind_of(stage: str, name: str, kind: str) -> int | None:
    """What a stage that is entered tells of the loops around it."""
    if stage == "load":
        return LOAD
    if kind == "torch":
        if stage == "update":
            return None if name.endswith("zero_grad") else OPTIMIZER
        return BACKWARD if stage == "backward" else NAME
    trains = stage in ("backward", "update", STEP)
    if kind in ("api", "option"):
        return NAMED if trains else NAME
    if trains:
        return UPDATE_NAME
    return NAME if stage in ("forward", "loss") else None
