"""Runs update calls that return nothing, on distinct parameters, side by side.

For two steps the calls are watched. When they were the same calls, always returned
None, and left each other's memory alone, each of the next step's calls is handed to a
thread and returns at once; the last one of the run waits for them all. So does every
other stage, and the end of the script. Calls that share memory keep their order.

An exception of an update is raised where the calls are waited for, the first one in
their order; updates after it may have been made by then.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from debottleneck.agent.wrap import Found, as_frame_of_ours
from debottleneck.strategies.automatic.boundaries import Boundaries
from debottleneck.strategies.automatic.changes import Deed, Record, agree
from debottleneck.strategies.automatic.notes import (
    ENGAGED,
    FAILED,
    REFUSED,
    SUMMARY,
    Notes,
)
from debottleneck.strategies.automatic.runs import Call, Lanes, LeftAlone, Run
from debottleneck.strategies.automatic.turns import Turns
from debottleneck.strategies.blas import limit, restore
from debottleneck.strategies.spec import UPDATE, Strategy

STAGE = "update"
MOST_WORKERS = 8
"""Threads by default; more only when asked for."""

MOST_WATCHED = 10_000
"""Calls of one run that are watched; a longer one repeats itself."""

MOST_KINDS = 8
"""Kinds of runs that are remembered, the last ones used: a script has a few, unless
its parameters are new objects at every step, which should not be kept alive."""

SILENT_RUNS = 4
"""Runs after which it says that it does not apply."""

FIRST_PAUSE, LONGEST_PAUSE = 4, 1024
"""Runs that are left alone after a wrong forecast, doubled with each one."""


class Updates:
    """The actor of `parallel-update`.

    Args:
        strategy: Its settings.
        notes: Where it says what it does.
        boundaries: Tells it of the other stages.
    """

    def __init__(
        self, strategy: Strategy, notes: Notes, boundaries: Boundaries
    ) -> None:
        self._workers = strategy.number("workers", 0)
        self._notes = notes
        self._lanes = Lanes(self._begin)
        self._kinds: dict[tuple[int, int], _Kind] = {}
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(("calls", "runs"), 0)
        self._reasons: list[str] = []
        self._quiet_runs = 0
        self._engaged = self._refused = self._closing = False
        boundaries.on_enter(self._entered)

    def act(self, found: Found, called: Callable[..., Any]) -> Callable[..., Any]:
        """What the wrapper of an update calls; torch's optimizers are left alone."""
        if found.stage != STAGE or found.kind not in ("function", "option"):
            return called
        return self._lanes.acting(found, called)

    def settle(self) -> None:
        """Wait for this thread's updates; raises what they raised."""
        self._lanes.interrupt()

    def close(self) -> None:
        """Wait for what is under way, and say what it came to."""
        self._closing = True
        self._lanes.close()
        if self._engaged:
            counts = self._counts
            text = f"{counts['calls']} updates in {counts['runs']} runs were pooled"
            self._notes.say(UPDATE, SUMMARY, text, **counts)
        else:
            self._refuse()

    def size(self, calls: int) -> int:
        """How many of these calls run at once, the trainer's own included."""
        return min(calls, self._workers or MOST_WORKERS)

    def engaged(self, calls: int, groups: int) -> None:
        """Say that it acts, once."""
        if not self._engaged:
            self._engaged = True
            text = f"{calls} updates a step run side by side"
            if groups < calls:
                text += f", in {groups} groups that share no memory"
            self._notes.say(UPDATE, ENGAGED, text, workers=self.size(groups))

    def failed(self, why: str) -> None:
        """Say what went wrong."""
        self._notes.say(UPDATE, FAILED, why)

    @as_frame_of_ours
    def raised(self, error: BaseException) -> None:
        """Raise what an update raised; at the script's end there is nobody to take it.

        Then it is printed, as for a thread.
        """
        if not self._closing:
            raise error
        kind = type(error).__name__
        self.failed(f"an update raised {kind} when the script had ended")
        traceback.print_exception(error)

    def pooled(self, calls: int) -> None:
        """Count a run that has been waited for."""
        with self._lock:
            self._counts["calls"] += calls
            self._counts["runs"] += 1

    def watched(self, depth: int, reason: str = "") -> None:
        """A run is over that showed this reason against acting, or none."""
        if reason and reason not in self._reasons:
            self._reasons.append(reason)
        if depth == 0 and not self._engaged:
            self._quiet_runs += 1
            if self._quiet_runs == SILENT_RUNS:
                self._refuse()

    def _entered(self, stage: str, found: Found) -> None:
        if stage != STAGE or found.kind == "torch":
            self._lanes.interrupt()

    def _begin(self, call: Call, depth: int) -> Run:
        subject = call.subject()
        key = (id(call.found.function), id(subject))
        with self._lock:
            kind = self._kinds.pop(key, None) or _Kind(self, subject)
            self._kinds[key] = kind
            if len(self._kinds) > MOST_KINDS:
                del self._kinds[next(iter(self._kinds))]
        if self._workers == 1:
            return LeftAlone(call, Call.is_about, partial(self.watched, depth))
        return kind.begin(call, depth)

    def _refuse(self) -> None:
        """Say why it does not apply, once."""
        if self._refused:
            return
        self._refused = True
        if self._workers == 1:
            why = "workers=1 leaves the calls one after the other; give more"
        elif self._reasons:
            why = min(self._reasons, key=lambda reason: reason.startswith("one update"))
        elif self._quiet_runs:
            why = "no two steps update the same objects in the same order"
        elif "torch" in sys.modules:
            return  # its optimizers are another actor's
        else:
            why = "no call of an update function was met"
        self._notes.say(UPDATE, REFUSED, why)


class _Kind:
    """Runs that begin with the same function and parameter: what is known of them.

    Args:
        owner: Counts and notes.
        subject: The parameter, kept so that its address is not another one's.
    """

    def __init__(self, owner: Updates, subject: Any) -> None:
        self.owner = owner
        self._subject = subject
        self._last: tuple[Deed, ...] | None = None
        self._plan: tuple[tuple[Deed, ...], list[list[int]]] | None = None
        self._tries = 0
        self._pause = 0
        self._next_pause = FIRST_PAUSE

    def begin(self, call: Call, depth: int) -> Run:
        """The next run: watched, pooled, or left alone."""
        plan = self._plan
        if self._pause:
            self._pause -= 1
            return LeftAlone(call, Call.is_about, partial(self.owner.watched, depth))
        if plan is not None:
            return _Pooled(self, *plan, call)
        return _Watched(self, Record(len(self._last or ())), call, depth)

    def learn(self, record: Record, depth: int) -> None:
        """Take a watched run in."""
        deeds, last = tuple(record.deeds), self._last
        self._last = deeds
        reason = record.refusal()
        if not reason and last is not None and agree(last, deeds):
            groups = record.groups()
            if len(groups) > 1:
                self._plan, self._last = (deeds, groups), None
                return
            reason = "all updates of a step change memory that they share"
        elif not reason and last is not None:
            reason = "every step updates other parameters, or in another order"
        self.owner.watched(depth, reason)
        self._tries += 1
        if self._tries >= FIRST_PAUSE:
            self.pause()

    def pause(self) -> None:
        """Leave these runs alone for a while, longer each time."""
        self._plan = self._last = None
        self._tries = 0
        self._pause = self._next_pause
        self._next_pause = min(2 * self._next_pause, LONGEST_PAUSE)


class _Watched:
    """A run that is watched while all its calls are made where they are."""

    def __init__(self, kind: _Kind, record: Record, first: Call, depth: int) -> None:
        self._kind = kind
        self._record = record
        self._first = first
        self._depth = depth

    @as_frame_of_ours
    def serve(self, call: Call, plainly: Callable[[Call], Any]) -> Any:
        if len(self._record.deeds) >= MOST_WATCHED:
            return plainly(call)
        return self._record.made(call, plainly)

    def begins_anew(self, call: Call) -> bool:
        return call.is_about(self._first)

    def end(self) -> None:
        self._kind.learn(self._record, self._depth)


class _Pooled:
    """A run whose calls return at once and are waited for by the last."""

    def __init__(
        self,
        kind: _Kind,
        plan: Sequence[Deed],
        groups: Sequence[Sequence[int]],
        first: Call,
    ) -> None:
        self._kind = kind
        self._plan = plan
        self._first = first
        self._position = -1
        self._joined = False
        size = kind.owner.size(len(groups))
        self._turns = Turns(groups, size - 1, limit(size))
        kind.owner.engaged(len(plan), len(groups))

    @as_frame_of_ours
    def serve(self, call: Call, plainly: Callable[[Call], Any]) -> Any:
        self._position += 1
        position = self._position
        if self._joined:
            return plainly(call)
        if not self._plan[position].is_by(call):
            self._stop(
                f"your loop changed its order at update {position + 1}; "
                "its updates were waited for and made plainly from there"
            )
            return plainly(call)
        if position < len(self._plan) - 1:
            self._turns.give(position, call)
            return None
        result = self._turns.make(position, call, plainly)
        self._join()
        return result

    def begins_anew(self, call: Call) -> bool:
        return call.is_about(self._first)

    def end(self) -> None:
        if not self._joined:
            made = self._position + 1
            self._stop(f"a step made {made} updates instead of {len(self._plan)}")

    def _stop(self, why: str) -> None:
        self._kind.owner.failed(why)
        self._kind.pause()
        self._join()

    @as_frame_of_ours
    def _join(self) -> None:
        """Wait for all; raise the first exception, in the order of the calls."""
        self._joined = True
        try:
            self._turns.wait()
        finally:
            restore()
        self._kind.owner.pooled(self._position + 1)
        kind = self._turns.returned
        if kind:
            self._kind.owner.failed(f"an update returned a value ({kind}), not None")
            self._kind.pause()
        error = self._turns.first_error()
        if error is not None:
            self._kind.pause()
            self._kind.owner.raised(error)
