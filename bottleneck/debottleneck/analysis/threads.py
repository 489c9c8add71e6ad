"""Every thread's time by cause, and the rows of roles other than the trainer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.analysis.attribution import STAGE_COUNT, by_schedstat
from debottleneck.analysis.frames import typed
from debottleneck.analysis.timeline import NAMES, Lookup
from debottleneck.recording.recording import Recording
from debottleneck.words import CAUSES

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Quiet:
    """The time that counts: quiet steps, or all time outside blocks.

    Attributes:
        start: Starts of the intervals, ascending, nanoseconds.
        end: Their ends.
        units: Number of steps, or seconds of wall time.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    units: float

    @property
    def total_ns(self) -> float:
        """Length of all intervals."""
        return float((self.end - self.start).sum())

    def before(self, times: NDArray[np.int64]) -> Floats:
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

    def share(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> Floats:
        """The part of each interval that is quiet, 0 to 1."""
        length = np.maximum(end - start, 1)
        result: Floats = (self.before(end) - self.before(start)) / length
        return result


def cause_totals(
    recording: Recording, segments: pd.DataFrame, quiet: Quiet
) -> dict[tuple[int, int], Floats]:
    """(pid, tid) -> (stages, causes) nanoseconds of quiet time."""
    waits = recording.waits
    if waits.empty:
        return {}
    start = waits["start_ns"].to_numpy(np.int64)
    end = waits["end_ns"].to_numpy(np.int64)
    weight = quiet.share(start, end)
    marked = dict(list(segments.groupby(["pid", "tid"])))
    found = {}
    for key, index in waits.groupby(["pid", "tid"]).indices.items():
        counted = index[weight[index] > 0]
        if len(counted):
            rows = waits.iloc[counted]
            stages = _stages(marked.get(key), rows)
            pid, tid = key
            found[int(pid), int(tid)] = by_schedstat(rows, stages, weight[counted])
    return found


def _stages(segments: pd.DataFrame | None, rows: pd.DataFrame) -> NDArray[np.int64]:
    table = segments if segments is not None else _NO_SEGMENTS
    return Lookup(table).stages(rows["end_ns"].to_numpy(np.int64) - 1)


_NO_SEGMENTS = pd.DataFrame(
    {"start_ns": [], "end_ns": [], "stage": [], "cpu_ns": []}
).astype({"start_ns": "int64", "end_ns": "int64", "stage": "str"})


def thread_table(
    recording: Recording,
    totals: dict[tuple[int, int], Floats],
    roles: dict[tuple[int, int], str],
) -> pd.DataFrame:
    """`frames.COLUMNS["threads"]`, trainer first, then by time on a core."""
    named = recording.threads.set_index(["pid", "tid"])["name"]
    rows = []
    for key, grid in totals.items():
        by_cause = grid.sum(axis=0)
        whole = by_cause.sum()
        if whole <= 0:
            continue
        shares = dict(zip(CAUSES, by_cause / whole, strict=True))
        lead = {"pid": key[0], "tid": key[1], "name": named.get(key, "")}
        role = roles.get(key, "other")
        rows.append({**lead, "role": role, "wall_ms": whole / 1e6, **shares})
    table = typed("threads", pd.DataFrame(rows))
    busy = table["wall_ms"] * (1 - table["sleep"] - table["lock"])
    order = pd.DataFrame({"other": table["role"] != "trainer", "busy": -busy})
    return table.loc[order.sort_values(["other", "busy"]).index].reset_index(drop=True)


def causes_of_roles(
    totals: dict[tuple[int, int], Floats],
    roles: dict[tuple[int, int], str],
    quiet: Quiet,
    *,
    without: str,
) -> pd.DataFrame:
    """Rows of `frames.COLUMNS["causes"]` for every role but one, summed over threads.

    Args:
        totals: From `cause_totals`.
        roles: From `roles_of`.
        quiet: What a unit and a share are of.
        without: The role left out ("" for none).
    """
    sums: dict[str, Floats] = {}
    for key, grid in totals.items():
        role = roles.get(key, "other")
        if role != without:
            sums[role] = sums.get(role, np.zeros((STAGE_COUNT, len(CAUSES)))) + grid
    rows = [
        {
            "stage": NAMES[stage],
            "role": role,
            "cause": CAUSES[cause],
            "ms_per_step": grid[stage, cause] / 1e6 / max(quiet.units, 1e-9),
            "share": grid[stage, cause] / max(quiet.total_ns, 1.0),
        }
        for role, grid in sums.items()
        for stage, cause in np.argwhere(grid > 0)
    ]
    bounds = dict.fromkeys(("low", "high", "median_ms", "p95_ms"), np.nan)
    return typed("causes", pd.DataFrame([{**row, **bounds} for row in rows]))
