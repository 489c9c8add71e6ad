"""Whether a load fills the same memory each time: then it cannot be called ahead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

DEPTH = 3
"""Containers within containers that are looked into."""


def reuses(one: Any, other: Any) -> bool:
    """Whether two results in a row hold an array at the very same place.

    Two views of a data set begin at different places; a buffer that is filled anew
    for each batch is at the same one.
    """
    places = set(_places(one, DEPTH))
    return bool(places) and not places.isdisjoint(_places(other, DEPTH))


def _places(value: Any, depth: int) -> Iterator[tuple[int, int]]:
    """Address and size of every array and tensor, and of bytearrays."""
    if isinstance(value, bytearray):
        yield id(value), len(value)
    elif isinstance(value, dict):
        yield from _inside(value.values(), depth)
    elif isinstance(value, tuple | list):
        yield from _inside(value, depth)
    else:
        place = _place(value)
        if place is not None:
            yield place


def _inside(values: Any, depth: int) -> Iterator[tuple[int, int]]:
    if depth:
        for value in values:
            yield from _places(value, depth - 1)


def _place(value: Any) -> tuple[int, int] | None:
    interface = getattr(value, "__array_interface__", None)
    if isinstance(interface, dict):
        size = int(value.nbytes)
        return (int(interface["data"][0]), size) if size else None
    pointer = getattr(value, "data_ptr", None)
    if callable(pointer) and hasattr(value, "element_size"):
        size = int(value.element_size() * value.nelement())
        return (int(pointer()), size) if size else None
    return None


def size_of(value: Any) -> int:
    """Bytes of all arrays, tensors and byte strings within a value."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(map(size_of, value.values()))
    if isinstance(value, tuple | list):
        return sum(map(size_of, value))
    return sum(size for _, size in _places(value, DEPTH))
