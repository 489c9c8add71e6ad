"""Iterations of a loop observed: how long each line takes, what it touches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from time import perf_counter_ns
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
        self._last = 0

    @property
    def enough(self) -> bool:
        """Whether as many iterations were seen as it takes."""
        return len(self._looks) >= OBSERVED

    def begin(self) -> None:
        """The next item is asked for."""
        self._ns.append([0] * (len(self._place) + 1))
        self._last = perf_counter_ns()

    def came(self) -> None:
        """The item is there."""
        now = perf_counter_ns()
        self._ns[-1][-1] += now - self._last
        self._last = now

    def note(self, number: int, value: Any) -> Any:
        """A line was run; returns the value that it gave."""
        now = perf_counter_ns()
        self._ns[-1][self._place[number]] += now - self._last
        self._values[number] = value
        self._last = perf_counter_ns()
        return value

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
        times = zip(*self._ns[-OBSERVED:], strict=True)
        shortest = [float(min(each)) for each in times]
        return Observation(second, shortest, owners[0] ^ owners[1])
