"""Calls made ahead of their time, and handed out when they come."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from debottleneck.agent.calls import Call, Progression, differing
from debottleneck.agent.results import reuses
from debottleneck.errors import StrategyError
from debottleneck.strategies.spec import BUFFER, VARIES

MOST_MISSES = 3
"""Wrong forecasts in a row after which a function is left alone for good."""

MOST_FAILURES = 3
"""Fetches in a row that failed ahead of time but not when really called."""


class Caller(Protocol):
    """Makes calls elsewhere: in threads, or in other processes."""

    def submit(self, call: Call) -> Future[Any]:
        """Begin one call."""

    def submit_all(self, calls: list[Call]) -> Future[list[Any]]:
        """Begin calls in a row; results up to the first that fails."""

    def close(self) -> None:
        """Drop what has not begun, wait for nothing."""


class Speculation:
    """One function whose next calls are made ahead.

    At most `depth` calls are ahead of the trainer. A forecast that proves wrong is
    dropped. A call that failed ahead is made again when it really comes, so that the
    user sees what the plain call raises, or nothing if it raises nothing.

    Args:
        plain: Makes the call where it is.
        begin: Makes a `Caller` when the first forecast is sure.
        depth: Most calls ahead.
        engaged: Told once, when the first calls are made ahead.
        stopped: Told why it is given up.
    """

    def __init__(
        self,
        plain: Callable[..., Any],
        begin: Callable[[Progression, Call], Caller],
        depth: int,
        engaged: Callable[[], None],
        stopped: Callable[[str], None],
    ) -> None:
        self._plain = plain
        self._begin = begin
        self._depth = depth
        self._engaged = engaged
        self._stopped = stopped
        self._progression = Progression()
        self._ahead: deque[tuple[Call, Future[Any]]] = deque()
        self._caller: Caller | None = None
        self._template: Call | None = None
        self._lock = threading.Lock()
        self._misses = self._failures = 0
        self._before: Any = None
        self.given_up = False
        self.calls = self.made_ahead = 0

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """The trainer's call."""
        if self.given_up or not self._lock.acquire(blocking=False):
            return self._plain(*args, **kwargs)
        try:
            return self._served(Call(args, kwargs))
        finally:
            self._lock.release()

    def _served(self, call: Call) -> Any:
        self.calls += 1
        ready = self._taken(call)
        self._progression.learn(call)
        if ready is None:
            result = self._plain(*call.args, **call.kwargs)
            self._watch_memory(result)
            self._fill(call)
            return result
        self._fill(call)
        return self._result(ready, call)

    def _watch_memory(self, result: Any) -> None:
        """Before the first forecast: give up when results share their memory."""
        if self._caller is None and not self.given_up:
            if reuses(self._before, result):
                self._give_up(BUFFER)
            self._before = None if self.given_up else result

    def _taken(self, call: Call) -> Future[Any] | None:
        """The forecast call's future; None, and all dropped, when it differs."""
        if not self._ahead:
            return None
        forecast, future = self._ahead.popleft()
        if differing(forecast, call) == ():
            self._misses = 0
            return future
        future.cancel()
        self._drop()
        self._misses += 1
        if self._misses >= MOST_MISSES:
            self._give_up(VARIES)
        return None

    def _drop(self) -> None:
        while self._ahead:
            self._ahead.pop()[1].cancel()

    def _fill(self, call: Call) -> None:
        """Begin calls up to the depth, when the next ones are foreseen."""
        if self.given_up or not self._progression.foresees:
            return
        wanted = self._progression.ahead(self._depth)
        try:
            caller = self._ready_caller(call)
            for forecast in wanted[len(self._ahead) :]:
                self._ahead.append((forecast, caller.submit(forecast)))
        except (StrategyError, RuntimeError, OSError) as error:
            self._give_up(f"it cannot be called ahead: {error}")

    def _ready_caller(self, call: Call) -> Caller:
        """The caller; made anew when the arguments that stay have changed."""
        place = self._progression.place
        if self._caller is not None and self._template is not None:
            if differing(self._template, call) in ((), (place,)):
                return self._caller
            self._caller.close()
        if self._template is None:
            self._engaged()
        self._template = call
        self._before = None
        self._caller = self._begin(self._progression, call)
        return self._caller

    def _result(self, ready: Future[Any], call: Call) -> Any:
        error = ready.exception()
        if error is None:
            self.made_ahead += 1
            self._failures = 0
            return ready.result()
        result = self._plain(*call.args, **call.kwargs)
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            name = type(error).__name__
            self._give_up(
                f"called ahead it raised {name}, which the plain call did not"
            )
        return result

    def _give_up(self, why: str) -> None:
        self.given_up = True
        self._drop()
        if self._caller is not None:
            self._caller.close()
        self._stopped(why)

    def close(self) -> None:
        """Stop; calls under way end on their own."""
        self.given_up = True
        self._drop()
        if self._caller is not None:
            self._caller.close()
