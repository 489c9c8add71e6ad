"""yappi's windows as one table: wall and CPU clock side by side."""

from __future__ import annotations

import pandas as pd

from debottleneck.analysis.frames import typed
from debottleneck.recording.recording import Recording

OURS = "<debottleneck"
"""Begins the file of our own wrappers' frames."""

_KEYS = ["tid", "thread", "function", "file", "line"]


def function_table(
    recording: Recording, roles: dict[tuple[int, int], str]
) -> pd.DataFrame:
    """`frames.COLUMNS["functions"]`.

    The clocks come from different windows, so a function may lack one of them (NaN),
    and CPU times are scaled to the calls of the wall windows before subtracting.
    """
    table = recording.functions
    table = table[~table["file"].str.startswith(OURS)]
    if table.empty:
        return typed("functions", pd.DataFrame())
    # A foreign recording may hold rows twice, which a merge would multiply.
    rows = table.groupby(["clock", *_KEYS], sort=False, as_index=False)
    table = rows[["calls", "self_ns", "total_ns"]].sum()
    wall = table[table["clock"] == "wall"].drop(columns="clock")
    cpu = table[table["clock"] == "cpu"].drop(columns="clock")
    both = wall.merge(cpu, on=_KEYS, how="outer", suffixes=("_wall", "_cpu"))
    calls = both["calls_wall"].fillna(both["calls_cpu"])
    scale = (both["calls_wall"] / both["calls_cpu"]).fillna(1.0)
    both["calls"] = calls
    for part in ("self", "total"):
        both[f"{part}_wall_ms"] = both[f"{part}_ns_wall"] / 1e6
        both[f"{part}_cpu_ms"] = both[f"{part}_ns_cpu"] * scale / 1e6
    waiting = both["total_wall_ms"] - both["total_cpu_ms"]
    both["wall_minus_cpu_ms"] = waiting.clip(lower=0.0)
    pid = recording.facts.pid
    both["role"] = [roles.get((pid, int(tid)), "other") for tid in both["tid"]]
    ranked = both.sort_values("total_wall_ms", ascending=False, na_position="last")
    return typed("functions", ranked)
