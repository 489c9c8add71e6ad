"""Marks -> what each thread was doing when: segments without gaps or overlaps."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from debottleneck.analysis.frames import Floats, Ints, bounds, holding
from debottleneck.analysis.rows import RowNames
from debottleneck.recording.loop import CODE, LOOP, OPENED, Marks, code_of
from debottleneck.recording.reading import is_minor
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import DEVICE, ENTER, LEAVE, STEP_START
from debottleneck.recording.spool import OPENED as OPENED_KIND
from debottleneck.words import BETWEEN_STAGES, LINE, OTHER, STEP, STEP_STAGES

NO_SITE = -1
_NAMES = np.array(list(CODE), dtype=object)

_BETWEEN = frozenset(CODE[name] for name in BETWEEN_STAGES)
_STEP, _OTHER = CODE[STEP], CODE[OTHER]
_LINE, _OPENED, _LOOP = CODE[LINE], CODE[OPENED], CODE[LOOP]
_DEVICE = CODE[DEVICE]

MOST_OPEN = 1000
"""Stages open at once in a thread: more than recursion allows, or coroutines have. What
was never left (of damaged marks) is forgotten then."""

MarkedThreads = dict[tuple[int, int], tuple[Marks, pd.DataFrame]]
"""(pid, tid) -> its marks for `loop`, and the same rows of the table."""

PLACES = ("line", "callers", "base", "device")
"""Columns of raw segments beside those of `frames.COLUMNS["segments"]`: the site of the
statement that the thread was in (of a loop within, where its statements went
unmarked), those of the statements that called the functions it is in, outermost first
(`sites_of`), that of the loop's own statement, and that of a wait for an accelerator;
-1 for none. `in_loop` says whether
the loop was being run."""


@dataclass(frozen=True)
class TrainingLoop:
    """The loop that a process trains in.

    Attributes:
        site: Its number.
        own: Sites that stand in it, in loops in it too, but in no opened function.
    """

    site: int = NO_SITE
    own: frozenset[int] = frozenset()


def training_loops(recording: Recording) -> dict[int, TrainingLoop]:
    """Of each process that has one."""
    found = {}
    chosen = recording.loops[recording.loops["rank"] == 0]
    for pid, number in zip(chosen["pid"], chosen["site"], strict=True):
        sites = recording.sites[recording.sites["pid"] == pid]
        for loop in sites[sites["site"] == number].itertuples(index=False):
            inside = sites["line"].between(loop.line, loop.end)
            inside &= sites["file"] == loop.file
            opened = sites.loc[sites["kind"] == OPENED_KIND, "site"]
            inside &= ~sites["within"].isin(opened)
            own = frozenset(sites.loc[inside, "site"].tolist())
            found[int(pid)] = TrainingLoop(int(number), own)
    return found


def sites_of(callers: str) -> tuple[int, ...]:
    """The sites of statements in the column `callers`, outermost first."""
    return tuple(map(int, callers.split()))


def marks_by_thread(recording: Recording) -> MarkedThreads:
    """Every thread's marks, in order of time; those of unknown sites are left out."""
    sites = recording.sites.set_index(["pid", "site"])
    threads = {}
    for (pid, tid), rows in recording.marks.groupby(["pid", "tid"], sort=True):
        if pid not in sites.index.get_level_values(0):
            continue
        of_pid = sites.loc[pid]
        rows = rows.sort_values("t_ns", kind="stable")
        rows = rows[rows["site"].isin(of_pid.index)]
        codes = list(map(code_of, of_pid["stage"], of_pid["kind"]))
        minor = list(map(is_minor, of_pid["name"]))
        marks = Marks(
            rows["t_ns"].to_numpy(np.int64),
            rows["edge"].to_numpy(np.int64),
            rows["site"].map(pd.Series(codes, of_pid.index)).to_numpy(np.int64),
            rows["site"].map(pd.Series(minor, of_pid.index)).to_numpy(np.bool_),
            rows["site"].to_numpy(np.int64),
            rows["calls"].to_numpy(np.int64),
        )
        threads[int(pid), int(tid)] = (marks, rows)
    return threads


def raw_segments(
    threads: MarkedThreads, loops: Mapping[int, TrainingLoop]
) -> pd.DataFrame:
    """Segments of every thread with marks, their rows not yet named.

    A segment lies between two consecutive marks of its thread and belongs to the
    outermost open one of evaluate, checkpoint and log; else to the innermost open
    stage; else to the statement that the thread is in (`stage` is "line" then, `site`
    the statement's); else to `other`. Their lengths add up to the time between the
    thread's first and last mark.

    Args:
        threads: Their marks.
        loops: Process -> the loop it trains in.

    Returns:
        `frames.COLUMNS["segments"]`, with `PLACES` and `in_loop`.
    """
    parts = [
        _of_thread(pid, tid, *marked, loops.get(pid, TrainingLoop()))
        for (pid, tid), marked in threads.items()
    ]
    return pd.concat([_of_thread(0, 0, *_NO_MARKS), *parts], ignore_index=True)


def _of_thread(
    pid: int, tid: int, marks: Marks, rows: pd.DataFrame, loop: TrainingLoop
) -> pd.DataFrame:
    now = _Open(loop)
    each = (marks.edge, marks.stage, marks.site)
    for edge, stage, site in zip(*(c.tolist() for c in each), strict=True):
        now.take(edge, stage, site)
    states = np.array([*now.states], np.int64).reshape(-1, 7)
    tops = states[np.array(now.tops, np.int64)]
    start, end, cpu = marks.t[:-1], marks.t[1:], rows["cpu_ns"].to_numpy(np.int64)
    kept = end > start
    stage, site, line, callers, base, device, in_loop = tops[:-1][kept].T
    length = (end - start)[kept]
    columns = {
        "tid": np.full(len(length), tid),
        "pid": np.full(len(length), pid),
        "stage": _NAMES[stage],
        "site": site,
        "start_ns": start[kept],
        "end_ns": end[kept],
        "cpu_ns": np.clip(np.diff(cpu)[kept], 0, length),
    }
    places = (line, np.array([*now.chains], object)[callers], base, device)
    columns |= dict(zip(PLACES, places, strict=True))
    return pd.DataFrame(columns | {"in_loop": in_loop.astype(np.bool_)})


_NO_TIMES, _NO_FLAGS = np.empty(0, np.int64), np.empty(0, np.bool_)
_NO_MARKS = (
    Marks(_NO_TIMES, _NO_TIMES, _NO_TIMES, _NO_FLAGS, _NO_TIMES, _NO_TIMES),
    pd.DataFrame({"cpu_ns": _NO_TIMES}),
    TrainingLoop(),
)


@dataclass
class _Open:
    """What one thread has open, mark by mark.

    Attributes:
        loop: The one that trains.
        frames: Of each opened function its site, the statement that it is at, and the
            sites of its callers.
        inner: A statement of a loop in a function that is not opened, which the loop's
            own statement `base` calls.
        chains: Sites of callers as in the column, and their number.
        states: The number of what time belongs to, its site, those of `PLACES`, and
            whether the loop is being run -> number of that combination.
        tops: After each mark the number of the state from then on.
    """

    loop: TrainingLoop
    stack: list[tuple[int, int]] = field(default_factory=list)
    between: list[tuple[int, int]] = field(default_factory=list)
    device: list[tuple[int, int]] = field(default_factory=list)
    frames: list[tuple[int, int, str]] = field(default_factory=list)
    base: int = NO_SITE
    inner: int = NO_SITE
    in_loop: bool = False
    chains: dict[str, int] = field(default_factory=lambda: {"": 0})
    states: dict[tuple[int, ...], int] = field(default_factory=dict)
    tops: array[int] = field(default_factory=lambda: array("q"))

    def take(self, edge: int, stage: int, site: int) -> None:
        """One mark."""
        if stage < _STEP:
            self._stage(edge, stage, site)
        elif stage == _DEVICE and edge == ENTER:
            self.device = [*self.device[-MOST_OPEN:], (stage, site)]
        elif stage == _DEVICE:
            _leave(self.device, site, stage)
        elif stage in (_LINE, _OPENED):
            self._line(edge, stage, site)
        elif stage == _LOOP and edge == ENTER:
            self._line(edge, _LINE, site)
        elif stage == _LOOP and site == self.loop.site:
            self.frames.clear()
            self.base = self.inner = NO_SITE
            self.in_loop = edge == STEP_START
        state = self._top()
        self.tops.append(self.states.setdefault(state, len(self.states)))

    def _now(self) -> tuple[int, str]:
        """The statement that the thread is in, and its callers."""
        if self.frames:
            return self.frames[-1][1:]
        return (self.base, "") if self.inner < 0 else (self.inner, str(self.base))

    def _top(self) -> tuple[int, ...]:
        line, callers = self._now()
        number = self.chains.setdefault(callers, len(self.chains))
        device = self.device[-1][1] if self.device else NO_SITE
        places = (line, number, self.base, device, int(self.in_loop))
        if self.between:
            return (*self.between[0], *places)
        if self.stack:
            return (*self.stack[-1], *places)
        return (_OTHER if line < 0 else _LINE, line, *places)

    def _stage(self, edge: int, stage: int, site: int) -> None:
        if edge == ENTER:
            for entries in (
                (self.stack, self.between) if stage in _BETWEEN else (self.stack,)
            ):
                entries.append((stage, site))
                if len(entries) > MOST_OPEN:
                    del entries[0]
        elif edge == LEAVE:
            _leave(self.stack, site, stage)
            _leave(self.between, site, stage)

    def _line(self, edge: int, stage: int, site: int) -> None:
        """A statement begins in the innermost function that was opened, if any."""
        if edge == LEAVE:
            for index in range(len(self.frames) - 1, -1, -1):
                if self.frames[index][0] == site:
                    del self.frames[index:]
                    return
        elif edge == ENTER and stage == _OPENED:
            self._opened(site)
        elif edge == ENTER:
            is_own = site in self.loop.own
            calls = self.in_loop and self.base in self.loop.own
            if self.frames and not is_own:
                self.frames[-1] = self.frames[-1][0], site, self.frames[-1][2]
            elif not self.frames and calls and not is_own:
                self.inner = site
            elif not self.frames:
                self.base, self.inner = site, NO_SITE

    def _opened(self, site: int) -> None:
        """A function is called; within itself it has the callers that it had."""
        line, callers = self._now()
        again = [frame[2] for frame in self.frames if frame[0] == site]
        callers = again[0] if again else f"{callers} {line}" if line >= 0 else callers
        self.frames.append((site, site, callers))
        if len(self.frames) > MOST_OPEN:
            del self.frames[0]


def _leave(stack: list[tuple[int, int]], site: int, stage: int) -> None:
    """Close the last entry of that site: coroutines need not nest.

    Calls that were joined in one pair of marks are entered at the first one's site and
    left at the last one's: then the last entry of that stage.
    """
    of_site = (i for i in range(len(stack) - 1, -1, -1) if stack[i][1] == site)
    of_stage = (i for i in range(len(stack) - 1, -1, -1) if stack[i][0] == stage)
    index = next(of_site, next(of_stage, None))
    if index is not None:
        del stack[index]


def callers_of_stages(own: pd.DataFrame) -> dict[str, str]:
    """Of a stage the column `callers` where it spends most; none of the loop's own."""
    inside = own[own["stage"].isin(STEP_STAGES) & own["in_loop"]]
    start, end = bounds(inside)
    times = inside.assign(ns=end - start).groupby(["stage", "callers"])["ns"].sum()
    most = times.sort_values().groupby(level="stage").tail(1)
    return {stage: callers for stage, callers in most.index if callers}


class Lookup:
    """Finds a thread's segment at a time.

    Args:
        segments: Segments of one thread, any order.
        rows: Of the recording.
    """

    def __init__(self, segments: pd.DataFrame, rows: RowNames) -> None:
        in_order = segments["start_ns"].is_monotonic_increasing
        ordered = segments if in_order else segments.sort_values("start_ns")
        self.table = ordered.reset_index(drop=True)
        self.rows = rows
        self.start, self.end = bounds(self.table)
        self.stage = rows.numbers(self.table["stage"])

    def index(self, times: Ints) -> Ints:
        """Index of the segment that holds each time, -1 outside of all."""
        return holding(self.start, self.end, times)

    def overlaps(self, start: Ints, end: Ints) -> tuple[Ints, Ints, Floats]:
        """Every pair of an interval and a segment that overlap.

        Returns:
            The interval's number, the segment's index, nanoseconds that both share.
        """
        first = np.searchsorted(self.end, start, side="right")
        last = np.searchsorted(self.start, end, side="left") - 1
        count = np.maximum(last - first + 1, 0)
        number = np.repeat(np.arange(len(start)), count)
        segment = np.arange(len(number)) - np.repeat(np.cumsum(count) - count, count)
        segment += np.repeat(first, count)
        begin = np.maximum(self.start[segment], start[number])
        stop = np.minimum(self.end[segment], end[number])
        return number, segment, np.maximum(stop - begin, 0).astype(np.float64)


def stages_at(
    segments: pd.DataFrame, rows: RowNames, samples: pd.DataFrame, times: Ints
) -> Ints:
    """Number in `rows` of what each sample's thread was doing at its time.

    Args:
        segments: Of any threads.
        rows: Of the recording.
        samples: A table with the columns `pid` and `tid`.
        times: A time for each of them; outside of all segments is `other`.
    """
    stages = np.full(len(samples), _OTHER)
    marked = dict(list(segments.groupby(["pid", "tid"])))
    for key, places in samples.groupby(["pid", "tid"]).indices.items():
        if key in marked:
            lookup = Lookup(marked[key], rows)
            index = lookup.index(times[places])
            stages[places] = np.where(index >= 0, lookup.stage[index], _OTHER)
    return stages
