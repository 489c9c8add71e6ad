"""Looks at the first calls of a plain run: how strategies would have to treat them.

Nothing is changed and nothing is called ahead. Loads are judged by what decides for
`prefetch` itself; forward and update calls by their arguments alone, which is cheap,
so that what only shows in memory (layers that share state) is left to `compare`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

from debottleneck.agent import marks
from debottleneck.agent.calls import BY_VALUE, Call, Progression, is_number, is_source
from debottleneck.agent.elements import recognise
from debottleneck.agent.results import reuses, size_of
from debottleneck.agent.wrap import Found, act_with, as_frame_of_ours

WATCHED = 6
"""Loads of a function that are looked at; the first may differ from the others."""

MOST_CALLS = 32
"""Forward and update calls of a thread that are looked at."""

INDEXED, STREAM, ELEMENTS, VARIES = "indexed", "stream", "elements", "varies"
GENERATOR, LOADER, BUFFER = "generator", "loader", "buffer"
"""Forms of a load: a number advances; it takes from a queue or an iterator; one call
for each element of a list; none of these; a generator; torch's loader; it fills the
same memory each time, so that it cannot be called ahead."""

SIBLINGS, CHAIN = "siblings", "chain"
"""Forms of forward calls: `size` in a row take the same arguments; none do."""

POOLED, RETURNS = "pooled", "returns"
"""Forms of updates: `size` in a row change distinct objects and return nothing."""

EVENT = "form"
"""Kind of the line in the process's events."""

Note = Callable[[dict[str, object]], None]


def install(folder: Path, config: Mapping[str, Any]) -> None:
    """Look at every function that loads, computes or updates, wrapped from now on."""
    act_with(Scout(marks.note).act)


def after_torch(torch: ModuleType) -> None:
    """Nothing more: torch's loaders and modules are marked by functions, too."""


class Scout:
    """Looks at calls until it knows their form.

    Args:
        note: Is given one event for each form.
    """

    def __init__(self, note: Note) -> None:
        self._note = note
        self._local = threading.local()

    def act(self, found: Found, called: Callable[..., Any]) -> Callable[..., Any]:
        """What a wrapper calls; stages that no strategy acts on are left alone."""
        if found.kind in ("coroutine", "api"):
            return called
        if found.stage == "load" and found.kind == GENERATOR:
            return self._generator(found, called)
        if found.stage == "load":
            return self._load(called, _Loads(found, self._note))
        if found.stage in ("forward", "update") and found.kind != GENERATOR:
            return self._computed(found, called)
        return called

    def _load(self, called: Callable[..., Any], seen: _Loads) -> Callable[..., Any]:
        local = self._local

        def load(*args: Any, **kwargs: Any) -> Any:
            if seen.known:
                return called(*args, **kwargs)
            call, outer = Call(args, kwargs), getattr(local, "frame", None)
            if outer is not None:
                outer.seen.append((called, call))
                return called(*args, **kwargs)
            local.frame = frame = _Frame(call)
            try:
                result = called(*args, **kwargs)
            finally:
                local.frame = None
            seen.made(frame, result)
            return result

        return as_frame_of_ours(load)

    def _generator(
        self, found: Found, called: Callable[..., Any]
    ) -> Callable[..., Any]:
        """Its items are left alone: who takes them may send and throw things, too."""
        note, noted = self._note, threading.Event()

        def load(*args: Any, **kwargs: Any) -> Any:
            if not noted.is_set():
                noted.set()
                note(_event("load", found.name, GENERATOR, 0))
            return called(*args, **kwargs)

        return as_frame_of_ours(load)

    def _computed(self, found: Found, called: Callable[..., Any]) -> Callable[..., Any]:
        local, stage, note = self._local, found.stage, self._note

        def compute(*args: Any, **kwargs: Any) -> Any:
            runs = getattr(local, stage, None)
            if runs is None:
                runs = _Siblings(note) if stage == "forward" else _Updates(note)
                setattr(local, stage, runs)
            if runs.known:
                return called(*args, **kwargs)
            runs.begun(found.name, Call(args, kwargs))
            result = called(*args, **kwargs)
            runs.ended(result)
            return result

        return as_frame_of_ours(compute)


@dataclass
class _Frame:
    """An outermost load under way, and the loads within it."""

    call: Call
    seen: list[tuple[object, Call]] = field(default_factory=list)


class _Loads:
    """What is known of one function's loads."""

    def __init__(self, found: Found, note: Note) -> None:
        self._found = found
        self._note = note
        self._progression = Progression()
        self._sizes: list[int] = []
        self._inner = 0
        self._takes = self._foreseen = self._elements = self._reused = False
        self._before: Any = None
        self.known = False

    def made(self, frame: _Frame, result: Any) -> None:
        """Take in one outermost load, without holding on to what it returned."""
        self._sizes.append(size_of(result))
        self._reused = self._reused or reuses(self._before, result)
        self._before = result
        self._look(frame)
        if len(self._sizes) >= WATCHED and not self.known:
            self.known, self._before = True, None
            form, name = self._form(), self._found.name
            size = round(median(self._sizes))
            self._note(_event("load", name, form, self._inner, size))

    def _look(self, frame: _Frame) -> None:
        values = list(frame.call.items().values())
        method = self._found.name.endswith(".__next__")
        self._takes = method or any(map(is_source, values))
        self._progression.learn(frame.call)
        self._foreseen = self._progression.foresees
        self._elements = self._elements or recognise(frame.call, frame.seen) is not None
        self._inner = max(self._inner, len(frame.seen))

    def _form(self) -> str:
        """In the order in which `prefetch` itself asks."""
        if self._found.kind == "torch":
            return LOADER
        if self._reused:
            return BUFFER
        if self._takes:
            return STREAM
        if self._foreseen:
            return INDEXED
        return ELEMENTS if self._elements else VARIES


class _Siblings:
    """Forward calls of one thread: how many in a row take the same arguments."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._leader: tuple[str, list[Any]] | None = None
        self._size = self._calls = 0
        self._runs: Counter[tuple[str, int]] = Counter()
        self.known = False

    def begun(self, name: str, call: Call) -> None:
        """Before a call is made."""
        values = list(call.items().values())
        if self._leader is not None and _is_sibling(values, self._leader[1]):
            self._size += 1
            return
        if self._leader is not None:
            self._runs[self._leader[0], self._size] += 1
        self._leader, self._size = (name, values), 1

    def ended(self, result: Any) -> None:
        """After it: enough is known after some."""
        self._calls += 1
        if self._calls >= MOST_CALLS:
            self.known, self._leader = True, None
            often = [run for run, count in self._runs.items() if count > 1]
            name, size = max(often, key=lambda run: run[1], default=("", 1))
            form = SIBLINGS if size > 1 else CHAIN
            self._note(_event("forward", name, form, size))


def _is_sibling(values: list[Any], leader: list[Any]) -> bool:
    """Whether all but the layer itself are the leader's own arguments."""
    if not values or not leader or (values[0] is leader[0] and len(values) > 1):
        return False
    shared = {id(value) for value in leader if not _is_plain(value)}
    rest = values if id(values[0]) in shared else values[1:]
    return bool(rest) and all(id(v) in shared or _is_plain(v) for v in rest)


def _is_plain(value: Any) -> bool:
    """Whether no call can change it."""
    return isinstance(value, BY_VALUE) or is_number(value)


class _Updates:
    """Update calls of one thread: how many in a row change distinct objects."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._run: list[Any] = []
        self._calls = 0
        self._sizes: list[int] = []
        self._name = ""
        self._returns = False
        self.known = False

    def begun(self, name: str, call: Call) -> None:
        """Before a call is made."""
        self._name = self._name or name
        subject = next(iter(call.items().values()), None)
        if any(subject is earlier for earlier in self._run):
            self._sizes.append(len(self._run))
            self._run = []
        self._run.append(subject)

    def ended(self, result: Any) -> None:
        """After it: enough is known after some."""
        self._returns = self._returns or result is not None
        self._calls += 1
        if self._calls >= MOST_CALLS:
            self.known, self._run = True, []
            form = RETURNS if self._returns else POOLED
            size = round(median(self._sizes)) if self._sizes else 1
            self._note(_event("update", self._name, form, size))


def _event(
    stage: str, name: str, form: str, size: int, result: int = 0
) -> dict[str, object]:
    return {
        "event": EVENT,
        "stage": stage,
        "name": name,
        "form": form,
        "size": size,
        "bytes": result,
    }
