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
    by_id: dict[int, Any] = {id(value): value for value in _global_streams()}
    for value in reachable(roots):
        if _kind(value):
            by_id[id(value)] = value
    return tuple(by_id.values())


def states(of: Sequence[Any]) -> States:
    """The state of each stream."""
    return tuple(state_of(stream) for stream in of)


class Draws:
    """Tells which streams have been drawn from, cheaply enough to ask for each item.

    Args:
        of: The streams, watched from now on.
    """

    def __init__(self, of: Sequence[Any]) -> None:
        self._of = of
        self._marks = [_mark(stream) for stream in of]

    def news(self) -> States | None:
        """The states of those drawn from since the last call; None when all stayed."""
        before, self._marks = self._marks, [_mark(stream) for stream in self._of]
        if before == self._marks:
            return None
        drawn = zip(self._of, self._marks, before, strict=True)
        return tuple(
            state_of(stream) if new != old else None for stream, new, old in drawn
        )


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
        if state is not None and state_of(stream) == before:
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
        value = waiting.pop()
        if isinstance(value, _LEAVES) or id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        waiting.extend(_held_by(value))


def _held_by(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*list(value.values())[:_MOST_ELEMENTS]]
    if isinstance(value, _CONTAINERS):
        return list(value)[:_MOST_ELEMENTS]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, types.FunctionType):
        return [*cells(value), value.__defaults__, value.__kwdefaults__]
    if isinstance(value, types.GeneratorType):
        frame = value.gi_frame
        return [] if frame is None else [dict(frame.f_locals)]
    held = getattr(value, "__dict__", None)
    return [held] if isinstance(held, dict) else []


def cells(function: types.FunctionType) -> list[Any]:
    """What a function's closure holds."""
    contents = []
    for cell in function.__closure__ or ():
        try:
            contents.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
    return contents


def _global_streams() -> list[Any]:
    generators: list[Any] = []
    if "random" in sys.modules:
        generators.append(sys.modules["random"]._inst)
    if "numpy.random.mtrand" in sys.modules:
        generators.append(sys.modules["numpy.random.mtrand"]._rand)
    if hasattr(sys.modules.get("torch"), "default_generator"):
        generators.append(sys.modules["torch"].default_generator)
    return generators


def _kind(value: Any) -> str:
    """What kind of stream it is, "" for none; asked of the libraries that are there."""
    random: Any = sys.modules.get("random")
    torch: Any = sys.modules.get("torch")
    if random is not None and isinstance(value, random.Random):
        return "" if isinstance(value, random.SystemRandom) else "random"
    if "numpy.random.mtrand" in sys.modules:
        if isinstance(value, sys.modules["numpy.random.mtrand"].RandomState):
            return "state"
        if isinstance(value, sys.modules["numpy.random"].Generator):
            return "generator"
    generator: Any = getattr(torch, "Generator", None)
    if generator is not None and isinstance(value, generator):
        return "torch" if value.device.type == "cpu" else ""
    return ""


def state_of(stream: Any) -> bytes:
    """Differs after each draw; of a stream without a state always the same."""
    kind = _kind(stream)
    if kind == "random":
        state = stream.getstate()
    elif kind == "state":
        state = stream.get_state()
    elif kind == "generator":
        state = stream.bit_generator.state
    elif hasattr(stream, "get_state"):
        state = stream.get_state().cpu().numpy()
    else:
        state = None  # the system's own
    return pickle.dumps(state, protocol=5)


def _mark(stream: Any) -> Any:
    """Something that is another one after a draw; less work than the whole state."""
    kind = _kind(stream)
    if kind == "random":
        return stream.getstate()
    if kind == "state" and type(stream._bit_generator).__name__ == "MT19937":
        return ctypes.string_at(stream._bit_generator.ctypes.state_address, 625 * 4)
    return state_of(stream)


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
