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
from debottleneck.strategies.automatic.boundaries import Boundaries
from debottleneck.strategies.automatic.notes import FAILED, Notes
from debottleneck.strategies.spec import (
    FORWARD,
    PREFETCH,
    UPDATE,
    Strategies,
    Strategy,
    parse,
)


class Closes(Protocol):
    """Whatever acts can be ended."""

    def close(self) -> None:
        """Wait for what is under way, undo, say what it came to."""


GRACE_S = 0.5
"""Given at exit to fetches that are under way; nobody waits for their batches."""

_acting: list[tuple[str, Closes]] = []
_torch: list[Callable[[ModuleType], None]] = []


def install(folder: Path, config: Mapping[str, Any]) -> None:
    """Begin to act on the stages of the script.

    Args:
        folder: The spool folder, for the notes.
        config: Its "strategies" are what `spec.parse` reads.
    """
    strategies = parse(config["strategies"])
    notes = Notes(folder / spool.STRATEGIES_FILE)
    boundaries = Boundaries()
    if {strategy.name for strategy in strategies} != {PREFETCH}:
        boundaries.install()
    outputs.is_worker = pools.is_worker
    for strategy in strategies:
        _add(strategy, notes, boundaries)
    _torch.append(lambda torch: _after_torch(torch, strategies, notes, boundaries))
    # A child of the script's own loads as it is.
    os.register_at_fork(after_in_child=pools.as_worker)
    atexit.register(_close, notes)


def _add(strategy: Strategy, notes: Notes, boundaries: Boundaries) -> None:
    if strategy.name == PREFETCH:
        _add_prefetch(strategy, notes)
    elif strategy.name == FORWARD:
        from debottleneck.strategies.automatic.forwards import Forwards

        forwards = Forwards(strategy, notes, boundaries)
        act_with(forwards.act)
        _acting.append((FORWARD, forwards))
    elif strategy.name == UPDATE:
        from debottleneck.strategies.automatic.updates import Updates

        updates = Updates(strategy, notes, boundaries)
        outputs.settle = updates.settle
        act_with(updates.act)
        _acting.append((UPDATE, updates))


def _add_prefetch(strategy: Strategy, notes: Notes) -> None:
    from debottleneck.strategies.automatic.loads import Loads

    loads = Loads(strategy, notes)
    act_with(loads.act)
    _acting.append((PREFETCH, loads))
    if strategy.word("where", "thread") == "process":
        from debottleneck.strategies.automatic.producers import Producers

        producers = Producers(strategy, notes)
        producers.install()
        _acting.append((PREFETCH, producers))


def after_torch(torch: ModuleType) -> None:
    """Act on torch's loaders, modules and optimizers, once it is imported."""
    for hook in _torch:
        hook(torch)


def _after_torch(
    torch: ModuleType, strategies: Strategies, notes: Notes, boundaries: Boundaries
) -> None:
    from debottleneck.strategies.automatic.torch_hooks import TorchHooks

    hooks = TorchHooks(strategies, notes, boundaries)
    hooks.install(torch)
    _acting.append((strategies[0].name, hooks))


def _close(notes: Notes) -> None:
    """Undo everything, the last thing first; one that fails stops no other."""
    stop_acting()
    while _acting:
        name, acting = _acting.pop()
        try:
            acting.close()
        except (RuntimeError, OSError) as error:
            notes.say(name, FAILED, f"it could not be undone cleanly: {error}")
    pools.close_all(GRACE_S)
