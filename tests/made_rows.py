"""Recordings of a loop whose statements are marked, written as a script of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
from made_runs import FACTS, MS, PID, table

from debottleneck.analysis.frames import empty
from debottleneck.analysis.rows import RowNames
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import ENTER, LEAVE, STEP_END, STEP_START

FILE = "/w/train.py"

LOOP = "for x in loader"

STAGES_ONLY = RowNames.of(empty("rows"))
"""Of a recording without lines of the user's code."""


@dataclass
class Script:
    """The sites of a script, numbered from 0, and the marks of its one thread.

    Attributes:
        loop: Lines of the loop that trains, first and last.
        at: Now, milliseconds; the thread is on a core but for `sleep`.
    """

    loop: tuple[int, int] = (10, 40)
    at: float = 0.0
    cpu: float = 0.0
    places: list[tuple[Any, ...]] = field(default_factory=list)
    marks: list[tuple[Any, ...]] = field(default_factory=list)
    _running: bool = False

    def __post_init__(self) -> None:
        """The loop itself is site 0."""
        first, last = self.loop
        self._site("step", LOOP, first, "loop", last, -1, "")

    def _site(self, *place: Any, file: str = FILE) -> int:
        stage, name, line, kind, end, within, side = place
        row = (PID, len(self.places), stage, name, file, line, kind, end, within, side)
        if row[2:] not in [known[2:] for known in self.places]:
            self.places.append(row)
        return next(known[1] for known in self.places if known[2:] == row[2:])

    def _mark(self, site: int, edge: int, calls: int = 0) -> None:
        now = (PID, PID, round(self.at * MS), round(self.cpu * MS))
        self.marks.append((*now, site, edge, calls))

    def run(self, ms: float, *, sleep: float = 0.0) -> None:
        """Time passes."""
        self.at += ms + sleep
        self.cpu += ms

    def turn(self, done: int = 1) -> None:
        """An iteration may begin, after so many since the last mark."""
        self._mark(0, STEP_START, done if self._running else 0)
        self._running = True

    def left(self, done: int = 0) -> None:
        """The loop is left: it found nothing more, or was broken off."""
        self._mark(0, STEP_END, done)
        self._running = False

    def line(
        self,
        line: int,
        source: str,
        ms: float,
        *,
        end: int = 0,
        side: str = "",
        within: int = 0,
        file: str = FILE,
        sleep: float = 0.0,
    ) -> int:
        """A statement that takes so long; its site."""
        place = ("line", source, line, "statement", end or line, within, side)
        site = self._site(*place, file=file)
        self._mark(site, ENTER)
        self.run(ms, sleep=sleep)
        return site

    def inner(self, line: int, end: int) -> int:
        """A loop within the one that trains; its site."""
        return self._site("step", "for y in x", line, "loop", end, -1, "")

    def begin(self, loop: int, done: int = 0, edge: int = STEP_START) -> None:
        """An iteration of a loop within may begin, or, with its edge, that is left."""
        self._mark(loop, edge, done)

    def unmarked(self, loop: int, ms: float) -> None:
        """Iterations of a loop within whose statements are not marked."""
        self._mark(loop, ENTER)
        self.run(ms)

    def stage(
        self, stage: str, ms: float, line: int = 90, *, sleep: float = 0.0
    ) -> None:
        """A call of a stage."""
        site = self._site(stage, f"{stage}_fn", line, "function", line, -1, "")
        self._mark(site, ENTER)
        self.run(ms, sleep=sleep)
        self._mark(site, LEAVE, 1)

    def enter(self, name: str, line: int, end: int) -> int:
        """An opened function is called; its site."""
        site = self._site("line", name, line, "opened", end, -1, "")
        self._mark(site, ENTER)
        return site

    def leave(self, site: int) -> None:
        """It returns."""
        self._mark(site, LEAVE, 1)

    def recording(
        self,
        why: str = "an update",
        options: Mapping[str, Any] | None = None,
        **tables: pd.DataFrame,
    ) -> Recording:
        """The recording; warm-up is not left out unless asked."""
        facts = replace(
            FACTS, end_ns=round(self.at * MS) + 1, options=options or {"warmup": 0}
        )
        loops: Sequence[tuple[Any, ...]] = [(PID, 0, PID, 0, why)] if why else []
        made = {
            "sites": table("sites", self.places),
            "marks": table("marks", self.marks),
            "loops": table("loops", loops),
            "threads": table("threads", [(PID, PID, 9, "MainThread", True)]),
        }
        return Recording.of(facts, {**made, **tables})
