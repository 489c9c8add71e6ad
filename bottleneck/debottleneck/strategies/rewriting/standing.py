"""Whether turns that were found independent still are: what they hold lies apart.

What is new at a place is taken as independent where it is of the same kind as before
and shares memory with no other place that it did not share with. All else is looked at
anew.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from debottleneck.strategies.conflicts import is_buffer, is_tensor
from debottleneck.strategies.rewriting.locations import (
    ALL,
    MOST_ELEMENTS,
    Effects,
    is_fixed,
    owner_of,
)
from debottleneck.strategies.rewriting.watch import held_at

_KINDS = (list, tuple, dict)
_DEEPEST = 3


class Standing:
    """What turns hold, as it was when they were looked at."""

    def __init__(self, given: Sequence[Any], effects: Sequence[Effects]) -> None:
        expanded = {id(one) for one in _expanded(given) if isinstance(one, _KINDS)}
        held = {owner_of(v): v for each in effects for v in each.held.values()}
        touched = set[Any]().union(*(each.touches for each in effects))
        self._places = [
            (held[owner], attribute)
            for owner, attribute in sorted(touched, key=str)
            if owner in held and not (attribute == ALL and id(held[owner]) in expanded)
        ]
        values = self._values(given)
        self._before = [*map(_kept, values)]
        self._owners = [*map(_owner, values)]

    def _values(self, given: Sequence[Any]) -> list[Any]:
        values = [*_expanded(given)]
        for owner, attribute in self._places:
            values += islice(held_at(owner, attribute), MOST_ELEMENTS)
        return values

    def holds(self, given: Sequence[Any]) -> bool:
        """Whether it is so still; what is new then is what there was."""
        values = self._values(given)
        if len(values) != len(self._before):
            return False
        owners = [*self._owners]
        for place, (before, value) in enumerate(zip(self._before, values, strict=True)):
            old = before() if type(before) is weakref.ref else before
            if old is not value:
                if not _is_like(self._owners[place], value):
                    return False
                owners[place] = _owner(value)
                self._before[place] = _kept(value)
        same = _pattern(owners) == _pattern(self._owners)
        self._owners = owners
        return same


def _expanded(values: Iterable[Any], depth: int = _DEEPEST) -> Iterator[Any]:
    """These, and what lists, tuples and dictionaries among them hold."""
    for value in values:
        yield value
        if depth and type(value) in _KINDS:
            if isinstance(value, Mapping):
                yield from islice(value, MOST_ELEMENTS)
                value = value.values()
            yield from _expanded(islice(value, MOST_ELEMENTS), depth - 1)


def _kept(value: Any) -> Any:
    """It, or what tells it without keeping its memory."""
    return weakref.ref(value) if _is_memory(value) else value


def _is_memory(value: Any) -> bool:
    if not is_buffer(value) or not (is_tensor(value) or hasattr(value, "dtype")):
        return False
    return is_tensor(value) or value.dtype.kind != "O"


def _owner(value: Any) -> Any:
    """By its kind, what tells it from others; None where it cannot change."""
    if is_fixed(value):
        return None
    return type(value), owner_of(value)


def _is_like(owner: Any, value: Any) -> bool:
    """Whether another value may stand where one of that owner did."""
    if owner is None:
        return is_fixed(value) and not callable(value)
    return owner[0] is type(value) and (_is_memory(value) or type(value) in _KINDS)


def _pattern(owners: Sequence[Any]) -> list[int]:
    """Which of them are the same, each by the first of them."""
    first: dict[Any, int] = {}
    return [
        place if owner is None else first.setdefault(owner, place)
        for place, owner in enumerate(owners)
    ]
