"""A load that calls another one for each element of a list: how it does so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from debottleneck.agent.calls import Call, Place, differing, same

FEWEST = 4
"""Elements below which handing them out is not worth its cost."""


@dataclass(frozen=True)
class Pattern:
    """How an outer call leads to its inner calls.

    Attributes:
        elements: Where the outer call has its list.
        inner: Key of the inner function.
        place: Where the inner call has its element.
        template: One inner call; its other arguments stay.
    """

    elements: Place
    inner: object
    place: Place
    template: Call


def recognise(outer: Call, seen: Sequence[tuple[object, Call]]) -> Pattern | None:
    """The pattern of an outer call that has ended; None when there is none.

    Args:
        outer: The call.
        seen: The calls within it, each with the key of its function.
    """
    if len(seen) < FEWEST:
        return None
    inner, first = seen[0]
    calls = [call for key, call in seen if key == inner]
    if len(calls) < len(seen):
        return None
    places = differing(first, calls[1])
    if places is None or len(places) != 1:
        return None
    place = places[0]
    for where, value in outer.items().items():
        if _leads_to(value, calls, place):
            return Pattern(where, inner, place, first)
    return None


def _leads_to(value: Any, calls: Sequence[Call], place: Place) -> bool:
    """Whether the calls run over these elements, all else the same."""
    if not is_list(value) or len(value) != len(calls):
        return False
    first = calls[0]
    for element, call in zip(value, calls, strict=True):
        if differing(first, call) not in ((), (place,)):
            return False
        if not same(element, call.items()[place]):
            return False
    return True


def is_list(value: Any) -> bool:
    """Whether it is a list of elements, or an array of one dimension."""
    shape = getattr(value, "shape", None)
    return isinstance(value, list | tuple) or (shape is not None and len(shape) == 1)
