"""Random streams that a source draws from, carried between a child and its parent.

A source that shuffles or augments at random would draw the same numbers in every epoch
if its child's draws were lost. The streams that can be reached from the source are
found before the fork; the child tells their states with what it sends, and the parent
takes them over, as if it had drawn itself.
"""

from __future__ import annotations

import gc
import pickle
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

MOST_OBJECTS = 2000
"""Objects looked at: a source holds its streams near the top."""

_MOST_HELD = 128
"""What is looked at of one object, list or dictionary."""

_LEAVES = (
    *(str, bytes, int, float, complex, type(None), type),
    *(types.ModuleType, types.CodeType),
)

States = tuple[bytes | None, ...]


def streams(*roots: object) -> tuple[Any, ...]:
    """The global random streams, and those that these objects hold."""
    found = [*_global_streams(), *(v for v in reachable(roots) if _access(v))]
    return tuple({id(stream): stream for stream in found}.values())


def states(of: Sequence[Any]) -> States:
    """The state of each stream."""
    return tuple(state_of(stream) for stream in of)


class Draws:
    """Tells which streams have been drawn from."""

    def __init__(self, of: Sequence[Any]) -> None:
        self._of, self._last = of, states(of)

    def news(self) -> States:
        """The states of those drawn from since the last call; () when all stayed."""
        before, self._last = self._last, states(self._of)
        if before == self._last:
            return ()
        pairs = zip(self._last, before, strict=True)
        return tuple(new if new != old else None for new, old in pairs)


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
        access = _access(stream)
        if state is not None and access and state_of(stream) == before:
            access[1](pickle.loads(state))


def part_ways(number: int) -> None:
    """Have the global streams of one of several equal children draw other numbers.

    Args:
        number: Which child; the first, 0, goes on as its parent would have.
    """
    for stream in _global_streams() if number else ():
        if hasattr(stream, "manual_seed"):
            stream.manual_seed(stream.initial_seed() + number)
        elif hasattr(stream, "randint") and hasattr(stream, "get_state"):
            stream.seed([stream.randint(2**31), number])
        else:
            stream.seed(f"{stream.random()} {number}")


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
        if isinstance(value, types.FunctionType):  # not all that its module holds
            waiting += [*cells(value), value.__defaults__, value.__kwdefaults__]
        else:
            waiting += gc.get_referents(value)[:_MOST_HELD]


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


def _access(value: Any) -> tuple[Callable[[], Any], Callable[[Any], Any]] | None:
    """What reads and what sets its state; None of what is no stream of this process."""
    random: Any = sys.modules.get("random")
    torch: Any = sys.modules.get("torch")
    if random is not None and isinstance(value, random.Random):
        system = isinstance(value, random.SystemRandom)
        return None if system else (value.getstate, value.setstate)
    if "numpy.random.mtrand" in sys.modules:
        if isinstance(value, sys.modules["numpy.random.mtrand"].RandomState):
            return value.get_state, value.set_state
        if isinstance(value, sys.modules["numpy.random"].Generator):
            bits = value.bit_generator
            return lambda: bits.state, lambda state: setattr(bits, "state", state)
    kind = getattr(torch, "Generator", None)
    if kind is not None and isinstance(value, kind) and value.device.type == "cpu":
        return (
            lambda: value.get_state().numpy(),
            lambda state: value.set_state(torch.from_numpy(state)),
        )
    return None


def state_of(stream: Any) -> bytes:
    """Differs after each draw; of a stream without a state always the same."""
    access = _access(stream)
    if access is None and hasattr(stream, "get_state"):  # of an accelerator
        return pickle.dumps(stream.get_state().cpu().numpy(), protocol=5)
    return pickle.dumps(access and access[0](), protocol=5)
