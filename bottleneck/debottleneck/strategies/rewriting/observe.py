"""Iterations of a loop observed: how long each line takes, what it touches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from time import perf_counter_ns, thread_time_ns
from types import FrameType
from typing import Any

from debottleneck.strategies.rewriting.callees import Callees
from debottleneck.strategies.rewriting.divide import Observation
from debottleneck.strategies.rewriting.flatten import FlatLoop, Line
from debottleneck.strategies.rewriting.locations import Effects
from debottleneck.strategies.rewriting.values import FRESH, NOTHING, Names, Value

OBSERVED = 2
"""Iterations that are compared: what both touch lives on."""


class Observed:
    """Collects what is seen.

    Args:
        flat: The loop.
    """

    def __init__(self, flat: FlatLoop) -> None:
        self._flat = flat
        self._place = {line.number: n for n, line in enumerate(flat.lines)}
        self._uses = [line.uses for line in flat.lines]
        self._binders = Counter(name for line in flat.lines for name in line.binds)
        self._ns: list[list[int]] = []
        self._looks: list[list[Effects]] = []
        self._values: dict[int, Any] = {}
        self._cpu_ns: list[list[int]] = []
        self._sizes: dict[int, int] = {}
        self._last = self._cpu_last = 0

    @property
    def enough(self) -> bool:
        """Whether as many iterations were seen as it takes."""
        return len(self._looks) >= OBSERVED

    def begin(self) -> None:
        """The next item is asked for."""
        self._ns.append([0] * (len(self._place) + 1))
        self._cpu_ns.append([0] * (len(self._place) + 1))
        self._last, self._cpu_last = perf_counter_ns(), thread_time_ns()

    def came(self) -> None:
        """The item is there."""
        self._book(-1)

    def note(self, number: int, value: Any) -> Any:
        """A line was run; returns the value that it gave."""
        self._book(self._place[number])
        self._values[number] = value
        return value

    def _book(self, place: int) -> None:
        """What passed since the last time is that line's."""
        now, cpu_now = perf_counter_ns(), thread_time_ns()
        self._ns[-1][place] += now - self._last
        self._cpu_ns[-1][place] += cpu_now - self._cpu_last
        self._last, self._cpu_last = perf_counter_ns(), cpu_now

    def look(self, frame: FrameType, iterator: Any, besides: Mapping[str, Any]) -> None:
        """The iteration is over: see what each of its lines touched.

        Args:
            frame: The loop's.
            iterator: What it goes over.
            besides: Names that are no variables of the frame.
        """
        space, local = frame.f_globals, frame.f_locals
        bound = {*self._binders, *self._flat.names}
        own = bound if local is space else {*local}
        names = {n: Value.of(local[n]) for n in own if n in local}
        names |= {n: Value.of(v) for n, v in besides.items()}
        found = [self._line(line, space, names, local) for line in self._flat.lines]
        callees = Callees(space, names)
        callees.iterate(Value.of(iterator))
        self._looks.append([*found, callees.effects])
        self._sizes = {n: size_of(value) for n, value in self._values.items()}

    def _line(
        self, line: Line, space: dict[str, Any], names: Names, local: Any
    ) -> Effects:
        callees = Callees(space, names)
        used = not line.temporary or any(line.temporary in u for u in self._uses)
        callees.statement(line.node, used=used)
        seen = self._values.get(line.number)
        if line.temporary:
            names[line.temporary] = FRESH if seen is None else Value.of(seen)
        for index, name in enumerate(line.binds):
            if isinstance(seen, tuple):
                names[name] = Value.of(seen[index])
            elif self._binders[name] == 1 and name in local:
                names[name] = Value.of(local[name])
            else:  # some object that this iteration made, or another one
                both = (*names.get(name, FRESH).roots, object())
                names[name] = Value(NOTHING, both)
        return callees.effects

    def seen(self) -> Observation:
        """What all iterations showed."""
        first, second = self._looks[-OBSERVED:]
        owners = [{o for e in look for o, _ in e.touches} for look in (first, second)]
        for one, other in zip(second, first, strict=True):
            one.add(other)
        shortest, working = (
            [float(min(each)) for each in zip(*times[-OBSERVED:], strict=True)]
            for times in (self._ns, self._cpu_ns)
        )
        fresh = owners[0] ^ owners[1]
        return Observation(second, shortest, fresh, working, self._sizes)


def size_of(value: Any, depth: int = 3) -> int:
    """Bytes of all arrays, tensors and byte strings within a value.

    Args:
        value: Anything.
        depth: Containers within containers that are looked into.
    """
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, tuple | list):
        return sum(size_of(each, depth - 1) for each in value) if depth else 0
    if isinstance(value, bytes | bytearray):
        return len(value)
    kinds = ("numpy", "torch")
    if type(value).__module__.partition(".")[0] not in kinds:
        return 0
    size = getattr(value, "nbytes", 0)
    return size if isinstance(size, int) else 0
