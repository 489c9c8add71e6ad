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
from debottleneck.agent.points import Observer
from debottleneck.agent.results import reuses, size_of
from debottleneck.agent.wrap import observe_with

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
    observe_with(Scout(marks.note).observe)


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

    def observe(self, stage: str, name: str, kind: str) -> Observer | None:
        """Who looks at its calls; nobody where no strategy would act."""
        if kind in ("coroutine", "api"):
            return None
        if stage == "load" and kind == GENERATOR:
            return _Generators(name, self._note)
        if stage == "load":
            return _LoadCalls(self._local, _Loads(name, kind, self._note))
        if stage in ("forward", "update") and kind != GENERATOR:
            return _Computed(self._local, stage, name, self._note)
        return None


@dataclass(eq=False)
class _LoadCalls:
    """The loads of one function, and those within them."""

    local: threading.local
    seen: _Loads

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Frame | None:
        if self.seen.known:
            return None
        call, outer = Call(args, kwargs), getattr(self.local, "frame", None)
        if outer is not None:
            outer.seen.append((self, call))
            return None
        self.local.frame = frame = _Frame(call)
        return frame

    def end(self, frame: _Frame | None, result: Any) -> None:
        if frame is not None:
            self.local.frame = None
            self.seen.made(frame, result)

    def failed(self, frame: _Frame | None) -> None:
        if frame is not None:
            self.local.frame = None


@dataclass(eq=False)
class _Generators:
    """Its items are left alone: who takes them may send and throw things, too."""

    name: str
    note: Note
    noted: bool = False

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self.noted:
            self.noted = True
            self.note(_event("load", self.name, GENERATOR, 0))

    def end(self, begun: None, result: Any) -> None:
        pass

    def failed(self, begun: None) -> None:
        pass


@dataclass(eq=False)
class _Computed:
    """Forward or update calls, each thread's own."""

    local: threading.local
    stage: str
    name: str
    note: Note

    def begin(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Siblings | _Updates | None:
        stage = self.stage
        runs: _Siblings | _Updates | None = getattr(self.local, stage, None)
        if runs is None:
            runs = _Siblings(self.note) if stage == "forward" else _Updates(self.note)
            setattr(self.local, stage, runs)
        if runs.known:
            return None
        runs.begun(self.name, Call(args, kwargs))
        return runs

    def end(self, runs: _Siblings | _Updates | None, result: Any) -> None:
        if runs is not None:
            runs.ended(result)

    def failed(self, runs: _Siblings | _Updates | None) -> None:
        pass


@dataclass(eq=False)
class _Frame:
    """An outermost load under way, and the loads within it."""

    call: Call
    seen: list[tuple[object, Call]] = field(default_factory=list)


class _Loads:
    """What is known of one function's loads."""

    def __init__(self, name: str, kind: str, note: Note) -> None:
        self._name = name
        self._kind = kind
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
            form, name = self._form(), self._name
            size = round(median(self._sizes))
            self._note(_event("load", name, form, self._inner, size))

    def _look(self, frame: _Frame) -> None:
        values = list(frame.call.items().values())
        method = self._name.endswith(".__next__")
        self._takes = method or any(map(is_source, values))
        self._progression.learn(frame.call)
        self._foreseen = self._progression.foresees
        self._elements = self._elements or recognise(frame.call, frame.seen) is not None
        self._inner = max(self._inner, len(frame.seen))

    def _form(self) -> str:
        """In the order in which `prefetch` itself asks."""
        if self._kind == "torch":
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
