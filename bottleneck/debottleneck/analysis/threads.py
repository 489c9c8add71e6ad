"""Every thread's time by cause, and the rows of roles other than the trainer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.analysis.attribution import by_schedstat
from debottleneck.analysis.counted import ThreadCounts
from debottleneck.analysis.frames import Floats, Ints, bounds, typed
from debottleneck.analysis.lives import by_place, places_of
from debottleneck.analysis.roles import Roles
from debottleneck.analysis.rows import RowNames
from debottleneck.analysis.timeline import stages_at
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import STATES
from debottleneck.words import CAUSES


@dataclass(frozen=True)
class QuietTime:
    """The time that counts: quiet steps, or all time outside blocks.

    Attributes:
        start: Starts of the intervals, ascending, nanoseconds.
        end: Their ends.
        units: Number of steps, or seconds of wall time.
    """

    start: Ints
    end: Ints
    units: float

    @property
    def total_ns(self) -> float:
        """Length of all intervals."""
        return float((self.end - self.start).sum())

    def before(self, times: Ints) -> Floats:
        """Quiet nanoseconds before each time."""
        if not len(self.start):
            return np.zeros(len(times))
        edges = np.column_stack((self.start, self.end)).ravel()
        lengths = np.column_stack((self.end - self.start, np.zeros_like(self.start)))
        passed = np.concatenate(([0], np.cumsum(lengths.ravel())[:-1]))
        origin = edges[0]
        result: Floats = np.interp(
            (times - origin).astype(float), (edges - origin).astype(float), passed
        )
        return result

    def share(self, start: Ints, end: Ints) -> Floats:
        """The part of each interval that is quiet, 0 to 1."""
        length = np.maximum(end - start, 1)
        result: Floats = (self.before(end) - self.before(start)) / length
        return result


def cause_totals(
    recording: Recording, segments: pd.DataFrame, rows: RowNames, quiet: QuietTime
) -> dict[tuple[int, int], Floats]:
    """(pid, tid) -> (rows, causes) nanoseconds of quiet time."""
    waits, totals = recording.waits, {}
    weight = quiet.share(*bounds(waits))
    ends = waits["end_ns"].to_numpy(np.int64)
    stages = stages_at(segments, rows, waits, ends - 1)
    for (pid, tid), places in waits.groupby(["pid", "tid"]).indices.items():
        places = places[np.argsort(ends[places], kind="stable")]
        counted = places[weight[places] > 0]
        if len(counted):
            ticks, of_row = waits.iloc[counted], stages[counted]
            thread = int(pid), int(tid)
            counts = ThreadCounts.of(recording, *thread, waits.iloc[places])
            ended = ends[places], stages[places]
            laid = counts.by_row(*ended, quiet.share, len(rows))
            part = quiet.share(*bounds(counts.counters))
            stopped = float((counts.counters["delay_ns"].to_numpy() * part).sum())
            around = (ticks, of_row, weight[counted], len(rows))
            totals[thread] = by_schedstat(*around, laid, stopped)
    return totals


def sample_causes(waits: pd.DataFrame) -> NDArray[np.object_]:
    """A word of `words.CAUSES` for each row of `waits`, as far as it alone shows it.

    "running" instead where it is not known who held the GIL.
    """
    names = np.array(STATES, dtype=object)[waits["state"].to_numpy(np.int64)]
    running = names == "running"
    holder = waits["holder"].to_numpy()
    holds = holder == waits["tid"].to_numpy()
    names = np.where(running & holds, "python", names)
    names = np.where(running & ~holds & (holder >= 0), "native", names)
    late = waits["delay_ns"].to_numpy() > waits["oncpu_ns"].to_numpy()
    return np.where(running & late, "runqueue", names)


def thread_table(
    recording: Recording, totals: dict[tuple[int, int], Floats], roles: Roles
) -> pd.DataFrame:
    """`frames.COLUMNS["threads"]`, trainer first, then by time on a core.

    Threads of processes that take each other's place are one.
    """
    named = recording.threads.set_index(["pid", "tid"])["name"]
    rows = []
    lives = by_place(totals, recording.threads, places_of(recording))
    for key, grids in lives.items():
        by_cause = sum(grid.sum(axis=0) for grid in grids)
        total = by_cause.sum()
        if total <= 0:
            continue
        shares = dict(zip(CAUSES, by_cause / total, strict=True))
        lead = {"pid": key[0], "tid": key[1], "name": named.get(key, "")}
        role = roles.get(key, "other")
        rows.append({**lead, "role": role, "wall_ms": total / 1e6, **shares})
    table = typed("threads", pd.DataFrame(rows))
    busy = table["wall_ms"] * (1 - table["sleep"] - table["lock"])
    order = pd.DataFrame({"other": table["role"] != "trainer", "busy": -busy})
    return table.loc[order.sort_values(["other", "busy"]).index].reset_index(drop=True)


def causes_of_roles(
    totals: dict[tuple[int, int], Floats],
    roles: Roles,
    rows: RowNames,
    quiet: QuietTime,
    *,
    without: str,
) -> pd.DataFrame:
    """Rows of `frames.COLUMNS["causes"]` for every role but one, summed over threads.

    Args:
        totals: From `cause_totals`.
        roles: From `roles_of`.
        rows: Of the recording.
        quiet: What a unit and a share are of.
        without: The role left out ("" for none).
    """
    sums: dict[str, Floats] = {}
    for key, grid in totals.items():
        role = roles.get(key, "other")
        if role != without:
            sums[role] = sums.get(role, np.zeros_like(grid)) + grid
    records = [
        {
            "stage": rows.names[stage],
            "role": role,
            "cause": CAUSES[cause],
            "ms_per_step": grid[stage, cause] / 1e6 / max(quiet.units, 1e-9),
            "share": grid[stage, cause] / max(quiet.total_ns, 1.0),
        }
        for role, grid in sums.items()
        for stage, cause in np.argwhere(grid > 0)
    ]
    bounds = dict.fromkeys(
        ("share_low", "share_high", "low", "high", "median_ms", "p95_ms"), np.nan
    )
    return typed("causes", pd.DataFrame([{**row, **bounds} for row in records]))
