"""Which rows virtual speed-ups are tried of, by how much, and when: `agent.delays`.

Rows are chosen once, from the marks and samples so far: statements and stages of any
thread of the loop that take a good part of its time, and do not pass it waiting for
other threads. The same samples tell after which marks a thread waits for others.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.collect.progress import Seen
from debottleneck.recording import reading, spool
from debottleneck.recording.events import SiteLine
from debottleneck.recording.spool import LEAST_SHARE, MOST_ROWS
from debottleneck.words import OTHER, STAGES

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

SHORTEST_NS, LONGEST_STEPS = 200_000, 3
"""A pass that is shorter cannot be delayed by a tenth of it, as sleeps take 60 us more;
one that is longer is a loop around the steps."""

CONTAINS, WAITING = 0.8, 0.5
"""A row that another one of its thread makes up so much of is that other row; one that
waits for other threads so much of its time cannot be made faster."""

FEWEST_THREADS, MARKED = 2, 0.5
"""Threads that mark: where there is one, a row's share says it all. And the part of the
steps that are marked: of shorter ones too few passes would be seen."""

TRIAL_STEPS, SHORTEST_S, LONGEST_S = 24, 0.5, 6.0
"""A trial takes so many steps, and seconds, but no more than the last."""

LEAST_TRIALS, MOST_TRIALS, MANY = 4, 12, 64
"""A series holds so many trials beside those that they are held against; and steps
whose median tells how long one takes."""

EMPTYING, BUDGET = 1.5, 0.05
"""Steps that it costs to empty queues before a trial; and the part of the run's time
that all may cost, were each delay to lengthen a step."""

_WAITS = [spool.STATES.index(word) for word in ("gil", "lock")]
_RUNNING = spool.STATES.index("running")


@dataclass(frozen=True)
class TriedRow:
    """One row: its site and marks, its median pass, and its part of the time."""

    site: int
    enter: int
    ends: tuple[int, ...]
    pass_ns: int
    share: float

    def trial(self, percent: int, seconds: float) -> dict[str, object]:
        """As the agent is asked for it, see `agent.delays.Experiment`."""
        marks = {"site": self.site, "enter": self.enter, "ends": self.ends}
        lengths = {"length_ns": round(seconds * 1e9), "percent": percent}
        return {**marks, **lengths, "delay_ns": self.pass_ns * percent // 100}


class Experiments:
    """The experiments of one run, in random order, a series of trials at a time.

    Attributes:
        seconds: How long the series takes that was begun last.
    """

    def __init__(self, folder: Path, pid: int) -> None:
        self._folder, self._pid = folder, pid
        self._cells: Iterator[tuple[TriedRow, int]] = iter(())
        self._waits: dict[int, float] = {}
        self._trainer = 0
        self._spent_s = self.seconds = 0.0

    def begin(self, seen: Seen | None, trained_s: float) -> bool:
        """Write down the next series; False where there is none, or not yet.

        Args:
            seen: What is known of the loop.
            trained_s: Seconds since it was seen first.
        """
        if seen is None:
            return False
        if self._trainer != seen.trainer_tid:
            self._trainer, self._cells = seen.trainer_tid, _shuffled(self._rows(seen))
        step_s = float(np.median(np.diff(seen.steps.start[-MANY:]))) / 1e9
        length = min(max(SHORTEST_S, TRIAL_STEPS * step_s), LONGEST_S)
        emptying = 2 * EMPTYING * step_s
        left = BUDGET * trained_s - self._spent_s
        trials: list[dict[str, object]] = []
        if left > LEAST_TRIALS * (length * LEAST_SHARE + emptying):
            for row, percent in islice(self._cells, MOST_TRIALS):
                trials += [row.trial(part, length) for part in (0, percent)]
                cost = length * row.share * percent / 100 + emptying
                left, self._spent_s = left - cost, self._spent_s + cost
                if left < 0:
                    break
        if not trials:
            return False
        trials.append(trials[0])
        asked = {"trainer": self._trainer, "step_ns": round(step_s * 1e9)}
        document = json.dumps({**asked, "waits": self._waits, "trials": trials})
        spool.write_private(self._folder / spool.DELAYS_FILE, document)
        self.seconds = (length + emptying) * len(trials)
        return True

    def _rows(self, seen: Seen) -> list[TriedRow]:
        """Rows to try: none where one thread alone marks, or most steps go unmarked."""
        steps = seen.steps
        begun, end = int(steps.start[len(steps) // 4]), int(steps.end[-1])
        file, dtype = reading.FIXED["waits"]
        waits = reading.read_fixed(self._folder, file, dtype)
        records: dict[int, list[NDArray[np.void]]] = {}
        for marks in reading.mark_files(self._folder):
            if marks.pid == self._pid:
                records.setdefault(marks.tid, []).append(marks.records())
        threads = []
        for tid, chunks in records.items():
            all_of_it = np.concatenate(chunks)
            kept = all_of_it[(all_of_it["t"] >= begun) & (all_of_it["t"] <= end)]
            samples = waits[(waits["pid"] == self._pid) & (waits["tid"] == tid)]
            if len(kept):
                threads.append(_Thread.of(kept, samples))
        if len(threads) < FEWEST_THREADS or steps.marked.mean() < MARKED:
            return []
        self._waits = _waits(threads)
        longest = LONGEST_STEPS * (end - begun) / max(len(steps) * 3 // 4, 1)
        sites = reading.read_sites(self._folder, self._pid)
        rows = [
            row
            for row in _rows_of(threads, sites, end - begun)
            if SHORTEST_NS <= row.pass_ns <= longest and row.share >= LEAST_SHARE
        ]
        return sorted(rows, key=lambda row: -row.share)[:MOST_ROWS]


def _shuffled(rows: Sequence[TriedRow]) -> Iterator[tuple[TriedRow, int]]:
    """Rows and percents without end, each pair once a round."""
    cells = [(row, percent) for row in rows for percent in spool.PERCENTS]
    draw = random.Random(0)
    while cells:
        draw.shuffle(cells)
        yield from cells


@dataclass(frozen=True)
class _Thread:
    """One thread's marks and samples, both in order of time.

    Attributes:
        t: (marks,) monotonic nanoseconds.
        code: (marks,) of each the site times 4 plus the edge.
        times: (samples,) monotonic nanoseconds.
        waits: (samples,) whether it waited for another thread.
        rests: (samples,) whether it was neither on a core nor waiting for one.
    """

    t: Ints
    code: Ints
    times: Ints
    waits: Flags
    rests: Flags

    @classmethod
    def of(cls, marks: NDArray[np.void], samples: pd.DataFrame) -> _Thread:
        """From its records."""
        samples = samples.sort_values("end_ns")
        state = samples["state"].to_numpy()
        flags = np.isin(state, _WAITS), state != _RUNNING
        return cls(marks["t"], marks["code"], samples["end_ns"].to_numpy(), *flags)

    def passes(self, enter: int, ends: Sequence[int]) -> tuple[Ints, Ints]:
        """Where passes of a row begin and end; entered again, one goes on."""
        over = np.flatnonzero(np.isin(self.code, ends))
        begins = np.flatnonzero(self.code == enter)
        places, first = np.unique(np.searchsorted(over, begins), return_index=True)
        is_over = places < len(over)
        return self.t[begins[first[is_over]]], self.t[over[places[is_over]]]


def _waits(threads: Sequence[_Thread]) -> dict[int, float]:
    """Code of a mark -> the part of the rest after it that waits for other threads."""
    size = 1 + max(int(thread.code.max()) for thread in threads)
    waits, rests = np.zeros(size), np.zeros(size)
    for thread in threads:
        place = np.searchsorted(thread.t, thread.times, "right") - 1
        code = thread.code[np.maximum(place, 0)]
        for counts, flags in ((waits, thread.waits), (rests, thread.rests)):
            counts += np.bincount(code[flags & (place >= 0)], minlength=size)
    return {int(code): float(waits[code] / rests[code]) for code in waits.nonzero()[0]}


def _rows_of(
    threads: Sequence[_Thread], sites: Sequence[SiteLine], span: int
) -> list[TriedRow]:
    """All rows with passes, but those that another row makes up or that wait.

    Args:
        threads: Those of the loop.
        sites: By number.
        span: The time looked at, nanoseconds.
    """
    passes: dict[int, list[Ints]] = {}
    dropped: set[int] = set()
    for thread in threads:
        of_thread: dict[int, tuple[Ints, Ints, int]] = {}
        for site in np.unique(thread.code >> 2).tolist():
            ends = _ends(sites, site) if site < len(sites) else ()
            begin, end = thread.passes(site << 2 | spool.ENTER, ends)
            if len(begin):
                waited = thread.waits[_within(begin, end, thread.times)]
                own = (end - begin) * (1 - waited.mean() if len(waited) else 1)
                of_thread[site] = begin, end, int(own.sum())
                if own.sum() > (1 - WAITING) * (end - begin).sum():
                    passes.setdefault(site, []).append(own)
        dropped |= _made_up(of_thread)
    rows = []
    for site in passes.keys() - dropped:
        own = np.concatenate(passes[site])
        marks = site << 2 | spool.ENTER, _ends(sites, site)
        share = float(own.sum() / span)
        rows.append(TriedRow(site, *marks, int(np.median(own)), share))
    return rows


def _ends(sites: Sequence[SiteLine], site: int) -> tuple[int, ...]:
    """Codes of marks that end a pass of a row, () of what is no row."""
    of = sites[site]
    if of["stage"] in STAGES and of["stage"] != OTHER:
        return (site << 2 | spool.LEAVE,)
    if of["kind"] != spool.STATEMENT:
        return ()
    around = of["within"]
    beside = (s["site"] for s in sites if s["within"] == around and s["site"] != site)
    edges = (around << 2 | edge for edge in range(4))
    return (*(other << 2 | spool.ENTER for other in beside), *edges)


def _within(begin: Ints, end: Ints, times: Ints) -> Flags:
    place = np.searchsorted(begin, times, "right") - 1
    inside: Flags = (place >= 0) & (times < end[np.maximum(place, 0)])
    return inside


def _made_up(rows: Mapping[int, tuple[Ints, Ints, int]]) -> set[int]:
    """Sites of one thread's rows that another of them makes up next to all of.

    Args:
        rows: Site -> begins and ends of its passes, and its own time.
    """
    return {
        outer
        for outer, (begin, end, own) in rows.items()
        for inner, (starts, ends, part) in rows.items()
        if part >= CONTAINS * own
        and (ends - starts).sum() < (end - begin).sum()
        and _within(begin, end, starts).mean() >= CONTAINS
    }
