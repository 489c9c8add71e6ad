"""How long the garbage collector stops the script: added up, and told once a second.

Python calls us where a collection begins and ends, wherever that is; nothing but sums
is kept there. They are written down where a step begins.
"""

from __future__ import annotations

import gc
from time import monotonic_ns
from typing import Any

from debottleneck.agent import entries, marks
from debottleneck.recording import spool

EVERY_NS = 1_000_000_000


class Pauses:
    """Adds up all collections from now on."""

    def __init__(self) -> None:
        self._begun = self._total = self._due = 0

    def install(self) -> None:
        """Begin."""
        gc.callbacks.append(self._collect)
        entries.at_steps(self._tell)

    def _collect(self, phase: str, info: Any) -> None:
        if phase == "start":
            self._begun = monotonic_ns()
        elif self._begun:
            self._total += monotonic_ns() - self._begun
            self._begun = 0

    def _tell(self, _: object) -> None:
        now = monotonic_ns()
        if now >= self._due:
            self._due = now + EVERY_NS
            sums = {"at_ns": now, "ns": self._total}
            marks.note({"event": spool.COLLECTIONS, **sums})
