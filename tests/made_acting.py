"""A strategy at work on functions that a test marks, and what it noted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from debottleneck.agent.wrap import act_with, stop_acting, wrap
from debottleneck.strategies import pools
from debottleneck.strategies.automatic.notes import Notes
from debottleneck.strategies.spec import parse


class Noted:
    """What strategies note, to be read by a test.

    Args:
        folder: For the file.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notes.jsonl"
        self.notes = Notes(self.path)

    def said(self, state: str) -> list[str]:
        """The sentences of one kind."""
        if not self.path.exists():
            return []
        lines = map(json.loads, self.path.read_text(encoding="utf-8").splitlines())
        return [line["text"] for line in lines if line["state"] == state]


class Acting(Noted):
    """An actor that acts until `close`.

    Args:
        kind: Its class.
        spec: Its strategy.
        folder: For its notes.
    """

    def __init__(self, kind: Callable[..., Any], spec: str, folder: Path) -> None:
        super().__init__(folder)
        self.actor = kind(*parse(spec), self.notes)
        act_with(self.actor.act)

    def mark(self, stage: str) -> Callable[[Any], Any]:
        """Decorate a function as the agent does."""
        return lambda function: wrap(function, stage)

    def loader(self) -> Callable[[int], np.ndarray]:
        """A marked load whose batches are new arrays of 3."""

        @self.mark("load")
        def load_batch(index: int) -> np.ndarray:
            return np.arange(3.0) + index

        return load_batch

    def close(self) -> None:
        """Undo everything."""
        stop_acting()
        self.actor.close()
        pools.close_all()
