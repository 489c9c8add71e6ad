"""Marks -> what each thread was doing when: segments without gaps or overlaps."""

from __future__ import annotations

import numpy as np
import pandas as pd

from debottleneck.analysis.frames import Ints, bounds, empty, holding, typed
from debottleneck.recording.loop import CODE, Marks, code_of
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import ENTER, LEAVE
from debottleneck.words import BETWEEN_STAGES, OTHER, STEP

NO_SITE = -1
NAMES = np.array(list(CODE), dtype=object)
"""Stage number of `loop.CODE` -> name."""

_BETWEEN = frozenset(CODE[name] for name in BETWEEN_STAGES)
_STEP = CODE[STEP]

MOST_OPEN = 1000
"""Stages open at once in a thread: more than recursion allows, or coroutines have. What
was never left (of damaged marks) is forgotten then."""

_OTHER = CODE[OTHER]


def marks_by_thread(
    recording: Recording,
) -> dict[tuple[int, int], tuple[Marks, pd.DataFrame]]:
    """(pid, tid) -> its marks for `loop`, and the same rows of the table."""
    sites = recording.sites.set_index(["pid", "site"])
    threads = {}
    for (pid, tid), rows in recording.marks.groupby(["pid", "tid"], sort=True):
        if pid not in sites.index.get_level_values(0):
            continue
        of_pid = sites.loc[pid]
        rows = rows.sort_values("t_ns", kind="stable")
        rows = rows[rows["site"].isin(of_pid.index)]
        codes = map(code_of, of_pid["stage"], of_pid["kind"])
        stages = pd.Series(list(codes), of_pid.index)
        minor = of_pid["name"].str.endswith("zero_grad")
        marks = Marks(
            rows["t_ns"].to_numpy(np.int64),
            rows["edge"].to_numpy(np.int64),
            rows["site"].map(stages).to_numpy(np.int64),
            rows["site"].map(minor).to_numpy(np.bool_),
            rows["site"].to_numpy(np.int64),
            rows["calls"].to_numpy(np.int64),
        )
        threads[int(pid), int(tid)] = (marks, rows)
    return threads


def segments_of(
    threads: dict[tuple[int, int], tuple[Marks, pd.DataFrame]],
) -> pd.DataFrame:
    """`frames.COLUMNS["segments"]` of every thread with marks.

    A segment lies between two consecutive marks of its thread and belongs to the
    innermost open stage; within evaluate, checkpoint or log, to that. Their lengths
    add up to the time between the thread's first and last mark.
    """
    parts = [
        _of_thread(pid, tid, marks, rows)
        for (pid, tid), (marks, rows) in threads.items()
    ]
    return typed("segments", pd.concat(parts or [empty("segments")]))


def _of_thread(pid: int, tid: int, marks: Marks, rows: pd.DataFrame) -> pd.DataFrame:
    sites = rows["site"].to_numpy(np.int64)
    stage, site = _tops(marks.edge, marks.stage, sites)
    start, end = marks.t[:-1], marks.t[1:]
    cpu = np.diff(rows["cpu_ns"].to_numpy(np.int64))
    kept = end > start
    return pd.DataFrame(
        {
            "tid": tid,
            "pid": pid,
            "stage": NAMES[stage[:-1][kept]],
            "site": site[:-1][kept],
            "start_ns": start[kept],
            "end_ns": end[kept],
            "cpu_ns": np.clip(cpu[kept], 0, (end - start)[kept]),
        }
    )


def _tops(edges: Ints, stages: Ints, sites: Ints) -> tuple[Ints, Ints]:
    """After each mark: the stage that time belongs to from then on, and its site."""
    stack: list[tuple[int, int]] = []
    between: list[tuple[int, int]] = []
    tops, places = [], []
    for edge, stage, site in zip(
        edges.tolist(), stages.tolist(), sites.tolist(), strict=True
    ):
        if stage < _STEP:
            if edge == ENTER:
                for entries in (stack, between) if stage in _BETWEEN else (stack,):
                    entries.append((stage, site))
                    if len(entries) > MOST_OPEN:
                        del entries[0]
            elif edge == LEAVE:
                _leave(stack, site)
                _leave(between, site)
        outer = between[:1] or stack[-1:] or [(_OTHER, NO_SITE)]
        top, place = outer[0]
        tops.append(top)
        places.append(place)
    return np.array(tops, np.int64), np.array(places, np.int64)


def _leave(stack: list[tuple[int, int]], site: int) -> None:
    """Close the last entry of that site; coroutines need not nest."""
    for index in range(len(stack) - 1, -1, -1):
        if stack[index][1] == site:
            del stack[index]
            return


def stage_codes(stages: pd.Series) -> Ints:
    """The number in `loop.CODE` of each stage; names are few, rows are many."""
    place, names = pd.factorize(stages)
    codes: Ints = np.array([CODE[str(name)] for name in names], np.int64)[place]
    return codes


class Lookup:
    """Finds a thread's segment at a time.

    Args:
        segments: Segments of one thread, any order.
    """

    def __init__(self, segments: pd.DataFrame) -> None:
        in_order = segments["start_ns"].is_monotonic_increasing
        ordered = segments if in_order else segments.sort_values("start_ns")
        self.table = ordered.reset_index(drop=True)
        self.start, self.end = bounds(self.table)
        self.stage = stage_codes(self.table["stage"])

    def index(self, times: Ints) -> Ints:
        """Index of the segment that holds each time, -1 outside of all."""
        return holding(self.start, self.end, times)


def stages_at(segments: pd.DataFrame, rows: pd.DataFrame, times: Ints) -> Ints:
    """Stage number of each row at its time, by its thread's own segments.

    Args:
        segments: Of any threads.
        rows: A table with the columns `pid` and `tid`.
        times: A time for each row; outside of all segments is `other`.
    """
    stages = np.full(len(rows), _OTHER)
    marked = dict(list(segments.groupby(["pid", "tid"])))
    for key, places in rows.groupby(["pid", "tid"]).indices.items():
        if key in marked:
            lookup = Lookup(marked[key])
            index = lookup.index(times[places])
            stages[places] = np.where(index >= 0, lookup.stage[index], _OTHER)
    return stages
