"""Begins the remedies that were asked for, tells them of steps, ends them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from debottleneck.agent import entries, evidence
from debottleneck.agent.turns import LoopPoint
from debottleneck.strategies.remedies.hooks import Hooks
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

_MODULES = {
    GC: "collector",
    BLAS: "blas_threads",
    DATALOADER: "torch_loaders",
    FORWARD: "torch_modules",
    UPDATE: "torch_steps",
    BACKGROUND: "checkpoints",
}
"""Strategy -> the module that makes its hooks, imported when it is asked for."""

_acting: list[tuple[Strategy, Hooks]] = []


def begin(strategies: Sequence[Strategy], notes: Notes) -> None:
    """Begin what of these strategies does not rewrite a loop.

    Args:
        strategies: Those that were asked for.
        notes: Where they say what they do.
    """
    for strategy in strategies:
        if strategy.name in _MODULES:
            _acting.append((strategy, made(strategy, notes)))
    if _acting:
        entries.at_steps(_stepped)


def made(strategy: Strategy, notes: Notes) -> Hooks:
    """One of them, which begins to act."""
    module = import_module(f"{__package__}.{_MODULES[strategy.name]}")
    hooks: Hooks = module.make(strategy, notes)
    return hooks


def after_torch(torch: ModuleType) -> None:
    """Torch was imported."""
    for _, hooks in _acting:
        hooks.after_torch(torch)


def _stepped(point: LoopPoint | None) -> None:
    chosen = evidence.search().chosen if evidence.searching() else None
    if point is None or point is chosen:
        for _, hooks in _acting:
            hooks.stepped()


def close(notes: Notes) -> None:
    """Undo everything, the last thing first; one that fails stops no other."""
    while _acting:
        strategy, hooks = _acting.pop()
        try:
            hooks.close()
        except (RuntimeError, OSError) as error:
            notes.say(strategy.name, FAILED, f"it could not be ended cleanly: {error}")
