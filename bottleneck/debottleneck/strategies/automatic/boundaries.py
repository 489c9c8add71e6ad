"""Tells strategies of the trainer's stages, before each one's call."""

from __future__ import annotations

from collections.abc import Callable

from debottleneck.agent.wrap import Found, watch_with
from debottleneck.strategies.pools import is_worker

OnEnter = Callable[[str, Found], None]


class Boundaries:
    """Passes every outermost stage call on, but for those of strategies' own threads.

    Generators and coroutines are not told of: their calls only make them.
    """

    def __init__(self) -> None:
        self._callbacks: list[OnEnter] = []

    def install(self) -> None:
        """Begin to listen."""
        watch_with(self._entered)

    def on_enter(self, callback: OnEnter) -> None:
        """Call this before every outermost stage call, with stage and function."""
        self._callbacks.append(callback)

    def _entered(self, found: Found) -> None:
        if not is_worker():
            for callback in self._callbacks:
                callback(found.stage, found)
