"""Marks -> what each thread was doing when: segments without gaps or overlaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.analysis.frames import Floats, Ints, bounds, holding
from debottleneck.analysis.rows import RowNames
from debottleneck.recording.loop import CODE, LOOP, OPENED, Marks, code_of
from debottleneck.recording.reading import is_minor
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import DEVICE, ENTER, LEAVE, STEP_START
from debottleneck.recording.spool import OPENED as OPENED_KIND
from debottleneck.words import BETWEEN_STAGES, LINE, OTHER, STEP

NO_SITE = -1
_NAMES = np.array(list(CODE), dtype=object)

_BETWEEN = frozenset(CODE[name] for name in BETWEEN_STAGES)
_STEP, _OTHER = CODE[STEP], CODE[OTHER]
_LINE, _OPENED, _LOOP = CODE[LINE], CODE[OPENED], CODE[LOOP]
_DEVICE = CODE[DEVICE]

MOST_OPEN = 1000
"""Stages open at once in a thread: more than recursion allows, or coroutines have. What
was never left (of damaged marks) is forgotten then."""

MOST_STATES, AT_ONCE = 2_000, 100_000
"""Such states are remembered at a time, of damaged marks each is another; and marks are
taken in lists of that length."""

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
    states = _States(loop)
    tops = states.after(marks)
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
    places = (line, np.array([*states.chains], object)[callers], base, device)
    columns |= dict(zip(PLACES, places, strict=True))
    return pd.DataFrame(columns | {"in_loop": in_loop.astype(np.bool_)})


_NO_TIMES, _NO_FLAGS = np.empty(0, np.int64), np.empty(0, np.bool_)
_NO_MARKS = (
    Marks(_NO_TIMES, _NO_TIMES, _NO_TIMES, _NO_FLAGS, _NO_TIMES, _NO_TIMES),
    pd.DataFrame({"cpu_ns": _NO_TIMES}),
    TrainingLoop(),
)


Entries = tuple[tuple[int, int], ...]
"""Stages and sites that were entered and not yet left, outermost first."""


class _States:
    """What a thread has open after each mark.

    A step is like the one before: what a mark makes of a state is looked up where it
    was met before, so that long runs cost no more than a look a mark.

    Args:
        loop: The one that trains.

    Attributes:
        chains: Sites of callers as in the column, and their number.
    """

    def __init__(self, loop: TrainingLoop) -> None:
        self.chains: dict[str, int] = {"": 0}
        self._loop = loop
        self._tops: dict[tuple[int, ...], int] = {}
        self._top_of: list[int] = []
        self._forget()

    def _forget(self) -> None:
        self._open: dict[int, _Open] = {}
        self._numbers: dict[_Open, int] = {}
        self._moves: dict[int, int] = {}

    def after(self, marks: Marks) -> NDArray[np.int64]:
        """After each mark what time belongs to from then on, as `_top` gives it."""
        words = (marks.site * len(CODE) + marks.stage) * 4 + marks.edge
        words, kinds = pd.factorize(words)
        count, state = max(len(kinds), 1), self._number(_Open())
        tops = np.empty(len(words), np.int32)
        for begin in range(0, len(words), AT_ONCE):
            states, moves = [], self._moves
            for word in words[begin : begin + AT_ONCE].tolist():
                move = state * count + word
                known = moves.get(move)
                if known is None:
                    known = self._moved(state, int(kinds[word]))
                    moves = self._moves
                    moves[move] = known
                state = known
                states.append(state)
            tops[begin : begin + AT_ONCE] = np.array(self._top_of)[states]
        return np.array([*self._tops], np.int64).reshape(-1, 7)[tops]

    def _moved(self, state: int, kind: int) -> int:
        """The number of the state that a mark of this kind makes of this one."""
        place, edge = divmod(kind, 4)
        site, stage = divmod(place, len(CODE))
        now = self._open[state].after(self._loop, edge, stage, site)
        if len(self._open) > MOST_STATES:
            self._forget()
        return self._number(now)

    def _number(self, now: _Open) -> int:
        number = self._numbers.setdefault(now, len(self._top_of))
        if number == len(self._top_of):
            self._open[number] = now
            top = self._top(now)
            self._top_of.append(self._tops.setdefault(top, len(self._tops)))
        return number

    def _top(self, now: _Open) -> tuple[int, ...]:
        """The number of what time belongs to, its site, `PLACES`, `in_loop`."""
        line, callers = now.at
        number = self.chains.setdefault(callers, len(self.chains))
        device = now.device[-1][1] if now.device else NO_SITE
        places = (line, number, now.base, device, int(now.in_loop))
        if now.between:
            return (*now.between[0], *places)
        if now.stack:
            return (*now.stack[-1], *places)
        return (_OTHER if line < 0 else _LINE, line, *places)


@dataclass(frozen=True)
class _Open:
    """What one thread has open.

    Attributes:
        frames: Of each opened function its site, the statement that it is at, and the
            sites of its callers.
        inner: A statement of a loop in a function that is not opened, which the loop's
            own statement `base` calls.
        in_loop: Whether the loop that trains is being run.
    """

    stack: Entries = ()
    between: Entries = ()
    device: Entries = ()
    frames: tuple[tuple[int, int, str], ...] = ()
    base: int = NO_SITE
    inner: int = NO_SITE
    in_loop: bool = False

    @property
    def at(self) -> tuple[int, str]:
        """The statement that the thread is in, and its callers."""
        if self.frames:
            return self.frames[-1][1:]
        return (self.base, "") if self.inner < 0 else (self.inner, str(self.base))

    def after(self, loop: TrainingLoop, edge: int, stage: int, site: int) -> _Open:
        """With one more mark."""
        if stage < _STEP:
            stack = _entered(self.stack, edge, stage, site)
            between = self.between
            if edge == LEAVE or stage in _BETWEEN:
                between = _entered(between, edge, stage, site)
            return replace(self, stack=stack, between=between)
        if stage == _DEVICE:
            return replace(self, device=_entered(self.device, edge, stage, site))
        if stage in (_LINE, _OPENED):
            return self._line(loop, edge, stage, site)
        if stage == _LOOP and edge == ENTER:
            return self._line(loop, edge, _LINE, site)
        if stage == _LOOP and site == loop.site:
            return _Open(
                self.stack, self.between, self.device, in_loop=edge == STEP_START
            )
        return self

    def _line(self, loop: TrainingLoop, edge: int, stage: int, site: int) -> _Open:
        """A statement begins in the innermost function that was opened, if any."""
        if edge == LEAVE:
            opened = [frame[0] for frame in self.frames]
            if site in opened:
                last = len(opened) - 1 - opened[::-1].index(site)
                return replace(self, frames=self.frames[:last])
        elif edge == ENTER and stage == _OPENED:
            return self._opened(site)
        elif edge == ENTER:
            is_own = site in loop.own
            calls = self.in_loop and self.base in loop.own
            if self.frames and not is_own:
                *outer, (function, _, callers) = self.frames
                return replace(self, frames=(*outer, (function, site, callers)))
            if not self.frames and calls and not is_own:
                return replace(self, inner=site)
            if not self.frames:
                return replace(self, base=site, inner=NO_SITE)
        return self

    def _opened(self, site: int) -> _Open:
        """A function is called; within itself it has the callers that it had."""
        line, callers = self.at
        again = [frame[2] for frame in self.frames if frame[0] == site]
        callers = again[0] if again else f"{callers} {line}" if line >= 0 else callers
        frames = (*self.frames, (site, site, callers))
        return replace(self, frames=frames[-MOST_OPEN:])


def _entered(entries: Entries, edge: int, stage: int, site: int) -> Entries:
    """The entries with one more, or without the last one of that site.

    Coroutines need not nest. Calls that were joined in one pair of marks are entered at
    the first one's site and left at the last one's: then the last entry of that stage.
    """
    if edge == ENTER:
        return (*entries, (stage, site))[-MOST_OPEN:]
    if edge == LEAVE:
        last = range(len(entries) - 1, -1, -1)
        of_site = (i for i in last if entries[i][1] == site)
        of_stage = (i for i in last if entries[i][0] == stage)
        index = next(of_site, next(of_stage, None))
        if index is not None:
            return entries[:index] + entries[index + 1 :]
    return entries


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
