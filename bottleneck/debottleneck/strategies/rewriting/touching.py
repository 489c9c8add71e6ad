"""Notes what is read and changed of values."""

from __future__ import annotations

import types
from typing import Any

from debottleneck.strategies.conflicts import PLAIN
from debottleneck.strategies.rewriting import known
from debottleneck.strategies.rewriting.locations import ALL, Effects, owner_of, reach
from debottleneck.strategies.rewriting.values import (
    FRESH,
    Value,
    joined,
    may_run,
)


class Touching:
    """Collects effects.

    Args:
        bound: Location -> functions and objects that are bound there, by any code.

    Attributes:
        effects: So far.
    """

    def __init__(self, bound: dict[Any, Value] | None = None) -> None:
        self.effects = Effects()
        self._bound = {} if bound is None else bound

    def note(self, owner: Any, attribute: str, write: bool) -> None:
        """A location is read or changed."""
        key = owner_of(owner)
        self.effects.held[id(owner)] = owner
        self.effects.bound = self.effects.bound or known.thread_bound(owner, write)
        kind = self.effects.writes if write else self.effects.reads
        kind.add((key, attribute))

    def bind(self, owner: Any, attribute: str, value: Value) -> None:
        """An attribute is bound to something that may be called."""
        may = [one for one in value.each if may_run(one.sample)]
        if may:
            key = owner_of(owner), attribute
            self._bound[key] = joined([self._bound.get(key, FRESH), *may])

    def as_bound(self, owner: Any, attribute: str, value: Value) -> Value:
        """What an attribute holds now, or any code binds to it."""
        more = self._bound.get((owner_of(owner), attribute))
        return value if more is None else joined([value, more])

    def read(self, value: Value, attribute: str = ALL) -> None:
        """An attribute of a value is used, or its content."""
        self._of_fixed(value, attribute, write=False)
        for root in value.roots:
            if value.exactly(root):
                self.note(root, attribute, write=False)
            else:
                self.deep(root, write=False)

    def _of_fixed(self, value: Value, attribute: str, write: bool) -> None:
        """Attributes of modules, classes and functions, which are not looked into."""
        for one in value.each:
            if isinstance(one.sample, types.ModuleType):
                self.note(vars(one.sample), attribute, write)
            elif isinstance(one.sample, type | types.FunctionType):
                self.note(one.sample, attribute, write)

    def read_all(self, value: Value) -> None:
        """All that a value holds may be used."""
        for root in value.roots:
            self.deep(root, write=False)

    def change(self, value: Value, attribute: str) -> None:
        """An attribute of a value is bound, or its content changes."""
        self._of_fixed(value, attribute, write=True)
        for root in value.roots:
            if value.exactly(root):
                self.note(root, attribute, write=True)
            else:
                self.deep(root, write=True)

    def change_all(self, value: Value) -> None:
        """All that a value holds may change."""
        if all(isinstance(one.sample, PLAIN) for one in value.each):
            return
        for root in value.roots:
            self.deep(root, write=True)

    def deep(self, root: Any, write: bool) -> None:
        """Everything that an object holds is touched."""
        for held in reach(root):
            self.note(held, ALL, write)
