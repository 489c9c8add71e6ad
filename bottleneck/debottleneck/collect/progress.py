"""Count the steps of a script that is running, from its marks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from debottleneck.recording import reading, spool
from debottleneck.recording.events import SiteLine
from debottleneck.recording.loop import CODE, ChosenLoop, Steps, choose_trainer
from debottleneck.words import LINE, STAGES

Clock = Callable[[], float]
LOOK_COST = 0.02
"""The part of the time that may go into looks: each takes longer than the last."""


@dataclass(frozen=True)
class Seen:
    """What is known of the loop so far.

    Attributes:
        steps: That it has done.
        trainer_tid: The thread that runs it.
        boundary: The stage at whose entry windows may begin.
        trains: False where it was chosen though nothing in it is known to train.
        top: The row that took most of the last moments, "" if none is known.
    """

    steps: Steps
    trainer_tid: int
    boundary: int
    trains: bool
    top: str = ""


@dataclass(frozen=True)
class Progress:
    """How far a measurement has come, for whoever watches.

    Attributes:
        steps: Done so far, 0 while no loop is known.
        step_ms: Median of the last ones.
        top: The row that takes most of them now, "" if unknown.
        left: What is still measured: "40 s", "120 steps".
        written: Bytes that the script has written so far, wherever; -1 if unknown.
        tid: The thread that runs them, 0 while unknown.
        pid: The script's process.
        folder: Its spool.
    """

    steps: int
    step_ms: float
    top: str
    left: str
    written: int
    tid: int = 0
    pid: int = 0
    folder: Path = Path()


LAST = 50
"""Steps whose median is the pace."""


def pace(seen: Seen | None, left: str, folder: Path, pid: int) -> Progress:
    """What is known now."""
    written = -1
    with contextlib.suppress(OSError, ValueError, IndexError):
        written = int(Path(f"/proc/{pid}/io").read_text().split()[3])
        written -= sum(map(_size, folder.glob(f"*-{pid}.json*")))  # by the agent
    if seen is None or not len(seen.steps):
        return Progress(0, 0.0, "", left, written)
    lengths = (seen.steps.end - seen.steps.start)[-LAST:]
    step_ms = float(np.median(lengths)) / 1e6
    place = (seen.trainer_tid, pid, folder)
    return Progress(len(seen.steps), step_ms, seen.top, left, written, *place)


class StepCounter:
    """Follows the mark files of the target's own process.

    Args:
        folder: The spool folder.
        pid: The target.
        known: Whether it was told which loop trains.
        clock: Seconds.
    """

    def __init__(
        self, folder: Path, pid: int, *, known: bool, clock: Clock = time.monotonic
    ) -> None:
        self._folder, self._known = folder, known
        self._pid = pid
        self._clock, self._due = clock, 0.0
        self._files: dict[Path, reading.MarkFile] = {}
        self._threads: dict[int, list[NDArray[np.void]]] = {}
        self._fresh: dict[int, NDArray[np.void]] = {}
        self._listed: tuple[int, int] = (0, 0)
        self._sites: list[SiteLine] = []
        self._chosen: ChosenLoop | None = None
        self._trains = True

    def look(self, *, last: bool = False) -> Seen | None:
        """What is known by now; None while no thread shows steps.

        Args:
            last: The script has ended; before that, None where the last look was just
                now, by how long it took.
        """
        begun = self._clock()
        if begun < self._due and not last:
            return None
        seen, ended = self._look(), self._clock()
        self._due = ended + (ended - begun) / LOOK_COST
        return seen

    def _look(self) -> Seen | None:
        self._read_new()
        self._read_lists()
        lines = [site["stage"] == LINE for site in self._sites]
        threads = {}
        for tid, chunks in self._threads.items():
            records = np.concatenate(chunks)
            self._threads[tid] = [_without(lines, records)]
            threads[tid] = reading.as_marks(self._threads[tid][0], self._sites)
        trainer, steps = choose_trainer(
            threads, self._pid, self._chosen, known=self._known
        )
        if not len(steps):
            return None
        top = _top(self._fresh.get(trainer), self._sites)
        return Seen(steps, trainer, _boundary(steps), self._trains, top)

    def _read_new(self) -> None:
        for path in self._folder.glob(spool.marks_glob(self._pid)):
            if path not in self._files:
                file = reading.MarkFile(path)
                if file.started:
                    self._files[path] = file
        for file in self._files.values():
            if not file.full:
                fresh = file.new_records()
                if len(fresh):
                    self._fresh[file.tid] = fresh
                    self._threads.setdefault(file.tid, []).append(fresh)

    def _read_lists(self) -> None:
        """What is marked and which loop was chosen, where that was added to."""
        files = (spool.sites_file, spool.events_file)
        sites, events = (_size(file(self._folder, self._pid)) for file in files)
        if (sites, events) != self._listed:
            self._listed = sites, events
            self._sites = reading.read_sites(self._folder, self._pid)
            choice = reading.last_choice(self._folder, self._pid)
            self._chosen = reading.chosen_loop(self._sites, choice)
            self._trains = choice is None or choice["why"] != spool.BY_TIME


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _without(lines: list[bool], records: NDArray[np.void]) -> NDArray[np.void]:
    """Records but those of lines, which are most of them and bound no step."""
    known = np.append(lines, False)
    kept: NDArray[np.void] = records[
        ~known[np.minimum(records["code"] >> 2, len(lines))]
    ]
    return kept


def _top(records: NDArray[np.void] | None, sites: Sequence[SiteLine]) -> str:
    """The row in which most time passed between these marks: a stage, or a line."""
    if records is None or len(records) < 2:
        return ""
    rows = np.array([site["stage"] in (LINE, *STAGES) for site in sites], np.bool_)
    site = (records["code"] >> 2)[:-1].astype(np.int64)
    entered = (records["code"][:-1] & 3 == spool.ENTER) & (site < len(rows))
    entered[entered] = rows[site[entered]]
    if not entered.any():
        return ""
    spent = np.bincount(site[entered], np.diff(records["t"].astype(np.int64))[entered])
    most = sites[int(spent.argmax())]
    return f"line {most['line']}" if most["stage"] == LINE else most["stage"]


def _boundary(steps: Steps) -> int:
    """The stage at whose entry windows may begin: the one that bounds steps."""
    for name in ("load", "forward"):
        if steps.rule.endswith(f"each {name}"):
            return CODE[name]
    return spool.ANY_BOUNDARY
