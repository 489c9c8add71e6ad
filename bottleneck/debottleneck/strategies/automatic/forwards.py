"""Runs forward calls that take the same arguments side by side.

For two steps the calls are watched. When the same layers were called with the same
argument objects, none of them another one's output, the first of them starts the
others in threads, each with the very arguments that the first has got. Each later
call is checked when it comes: the same function, layer and arguments get the result
that is ready, anything else is called plainly and the results ahead are dropped.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from debottleneck.agent.wrap import Found, as_frame_of_ours
from debottleneck.strategies.automatic.ahead import Ahead
from debottleneck.strategies.automatic.boundaries import Boundaries
from debottleneck.strategies.automatic.evidence import Dice
from debottleneck.strategies.automatic.notes import (
    ENGAGED,
    FAILED,
    REFUSED,
    SUMMARY,
    Notes,
)
from debottleneck.strategies.automatic.runs import Call, Lanes, LeftAlone, Run
from debottleneck.strategies.automatic.siblings import (
    Part,
    Plan,
    Portrait,
    common,
    likely,
    why_not,
)
from debottleneck.strategies.spec import FORWARD, Strategy

STAGE = "forward"
MOST_WORKERS = 8
"""Threads by default; more only when asked for."""

MOST_WATCHED = 256
"""Calls of one run that are described; a longer one repeats itself."""

MOST_KINDS = 256
"""Kinds of runs that are remembered, the last ones used."""

SILENT_RUNS = 4
"""Runs after which it says that it does not apply."""

FIRST_PAUSE, LONGEST_PAUSE = 4, 1024
"""Runs that are left alone after a wrong forecast, doubled with each one."""


class Forwards:
    """The actor of `parallel-forward`.

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
        self._counts = dict.fromkeys(("ahead", "dropped", "runs"), 0)
        self._reasons: list[str] = []
        self._quiet_runs = 0
        self._engaged = self._refused = False
        boundaries.on_enter(self._entered)

    def act(self, found: Found, called: Callable[..., Any]) -> Callable[..., Any]:
        """What the wrapper of a forward function calls; others are left alone."""
        if found.stage != STAGE or found.kind not in ("function", "option", "torch"):
            return called
        return self._lanes.acting(found, called)

    def close(self) -> None:
        """Wait for what runs ahead, and say what it came to."""
        self._lanes.close()
        if self._engaged:
            counts = self._counts
            text = (
                f"{counts['ahead']} forward calls were made ahead of their turn in "
                f"{counts['runs']} runs, {counts['dropped']} were dropped"
            )
            self._notes.say(FORWARD, SUMMARY, text, **counts)
        else:
            self._refuse()

    def size(self, calls: int) -> int:
        """How many of these calls run at once, the trainer's own included."""
        return min(calls, self._workers or MOST_WORKERS)

    def engaged(self, calls: int, of: int) -> None:
        """Say that it acts, once."""
        if not self._engaged:
            self._engaged = True
            text = f"{calls} of {of} forward calls a step run side by side"
            self._notes.say(FORWARD, ENGAGED, text, workers=self.size(calls))

    def failed(self, why: str) -> None:
        """Say what went wrong."""
        self._notes.say(FORWARD, FAILED, why)

    def count(self, what: str, by: int = 1) -> None:
        """Add to a count of the summary."""
        with self._lock:
            self._counts[what] += by

    def watched(self, depth: int, reason: str = "") -> None:
        """A run is over that showed this reason against acting, or none."""
        if reason and reason not in self._reasons:
            self._reasons.append(reason)
        if depth == 0 and not self._engaged:
            self._quiet_runs += 1
            if self._quiet_runs == SILENT_RUNS:
                self._refuse()

    def _entered(self, stage: str, found: Found) -> None:
        if stage != STAGE:
            self._lanes.interrupt()

    def _begin(self, call: Call, depth: int) -> Run:
        with self._lock:
            subject = call.args[0] if call.is_method() else None
            key = (id(call.found.function), id(subject))
            kind = self._kinds.pop(key, None) or _Kind(self, subject)
            self._kinds[key] = kind
            if len(self._kinds) > MOST_KINDS:
                del self._kinds[next(iter(self._kinds))]
        if self._workers == 1:
            return LeftAlone(call, Call.is_like, partial(self.watched, depth))
        return kind.begin(call, depth)

    def _refuse(self) -> None:
        """Say why it does not apply, the most telling reason first, once."""
        if self._refused:
            return
        self._refused = True
        if self._workers == 1:
            why = "workers=1 leaves the calls one after the other; give more"
        elif self._reasons:
            why = min(self._reasons, key=_importance)
        elif self._quiet_runs:
            why = "no two steps make the same forward calls in the same order"
        elif "torch" in sys.modules:
            return  # its modules are another actor's
        else:
            why = "no call of a forward function was met"
        self._notes.say(FORWARD, REFUSED, why)


def _importance(reason: str) -> int:
    """What is said rather: objections, then chains, then single calls."""
    order = ("your layers share", "your layers feed", "your layers do", "one forward")
    ranks = [i for i, beginning in enumerate(order) if reason.startswith(beginning)]
    return ranks[0] if ranks else -1


class _Kind:
    """Runs that begin with the same function and layer: what is known of them.

    Args:
        owner: Counts and notes.
        subject: The layer, kept so that its address is not another one's.
    """

    def __init__(self, owner: Forwards, subject: Any) -> None:
        self.owner = owner
        self._subject = subject
        self._last: tuple[Part, ...] | None = None
        self._plan: Plan | None = None
        self._tries = 0
        self._pause = 0
        self._next_pause = FIRST_PAUSE

    def begin(self, call: Call, depth: int) -> Run:
        """The next run: watched, made ahead, or left alone."""
        if self._pause:
            self._pause -= 1
            return LeftAlone(call, Call.is_like, partial(self.owner.watched, depth))
        plan, last = self._plan, self._last
        if plan is not None:
            return Ahead(self.owner, plan, call, self.pause)
        guess = likely(last) if last is not None else None
        return _Watched(self, Portrait(guess), call, depth)

    def learn(self, portrait: Portrait, depth: int) -> None:
        """Take a watched run in."""
        parts = tuple(portrait.parts)
        plan = common(self._last, parts) if self._last is not None else None
        self._last = parts
        reason = portrait.objection
        if plan is not None and plan.members and not reason:
            if plan.ahead <= portrait.seen:
                self._plan, self._last = plan, None
            return
        if not reason and not likely(parts).members:
            reason = why_not(parts)
        if len(parts) == 1 and parts[0].found.kind == "torch":
            reason = ""  # said of whole modules by the actor for torch
        self.owner.watched(depth, reason)
        self._tries += 1
        if self._tries >= FIRST_PAUSE or portrait.objection:
            self.pause()

    def pause(self) -> None:
        """Leave these runs alone for a while, longer each time."""
        self._plan = self._last = None
        self._tries = 0
        self._pause = self._next_pause
        self._next_pause = min(2 * self._next_pause, LONGEST_PAUSE)


class _Watched:
    """A run that is described while all its calls are made where they are."""

    def __init__(
        self, kind: _Kind, portrait: Portrait, first: Call, depth: int
    ) -> None:
        self._kind = kind
        self._portrait = portrait
        self._first = first
        self._depth = depth

    @as_frame_of_ours
    def serve(self, call: Call, plainly: Callable[[Call], Any]) -> Any:
        if len(self._portrait.parts) >= MOST_WATCHED:
            return plainly(call)
        look = self._portrait.before(call)
        dice = Dice() if look is not None else None
        result = plainly(call)
        self._portrait.after(call, result, look, dice)
        return result

    def begins_anew(self, call: Call) -> bool:
        return call.is_like(self._first)

    def end(self) -> None:
        self._portrait.finished()
        self._kind.learn(self._portrait, self._depth)
