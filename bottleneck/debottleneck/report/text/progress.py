"""How far a comparison has come: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from debottleneck.report.words.quantities import clean

LINE_EVERY_S = 20.0
"""Without a terminal: often enough to see that it lives, seldom enough for a log."""


class Bar:
    """Shows trials done and the time left; a context manager.

    Args:
        stream: Where it is drawn, usually stderr.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, stream: TextIO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._begun: float | None = None
        self._told: float | None = None
        self._bar = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.fields[left]:>10}"),
            TextColumn("{task.description}", markup=False),
            console=Console(file=stream, highlight=False),
            transient=True,
            auto_refresh=False,  # a thread that draws would disturb the trials
        )
        self._task = self._bar.add_task("profiling", total=None, left="")
        self._live = stream.isatty()

    def __enter__(self) -> Bar:
        """Draw it, on a terminal."""
        if self._live:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take it away."""
        if self._live:
            self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if self._live:
            self._bar.console.print(line, markup=False, soft_wrap=True)
        else:
            print(line, file=self._stream, flush=True)

    def watch(self, text: str, done: int, left: int) -> None:
        """Show what runs now; a `trials.rounds.Watch`."""
        now = self._clock()
        if self._begun is None:
            self._begun = now
        remaining = time_left(now - self._begun, done, left)
        self._bar.update(
            self._task,
            description=clean(text),
            completed=done,
            total=done + left,
            left=remaining,
        )
        if self._live:
            self._bar.refresh()
        quiet = self._told is not None and now - self._told < LINE_EVERY_S
        if not self._live and not quiet:
            self._told = now
            lead = f"trial {done + 1} of about {done + left}"
            ending = f", {remaining} left" if remaining else ""
            self.say(f"bottleneck: {lead}{ending}: {clean(text)}")


def time_left(passed_s: float, done: int, left: int) -> str:
    """About how long trials to come take, by those that have ended; "" at first."""
    if not done:
        return ""
    seconds = passed_s / done * left
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min"
