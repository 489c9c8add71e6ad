"""The only place that names the columns of analysis tables, and their types.

Milliseconds per step ("ms_per_step") are means over the quiet steps; a recording
without steps gives them per second of wall time instead, and says so in
`Loop.unit`. A `share` is of the step (of wall time where there are no steps).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.recording.columns import columns, without_rows
from debottleneck.words import CAUSES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

QUIET, WARMUP, LEARNING, BULK = "quiet", "warmup", "loops", "bulk"
"""Blocks of steps beside those of the instruments, `stacks`, `functions`, `delays`. In
some the agent learned what the script does; of those in bulk only the mean is known."""


COLUMNS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # Every step found; block is warmup, quiet, stacks, functions, delays,
        # loops or bulk.
        "steps": columns("int64 step start_ns end_ns wall_ns", "str block"),
        # Each step's time by stage, `other` included: sums to wall_ns.
        "step_stages": columns("int64 step", "str stage", "int64 wall_ns cpu_ns"),
        # The trainer's time on one line: no gaps, no overlaps, self time only.
        # Other threads' stages likewise. `site` is -1 for `other`, and
        # where the thread waits for an accelerator that of the wait (kind "device").
        "segments": columns(
            "int64 tid pid", "str stage", "int64 site start_ns end_ns cpu_ns"
        ),
        # Trainer only; low and high bound ms_per_step, share_low and share_high the
        # share (95 %, of this run's mean: `statistics.mean_interval`).
        "stages": columns(
            "str stage",
            "float64 ms_per_step share share_low share_high low high median_ms p95_ms",
            "float64 cpu_ms_per_step calls_per_step",
        ),
        # Rows that are lines of the user's code, in the order of the step: `row` is
        # what the column `stage` of every table calls them; `parent` is the row that
        # calls the opened function they are of, "" for none; `side` of words.SIDES.
        "rows": columns("str row file", "int64 line end", "str source parent side"),
        # Causes of role trainer sum to their stage. Other roles: summed over the
        # role's threads, so their shares may exceed 1.
        "causes": columns(
            "str stage role cause",
            "float64 ms_per_step share share_low share_high low high median_ms p95_ms",
        ),
        # One row a thread: `wall_ms` seen in quiet time, and its cause shares
        # (columns named by the causes, of the thread's own time).
        "threads": columns(
            "int64 pid tid", "str name role", f"float64 wall_ms {' '.join(CAUSES)}"
        ),
        # Who waits for the GIL in which stage, who holds it, running what code.
        # `share` is of the step. Function "" when no stacks were taken.
        "gil_waits": columns(
            "str stage role holder_thread",
            "int64 holder_tid",
            "str holder_function holder_file",
            "int64 holder_line",
            "float64 share",
        ),
        # Who waits for a lock whose holder was seen; `kind` is the lock's. Likewise.
        "lock_waits": columns(
            "str stage role kind holder_thread",
            "int64 holder_tid",
            "str holder_function holder_file",
            "int64 holder_line",
            "float64 share",
        ),
        # What a stage's waits were on (files, peers), ms per step.
        "waited_on": columns(
            "str stage role cause syscall what", "float64 ms_per_step"
        ),
        # Lines of the user's own code, by share of the samples of the stage in that
        # role's threads (but for the trainer's, while at work); from py-spy's blocks.
        "lines": columns(
            "str stage role thread function file", "int64 line", "float64 share"
        ),
        # Flame graph nodes: `parent` is the id of the node above, 0 for none;
        # weight is the node's time incl. children; `gil_ms` of it held the GIL.
        "flame": columns(
            "str stage role",
            "int64 id parent",
            "str function file",
            "int64 line",
            "float64 weight_ms gil_ms",
        ),
        # yappi, per thread and function, per call of the windows.
        "functions": columns(
            "str thread role function file",
            "int64 line calls",
            "float64 self_wall_ms total_wall_ms self_cpu_ms total_cpu_ms",
            "float64 wall_minus_cpu_ms",
        ),
        # What each instrument costs in this run. `slowdown` is the ratio of its
        # steps' median to the quiet neighbours' minus 1, NaN where unmeasured.
        "instruments": columns(
            "str name", "int64 steps", "float64 step_ms slowdown low high", "str note"
        ),
    }
)


def empty(name: str) -> pd.DataFrame:
    """An empty table of that name with its columns typed."""
    return without_rows(COLUMNS[name])


def typed(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of table `name`, in order, typed, with a fresh index."""
    if rows.empty:
        return empty(name)
    columns = COLUMNS[name]
    return rows[list(columns)].astype(dict(columns)).reset_index(drop=True)


def of_thread(table: pd.DataFrame, pid: int, tid: int) -> pd.DataFrame:
    """The rows of one thread, from any table with the columns `pid` and `tid`."""
    return table[(table["tid"] == tid) & (table["pid"] == pid)]


def quiet_steps(steps: pd.DataFrame) -> pd.DataFrame:
    """The steps that all timing comes from: after warm-up, by no instrument slowed."""
    return steps[steps["block"] == QUIET]


def bounds(table: pd.DataFrame) -> tuple[Ints, Ints]:
    """Start and end of each row, nanoseconds."""
    return table["start_ns"].to_numpy(np.int64), table["end_ns"].to_numpy(np.int64)


def holding(start: Ints, end: Ints, times: Ints) -> Ints:
    """Index of the interval from `start` up to `end` that holds each time, else -1.

    Args:
        start: Ascending; the intervals do not overlap.
        end: Their ends, no part of them.
        times: Any.
    """
    if not len(start):
        return np.full(len(times), -1)
    index = np.searchsorted(start, times, side="right") - 1
    inside = (index >= 0) & (times < end[np.maximum(index, 0)])
    return np.where(inside, index, -1)
