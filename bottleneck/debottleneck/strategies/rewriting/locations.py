"""Where state lies: what objects hold, named so that two looks agree.

A location is an owner and one of its attributes, or "*" for its content as a whole.
Owners are objects by identity, arrays and tensors by the memory that they are views
of. Values that cannot change have none.
"""

from __future__ import annotations

import dis
import gc
import os
import random
import sys
import threading
import types
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from debottleneck.errors import StrategyError
from debottleneck.strategies import randomness
from debottleneck.strategies.conflicts import (
    OPAQUE,
    PLAIN,
    is_random,
    is_tensor,
    stored,
)

ALL = "*"
MOST_OBJECTS = 5000
"""Objects that one value is followed into."""

MOST_ELEMENTS = 256
"""Elements of a container that are looked at; the rest is like them."""

MOST_LOOKED_AT = 200_000
"""Objects that are looked at, each time it counts, to tell what some code touches."""

_left = threading.local()


@contextmanager
def limited() -> Iterator[None]:
    """Within it, looking at more objects than that raises `StrategyError`."""
    before = getattr(_left, "count", None)
    _left.count = MOST_LOOKED_AT
    try:
        yield
    finally:
        _left.count = before


def spend() -> None:
    """One object, or one piece of code, is looked at."""
    count = getattr(_left, "count", None)
    if count is None:
        return
    if not count:
        raise StrategyError("its lines touch more objects than can be followed")
    _left.count = count - 1


Owner = Any
Location = tuple[Owner, str]

_FIXED = (*PLAIN, *OPAQUE, range, slice, type(...), types.CodeType)


@dataclass
class Effects:
    """What some code reads and changes of what was there before.

    Attributes:
        reads: Locations whose content it uses.
        writes: Locations that it changes.
        held: Owners by identity, kept so that identities stay true.
        stages: Stages of training that it calls, by names and types.
        bound: What it uses that works on its own thread only, "" for nothing.
        names: What the script calls owners, as far as known.
    """

    reads: set[Location] = field(default_factory=set)
    writes: set[Location] = field(default_factory=set)
    held: dict[int, Any] = field(default_factory=dict)
    stages: set[str] = field(default_factory=set)
    bound: str = ""
    names: Mapping[Owner, str] = field(default_factory=dict)

    @property
    def touches(self) -> set[Location]:
        """All locations."""
        return self.reads | self.writes

    def release(self, lasting: Collection[Owner]) -> None:
        """Keep nothing alive but what the script holds by names."""
        kinds = (type, types.FunctionType, types.CellType)
        self.held = {
            key: value
            for key, value in self.held.items()
            if owner_of(value) in lasting
            or isinstance(value, kinds)
            or (isinstance(value, dict) and "__name__" in value)  # a module's
        }

    def add(self, other: Effects) -> None:
        """Take in what other code does."""
        self.reads |= other.reads
        self.writes |= other.writes
        self.held |= other.held
        self.stages |= other.stages
        self.bound = self.bound or other.bound
        self.names = self.names or other.names


def meet(some: Collection[Location], others: Collection[Location]) -> set[Location]:
    """Locations of the first that are, or may be part of, one of the others."""
    known: dict[Owner, set[str]] = {}
    for owner, attribute in others:
        known.setdefault(owner, set()).add(attribute)
    found = set()
    for owner, attribute in some:
        there = known.get(owner)
        if there and (attribute == ALL or ALL in there or attribute in there):
            found.add((owner, attribute))
    return found


class File:
    """A file by its path, as the owner of what it holds."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = os.path.basename(path)

    def state(self) -> Any:
        """Differs when it was written."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


_files: dict[str, File] = {}


def file_at(path: str | bytes) -> File:
    """The same for the same path."""
    real = os.path.realpath(os.fsdecode(path))
    return _files.setdefault(real, File(real))


def is_fixed(value: Any) -> bool:
    """Whether it cannot change, as far as training code goes."""
    return isinstance(value, _FIXED)


def owner_of(value: Any) -> Owner:
    """The identity under which a value's content is known."""
    if is_tensor(value):
        try:
            return ("memory", value.untyped_storage().data_ptr())
        except (RuntimeError, NotImplementedError, AttributeError):
            return id(value)
    if is_random(value) and not isinstance(value, random.Random):
        return id(
            getattr(value, "bit_generator", getattr(value, "_bit_generator", value))
        )
    array = getattr(sys.modules.get("numpy"), "ndarray", ())
    if not isinstance(value, array):
        return id(value.obj) if isinstance(value, memoryview) else id(value)
    while isinstance(value, array) and value.base is not None:
        if isinstance(getattr(value, "filename", None), str | os.PathLike):
            return id(file_at(os.fspath(value.filename)))  # a memory map
        value = value.base
    if not isinstance(value, array):
        return owner_of(value)
    return ("memory", value.__array_interface__["data"][0]) if value.size else id(value)


def reach(value: Any) -> Iterator[Any]:
    """The value and what it holds, changeable things only, breadth first."""
    waiting, seen = deque([value]), set[int]()
    while waiting and len(seen) < MOST_OBJECTS:
        each = waiting.popleft()
        if is_fixed(each) or id(each) in seen:
            continue
        seen.add(id(each))
        spend()
        if not isinstance(each, tuple | frozenset):
            yield each
        waiting.extend(_inner(each))


def far(value: Any) -> Iterator[Any]:
    """What a value holds, or a function or a class does."""
    held: list[Any] = []
    if isinstance(value, types.FunctionType):
        own = vars(value).values()
        held = [*randomness.cells(value), *(value.__defaults__ or ()), *own]
    elif isinstance(value, types.MethodType):
        held = [value.__self__]
    elif isinstance(value, type):
        held = [v for v in vars(value).values() if not callable(v)]
    for one in (value, *held):
        yield from reach(one)


_SHARED = ("threading", "queue", "_thread", "_queue", "concurrent", "multiprocessing")
"""Modules whose objects threads share by their own means."""


def is_shared(value: Any) -> bool:
    """Whether threads may change it at any time, as it is made for that."""
    return is_of_threads(type(value))


def is_of_threads(kind: Any) -> bool:
    """Whether it is of a module of threads and processes."""
    return str(getattr(kind, "__module__", "")).partition(".")[0] in _SHARED


def _inner(value: Any) -> list[Any]:
    if is_shared(value):
        return []
    if isinstance(value, dict):
        return [*value.values()][:MOST_ELEMENTS]
    if isinstance(value, list | tuple | set | frozenset | deque):
        return [*value][:MOST_ELEMENTS]
    if isinstance(value, types.GeneratorType):
        frame = value.gi_frame
        return [] if frame is None else [*frame.f_locals.values()]
    if is_tensor(value) or isinstance(value, random.Random):
        return []
    if getattr(getattr(value, "dtype", None), "kind", "") == "O":
        return [*islice(getattr(value, "flat", ()), MOST_ELEMENTS)]
    return [*iterators_in(value), *stored(value)]


def iterators_in(value: Any) -> list[Any]:
    """What Python's own iterators go over, and functions that they call."""
    kind = type(value)
    if kind.__module__ not in ("builtins", "itertools") or not hasattr(
        kind, "__next__"
    ):
        return []
    if isinstance(value, types.GeneratorType):
        return []
    held = gc.get_referents(value)
    parts = [p for each in held for p in (each if isinstance(each, tuple) else (each,))]
    kinds = (list, tuple, dict, set, frozenset, deque)
    return [
        part
        for part in parts
        if (hasattr(part, "__next__") or isinstance(part, kinds) or callable(part))
        and not isinstance(part, type)
    ]


def closure(function: Any) -> dict[str, Any]:
    """Names that a function takes from around it -> their cells."""
    names = function.__code__.co_freevars
    return dict(zip(names, function.__closure__ or (), strict=False))


def word(location: Location, effects: Sequence[Effects]) -> str:
    """A location as a user would name it."""
    owner, attribute = location
    held = [v for each in effects for v in each.held.values() if owner_of(v) == owner]
    if not held:
        return "an object"
    if attribute.startswith("cell ") or (attribute != ALL and type(held[0]) is dict):
        return attribute.removeprefix("cell ")
    if isinstance(held[0], File):
        return held[0].name
    names = [each.names[owner] for each in effects if owner in each.names]
    if names:
        return names[0] if attribute == ALL else f"{names[0]}.{attribute}"
    of = f"the {type(held[0]).__name__}"
    return of if attribute == ALL else f"{attribute} of {of}"


def names_of(variables: Mapping[str, Any]) -> dict[Owner, str]:
    """Owners -> the variable that holds them, or has them as an attribute."""
    found = {}
    for stream in randomness.streams():
        library = type(stream).__module__.partition(".")[0]
        found[owner_of(stream)] = f"the random generator of `{library}`"
    held = {name: value for name, value in variables.items() if not is_fixed(value)}
    for name, value in held.items():
        for attribute, inner in getattr(value, "__dict__", {}).items():
            if not is_fixed(inner):
                found.setdefault(owner_of(inner), f"{name}.{attribute}")
    return found | {owner_of(value): name for name, value in held.items()}


def declared_global(code: types.CodeType) -> set[str]:
    """Names that a function binds in its module."""
    stores = (one for one in dis.get_instructions(code) if one.opname == "STORE_GLOBAL")
    return {str(one.argval) for one in stores}
