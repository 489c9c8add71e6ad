"""Notes what is read and changed of values."""

from __future__ import annotations

from typing import Any

from debottleneck.strategies.conflicts import PLAIN
from debottleneck.strategies.rewriting import known
from debottleneck.strategies.rewriting.locations import ALL, Effects, owner_of, reach
from debottleneck.strategies.rewriting.values import Value


class Touching:
    """Collects effects.

    Attributes:
        effects: So far.
    """

    def __init__(self) -> None:
        self.effects = Effects()

    def note(self, owner: Any, attribute: str, write: bool) -> None:
        """A location is read or changed."""
        key = owner_of(owner)
        self.effects.held[id(owner)] = owner
        kind = self.effects.writes if write else self.effects.reads
        kind.add((key, attribute))

    def read(self, value: Value, attribute: str = ALL) -> None:
        """An attribute of a value is used, or its content."""
        for root in value.roots:
            if value.exactly(root):
                self.note(root, attribute, write=False)
            else:
                self.deep(root, write=False)

    def read_all(self, value: Value) -> None:
        """All that a value holds may be used."""
        for root in value.roots:
            self.deep(root, write=False)

    def change(self, value: Value, attribute: str) -> None:
        """An attribute of a value is bound, or its content changes."""
        for root in value.roots:
            if value.exactly(root):
                self.note(root, attribute, write=True)
            else:
                self.deep(root, write=True)

    def change_all(self, value: Value) -> None:
        """All that a value holds may change."""
        if isinstance(value.sample, PLAIN):
            return
        for root in value.roots:
            self.deep(root, write=True)

    def deep(self, root: Any, write: bool) -> None:
        """Everything that an object holds is touched."""
        for held in reach(root):
            bound = known.thread_bound(held)
            self.effects.bound = self.effects.bound or bound
            self.note(held, ALL, write)
