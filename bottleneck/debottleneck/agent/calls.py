"""Calls and which one comes next: a whole number that advances, all else the same.

The number advances by a constant step, or as it did the last time around, so that a
loop over epochs is foreseen at its turn too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from pathlib import PurePath
from typing import Any

MOST_REMEMBERED = 1_000_000
"""Numbers whose successor is remembered, some 100 MB at most."""

CONFIRMED = 2
"""Equal steps in a row after which the next is foreseen."""

BY_VALUE = (str, bytes, float, complex, bool, type(None), PurePath, slice, range)
Place = int | str


@dataclass(frozen=True)
class Call:
    """One call's arguments."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def items(self) -> dict[Place, Any]:
        """Arguments by position or name."""
        items: dict[Place, Any] = dict(enumerate(self.args))
        items.update(self.kwargs)
        return items

    def with_value(self, place: Place, value: Any) -> Call:
        """The same call with another value in one place."""
        if isinstance(place, int):
            args = (*self.args[:place], value, *self.args[place + 1 :])
            return Call(args, self.kwargs)
        return Call(self.args, {**self.kwargs, place: value})


def same(one: Any, other: Any) -> bool:
    """Whether two arguments are the same object, or equal plain values."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return (isinstance(one, BY_VALUE) or is_number(one)) and bool(one == other)


def is_number(value: Any) -> bool:
    """Whether it is a whole number, NumPy's included; True and False are none."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return False
    return getattr(value, "shape", ()) == ()


def differing(one: Call, other: Call) -> tuple[Place, ...] | None:
    """Places at which two calls differ; None when their shapes do."""
    first, second = one.items(), other.items()
    if first.keys() != second.keys():
        return None
    return tuple(p for p in first if not same(first[p], second[p]))


class Progression:
    """Learns from one call after the other and foresees the next ones."""

    def __init__(self) -> None:
        self._last: Call | None = None
        self._step = 0
        self._equal_steps = 0
        self._follows: dict[int, int] = {}
        self.place: Place | None = None

    def learn(self, call: Call) -> None:
        """Take the next call in; anything but a progression starts afresh."""
        last, self._last = self._last, call
        if last is None:
            return
        places = differing(last, call)
        if places is None or len(places) != 1 or not self._advances(last, call, places):
            self._forget()

    def _advances(self, last: Call, call: Call, places: tuple[Place, ...]) -> bool:
        (place,) = places
        before, now = last.items()[place], call.items()[place]
        if not (is_number(before) and is_number(now)):
            return False
        if place != self.place:
            self._forget()
        self.place = place
        step = index(now) - index(before)
        self._equal_steps = self._equal_steps + 1 if step == self._step else 1
        self._step = step
        if len(self._follows) < MOST_REMEMBERED:
            self._follows[index(before)] = index(now)
        return True

    def _forget(self) -> None:
        self.place = None
        self._step = self._equal_steps = 0
        self._follows.clear()

    @property
    def foresees(self) -> bool:
        """Whether the next call is foreseen."""
        return self._next(self._number()) is not None

    def ahead(self, count: int) -> list[Call]:
        """The next calls, as far as foreseen, at most `count`."""
        calls: list[Call] = []
        if self._last is None or self.place is None:
            return calls
        number = self._number()
        kind = type(self._last.items()[self.place])
        for _ in range(count):
            number = self._next(number)
            if number is None:
                break
            calls.append(self._last.with_value(self.place, kind(number)))
        return calls

    def _number(self) -> int | None:
        if self._last is None or self.place is None:
            return None
        return index(self._last.items()[self.place])

    def _next(self, number: int | None) -> int | None:
        if number is None:
            return None
        if number in self._follows:
            return self._follows[number]
        return number + self._step if self._equal_steps >= CONFIRMED else None


def is_source(value: Any) -> bool:
    """Whether an argument gives something else each time: a queue or an iterator."""
    if hasattr(value, "__next__"):
        return True
    return callable(getattr(value, "get", None)) and callable(
        getattr(value, "put", None)
    )
