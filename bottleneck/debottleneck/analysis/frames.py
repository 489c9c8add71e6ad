"""The only place that names the columns of analysis tables, and their types.

Milliseconds per step ("ms_per_step") are means over the quiet steps; a recording
without steps gives them per second of wall time instead, and says so in
`Loop.unit`. A `share` is of the step (of wall time where there are no steps).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

COLUMNS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # Every step found; block is warmup, quiet, stacks or functions.
        "steps": {
            "step": "int64",
            "start_ns": "int64",
            "end_ns": "int64",
            "wall_ns": "int64",
            "block": "str",
        },
        # Each step's time by stage, `other` included: sums to wall_ns.
        "step_stages": {
            "step": "int64",
            "stage": "str",
            "wall_ns": "int64",
            "cpu_ns": "int64",
        },
        # The trainer's time on one line: no gaps, no overlaps, self time only.
        # Other threads' stages likewise. `site` is -1 for `other`.
        "segments": {
            "tid": "int64",
            "pid": "int64",
            "stage": "str",
            "site": "int64",
            "start_ns": "int64",
            "end_ns": "int64",
            "cpu_ns": "int64",
        },
        # Trainer only; low and high bound the mean (95 %, bootstrap over steps).
        "stages": {
            "stage": "str",
            "ms_per_step": "float64",
            "share": "float64",
            "low": "float64",
            "high": "float64",
            "median_ms": "float64",
            "p95_ms": "float64",
            "cpu_ms_per_step": "float64",
            "calls_per_step": "float64",
        },
        # Causes of role trainer sum to their stage. Other roles: summed over the
        # role's threads, so their shares may exceed 1.
        "causes": {
            "stage": "str",
            "role": "str",
            "cause": "str",
            "ms_per_step": "float64",
            "share": "float64",
            "low": "float64",
            "high": "float64",
            "median_ms": "float64",
            "p95_ms": "float64",
        },
        # One row a thread: `wall_ms` seen in quiet time, and its cause shares
        # (columns named by the causes, of the thread's own time).
        "threads": {
            "pid": "int64",
            "tid": "int64",
            "name": "str",
            "role": "str",
            "wall_ms": "float64",
            "python": "float64",
            "native": "float64",
            "gil": "float64",
            "lock": "float64",
            "disk": "float64",
            "network": "float64",
            "ipc": "float64",
            "sleep": "float64",
            "runqueue": "float64",
            "unattributed": "float64",
        },
        # Who waits for the GIL in which stage, who holds it, running what code.
        # `share` is of the step. Function "" when no stacks were taken.
        "gil_waits": {
            "stage": "str",
            "role": "str",
            "holder_thread": "str",
            "holder_tid": "int64",
            "holder_function": "str",
            "holder_file": "str",
            "holder_line": "int64",
            "share": "float64",
        },
        # What a stage's waits were on (files, peers), ms per step.
        "waited_on": {
            "stage": "str",
            "role": "str",
            "cause": "str",
            "syscall": "str",
            "what": "str",
            "ms_per_step": "float64",
        },
        # Lines of the user's own code, by share of the samples of the stage in
        # that role's threads; from py-spy's blocks.
        "lines": {
            "stage": "str",
            "role": "str",
            "thread": "str",
            "function": "str",
            "file": "str",
            "line": "int64",
            "share": "float64",
        },
        # Flame graph nodes: `path` is a tuple-like string id, `parent` its prefix;
        # weight is the node's time incl. children; gil_share of it held the GIL.
        "flame": {
            "stage": "str",
            "role": "str",
            "id": "int64",
            "parent": "int64",
            "function": "str",
            "file": "str",
            "line": "int64",
            "weight_ms": "float64",
            "gil_ms": "float64",
        },
        # yappi, per thread and function, per call of the windows.
        "functions": {
            "thread": "str",
            "role": "str",
            "function": "str",
            "file": "str",
            "line": "int64",
            "calls": "int64",
            "self_wall_ms": "float64",
            "total_wall_ms": "float64",
            "self_cpu_ms": "float64",
            "total_cpu_ms": "float64",
            "wall_minus_cpu_ms": "float64",
        },
        # What each instrument costs in this run. `slowdown` is the ratio of its
        # steps' median to the quiet neighbours' minus 1, NaN where unmeasured.
        "instruments": {
            "name": "str",
            "steps": "int64",
            "step_ms": "float64",
            "slowdown": "float64",
            "low": "float64",
            "high": "float64",
            "note": "str",
        },
    }
)


def empty(name: str) -> pd.DataFrame:
    """An empty table of that name with its columns typed."""
    return pd.DataFrame(
        {column: pd.Series(dtype=kind) for column, kind in COLUMNS[name].items()}
    )


def typed(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of table `name`, in order, typed, with a fresh index."""
    if rows.empty:
        return empty(name)
    whole = rows[list(COLUMNS[name])].astype(dict(COLUMNS[name]))
    return whole.reset_index(drop=True)
