"""Begins the remedies that were asked for, tells them of steps, ends them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from debottleneck.agent import entries, evidence
from debottleneck.agent.turns import LoopPoint
from debottleneck.strategies.remedies.hooks import Remedy
from debottleneck.strategies.rewriting.notes import FAILED, Notes
from debottleneck.strategies.spec import (
    BACKGROUND,
    BLAS,
    DATALOADER,
    FORWARD,
    GC,
    UPDATE,
    Strategy,
)

_REMEDIES = {
    GC: ("collector", "Collector"),
    BLAS: ("blas_threads", "PoolSizes"),
    DATALOADER: ("torch_loaders", "Loaders"),
    FORWARD: ("torch_modules", "Modules"),
    UPDATE: ("torch_steps", "OptimizerSteps"),
    BACKGROUND: ("checkpoints", "Checkpoints"),
}
"""Strategy -> the module and the class that acts, imported when it is asked for."""

_acting: list[tuple[Strategy, Remedy]] = []


def begin(strategies: Sequence[Strategy], notes: Notes) -> None:
    """Begin what of these strategies does not rewrite a loop.

    Args:
        strategies: Those that were asked for.
        notes: Where they say what they do.
    """
    for strategy in strategies:
        if strategy.name in _REMEDIES:
            _acting.append((strategy, made(strategy, notes)))
    if _acting:
        entries.at_steps(_stepped)


def made(strategy: Strategy, notes: Notes) -> Remedy:
    """One of them, which begins to act."""
    module, kind = _REMEDIES[strategy.name]
    make = getattr(import_module(f"{__package__}.{module}"), kind)
    return make(strategy, notes)  # type: ignore[no-any-return] # a remedy


def after_torch(torch: ModuleType) -> None:
    """Torch was imported."""
    for _, remedy in _acting:
        remedy.after_torch(torch)


def _stepped(point: LoopPoint | None) -> None:
    chosen = evidence.search().chosen if evidence.searching() else None
    if point is None or point is chosen:
        for _, remedy in _acting:
            remedy.stepped()


def close(notes: Notes) -> None:
    """Undo everything, the last thing first; one that fails stops no other."""
    while _acting:
        strategy, remedy = _acting.pop()
        try:
            remedy.close()
        except (RuntimeError, OSError) as error:
            notes.say(strategy.name, FAILED, f"it could not be ended cleanly: {error}")
