"""What a loop that is left early, or a process that ends, must bring back."""

from __future__ import annotations

import ast
import inspect
import io
import types
from collections.abc import Container, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

from debottleneck.strategies import randomness
from debottleneck.strategies.conflicts import is_random
from debottleneck.strategies.rewriting.divide import Division
from debottleneck.strategies.rewriting.flatten import FlatLoop, jumps
from debottleneck.strategies.rewriting.known import OUTSIDE
from debottleneck.strategies.rewriting.locations import (
    ALL,
    Effects,
    File,
    Location,
    is_fixed,
    is_shared,
    owner_of,
    reach,
)
from debottleneck.strategies.rewriting.watch import held_at


@dataclass(frozen=True)
class Kept:
    """What is brought back when the loop is left early.

    Attributes:
        streams: Random generators that the lines ahead draw from.
        attributes: Owners and attributes that they set.
    """

    streams: tuple[Any, ...] = ()
    attributes: tuple[tuple[Any, str], ...] = ()

    def snapshot(self) -> Any:
        """How it is now."""
        values = [held_at(owner, name)[0] for owner, name in self.attributes]
        return randomness.states(self.streams), values

    def restore(self, state: Any) -> None:
        """Bring a snapshot back; None brings nothing."""
        if state is None:
            return
        states, values = state
        now = randomness.states(self.streams)
        randomness.take_over(self.streams, states, now)
        for (owner, name), value in zip(self.attributes, values, strict=True):
            if isinstance(owner, dict):
                owner[name] = value
            else:
                setattr(owner, name, value)


class Reachable:
    """Whether the script can still get at something by a name."""

    def __init__(self, frame: FrameType, space: Mapping[str, Any]) -> None:
        self._values = [*frame.f_locals.values(), *space.values()]
        self._owners: set[Any] | None = None

    def __contains__(self, owner: Any) -> bool:
        if self._owners is None:
            values = [v for v in self._values if not is_fixed(v)]
            self._owners = {owner_of(o) for v in values for o in reach(v)}
            self._owners.add(owner_of(self._values))
        return owner in self._owners


def _held(at: Location, effects: Effects) -> Any:
    return next((v for v in effects.held.values() if owner_of(v) == at[0]), None)


def travels(at: Location, ahead: Effects, reachable: Container[Any]) -> bool:
    """Whether a change of it in another process is not missed here."""
    held = _held(at, ahead)
    if held is None or is_random(held):
        return True
    if isinstance(held, dict) and at[1] != ALL:
        return False  # a variable of a module
    if isinstance(held, io.IOBase):
        return False
    return at[0] not in reachable and not isinstance(held, types.CellType)


def comes_back(at: Location, ahead: Effects) -> bool:
    """Whether what changed ahead of the loop's early end can be brought back."""
    held = _held(at, ahead)
    if isinstance(inspect.getattr_static(type(held), at[1], None), property):
        return True  # what it stores is told by its own code
    return (
        at[1] != ALL and _is_stored(held, at[1]) and is_fixed(held_at(held, at[1])[0])
    )


def _is_stored(owner: Any, name: str) -> bool:
    """Whether to read it runs no code."""
    if isinstance(owner, dict) or name in getattr(owner, "__dict__", {}):
        return True
    static = inspect.getattr_static(type(owner), name, None)
    return isinstance(static, types.MemberDescriptorType)


def streams_in(effects: Effects) -> tuple[Any, ...]:
    """The random generators that some code uses."""
    held = effects.held.values()
    return tuple(h for h in held if is_random(h))


def kept_of(division: Division, ahead: Effects) -> Kept:
    """What is noted with each item."""
    found = [(_held(at, ahead), at[1]) for at in division.changed]
    streams = {id(h): h for h, _ in found if is_random(h)}
    attributes = [
        (held, name)
        for held, name in found
        if name != ALL
        and held is not None
        and _is_stored(held, name)
        and is_fixed(held_at(held, name)[0])
    ]
    return Kept(tuple(streams.values()), tuple(attributes))


def leaves_early(flat: FlatLoop, division: Division) -> bool:
    """Whether lines that stay leave the loop, with others ahead of them."""
    stays = [jumps([flat.numbered[n].node], True) for n in division.stays]
    return any(not isinstance(node, ast.Continue) for each in stays for node in each)


def of_this_process(child: Effects, ahead: Effects, stays: Effects) -> bool:
    """Whether the child would use what only threads of this process share.

    So are files, where lines ahead open some and the others may write some; and those
    that the child would write, as what it fails at is made here once more.
    """
    if any(is_shared(held) for held in child.held.values()) or _writes_files(child):
        return True
    return _writes_files(stays) and any(
        isinstance(v, File) for v in ahead.held.values()
    )


def _writes_files(effects: Effects) -> bool:
    writes = {at[0] for at in effects.writes}
    held = [v for v in effects.held.values() if owner_of(v) in writes]
    return any(value is OUTSIDE or isinstance(value, File) for value in held)
