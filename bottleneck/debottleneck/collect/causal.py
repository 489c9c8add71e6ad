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
from numpy.typing import NDArray

from debottleneck.collect.progress import Seen
from debottleneck.recording import reading, spool
from debottleneck.recording.events import SiteLine
from debottleneck.words import OTHER, STAGES

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Records = NDArray[np.void]

MOST_ROWS, LEAST_SHARE = 4, 0.05
"""Rows that are tried, and the part of the time that each must take."""

SHORTEST_NS = 200_000
"""A pass that is shorter cannot be delayed by a tenth of it: sleeps take 60 us more."""

LONGEST_PASS = 3
"""Steps that a pass takes at most: a longer one is a loop around the steps."""

CONTAINS = 0.8
"""A row that another one of its thread makes up so much of is that other row."""

WAITING = 0.5
"""A row that waits for other threads so much of its time cannot be made faster."""

FEWEST_THREADS, MARKED = 2, 0.5
"""Threads that mark: where there is one, a row's share says it all. And the part of the
steps that are marked: of shorter ones too few passes would be seen."""

TRIAL_STEPS, SHORTEST_S, LONGEST_S = 24, 0.5, 6.0
"""A trial takes so many steps, and seconds, but no more than the last."""

LEAST_TRIALS, MOST_TRIALS, MANY = 4, 12, 64
"""A series holds so many trials beside those that they are held against; and steps
whose median tells how long one takes."""

EMPTYING = 1.5
"""Steps that it costs to empty the queues before a trial."""

BUDGET = 0.05
"""Part of the run's time that delays may take, were each of them to lengthen a step."""

_WAITS = [spool.STATES.index(word) for word in ("gil", "lock")]
_RUNNING = spool.STATES.index("running")


@dataclass(frozen=True)
class Row:
    """One row: its site and marks, its median pass, and its part of the time."""

    site: int
    enter: int
    ends: tuple[int, ...]
    pass_ns: int
    share: float

    def trial(self, percent: int, seconds: float) -> dict[str, object]:
        """As the agent is asked for it, see `agent.delays.Trial`."""
        marks = {"site": self.site, "enter": self.enter, "ends": self.ends}
        delay_ns, length_ns = self.pass_ns * percent // 100, round(seconds * 1e9)
        lengths = {"delay_ns": delay_ns, "length_ns": length_ns}
        return {**marks, **lengths, "percent": percent}


class Experiments:
    """The experiments of one run, in random order, a series of trials at a time.

    Args:
        folder: The spool folder.
        pid: The target.

    Attributes:
        seconds: How long the series takes that was begun last.
    """

    def __init__(self, folder: Path, pid: int) -> None:
        self._folder, self._pid = folder, pid
        self._cells: Iterator[tuple[Row, int]] = iter(())
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
        left = BUDGET * trained_s - self._spent_s
        if left < LEAST_TRIALS * (length * LEAST_SHARE + 2 * EMPTYING * step_s):
            return False
        trials: list[dict[str, object]] = []
        for row, percent in islice(self._cells, MOST_TRIALS):
            for part in (0, percent):
                trials.append(row.trial(part, length))
            cost = length * row.share * percent / 100 + 2 * EMPTYING * step_s
            left, self._spent_s = left - cost, self._spent_s + cost
            if left < 0:
                break
        if not trials:
            return False
        trials.append({**trials[0], "percent": 0, "delay_ns": 0})
        asked: dict[str, object] = {"trainer": self._trainer, "waits": self._waits}
        asked |= {"step_ns": round(step_s * 1e9), "trials": trials}
        spool.write_private(self._folder / spool.DELAYS_FILE, json.dumps(asked))
        self.seconds = (length + 2 * EMPTYING * step_s) * len(trials)
        return True

    def _rows(self, seen: Seen) -> list[Row]:
        """Rows to try: none where one thread alone marks, or most steps go unmarked."""
        begun, end = int(seen.steps.start[len(seen.steps) // 4]), seen.steps.end[-1]
        threads: dict[int, list[Records]] = {}
        for file in reading.mark_files(self._folder):
            if file.pid == self._pid and len(records := file.records()):
                threads.setdefault(file.tid, []).append(records)
        seen_of = _samples(self._folder, self._pid)
        looks = []
        for tid, chunks in threads.items():
            records = np.concatenate(chunks)
            records = records[(records["t"] >= begun) & (records["t"] <= end)]
            if len(records):
                samples = seen_of.get(tid, _NO_SAMPLES)
                looks.append(_Look(records["t"], records["code"], *samples))
        if len(looks) < FEWEST_THREADS or seen.steps.marked.mean() < MARKED:
            return []
        self._waits = _waits(looks)
        span = int(end) - begun
        longest = LONGEST_PASS * span / max(len(seen.steps) * 3 // 4, 1)
        sites = reading.read_sites(self._folder, self._pid)
        rows = _rows_of(looks, sites, span)
        rows = [row for row in rows if SHORTEST_NS <= row.pass_ns <= longest]
        rows = [row for row in rows if row.share >= LEAST_SHARE]
        return sorted(rows, key=lambda row: -row.share)[:MOST_ROWS]


def _shuffled(rows: Sequence[Row]) -> Iterator[tuple[Row, int]]:
    """Rows and percents without end, each pair once a round."""
    cells = [(row, percent) for row in rows for percent in spool.PERCENTS]
    draw = random.Random(0)
    while cells:
        draw.shuffle(cells)
        yield from cells


@dataclass(frozen=True)
class _Look:
    """One thread: its marks, and whether it waited for others, or at all, when.

    Attributes:
        t: (marks,) ascending.
        code: (marks,) of each the site times 4 plus the edge.
        times: (samples,) ascending.
        waits: (samples,) whether it waited for another thread.
        rests: (samples,) whether it was neither on a core nor waiting for one.
    """

    t: Ints
    code: Ints
    times: Ints
    waits: Flags
    rests: Flags


_NO_SAMPLES = (np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0, np.bool_))


def _samples(folder: Path, pid: int) -> dict[int, tuple[Ints, Flags, Flags]]:
    """Thread -> the last three attributes of its `_Look`."""
    file, dtype = reading.FIXED["waits"]
    table = reading.read_fixed(folder / file, dtype)
    table = table[table["pid"] == pid].sort_values("end_ns")
    return {
        int(tid): (
            rows["end_ns"].to_numpy(np.int64),
            rows["state"].isin(_WAITS).to_numpy(),
            (rows["state"] != _RUNNING).to_numpy(),
        )
        for tid, rows in table.groupby("tid")
    }


def _waits(looks: Sequence[_Look]) -> dict[int, float]:
    """Code of a mark -> the part of the rest after it that waits for other threads."""
    size = 1 + max(int(look.code.max()) for look in looks)
    waits, rests = np.zeros(size), np.zeros(size)
    for look in looks:
        place = np.searchsorted(look.t, look.times, "right") - 1
        code = look.code[np.maximum(place, 0)]
        for counts, flags in ((waits, look.waits), (rests, look.rests)):
            counts += np.bincount(code[flags & (place >= 0)], minlength=size)
    return {int(code): float(waits[code] / rests[code]) for code in waits.nonzero()[0]}


def _rows_of(looks: Sequence[_Look], sites: Sequence[SiteLine], span: int) -> list[Row]:
    """All rows with passes, but those that another row makes up or that wait.

    Args:
        looks: Of the threads.
        sites: By number.
        span: The time looked at, nanoseconds.
    """
    passes: dict[int, list[Ints]] = {}
    dropped: set[int] = set()
    for look in looks:
        of_thread: dict[int, tuple[Ints, Ints, int]] = {}
        for site in np.unique(look.code >> 2).tolist():
            if site < len(sites) and (ends := _ends(sites, site)):
                begin, end = _passes(look, site << 2 | spool.ENTER, ends)
                if len(begin):
                    waited = look.waits[_within(begin, end, look.times)]
                    own = (end - begin) * (1 - waited.mean() if len(waited) else 1)
                    of_thread[site] = begin, end, int(own.sum())
                    if own.sum() > (1 - WAITING) * (end - begin).sum():
                        passes.setdefault(site, []).append(own)
        dropped |= _outer(of_thread)
    rows = []
    for site in passes.keys() - dropped:
        own = np.concatenate(passes[site])
        marks = site << 2 | spool.ENTER, _ends(sites, site)
        rows.append(Row(site, *marks, int(np.median(own)), float(own.sum() / span)))
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


def _passes(look: _Look, enter: int, ends: Sequence[int]) -> tuple[Ints, Ints]:
    """Where passes of a row begin and end, nanoseconds."""
    over = np.flatnonzero(np.isin(look.code, ends))
    begins = np.flatnonzero(look.code == enter)
    place = np.searchsorted(over, begins)
    places, first = np.unique(place, return_index=True)  # entered again: the same pass
    first = first[places < len(over)]
    return look.t[begins[first]], look.t[over[places[places < len(over)]]]


def _within(begin: Ints, end: Ints, times: Ints) -> Flags:
    place = np.searchsorted(begin, times, "right") - 1
    inside: Flags = (place >= 0) & (times < end[np.maximum(place, 0)])
    return inside


def _outer(rows: Mapping[int, tuple[Ints, Ints, int]]) -> set[int]:
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
