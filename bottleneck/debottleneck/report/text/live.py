"""How far a measurement has come, on a terminal: a line, or a table above the rest."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from debottleneck.collect.progress import Progress
from debottleneck.collect.ticks import Ticks
from debottleneck.report.colours import cause_colour
from debottleneck.report.text.tables import look, new_console, print_apart
from debottleneck.report.words.quantities import cut, number, percent
from debottleneck.words import CAUSES

QUIET_S = 1.5
"""So long the script must have written nothing, anywhere; twice as long each time it
wrote while the line stood there."""

LEAST = 0.005
"""Of the time: what takes less has no row and no column."""


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

    def close(self) -> None:
        """Nothing: what comes next goes over it."""

    def say(self, line: str) -> None:
        """Print a line that stays, in its place."""
        print_apart(f"{line}\n", self._stream)
        self._is_drawn = False


class LiveTable:
    """Row x cause in the upper half of the terminal, drawn anew each time.

    What the script and we print goes on below it, in the part that scrolls, and stays.

    Args:
        stream: The terminal, usually stderr.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._ticks: Ticks | None = None
        size = Console(file=stream).size
        self._width, self._height = size.width, size.height
        self._colour = look(stream).colour
        self._room = size.height // 2
        below = f"\x1b[{self._room + 1};{size.height}r\x1b[{size.height};1H"
        stream.write("\n" * size.height + below)

    def show(self, pace: Progress) -> None:
        """Draw how far it is, and where the time went so far."""
        lines = [cut(in_words(pace), self._width - 1), ""]
        if pace.tid:
            self._ticks = self._ticks or Ticks(pace.folder, pace.pid)
            lines += table(self._ticks.look(pace.tid), self._width, self._colour)
        lines = [*lines, *[""] * self._room][: self._room - 1]
        drawn = "".join(f"\x1b[{n};1H\x1b[K{line}" for n, line in enumerate(lines, 1))
        self._stream.write(f"\x1b7{drawn}\x1b8")
        self._stream.flush()

    def say(self, line: str) -> None:
        """Print a line that stays, below."""
        print_apart(f"{line}\n", self._stream)

    def close(self) -> None:
        """Leave the terminal as it was: all of it scrolls, nothing is taken away."""
        self._stream.write(f"\x1b[r\x1b[{self._height};1H\n")
        self._stream.flush()


def table(
    spent: Mapping[tuple[str, str], float], width: int, colour: bool = False
) -> list[str]:
    """Shares of time by row and cause, the largest row first."""
    whole = sum(spent.values()) or 1.0
    rows, of = defaultdict[str, float](float), defaultdict[str, float](float)
    for (row, cause), ms in spent.items():
        rows[row] += ms
        of[cause] += ms
    causes = [cause for cause in CAUSES if of[cause] >= LEAST * whole]
    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.add_column("row")
    for cause in ("share", *causes):
        grid.add_column(cause, justify="right", no_wrap=True)
    heads = [Text(cause, cause_colour(cause)) for cause in causes]
    grid.add_row(Text("row", "bold"), Text("share", "bold"), *heads)
    for row, ms in sorted(rows.items(), key=lambda item: -item[1]):
        if ms < LEAST * whole:
            break
        parts = (spent.get((row, cause), 0.0) / whole for cause in causes)
        cells = (percent(part) if part else "" for part in parts)
        grid.add_row(row, percent(ms / whole), *cells)
    console = new_console(width - 1, colour)
    with console.capture() as captured:
        console.print(grid)
    return captured.get().splitlines()


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
