"""Strategies for torch's own stages: loaders, modules, optimizers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Protocol

from debottleneck.strategies.automatic.boundaries import Boundaries
from debottleneck.strategies.automatic.notes import Notes
from debottleneck.strategies.automatic.torch_loader import Loaders
from debottleneck.strategies.automatic.torch_modules import Modules
from debottleneck.strategies.automatic.torch_steps import Steps
from debottleneck.strategies.spec import FORWARD, PREFETCH, UPDATE, Strategies, Strategy


class Acts(Protocol):
    """One strategy on one kind of torch's classes."""

    def install(self, torch: ModuleType) -> None:
        """Begin to act."""

    def close(self) -> None:
        """Undo every patch, and say what it came to."""


class TorchHooks:
    """Whatever acts on torch's own classes.

    Args:
        strategies: What was asked for.
        notes: Where each says what it does.
        boundaries: Tells of the trainer's stages.
    """

    def __init__(
        self, strategies: Strategies, notes: Notes, boundaries: Boundaries
    ) -> None:
        makers: Mapping[str, Callable[[Strategy], Acts]] = {
            PREFETCH: lambda strategy: Loaders(strategy, notes),
            FORWARD: lambda strategy: Modules(strategy, notes, boundaries),
            UPDATE: lambda strategy: Steps(notes),
        }
        self._actors = [makers[strategy.name](strategy) for strategy in strategies]

    def install(self, torch: ModuleType) -> None:
        """Begin to act; the agent has installed its marks."""
        for actor in self._actors:
            actor.install(torch)

    def close(self) -> None:
        """Undo every patch, the last one first."""
        for actor in reversed(self._actors):
            actor.close()
