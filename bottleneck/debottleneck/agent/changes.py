"""Statements that may change a parameter: whether what they change lives on.

An array that a statement changes or replaces, and finds again the next time, is a
parameter, or is kept like one. The loop that trains it is the one around both changes:
a loop over parameters changes another one each time. An array that is not found again
when the loop is entered anew (a sum over a batch, a recurrent state) is a parameter
only where nothing outlives that.
Where no array is changed, lists of floats are taken for arrays.
What is looked at is found without a call of the user's code, and held by weak
references only, but for the last few lists, which have none.
"""

from __future__ import annotations

import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable
from functools import lru_cache
from inspect import getattr_static
from itertools import islice, takewhile
from threading import get_ident
from time import monotonic_ns
from types import MemberDescriptorType
from typing import Any

from debottleneck.agent.entries import runs
from debottleneck.agent.handlers import of_a_handler
from debottleneck.agent.points import stand_in
from debottleneck.agent.track import hushed, was_ours

LOOKS = 24
"""A statement is looked at so often before it is told that it changes nothing."""

MOST_KEPT = 96
"""Arrays that a statement is remembered for, before those are dropped that are gone;
then twice as many as are left."""

MOST_LISTS = 4
"""The same for lists, which stay alive for it."""

ENOUGH = 96
"""Changes of lists that a statement is looked at for."""

SELDOM = 3
"""A statement that ran less often may yet be seen to change what lives on."""

_FLOATS = ("float", "complex")
_Told = Callable[["ChangePoint", int], None]
_Entries = tuple[tuple[object, int], ...]
"""The loops that a thread is in, and which entry of each, outermost first."""

_told: list[_Told] = []
_points: list[ChangePoint] = []
_by_thread: Counter[int] = Counter()
"""Changes that each thread made."""


def tell_of_changes(told: _Told | None) -> None:
    """Call this whenever an array was changed that was there the last time.

    It is given the place, and how many of the loops around are not entered anew since.
    """
    _told[:] = [told] if told else []


def settle(surely: bool) -> None:
    """The training loop is known: look no more, except at what never ran yet.

    Args:
        surely: By what outlives its entries; else what ran seldom is looked at, too.
    """
    for point in _points:
        if point.looks >= (1 if surely else SELDOM):
            point.on = False


def look_again() -> None:
    """The training loop is entered again: look once whether arrays outlived that."""
    for point in _points:
        if point.changes and not point.on:
            point.on = point.once = True


class ChangeWitness:
    """Looks at a thread's statements: whether one changed what was there."""

    def __init__(self) -> None:
        self._on: list[ChangePoint] = []
        self._count = 0

    def begin(self) -> None:
        """Look from now on."""
        self._on = [point for point in _points if not point.on]
        for point in self._on:
            point.on = True
        self.met()

    def met(self) -> bool:
        """Whether an array was changed since the last time."""
        before, self._count = self._count, _by_thread[get_ident()]
        return self._count > before

    def end(self) -> None:
        """Look at no more than before."""
        for point in self._on:
            point.on = False
        self._on = []


class ChangePoint:
    """A statement that may change a parameter: what it changes, before and after.

    Args:
        path: Attributes that lead to it from the name that is looked at.

    Attributes:
        on: Whether it is looked at.
        once: Whether it is looked at one time more only.
        looks: How often it was.
        changes: How often what it changed was there the last time.
        again: How often, unmarked, it was there in the same entry of all loops around.
        of_arrays: Whether that was an array, and not a list.
    """

    __slots__ = (
        "_before", "_entries", "_kept", "_kind", "_lists", "_most", "_outlived",
        "_path", "again", "changes", "looks", "of_arrays", "on", "once",
    )  # fmt: skip

    unbound = NameError
    """The name may be unbound so far."""

    def __init__(self, path: tuple[str, ...] = ()) -> None:
        self.on = bool(_told)
        self.once = False
        self.looks = self.changes = self.again = self._outlived = 0
        self._path = path
        self._kind: tuple[Any, Any] | None = None
        self._entries: _Entries = ()
        self._before: _Entries | None = None
        self._kept: dict[int, tuple[weakref.ref[Any], _Entries]] = {}
        self._lists: deque[tuple[list[float], _Entries]] = deque(maxlen=MOST_LISTS)
        self.of_arrays = False
        self._most = MOST_KEPT
        _points.append(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process nobody looks."""
        return stand_in(on=False)

    def before(self, value: Any) -> None:
        """What it is, before the statement."""
        begun = monotonic_ns()
        self._begin(value)
        was_ours(monotonic_ns() - begun)

    def after(self, value: Any) -> None:
        """What it is after; told if the array was there the last time."""
        begun = monotonic_ns()
        self._end(value)
        was_ours(monotonic_ns() - begun)

    def _begin(self, value: Any) -> None:
        array = self._look(value)
        self._kind = _form(array)
        self._before = None if array is None else self._last(array)
        around = tuple((run.point, run.point.entries) for run in runs())
        if not hushed():  # else entries of loops within are not counted
            self._compare_entries(around)
        self._entries = around

    def _end(self, value: Any) -> None:
        array = self._look(value)
        changed = array is not None and self._kind == _form(array)
        before = self._before if changed else None
        if changed:
            self._keep(array)
        if hushed():  # in which statement of a loop this is, is not known
            self.again += before == self._entries != ()
            return
        self.looks += 1
        if before is not None:
            self.of_arrays = not isinstance(array, list)
            self.changes += 1
            _by_thread[get_ident()] += self.of_arrays
            for told in _told:
                told(self, _shared(before, self._entries))
        if self.once:
            self.on = self.once = False
        elif self.changes >= ENOUGH and not self.of_arrays:
            self._stop()  # a look takes longer than what is done to a number
        elif self.looks >= LOOKS and self.changes < self.looks // 2:
            living = sum(kept() is not None for kept, _ in self._kept.values())
            if self.looks >= LOOKS + 2 * living:  # else it goes through many
                self._stop()

    @property
    def is_lasting(self) -> bool:
        """Whether what it changes outlives the loop's entries, as far as was seen."""
        return self._outlived >= 0

    def _compare_entries(self, around: _Entries) -> None:
        """Count the entries of the loop around that what it changes outlived."""
        last = self._entries
        if last and around and last[-1] != around[-1]:
            self._outlived += -1 if self._before is None else 1

    def _stop(self) -> None:
        """Look no more."""
        self.on = False
        self._kept = {}
        self._lists.clear()

    def _look(self, value: Any) -> Any:
        """The array in it, None for what holds none."""
        try:
            for name in self._path:
                value = _part(value, name)
            return array_in(value, lists=True)
        except Exception as error:  # whatever it is, it is no array
            if of_a_handler(error):
                raise
            self._stop()
            return None

    def _last(self, array: Any) -> _Entries | None:
        """The loops around it when the array was last changed; None if never."""
        if isinstance(array, list):
            return next((around for kept, around in self._lists if kept is array), None)
        kept, around = self._kept.get(id(array), (None, ()))
        return around if kept is not None and kept() is array else None

    def _keep(self, array: Any) -> None:
        if isinstance(array, list):
            others = (pair for pair in self._lists if pair[0] is not array)
            self._lists = deque([*others, (array, self._entries)], MOST_LISTS)
            return
        self._kept[id(array)] = weakref.ref(array), self._entries
        if len(self._kept) > self._most:
            kept = self._kept.items()
            self._kept = {key: pair for key, pair in kept if pair[0]() is not None}
            self._most = max(MOST_KEPT, 2 * len(self._kept))


def _shared(some: _Entries, others: _Entries) -> int:
    """How many loops both are in, in the same entry."""
    pairs = zip(some, others, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _part(value: Any, name: str) -> Any:
    """An attribute as it is stored; None for what is worked out, as properties are."""
    found = getattr_static(value, name, None)
    if type(found) is MemberDescriptorType:
        return found.__get__(value)
    return found


def _form(array: Any) -> tuple[Any, Any] | None:
    """What must stay the same of what is changed."""
    if isinstance(array, list):
        return len(array), float
    return None if array is None else (array.shape, array.dtype)


def array_in(value: Any, depth: int = 2, *, lists: bool = False) -> Any:
    """A float array of more than one number that `value` is, or holds first.

    With `lists` a list of floats, too.
    """
    if hasattr(type(value), "__dlpack__"):
        shape = value.shape
        several = len(shape) and shape != (1,)
        return value if several and _is_real(value.dtype) else None
    inner: Iterable[Any] = ()
    if isinstance(value, dict):
        inner = dict.values(value)
    elif isinstance(value, list | tuple):
        kind: Any = list if isinstance(value, list) else tuple
        inner = kind.__iter__(value)
        first = [*islice(kind.__iter__(value), 2)]
        if lists and kind is list and [*map(type, first)] == [float, float]:
            return value
    below = (each for each in islice(inner, 4) if depth)
    found = (array_in(each, depth - 1, lists=lists) for each in below)
    return next((each for each in found if each is not None), None)


@lru_cache(64)
def _is_real(dtype: Any) -> bool:
    """Whether numbers of that type are floats; to say it takes as long as all else."""
    return any(word in str(dtype) for word in _FLOATS)
