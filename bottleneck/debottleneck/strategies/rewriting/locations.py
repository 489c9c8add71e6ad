"""Where state lies: what objects hold, named so that two looks agree.

A location is an owner and one of its attributes, or "*" for its content as a whole.
Owners are objects by identity, arrays and tensors by the memory that they are views
of. Values that cannot change have none.
"""

from __future__ import annotations

import random
import sys
import types
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from debottleneck.strategies.conflicts import OPAQUE, PLAIN, is_tensor

ALL = "*"
MOST_OBJECTS = 5000
"""Objects that one value is followed into."""

MOST_ELEMENTS = 256
"""Elements of a container that are looked at; the rest is like them."""

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
    """

    reads: set[Location] = field(default_factory=set)
    writes: set[Location] = field(default_factory=set)
    held: dict[int, Any] = field(default_factory=dict)
    stages: set[str] = field(default_factory=set)
    bound: str = ""

    @property
    def touches(self) -> set[Location]:
        """All locations."""
        return self.reads | self.writes

    @property
    def trains(self) -> bool:
        """Whether it is a part of the training."""
        return bool(self.stages)

    def add(self, other: Effects) -> None:
        """Take in what other code does."""
        self.reads |= other.reads
        self.writes |= other.writes
        self.held |= other.held
        self.stages |= other.stages
        self.bound = self.bound or other.bound


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
    array = getattr(sys.modules.get("numpy"), "ndarray", ())
    while isinstance(value, array) and value.base is not None:
        value = value.base
    return id(value)


def reach(value: Any) -> Iterator[Any]:
    """The value and what it holds, changeable things only, breadth first."""
    waiting, seen = deque([value]), set[int]()
    while waiting and len(seen) < MOST_OBJECTS:
        each = waiting.popleft()
        if is_fixed(each) or id(each) in seen:
            continue
        seen.add(id(each))
        if not isinstance(each, tuple | frozenset):
            yield each
        waiting.extend(_inner(each))


_SHARED = ("threading", "queue", "_thread", "_queue", "concurrent", "multiprocessing")
"""Modules whose objects threads share by their own means."""


def is_shared(value: Any) -> bool:
    """Whether threads may change it at any time, as it is made for that."""
    return type(value).__module__.partition(".")[0] in _SHARED


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
    inside = iterators_in(value)
    held = getattr(value, "__dict__", None)
    names = [n for kind in type(value).__mro__ for n in _slots(kind)]
    found = [*held.values()] if isinstance(held, dict) else []
    return [*inside, *found, *(getattr(value, n, None) for n in names)]


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


_WRAPPERS: tuple[type, ...] = (
    enumerate,
    zip,
    map,
    filter,
    reversed,
    type(iter([])),
    type(iter(())),
)


def iterators_in(value: Any) -> list[Any]:
    """What Python's own iterators go over."""
    if not isinstance(value, _WRAPPERS):
        return []
    try:
        made = value.__reduce__()
    except TypeError:  # its content cannot be told
        return []
    given = made[1] if isinstance(made, tuple) and len(made) > 1 else ()
    parts = [
        p for each in given for p in (each if isinstance(each, tuple) else (each,))
    ]
    return [part for part in parts if not is_fixed(part)]


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
    of = f"the {type(held[0]).__name__}"
    return of if attribute == ALL else f"{attribute} of {of}"
