"""Random streams that a source draws from, carried between a child and its parent.

A source that shuffles or augments at random would draw the same numbers in every epoch
if its child's draws were lost. The streams that can be reached from the source are
found before the fork; the child tells their states with what it sends, and the parent
takes them over, as if it had drawn itself.
"""

from __future__ import annotations

import ctypes
import functools
import pickle
import sys
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

MOST_OBJECTS = 2000
"""Objects looked at: a source holds its streams near the top."""

_MOST_ELEMENTS = 64
"""Elements looked at of one list or dictionary."""

_CONTAINERS = (list, tuple, dict, set, frozenset)
_LEAVES = (str, bytes, int, float, complex, type(None), types.ModuleType, type)

States = tuple[bytes | None, ...]


def streams(*roots: object) -> tuple[Any, ...]:
    """The global random streams, and those that these objects hold.

    Args:
        roots: A source, or what makes one.
    """
    found: dict[int, Any] = {id(each): each for each in _global_streams()}
    for each in reachable(roots):
        if _kind(each):
            found[id(each)] = each
    return tuple(found.values())


def states(of: Sequence[Any]) -> States:
    """The state of each stream."""
    return tuple(_state(each) for each in of)


class Draws:
    """Tells which streams have been drawn from, cheaply enough to ask for each item.

    Args:
        of: The streams, watched from now on.
    """

    def __init__(self, of: Sequence[Any]) -> None:
        self._of = of
        self._marks = [_mark(each) for each in of]

    def news(self) -> States | None:
        """The states of those drawn from since the last call; None when all stayed."""
        before, self._marks = self._marks, [_mark(each) for each in self._of]
        if before == self._marks:
            return None
        drawn = zip(self._of, self._marks, before, strict=True)
        return tuple(_state(each) if new != old else None for each, new, old in drawn)


def take_over(of: Sequence[Any], states: States, since: States) -> None:
    """Move on the streams that nobody here has drawn from.

    A stream that the parent has used itself meanwhile goes on from where it is: the
    two orders of draws cannot be brought together.

    Args:
        of: The streams.
        states: What the child has told.
        since: Their states at the fork.
    """
    for stream, state, before in zip(of, states, since, strict=True):
        if state is not None and _state(stream) == before:
            _set(stream, pickle.loads(state))


def part_ways(number: int) -> None:
    """Have the global streams of one of several equal children draw other numbers.

    Args:
        number: Which child; the first, 0, goes on as its parent would have.
    """
    if not number:
        return
    for stream in _global_streams():
        kind = _kind(stream)
        if kind == "random":
            stream.seed(f"{stream.random()} {number}")
        elif kind == "state":
            stream.seed([stream.randint(2**31), number])
        elif kind == "torch":
            stream.manual_seed(stream.initial_seed() + number)


def reachable(roots: Iterable[object]) -> Iterator[Any]:
    """Objects that the roots hold: elements, attributes, closures, frames."""
    waiting: list[Any] = list(roots)
    seen: set[int] = set()
    while waiting and len(seen) < MOST_OBJECTS:
        each = waiting.pop()
        if isinstance(each, _LEAVES) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting.extend(_held_by(each))


def _held_by(each: Any) -> list[Any]:
    if isinstance(each, dict):
        return [*list(each.values())[:_MOST_ELEMENTS]]
    if isinstance(each, _CONTAINERS):
        return list(each)[:_MOST_ELEMENTS]
    if isinstance(each, functools.partial):
        return [each.func, each.args, each.keywords]
    if isinstance(each, types.MethodType):
        return [each.__self__, each.__func__]
    if isinstance(each, types.FunctionType):
        return [*_cells(each), each.__defaults__, each.__kwdefaults__]
    if isinstance(each, types.GeneratorType):
        frame = each.gi_frame
        return [] if frame is None else [dict(frame.f_locals)]
    held = getattr(each, "__dict__", None)
    return [held] if isinstance(held, dict) else []


def _cells(function: types.FunctionType) -> list[Any]:
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
    return found


def _global_streams() -> list[Any]:
    found: list[Any] = []
    if "random" in sys.modules:
        found.append(sys.modules["random"]._inst)
    if "numpy.random.mtrand" in sys.modules:
        found.append(sys.modules["numpy.random.mtrand"]._rand)
    if hasattr(sys.modules.get("torch"), "default_generator"):
        found.append(sys.modules["torch"].default_generator)
    return found


def _kind(each: Any) -> str:
    """What kind of stream it is, "" for none; asked of the libraries that are there."""
    random: Any = sys.modules.get("random")
    torch: Any = sys.modules.get("torch")
    if random is not None and isinstance(each, random.Random):
        return "" if isinstance(each, random.SystemRandom) else "random"
    if "numpy.random.mtrand" in sys.modules:
        if isinstance(each, sys.modules["numpy.random.mtrand"].RandomState):
            return "state"
        if isinstance(each, sys.modules["numpy.random"].Generator):
            return "generator"
    generator: Any = getattr(torch, "Generator", None)
    if generator is not None and isinstance(each, generator):
        return "torch" if each.device.type == "cpu" else ""
    return ""


def _state(stream: Any) -> bytes:
    kind = _kind(stream)
    if kind == "random":
        state = stream.getstate()
    elif kind == "state":
        state = stream.get_state()
    elif kind == "generator":
        state = stream.bit_generator.state
    else:
        state = stream.get_state().numpy()
    return pickle.dumps(state, protocol=5)


def _mark(stream: Any) -> Any:
    """Something that is another one after a draw; less work than the whole state."""
    kind = _kind(stream)
    if kind == "random":
        return stream.getstate()
    if kind == "state" and type(stream._bit_generator).__name__ == "MT19937":
        return ctypes.string_at(stream._bit_generator.ctypes.state_address, 625 * 4)
    return _state(stream)


def _set(stream: Any, state: Any) -> None:
    kind = _kind(stream)
    if kind == "random":
        stream.setstate(state)
    elif kind == "state":
        stream.set_state(state)
    elif kind == "generator":
        stream.bit_generator.state = state
    else:
        stream.set_state(sys.modules["torch"].from_numpy(state))
