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
from collections.abc import Callable, Mapping
from functools import partial, wraps
from time import monotonic_ns, thread_time_ns
from typing import Any

from debottleneck.agent import changes, entries, marks, sites, turns
from debottleneck.agent.changes import ChangePoint
from debottleneck.agent.entries import LoopEntry
from debottleneck.agent.handlers import of_a_handler
from debottleneck.agent.opened import Opening
from debottleneck.agent.signs import (
    ASKED,
    CHANGE,
    COVERS,
    ELSEWHERE,
    FEWEST_ITERATIONS,
    LISTS,
    LOAD,
    NAME,
    TRAINING,
    WHY,
    Chain,
    Happenings,
    kind_of,
)
from debottleneck.agent.turns import LoopPoint
from debottleneck.recording import spool

SEVERAL = 1.5
"""Steps that a framework begins in one iteration of a loop: it runs one of its own."""

ENOUGH_EVENTS, ENOUGH_NS, LONGEST_NS = 24, 300_000_000, 1_500_000_000
"""When the search ends: so much was seen of a loop for so long; or names alone, and
nothing better came for as long as the last of these."""

LOOK_NS, LOOK_COST = 2_000_000, 0.005
"""A thread looks at the choice so often, at most, and this part of its time."""

STEP_NS = 200_000
"""Without evidence, no loop of shorter iterations is the training loop."""

SMALL = 0.003
"""A statement of less than this part of the step is not told from its neighbour."""

_search: list[Search] = []


def searching() -> bool:
    """Whether loops are followed at all."""
    return bool(_search)


def search() -> Search:
    """What looks for the training loop, once `start` was called."""
    return _search[0]


def asked_line(path: str) -> int:
    """Line of the loop that the user asks for, 0 where it is in no such file."""
    asked = _search[0].asked if _search else None
    return asked["line"] if asked and asked["file"] == os.path.abspath(path) else 0


def begun_elsewhere(site: int) -> None:
    """A framework begins a step of a loop that it runs itself, on this thread."""
    if _search:
        _search[0].begun_elsewhere(site)
    entries.tell_step(None)


def start(
    asked: Mapping[str, Any] | None, opening: Opening, *, beside: bool = False
) -> None:
    """Begin to look for the training loop.

    Args:
        asked: `file`, `line` and `why` of the loop, None to find it.
        opening: Told of marked iterations once the loop is known well enough.
        beside: Whether loops of other threads are marked to the end, too.
    """
    _search[:] = [Search(asked, opening, beside)]
    entries.listen_with(_search[0])
    marks.witness_with(_search[0].witness)
    changes.tell_of_changes(partial(_search[0].happened, CHANGE))


def stop() -> None:
    """Follow loops no more, and leave those compiled from now on as they are."""
    _search.clear()
    entries.listen_with(None)
    marks.witness_with(None)
    changes.tell_of_changes(None)


def _unnoticed(method: Callable[..., None]) -> Callable[..., None]:
    """The same, but that an error of ours ends the search and not the script."""

    @wraps(method)
    def guarded(self: Search, *what: Any) -> None:
        try:
            method(self, *what)
        except RecursionError:  # the user's own next call will say so
            return
        except Exception as error:
            if of_a_handler(error):
                raise
            stop()
            reason = f"search for the training loop: {type(error).__name__}: {error}"
            marks.note({"event": "failure", "what": reason, "part": "search"})

    return guarded


class Search:
    """Follows the loops of the script until the training loop is known.

    Attributes:
        settled: Whether it is over.
        chosen: The loop, as far as is known.
    """

    def __init__(
        self, asked: Mapping[str, Any] | None, opening: Opening, beside: bool = False
    ) -> None:
        self.asked = asked
        self._beside_too = beside
        self._opening = opening
        self._opens = self._known_enough = False
        self._news = False
        self._due: dict[int, int] = {}  # by thread: one that has no say delays no other
        self._seen = Happenings()
        self._ready: dict[tuple[LoopPoint, LoopPoint], int] = {}
        self._met: dict[tuple[LoopPoint, LoopPoint], int] = {}
        self._depth: dict[LoopPoint, int] = {}
        self._beside: dict[LoopPoint, int] = {}  # CPU time of other threads' loops
        self._outside = 0
        self._elsewhere: Counter[LoopPoint | None] = Counter()
        self._thread, self._best = threading.main_thread().ident, NAME
        self._tid = threading.main_thread().native_id
        self._kinds: dict[int, int | None] = {}
        self._since = 0
        self._told: object = None
        self.settled = False
        self.chosen: LoopPoint | None = None
        self._chain: Chain = ()

    def witness(self, site: int) -> None:
        """A stage is entered."""
        try:
            kind = self._kinds[site]
        except KeyError:
            kind = self._kinds[site] = kind_of(*sites.mark_of(site))
        if kind is not None:
            self.happened(kind)

    @_unnoticed
    def happened(
        self, kind: int, change: ChangePoint | None = None, shared: int = 0
    ) -> None:
        """Note the loops around it, and the statement of each; see `signs`."""
        stack = entries.runs()
        if self.settled and any(run.point is self.chosen for run in stack):
            return
        if change is not None and not change.of_arrays:
            kind = LISTS
        if not self._is_ours(kind):
            return
        if not stack:
            self._outside += kind in TRAINING
            return
        chain = tuple(run.point for run in stack)
        self._news = True
        self._seen.note(kind, chain, change, shared)

    @_unnoticed
    def begun_elsewhere(self, site: int) -> None:
        """Note the loop around a step that a framework begins; it may be no step."""
        stack = entries.runs()
        self._elsewhere[stack[-1].point if stack else None] += 1
        if self.asked or self.chosen is None or not self._is_elsewhere():
            return
        self.chosen, self._chain = None, ()
        self._told = None
        tid = threading.get_native_id()
        event = {"event": "loop", "site": site, "tid": tid, "why": ELSEWHERE}
        marks.note({**event, "others": [], "sides": []})

    @_unnoticed
    def entered(self, run: LoopEntry) -> None:
        """Note what passed in the statements around, as made ready for this loop."""
        now = monotonic_ns()
        self._since = self._since or now
        stack = entries.runs()
        point = run.point
        self._depth.setdefault(point, len(stack))
        if self._is_asked(point):
            point.kept = True
        if self.settled and point not in self._chain:
            return
        if self.settled and point.entries <= FEWEST_ITERATIONS:
            changes.look_again()
            self._news = True
        for outer in stack[:-1]:
            key, begun = (outer.point, point), outer.point.since
            # else it is entered again in the same row, or that is not marked
            if begun and self._met.get(key) != begun:
                self._met[key] = begun
                self._ready[key] = self._ready.get(key, 0) + now - begun

    @_unnoticed
    def turned(self, run: LoopEntry) -> None:
        """See whether another loop is the training loop than was thought."""
        point = run.point
        if point is self.chosen and self._opens and self._known_enough:
            self._open()
        now, here = monotonic_ns(), threading.get_ident()
        if now < self._due.get(here, 0) or (self.settled and not self._is_new(point)):
            return
        if here != self._thread:
            self._beside[point] = thread_time_ns()
        self._look(point)
        passed = monotonic_ns() - now
        self._due[here] = now + max(LOOK_NS, round(passed / LOOK_COST))

    @_unnoticed
    def began_row(self, point: LoopPoint) -> None:
        """Look anew into what it calls."""
        self._opening.row()

    @_unnoticed
    def left(self, run: LoopEntry) -> None:
        """Look no further into what it called."""
        if run.point is self.chosen:
            self._opening.left()

    def _look(self, point: LoopPoint) -> None:
        """Choose anew, from what was seen so far."""
        kind, chain = self._choose()
        if not chain or chain[-1].count < min(point.count, FEWEST_ITERATIONS):
            return
        if chain != self._chain:
            if self.chosen is not None:
                self.chosen.watched = False
            self._chain, self.chosen = chain, chain[-1]
            self._opens, self.settled = True, False
            turns.settle_on(None)
            self._opening.anew()
        self._news = False
        self._tell(kind)
        if not self.settled and self._is_over(kind):
            self._settle(kind)

    def _is_new(self, point: LoopPoint) -> bool:
        """Whether anything may change the choice that was made."""
        around = point in self._chain and point is not self.chosen
        return self._news or (around and point.count <= 2 * FEWEST_ITERATIONS)

    def _open(self) -> None:
        """Let functions be opened that this loop calls."""
        assert self.chosen
        self.chosen.watched = self._opens = self._opening.turned()
        if not self._opens:
            times = {"start_ns": self._since, "end_ns": monotonic_ns()}
            marks.note({"event": "block", "kind": "loops", **times})

    def _is_ours(self, kind: int) -> bool:
        """Whether this thread is the one that trains: what it does tells most."""
        ident = threading.get_ident()
        if kind < self._best:
            self._thread, self._best = ident, kind
            self._tid = threading.get_native_id()
        return ident == self._thread

    def _choose(self) -> tuple[int, Chain]:
        """The kind of evidence that decides, and the loop with those around it."""
        if self.asked:
            return -1, self._asked_for()
        if self._is_elsewhere():
            return LOAD + 1, ()
        kind, inner = self._seen.best()
        if inner:
            return kind, self._seen.outwards(inner, self._made)
        return LOAD + 1, self._by_time()

    def _is_elsewhere(self) -> bool:
        """Whether a framework runs the training loop, in no loop or within one."""
        return any(
            steps > SEVERAL * (point.count + 1 if point else 1)
            for point, steps in self._elsewhere.items()
        )

    def _asked_for(self) -> Chain:
        chain = tuple(run.point for run in entries.runs())
        asked = [index for index, point in enumerate(chain) if self._is_asked(point)]
        return chain[: asked[0] + 1] if asked else ()

    def _is_asked(self, point: LoopPoint) -> bool:
        return asked_line(point.file) == point.plan.line

    def _made(self, outer: LoopPoint, inner: LoopPoint) -> int:
        """Time that what is made ready for `inner` takes in `outer` and beside it.

        A thread that is ahead of `outer`, iteration by iteration, makes its items: what
        it computes would else be done in the loop itself.
        """
        beside = (
            cpu_ns
            for point, cpu_ns in self._beside.items()
            if outer.count < point.count <= 2 * outer.count
        )
        return self._ready.get((outer, inner), 0) + max(beside, default=0)

    def _by_time(self) -> Chain:
        """The smallest loop that the main thread is in and that takes the time."""
        is_main = threading.get_ident() == threading.main_thread().ident
        if not is_main or self._outside:  # what trains is called by no loop
            return ()
        chain = tuple(run.point for run in entries.runs())
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
        if few or passed < ENOUGH_NS or self.chosen.run is None:
            return False  # of a loop that is over, a later one may be longer
        events = self._seen.times(kind)
        seen = kind <= CHANGE or kind == LISTS
        return (seen and events >= ENOUGH_EVENTS) or passed > LONGEST_NS

    def _settle(self, kind: int) -> None:
        """The loop is known: of loops met so far what is no part of it falls silent."""
        assert self.chosen
        self._known_enough = True
        if kind > LISTS:  # a hint only: a better one may come
            return
        self.settled = True
        changes.settle(self._seen.lasts)
        running = {run.point for run in entries.runs()}
        for point in turns.points():
            point.kept = point in self._chain
            point.bounds = point is self.chosen or not point.entries
            within = point in running or self._depth.get(point, 0) > len(self._chain)
            within = within or (self._beside_too and point in self._beside)
            long = within and point.is_long
            point.allow(point.kept or not point.entries or long)
        self.chosen.silence(SMALL)
        turns.settle_on(self.chosen)

    def _tell(self, kind: int) -> None:
        """Write down the loop, when it is another one than was thought."""
        assert self.chosen
        chosen = self.chosen
        sides = self._seen.all_sides(self._chain)
        others = [
            point.site
            for point in turns.points()
            if point is not chosen
            and point.count >= FEWEST_ITERATIONS
            and point.mean_ns > STEP_NS / 10
        ]
        why = WHY.get(kind, spool.BY_TIME)
        if self.asked:
            why = self.asked["why"] or ASKED
        event = {"event": "loop", "site": chosen.site, "why": why, "others": others}
        told = {**event, "sides": [*sides.items()]}
        if told == self._told:
            return
        self._told = told
        tid = threading.get_native_id() if self.asked else self._tid
        marks.note({**told, "tid": tid})
