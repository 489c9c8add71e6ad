"""What going over a value does: iterators, generators under way, the user's own."""

from __future__ import annotations

import gc
import inspect
import types
from typing import Any

from debottleneck.agent.discover import is_own
from debottleneck.strategies.rewriting import known
from debottleneck.strategies.rewriting.foreign import Follows
from debottleneck.strategies.rewriting.locations import ALL, closure, iterators_in
from debottleneck.strategies.rewriting.touching import Touching
from debottleneck.strategies.rewriting.values import (
    FRESH,
    NOTHING,
    Value,
    elements,
    joined,
    kind_of,
    own_function,
)


class Iterating:
    """Notes what it takes to go over values.

    Args:
        callees: Follows the user's own code.
        touch: Where it is noted.
    """

    def __init__(self, callees: Follows, touch: Touching) -> None:
        self._callees = callees
        self._touch = touch

    def iterate(self, value: Value) -> Value:
        """What going over a value gives, once; its effects are noted."""
        found = [self._iterate(one) for one in value.each]
        return joined(found) if len(found) > 1 else found[0]

    def _part(self, part: Any) -> Value:
        """Something that one of Python's own iterators holds."""
        if callable(part):
            return self._callees.call(Value.of(part), [], {})
        return self.iterate(Value.of(part))

    def _iterate(self, value: Value) -> Value:
        sample = value.sample
        if isinstance(sample, types.GeneratorType):
            return self._generator(sample, value)
        parts = iterators_in(sample)
        if parts:
            self._touch.change(value, ALL)
            return joined([self._part(part) for part in parts])
        kind = kind_of(value)
        for name in ("__iter__", "__next__", "__getitem__"):
            method = inspect.getattr_static(kind, name, None)
            if own_function(method):
                made = self._callees.invoke(method, [value], {})
                if name == "__iter__" and not value.exactly(made.sample):
                    return made if made.sample is NOTHING else self.iterate(made)
                if name != "__iter__":
                    return made
        if isinstance(sample, list | tuple | dict | set | frozenset | str | range):
            self._touch.read(value)
            return elements(sample, value.roots)
        if hasattr(kind, "__next__") or not known.is_array(sample):
            self._touch.change_all(value)
        self._touch.read(value)
        return Value(NOTHING, value.roots)

    def _generator(self, sample: Any, value: Value) -> Value:
        """What a generator that is under way does from here on."""
        self._touch.change(value, ALL)
        frame = sample.gi_frame
        if frame is None:
            return FRESH
        function = function_of(sample, frame)
        if not is_own(sample.gi_code.co_filename, ""):
            for held in frame.f_locals.values():
                self.iterate(Value.of(held)) if hasattr(held, "__next__") else None
                self._touch.change_all(Value.of(held))
            return Value(NOTHING, value.roots)
        free = sample.gi_code.co_freevars
        local = frame.f_locals.items()
        names = {n: Value.of(v) for n, v in local if n not in free}
        return self._callees.follow(function, names, closure(function))


def function_of(generator: Any, frame: types.FrameType) -> types.FunctionType:
    """The function whose generator it is, with its closure."""
    code = generator.gi_code
    for held in gc.get_referents(generator):
        if isinstance(held, types.FunctionType) and held.__code__ is code:
            return held
    cells = tuple(types.CellType() for _ in code.co_freevars)
    return types.FunctionType(code, frame.f_globals, closure=cells or None)
