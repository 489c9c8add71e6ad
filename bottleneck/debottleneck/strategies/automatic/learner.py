"""What actors have in common that learn from runs of one stage's calls.

Runs are told apart by their first call. Of each kind some are watched, until it is
known how the next one can be made in another way. Where a forecast fails the kind is
left alone for a while, longer each time.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from debottleneck.agent.wrap import Found, watch_with
from debottleneck.strategies.automatic.notes import (
    ENGAGED,
    FAILED,
    REFUSED,
    SUMMARY,
    Notes,
)
from debottleneck.strategies.automatic.runs import Lanes, LeftAlone, Run, StageCall
from debottleneck.strategies.spec import Strategy

MOST_WORKERS = 8
"""Threads by default; more only when asked for."""

SILENT_RUNS = 4
"""Runs after which it says that it does not apply."""

FIRST_PAUSE, LONGEST_PAUSE = 4, 1024
"""Runs that are left alone after a wrong forecast, doubled with each one."""


class Learner:
    """An actor on the calls of one stage.

    Args:
        strategy: Its settings.
        notes: Where it says what it does.
        counts: Names of the counts of its summary.

    Attributes:
        stage: The stage.
        found_kinds: Kinds of functions (`Found.kind`) that it acts on.
        most_kinds: Kinds of runs that are remembered, the last ones used.
        begins_anew: Whether (a call, a run's first call) begins the next run.
        unlike: Said where nothing speaks against acting but that no two runs are alike.
        unmet: Said where there was no run.
    """

    stage: str
    found_kinds: tuple[str, ...]
    most_kinds: int
    begins_anew: Callable[..., bool]
    unlike: str
    unmet: str

    def __init__(self, strategy: Strategy, notes: Notes, counts: Iterable[str]) -> None:
        self._name = strategy.name
        self._workers = strategy.number("workers", 0)
        self._notes = notes
        self._lanes = Lanes(self._begin)
        self._kinds: dict[tuple[int, int], Kind] = {}
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(counts, 0)
        self._reasons: list[str] = []
        self._quiet_runs = 0
        self._engaged = self._refused = False
        watch_with(self._entered)

    def act(self, found: Found, called: Callable[..., Any]) -> Callable[..., Any]:
        """What the wrapper of such a function calls; others are left alone."""
        if found.stage != self.stage or found.kind not in self.found_kinds:
            return called
        return self._lanes.acting(found, called)

    def close(self) -> None:
        """Wait for what is under way, and say what it came to."""
        self._lanes.close()
        if self._engaged:
            self._notes.say(self._name, SUMMARY, self._summary(), **self._counts)
        else:
            self._refuse()

    def size(self, calls: int) -> int:
        """How many of these calls run at once, the trainer's own included."""
        return min(calls, self._workers or MOST_WORKERS)

    def failed(self, why: str) -> None:
        """Say what went wrong."""
        self._notes.say(self._name, FAILED, why)

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

    def left_alone(self, call: StageCall, depth: int) -> Run:
        """A run that begins with this call, its calls made where they are."""
        return LeftAlone(call, type(self).begins_anew, partial(self.watched, depth))

    def _entered(self, found: Found) -> None:
        """Another stage ends this one's run."""
        if found.stage != self.stage:
            self._lanes.interrupt()

    def _begin(self, call: StageCall, depth: int) -> Run:
        subject = self._subject(call)
        key = (id(call.found.function), id(subject))
        with self._lock:
            kind = self._kinds.pop(key, None) or self._new_kind(subject)
            self._kinds[key] = kind
            if len(self._kinds) > self.most_kinds:
                del self._kinds[next(iter(self._kinds))]
        if self._workers == 1:
            return self.left_alone(call, depth)
        return kind.begin(call, depth)

    def _refuse(self) -> None:
        """Say why it does not apply, once."""
        if self._refused:
            return
        self._refused = True
        if self._workers == 1:
            reason = "workers=1 leaves the calls one after the other; give more"
        elif self._reasons:
            reason = min(self._reasons, key=self._importance)
        elif self._quiet_runs:
            reason = self.unlike
        elif "torch" in sys.modules:
            return  # its modules and optimizers are other actors'
        else:
            reason = self.unmet
        self._notes.say(self._name, REFUSED, reason)

    def _engage(self, text: str, workers: int) -> None:
        """Say that it acts, once."""
        if not self._engaged:
            self._engaged = True
            self._notes.say(self._name, ENGAGED, text, workers=workers)

    def _subject(self, call: StageCall) -> Any:
        """What a run's first call is about."""
        raise NotImplementedError

    def _new_kind(self, subject: Any) -> Kind:
        raise NotImplementedError

    def _summary(self) -> str:
        """What it did in all."""
        raise NotImplementedError

    def _importance(self, reason: str) -> int:
        """Rank of a reason why it does not apply; the first is said."""
        raise NotImplementedError


class Kind:
    """Runs that begin with the same function and subject: what is known of them.

    Args:
        learner: Counts and notes.
        subject: Kept so that its address is not another one's.
    """

    def __init__(self, learner: Learner, subject: Any) -> None:
        self._learner = learner
        self._subject = subject
        self._last: Any = None
        self._plan: Any = None
        self._tries = 0
        self._pause = 0
        self._next_pause = FIRST_PAUSE

    def begin(self, call: StageCall, depth: int) -> Run:
        """The next run: watched, acted on, or left alone."""
        if self._pause:
            self._pause -= 1
            return self._learner.left_alone(call, depth)
        return self._acted_on(call) if self._plan else self._watched(call, depth)

    def pause(self) -> None:
        """Leave these runs alone for a while, longer each time."""
        self._plan = self._last = None
        self._tries = 0
        self._pause = self._next_pause
        self._next_pause = min(2 * self._next_pause, LONGEST_PAUSE)

    def _tried(self, depth: int, reason: str, *, hopeless: bool = False) -> None:
        """A watched run gave no plan, for this reason."""
        self._learner.watched(depth, reason)
        self._tries += 1
        if self._tries >= FIRST_PAUSE or hopeless:
            self.pause()

    def _acted_on(self, call: StageCall) -> Run:
        raise NotImplementedError

    def _watched(self, call: StageCall, depth: int) -> Run:
        raise NotImplementedError
