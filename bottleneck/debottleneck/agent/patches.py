"""What is put in the place of others' attributes, and how all of it comes out again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

_NOTHING = object()
_undo: list[Callable[[], object]] = []


def put(place: Any, name: str, value: object) -> None:
    """Set an attribute until `take_back`."""
    before = vars(place).get(name, _NOTHING)
    setattr(place, name, value)
    if before is _NOTHING:
        _undo.append(partial(delattr, place, name))
    else:
        _undo.append(partial(setattr, place, name, before))


def undo_with(call: Callable[[], object]) -> None:
    """Call this at `take_back`, before what was put in earlier comes out."""
    _undo.append(call)


def take_back() -> None:
    """Let everything be as it was, the last change first."""
    while _undo:
        _undo.pop()()
