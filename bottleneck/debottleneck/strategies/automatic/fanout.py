"""A load that calls another one for each element of a list: all of them at once.

`load_batch(files)` that calls `load_image(file)` for each file in turn is recognised
once; from then on the inner calls begin together when the outer call does.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from debottleneck.errors import StrategyError
from debottleneck.strategies.automatic.predict import Call, Place, differing, same

FEWEST = 4
"""Elements below which handing them out is not worth its cost."""


@dataclass(frozen=True)
class Pattern:
    """How an outer call leads to its inner calls.

    Attributes:
        elements: Where the outer call has its list.
        inner: Key of the inner function.
        place: Where the inner call has its element.
        template: One inner call; its other arguments stay.
    """

    elements: Place
    inner: object
    place: Place
    template: Call


@dataclass
class Frame:
    """One outer call under way on one thread."""

    call: Call
    seen: list[tuple[object, Call]] = field(default_factory=list)
    begun: deque[tuple[Call, Future[Any]]] = field(default_factory=deque)


def recognise(frame: Frame) -> Pattern | None:
    """The pattern of an outer call that has ended; None when there is none."""
    if len(frame.seen) < FEWEST:
        return None
    inner, first = frame.seen[0]
    calls = [call for key, call in frame.seen if key == inner]
    if len(calls) < len(frame.seen):
        return None
    places = differing(first, calls[1])
    if places is None or len(places) != 1:
        return None
    place = places[0]
    for where, value in frame.call.items().items():
        if _leads_to(value, calls, place):
            return Pattern(where, inner, place, first)
    return None


def _leads_to(value: Any, calls: Sequence[Call], place: Place) -> bool:
    """Whether the calls run over these elements, all else the same."""
    if not _is_list(value) or len(value) != len(calls):
        return False
    first = calls[0]
    for element, call in zip(value, calls, strict=True):
        if differing(first, call) not in ((), (place,)):
            return False
        if not same(element, call.items()[place]):
            return False
    return True


def _is_list(value: Any) -> bool:
    shape = getattr(value, "shape", None)
    return isinstance(value, list | tuple) or (shape is not None and len(shape) == 1)


class Fanout:
    """Runs the inner calls of one strategy's loads together.

    Args:
        submit: (pattern, inner call) -> its future.
        engaged: Told the outer key and the pattern once it is recognised.
        failed: Told why that could not be done after all.
    """

    def __init__(
        self,
        submit: Callable[[Pattern, Call], Future[Any]],
        engaged: Callable[[object, Pattern], None],
        failed: Callable[[str], None],
    ) -> None:
        self._submit = submit
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
            for _, future in frame.begun:
                future.cancel()

    def inside(self) -> bool:
        """Whether this thread is within an outer load."""
        return getattr(self._local, "frame", None) is not None

    def inner(self, key: object, call: Call, plain: Callable[..., Any]) -> Any:
        """Make a load within a load, from what was begun if it is the one."""
        frame: Frame = self._local.frame
        frame.seen.append((key, call))
        self._local.frame = None
        try:
            if frame.begun:
                forecast, future = frame.begun.popleft()
                if differing(forecast, call) == () and not future.cancel():
                    error = future.exception()
                    if error is None:
                        self.ahead += 1
                        return future.result()
            return plain(*call.args, **call.kwargs)
        finally:
            self._local.frame = frame

    def _begin(self, pattern: Pattern, frame: Frame) -> None:
        elements = frame.call.items().get(pattern.elements)
        if not _is_list(elements) or len(elements) < FEWEST:  # type: ignore[arg-type] # a list has a length
            return
        try:
            for element in reversed(elements):  # type: ignore[arg-type] # it is one
                call = pattern.template.with_value(pattern.place, element)
                frame.begun.appendleft((call, self._submit(pattern, call)))
        except (StrategyError, RuntimeError, OSError) as error:
            frame.begun.clear()
            self._patterns.clear()
            self._failed(f"its elements cannot be loaded at once: {error}")

    def _learn(self, key: object, frame: Frame) -> None:
        tries = self._hopeless.get(key, 0)
        if tries >= 3:
            return
        found = recognise(frame)
        if found is None:
            self._hopeless[key] = tries + 1
            return
        self._patterns[key] = found
        self._engaged(key, found)
