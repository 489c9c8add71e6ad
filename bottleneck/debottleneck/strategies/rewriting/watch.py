"""Whether what was learned of a loop holds: what both sides reach, looked at.

While a few iterations run with nothing beside them, what the lines ahead use is looked
at before and after the others run, and the other way round. A difference means that
the sides meet where the code does not show it.
"""

from __future__ import annotations

import inspect
import sys
import zlib
from collections.abc import Collection, Mapping
from types import MemberDescriptorType
from typing import Any

from debottleneck.strategies import randomness
from debottleneck.strategies.conflicts import (
    PLAIN,
    is_buffer,
    is_random,
    is_tensor,
    stored,
    tensor_fingerprint,
)
from debottleneck.strategies.rewriting.locations import (
    ALL,
    Effects,
    File,
    Location,
    is_shared,
    owner_of,
)

MOST_BYTES = 1 << 20
"""Of one array that are looked at; of a larger one, evenly spread."""

MOST = 2000
"""Locations that are looked at."""


class Look:
    """What some locations hold now.

    Args:
        effects: Of the code whose locations they are.
        besides: Owners that are left out: made anew each time.
    """

    def __init__(self, effects: Effects, besides: Collection[Any]) -> None:
        self._held = {owner_of(v): v for v in effects.held.values()}
        wanted = sorted(effects.touches, key=str)[:MOST]
        self._at = [
            place
            for place in wanted
            if place[0] not in besides and place[0] in self._held
        ]
        self._prints = self._now()

    def changed(self) -> set[Location]:
        """What differs since the last time, or since it was made."""
        before, self._prints = self._prints, self._now()
        return {at for at in self._at if not same(before[at], self._prints[at])}

    def _now(self) -> dict[Location, Any]:
        return {at: _print_or_none(self._held[at[0]], at[1]) for at in self._at}


def _print_or_none(value: Any, attribute: str) -> Any:
    try:
        return print_of(value, attribute)
    except Exception:  # noqa: BLE001 - a user's object may raise anything here
        return None


def held_at(value: Any, attribute: str) -> list[Any]:
    """What an attribute holds, a variable, a cell; or all that an object does.

    Of arrays, generators of random numbers and the like there is nothing.
    """
    if attribute.startswith("cell "):
        return [_content_of_cell(value)]
    if attribute != ALL:
        own = value if isinstance(value, dict) else getattr(value, "__dict__", {})
        slot = inspect.getattr_static(type(value), attribute, None)
        if isinstance(slot, MemberDescriptorType):
            return [getattr(value, attribute, None)]
        return [own.get(attribute)]
    if is_shared(value) or is_buffer(value) or is_random(value):
        return []
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return [*value]
    names = [*getattr(value, "__dict__", {})]
    return [*names, *stored(value)]


def print_of(value: Any, attribute: str) -> Any:
    """Differs when that attribute is bound anew, or the content changes."""
    if attribute != ALL:
        return held_at(value, attribute)
    if is_shared(value):
        return None
    if isinstance(value, File):
        return value.state()
    if is_tensor(value):
        return tensor_fingerprint(value)
    if is_random(value):
        return randomness.state_of(value)
    if isinstance(value, bytearray):
        return zlib.crc32(value), len(value)
    if is_buffer(value) and hasattr(value, "dtype"):
        return _of_array(value)
    return held_at(value, ALL)


def _content_of_cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _of_array(value: Any) -> Any:
    if value.dtype.hasobject:
        return [*value.reshape(-1)[:MOST]]
    numpy: Any = sys.modules["numpy"]
    flat = value.reshape(-1)
    if value.nbytes > MOST_BYTES:
        flat = flat[:: value.nbytes // MOST_BYTES + 1]
    raw = numpy.ascontiguousarray(flat).view("u1")
    return value.shape, zlib.crc32(raw)


def same(before: Any, after: Any) -> bool:
    """Whether two prints are equal: the same objects, or equal plain values."""
    if not (isinstance(before, list) and isinstance(after, list)):
        return bool(before == after)
    return len(before) == len(after) and all(
        one is other
        or (type(one) is type(other) and isinstance(one, PLAIN) and one == other)
        for one, other in zip(before, after, strict=True)
    )
