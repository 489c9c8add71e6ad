"""Runs update calls that return nothing, on distinct parameters, side by side.

For two steps the calls are watched. When they were the same calls, always returned
None, and left each other's memory alone, each of the next step's calls is handed to a
thread and returns at once; the last one of the run waits for them all. So does every
other stage, and the end of the script. Calls that share memory keep their order.

An exception of an update is raised where the calls are waited for, the first one in
their order; updates after it may have been made by then.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from debottleneck.agent.wrap import Found, as_frame_of_ours
from debottleneck.strategies.automatic.changes import Deed, Record, agree
from debottleneck.strategies.automatic.learner import Kind, Learner
from debottleneck.strategies.automatic.notes import Notes
from debottleneck.strategies.automatic.runs import LeftAlone, Run, StageCall
from debottleneck.strategies.automatic.turns import Turns
from debottleneck.strategies.blas import limit, restore
from debottleneck.strategies.spec import Strategy

MOST_WATCHED = 10_000
"""Calls of one run that are watched; a longer one repeats itself."""

MOST_KINDS = 8
"""Kinds of runs that are remembered: a script has a few, unless its parameters are new
objects at every step, which should not be kept alive."""


class Updates(Learner):
    """The actor of `parallel-update`; torch's optimizers are left alone.

    Args:
        strategy: Its settings.
        notes: Where it says what it does.
    """

    stage = "update"
    found_kinds = ("function", "option")
    most_kinds = MOST_KINDS
    begins_anew = StageCall.is_about
    unlike = "no two steps update the same objects in the same order"
    unmet = "no call of an update function was met"

    def __init__(self, strategy: Strategy, notes: Notes) -> None:
        super().__init__(strategy, notes, ("calls", "runs"))
        self._closing = False

    def settle(self) -> None:
        """Wait for this thread's updates; raises what they raised."""
        self._lanes.interrupt()

    def close(self) -> None:
        """Wait for what is under way, and say what it came to."""
        self._closing = True
        super().close()

    def engaged(self, calls: int, groups: int) -> None:
        """Say that it acts, once."""
        text = f"{calls} updates a step run side by side"
        if groups < calls:
            text += f", in {groups} groups that share no memory"
        self._engage(text, self.size(groups))

    def _summary(self) -> str:
        return (
            f"{self._counts['calls']} updates in {self._counts['runs']} runs were "
            "pooled"
        )

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

    def _entered(self, found: Found) -> None:
        if found.stage != self.stage or found.kind == "torch":
            self._lanes.interrupt()

    def _subject(self, call: StageCall) -> Any:
        return call.subject()

    def _new_kind(self, subject: Any) -> Kind:
        return _Parameters(self, subject)

    def _importance(self, reason: str) -> int:
        return reason.startswith("one update")


class _Parameters(Kind):
    """Runs that begin with the same function and parameter."""

    _learner: Updates

    def _acted_on(self, call: StageCall) -> Run:
        deeds, groups = self._plan
        return _Pooled(self._learner, deeds, groups, call, self.pause)

    def _watched(self, call: StageCall, depth: int) -> Run:
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
        self._tried(depth, reason)


class _Watched(LeftAlone):
    """A run that is watched while all its calls are made where they are."""

    def __init__(
        self, kind: _Parameters, record: Record, first: StageCall, depth: int
    ) -> None:
        ended = partial(kind.learn, record, depth)
        super().__init__(first, StageCall.is_about, ended)
        self._record = record

    @as_frame_of_ours
    def serve(self, call: StageCall, plainly: Callable[[StageCall], Any]) -> Any:
        if len(self._record.deeds) >= MOST_WATCHED:
            return plainly(call)
        return self._record.made(call, plainly)


class _Pooled:
    """A run whose calls return at once and are waited for by the last."""

    def __init__(
        self,
        updates: Updates,
        plan: Sequence[Deed],
        groups: Sequence[Sequence[int]],
        first: StageCall,
        pause: Callable[[], None],
    ) -> None:
        self._updates = updates
        self._pause = pause
        self._plan = plan
        self._first = first
        self._position = -1
        self._joined = False
        size = updates.size(len(groups))
        self._turns = Turns(groups, size - 1, limit(size))
        updates.engaged(len(plan), len(groups))

    @as_frame_of_ours
    def serve(self, call: StageCall, plainly: Callable[[StageCall], Any]) -> Any:
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

    def begins_anew(self, call: StageCall) -> bool:
        return call.is_about(self._first)

    def end(self) -> None:
        if not self._joined:
            made = self._position + 1
            self._stop(f"a step made {made} updates instead of {len(self._plan)}")

    def _stop(self, why: str) -> None:
        self._updates.failed(why)
        self._pause()
        self._join()

    @as_frame_of_ours
    def _join(self) -> None:
        """Wait for all; raise the first exception, in the order of the calls."""
        self._joined = True
        try:
            self._turns.wait()
        finally:
            restore()
        self._updates.count("calls", self._position + 1)
        self._updates.count("runs")
        kind = self._turns.returned
        if kind:
            self._updates.failed(f"an update returned a value ({kind}), not None")
            self._pause()
        error = self._turns.first_error()
        if error is not None:
            self._pause()
            self._updates.raised(error)
