"""Looks at the first loads of a plain run: how a prefetch would have to fetch them.

Nothing is changed and nothing is called ahead. The same recognition that decides for
`prefetch` decides here, so that a prediction is of what the strategy would do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

from debottleneck.agent import marks
from debottleneck.agent.wrap import Found, act_with, as_frame_of_ours
from debottleneck.strategies.automatic.buffers import reuses, size_of
from debottleneck.strategies.automatic.fanout import Frame, recognise
from debottleneck.strategies.automatic.predict import Call, Progression
from debottleneck.strategies.automatic.streams import is_source
from debottleneck.strategies.pools import is_worker

WATCHED = 6
"""Calls of a function that are looked at; the first may differ from the others."""

INDEXED, STREAM, ELEMENTS, VARIES = "indexed", "stream", "elements", "varies"
GENERATOR, LOADER, BUFFER = "generator", "loader", "buffer"
"""Forms of a load: a number advances; it takes from a queue or an iterator; one call
for each element of a list; none of these; a generator; torch's loader; it fills the
same memory each time, so that it cannot be called ahead."""

EVENT = "load"
"""Kind of the line in the process's events."""


def install(folder: Path, config: Mapping[str, Any]) -> None:
    """Look at every function that loads, wrapped from now on."""
    act_with(Scout(marks.note).act)


def after_torch(torch: ModuleType) -> None:
    """Nothing more: torch's loaders are marked by functions, too."""


class Scout:
    """Looks at loads until it knows their form.

    Args:
        note: Is given one event for each function.
    """

    def __init__(self, note: Callable[[dict[str, object]], None]) -> None:
        self._note = note
        self._local = threading.local()

    def act(self, found: Found, called: Callable[..., Any]) -> Callable[..., Any]:
        """What the wrapper of a load calls; other stages are left alone."""
        if found.stage != "load" or found.kind in ("coroutine", "api"):
            return called
        seen = _Seen(found, self._note)
        if found.kind == "generator":
            return self._generator(called, seen)
        return self._function(called, seen)

    def _function(self, called: Callable[..., Any], seen: _Seen) -> Callable[..., Any]:
        local = self._local

        def load(*args: Any, **kwargs: Any) -> Any:
            if seen.known or is_worker():
                return called(*args, **kwargs)
            call, outer = Call(args, kwargs), getattr(local, "frame", None)
            if outer is not None:
                outer.seen.append((called, call))
                return called(*args, **kwargs)
            local.frame = frame = Frame(call)
            try:
                result = called(*args, **kwargs)
            finally:
                local.frame = None
            seen.made(frame, result)
            return result

        return as_frame_of_ours(load)

    def _generator(self, called: Callable[..., Any], seen: _Seen) -> Callable[..., Any]:
        def load(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            items = called(*args, **kwargs)
            while not seen.known:
                try:
                    item = next(items)
                except StopIteration as end:
                    return end.value
                seen.made(None, item)
                yield item
            return (yield from items)

        return as_frame_of_ours(load)


class _Seen:
    """What is known of one function's loads."""

    def __init__(self, found: Found, note: Callable[[dict[str, object]], None]) -> None:
        self._found = found
        self._note = note
        self._progression = Progression()
        self._sizes: list[int] = []
        self._inner = 0
        self._takes = self._foreseen = self._elements = self._reused = False
        self._before: Any = None
        self.known = False

    def made(self, frame: Frame | None, result: Any) -> None:
        """Take in one outermost load, without holding on to what it returned."""
        self._sizes.append(size_of(result))
        self._reused = self._reused or reuses(self._before, result)
        self._before = result
        if frame is not None:
            self._look(frame)
        if len(self._sizes) >= WATCHED and not self.known:
            self.known, self._before = True, None
            self._note(self._event())

    def _look(self, frame: Frame) -> None:
        values = list(frame.call.items().values())
        method = self._found.name.endswith(".__next__")
        self._takes = method or any(map(is_source, values))
        self._progression.learn(frame.call)
        self._foreseen = self._progression.foresees
        self._elements = self._elements or recognise(frame) is not None
        self._inner = max(self._inner, len(frame.seen))

    def _event(self) -> dict[str, object]:
        return {
            "event": EVENT,
            "name": self._found.name,
            "form": self._form(),
            "bytes": round(median(self._sizes)),
            "inner": self._inner,
        }

    def _form(self) -> str:
        """In the order in which `prefetch` itself asks."""
        if self._found.kind == "torch":
            return LOADER
        if self._reused:
            return BUFFER
        if self._found.kind == GENERATOR:
            return GENERATOR
        if self._takes:
            return STREAM
        if self._foreseen:
            return INDEXED
        return ELEMENTS if self._elements else VARIES
