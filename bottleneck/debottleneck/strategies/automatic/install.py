"""Apply strategies to the script that is about to run; undo them at its exit."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from debottleneck.agent import outputs
from debottleneck.agent.wrap import act_with, stop_acting
from debottleneck.recording import spool
from debottleneck.strategies import pools
from debottleneck.strategies.automatic.notes import FAILED, Notes
from debottleneck.strategies.spec import FORWARD, PREFETCH, UPDATE, Strategy, parse


class ActsOnTorch(Protocol):
    """One strategy on one kind of torch's classes."""

    def install(self, torch: ModuleType) -> None:
        """Begin to act; the agent has installed its marks."""

    def close(self) -> None:
        """Undo every patch, and say what it came to."""


GRACE_S = 0.5
"""Given at exit to fetches that are under way; nobody waits for their batches."""

_acting: list[tuple[str, Callable[[], None]]] = []
_asked: list[tuple[Strategy, Notes]] = []


def install(folder: Path, config: Mapping[str, Any]) -> None:
    """Begin to act on the stages of the script.

    Args:
        folder: The spool folder, for the notes.
        config: Its "strategies" are what `spec.parse` reads.
    """
    notes = Notes(folder / spool.STRATEGIES_FILE)
    outputs.is_worker = pools.is_worker
    for strategy in parse(config["strategies"]):
        _asked.append((strategy, notes))
        _add(strategy, notes)
    # A child of the script's own loads as it is.
    os.register_at_fork(after_in_child=pools.as_worker)
    atexit.register(_close, notes)


def _add(strategy: Strategy, notes: Notes) -> None:
    if strategy.name == PREFETCH:
        from debottleneck.strategies.automatic.loads import Loads

        loads = Loads(strategy, notes)
        act_with(loads.act)
        _acting.append((PREFETCH, loads.close))
    elif strategy.name == FORWARD:
        from debottleneck.strategies.automatic.forwards import Forwards

        forwards = Forwards(strategy, notes)
        act_with(forwards.act)
        _acting.append((FORWARD, forwards.close))
    elif strategy.name == UPDATE:
        from debottleneck.strategies.automatic.updates import Updates

        updates = Updates(strategy, notes)
        outputs.settle = updates.settle
        act_with(updates.act)
        _acting.append((UPDATE, updates.close))
    if strategy.word("where", "thread") == "process":
        from debottleneck.strategies.automatic.producers import Producers

        producers = Producers(strategy, notes)
        producers.install()
        _acting.append((PREFETCH, producers.close))


def after_torch(torch: ModuleType) -> None:
    """Act on torch's loaders, modules and optimizers, once it is imported."""
    for strategy, notes in _asked:
        actor = for_torch(strategy, notes)
        actor.install(torch)
        _acting.append((strategy.name, actor.close))


def for_torch(strategy: Strategy, notes: Notes) -> ActsOnTorch:
    """What acts on torch's own classes for a strategy."""
    from debottleneck.strategies.automatic.torch_loader import Loaders
    from debottleneck.strategies.automatic.torch_modules import Modules
    from debottleneck.strategies.remedies.torch_steps import OptimizerSteps

    if strategy.name == PREFETCH:
        return Loaders(strategy, notes)
    if strategy.name == FORWARD:
        return Modules(strategy, notes)
    return OptimizerSteps(notes)


def _close(notes: Notes) -> None:
    """Undo everything, the last thing first; one that fails stops no other."""
    stop_acting()
    while _acting:
        name, close = _acting.pop()
        try:
            close()
        except (RuntimeError, OSError) as error:
            notes.say(name, FAILED, f"it could not be undone cleanly: {error}")
    pools.close_all(GRACE_S)
