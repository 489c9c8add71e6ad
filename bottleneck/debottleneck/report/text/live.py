"""One line on a terminal that says how far a measurement has come."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console

from debottleneck.collect.progress import Progress
from debottleneck.report.text.tables import print_apart
from debottleneck.report.words.quantities import cut, number

QUIET_S = 1.5
"""So long the script must have written nothing, anywhere; twice as long each time it
wrote while the line stood there."""


class LiveLine:
    """Draws the line where a terminal is and the script is silent.

    The cursor stays at its start, so that what the script writes next goes over it.

    Args:
        stream: Where it is drawn, usually stderr.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, stream: TextIO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._clock = stream, clock
        self._width = Console(file=stream).width - 1
        self._written, self._since = -1, clock()
        self._quiet_s, self._is_drawn = QUIET_S, False

    def show(self, pace: Progress) -> None:
        """Draw how far it is now, unless that would be in the way."""
        now, line = self._clock(), cut(in_words(pace), self._width)
        if pace.written != self._written:
            if self._is_drawn:
                self._quiet_s *= 2
            self._written, self._since, self._is_drawn = pace.written, now, False
        elif now - self._since >= self._quiet_s:
            text = f"{line:<{self._width}}\r"
            if self._is_drawn:
                self._stream.write(text)
                self._stream.flush()
            else:
                print_apart(text, self._stream)
            self._is_drawn = True

    def say(self, line: str) -> None:
        """Print a line that stays, in its place."""
        print_apart(f"{line}\n", self._stream)
        self._is_drawn = False


def is_shown(stream: TextIO) -> bool:
    """Whether a line can be drawn over and over there."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown", None)


def in_words(pace: Progress) -> str:
    """What the line says."""
    parts = ["no steps yet"]
    if pace.steps:
        parts = [f"{pace.steps:,} steps", f"{number(pace.step_ms)} ms a step"]
    if pace.top:
        parts.append(f"mostly {pace.top}")
    parts += [f"{pace.left} left", "Ctrl-C: report now"]
    return f"bottleneck: {', '.join(parts)}"
