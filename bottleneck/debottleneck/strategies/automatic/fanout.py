"""A load that calls another one for each element of a list: all of them at once.

`load_batch(files)` that calls `load_image(file)` for each file in turn is recognised
once; from then on workers begin the inner calls when the outer call does, from the
last on, while the trainer makes them from the first on. Where they meet all is done,
so the trainer is never idle and waits once a batch, not once an element.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from debottleneck.agent.calls import Call, differing
from debottleneck.agent.elements import FEWEST, Pattern, is_list, recognise
from debottleneck.errors import StrategyError


@dataclass
class Portion:
    """Inner calls in a row that one worker makes; results up to the first failure."""

    calls: deque[Call]
    future: Future[list[Any]]
    results: deque[Any] | None = None

    def take(self) -> tuple[bool, Any]:
        """(True, the next call's result), or False when the trainer is to make it."""
        self.calls.popleft()
        if self.results is None:
            made: list[Any] = [] if self.future.cancel() else self.future.result()
            self.results = deque(made)
        return (True, self.results.popleft()) if self.results else (False, None)


@dataclass
class Frame:
    """One outer call under way on one thread; the first `own` calls are its own."""

    call: Call
    seen: list[tuple[object, Call]] = field(default_factory=list)
    parts: deque[Portion] = field(default_factory=deque)
    own: int = 0


def sizes(count: int, workers: int, least: int = 1) -> list[int]:
    """Lengths of the parts of a batch, from its end to its beginning.

    The trainer and the workers meet where each has done its share. Far from there a
    part is long, to save hand-overs; near it short, so that nobody waits long. The
    first calls are the trainer's in any case.
    """
    found, left = [], count
    meeting = 0.9 * count / (workers + 1)
    while left > 0.75 * meeting:
        size = min(left, max(least, int((left - meeting) / (2 * workers))))
        found.append(size)
        left -= size
    return found


class Fanout:
    """Runs the inner calls of one strategy's loads together.

    Args:
        submit: (pattern, inner calls) -> their results, up to the first that failed.
        workers: How many make them.
        least: Calls in the shortest part; more where handing one over costs more.
        engaged: Told the outer key and the pattern once it is recognised.
        failed: Told why that could not be done after all.
    """

    def __init__(
        self,
        submit: Callable[[Pattern, list[Call]], Future[list[Any]]],
        workers: int,
        least: int,
        engaged: Callable[[object, Pattern], None],
        failed: Callable[[str], None],
    ) -> None:
        self._submit = submit
        self._workers = workers
        self._least = least
        self._engaged = engaged
        self._failed = failed
        self._local = threading.local()
        self._patterns: dict[object, Pattern] = {}
        self._hopeless: dict[object, int] = {}
        self.ahead = 0

    def outer(self, key: object, call: Call, plain: Callable[..., Any]) -> Any:
        """Make an outermost load; its inner calls may begin at once."""
        frame = Frame(call)
        self._local.frame = frame
        pattern = self._patterns.get(key)
        try:
            if pattern is not None:
                self._begin(pattern, frame)
            result = plain(*call.args, **call.kwargs)
            if pattern is None:
                self._learn(key, frame)
            return result
        finally:
            self._local.frame = None
            self._drop(frame)

    def inside(self) -> bool:
        """Whether this thread is within an outer load."""
        return getattr(self._local, "frame", None) is not None

    def inner(self, key: object, call: Call, plain: Callable[..., Any]) -> Any:
        """Make a load within a load, from what was begun if it is the one."""
        frame: Frame = self._local.frame
        frame.seen.append((key, call))
        self._local.frame = None
        try:
            ready, result = self._ready(frame, call)
            return result if ready else plain(*call.args, **call.kwargs)
        finally:
            self._local.frame = frame

    def _ready(self, frame: Frame, call: Call) -> tuple[bool, Any]:
        if len(frame.seen) <= frame.own:
            return False, None
        while frame.parts and not frame.parts[0].calls:
            frame.parts.popleft()
        if not frame.parts:
            return False, None
        part = frame.parts[0]
        if differing(part.calls[0], call) != ():
            self._drop(frame)
            return False, None
        ready, result = part.take()
        self.ahead += ready
        return ready, result

    def _drop(self, frame: Frame) -> None:
        while frame.parts:
            frame.parts.pop().future.cancel()

    def _begin(self, pattern: Pattern, frame: Frame) -> None:
        elements = frame.call.items().get(pattern.elements)
        if not is_list(elements) or len(elements) < FEWEST:  # type: ignore[arg-type] # a list has a length
            return
        template, place = pattern.template, pattern.place
        calls = [template.with_value(place, element) for element in elements]  # type: ignore[union-attr] # it is one
        end = len(calls)
        try:
            for size in sizes(len(calls), self._workers, self._least):
                some = calls[end - size : end]
                part = Portion(deque(some), self._submit(pattern, some))
                frame.parts.appendleft(part)
                end -= size
            frame.own = end
        except (StrategyError, RuntimeError, OSError) as error:
            self._drop(frame)
            self._patterns.clear()
            self._failed(f"its elements cannot be loaded at once: {error}")

    def _learn(self, key: object, frame: Frame) -> None:
        tries = self._hopeless.get(key, 0)
        if tries >= 3:
            return
        found = recognise(frame.call, frame.seen)
        if found is None:
            self._hopeless[key] = tries + 1
            return
        self._patterns[key] = found
        self._engaged(key, found)
