"""Who waits for the GIL, who holds it meanwhile, and how often it changes hands."""

from __future__ import annotations

import numpy as np
import pandas as pd

from debottleneck.analysis.code import Frame
from debottleneck.analysis.frames import typed
from debottleneck.analysis.threads import Quiet
from debottleneck.analysis.timeline import NAMES, Lookup
from debottleneck.recording.recording import STATES, Recording

HANDING_OVER = "(changing hands)"
_GIL = STATES.index("gil")


def wait_table(
    recording: Recording,
    causes: pd.DataFrame,
    segments: pd.DataFrame,
    roles: dict[tuple[int, int], str],
    lines: dict[int, Frame],
    quiet: Quiet,
) -> pd.DataFrame:
    """`frames.COLUMNS["gil_waits"]`: who held the GIL when others waited for it.

    The cause `gil` of each stage and role is divided by the holders that its
    waiting samples saw.
    """
    rows = recording.waits[recording.waits["state"] == _GIL]
    rows = _in_quiet_time(rows, segments, roles, quiet)
    if rows.empty:
        return typed("gil_waits", pd.DataFrame())
    rows["holder"] = rows["holder"].where(rows["holder"] != rows["tid"], 0)
    sums = rows.groupby(["stage", "role", "pid", "holder"], as_index=False)[
        "weight"
    ].sum()
    sums["share"] = _scaled(sums, causes)
    return typed("gil_waits", _named(sums, recording, lines))


def _in_quiet_time(
    rows: pd.DataFrame,
    segments: pd.DataFrame,
    roles: dict[tuple[int, int], str],
    quiet: Quiet,
) -> pd.DataFrame:
    """Samples of quiet time with their `weight` in ns, `role` and `stage`."""
    start = rows["start_ns"].to_numpy(np.int64)
    end = rows["end_ns"].to_numpy(np.int64)
    weight = quiet.share(start, end) * (end - start)
    kept = rows.assign(weight=weight)[weight > 0]
    role = np.full(len(kept), "other", dtype=object)
    stage = role.copy()
    times = kept["end_ns"].to_numpy(np.int64) - 1
    marked = dict(list(segments.groupby(["pid", "tid"])))
    for key, index in kept.groupby(["pid", "tid"]).indices.items():
        role[index] = roles.get(key, "other")
        if key in marked:
            stage[index] = NAMES[Lookup(marked[key]).stages(times[index])]
    return kept.assign(role=role, stage=stage)


def _scaled(sums: pd.DataFrame, causes: pd.DataFrame) -> pd.Series:
    """Samples say who; how much is what the attribution found."""
    gil = causes[causes["cause"] == "gil"].set_index(["stage", "role"])["share"]
    keys = pd.MultiIndex.from_frame(sums[["stage", "role"]])
    whole = sums.groupby(["stage", "role"])["weight"].transform("sum")
    total = pd.Series(gil.reindex(keys).fillna(0.0).to_numpy(), index=sums.index)
    return sums["weight"] / whole * total


def _named(
    sums: pd.DataFrame, recording: Recording, lines: dict[int, Frame]
) -> pd.DataFrame:
    names = recording.threads.set_index(["pid", "tid"])["name"].to_dict()
    tids = [int(t) for t in sums["holder"]]
    pids = [int(p) for p in sums["pid"]]
    places = [lines.get(tid, ("", "", 0)) for tid in tids]
    table = sums.assign(
        holder_thread=[
            names.get((pid, tid), f"thread {tid}") if tid > 0 else HANDING_OVER
            for pid, tid in zip(pids, tids, strict=True)
        ],
        holder_tid=tids,
        holder_function=[place[0] for place in places],
        holder_file=[place[1] for place in places],
        holder_line=[place[2] for place in places],
    )
    return table.sort_values("share", ascending=False)


def handovers_per_s(recording: Recording, quiet: Quiet) -> float | None:
    """Hand-overs of the target's GIL a second of quiet time; None when not read."""
    table = recording.handovers
    table = table[table["pid"] == recording.facts.pid].sort_values("t_ns")
    if len(table) < 2:
        return None
    times = table["t_ns"].to_numpy(np.int64)
    weight = quiet.share(times[:-1], times[1:])
    counted = np.diff(table["switches"].to_numpy(np.int64)) * weight
    seconds = float((np.diff(times) * weight).sum()) / 1e9
    return float(counted.sum()) / seconds if seconds > 0 else None


def waited_on(
    recording: Recording,
    causes: pd.DataFrame,
    segments: pd.DataFrame,
    roles: dict[tuple[int, int], str],
    quiet: Quiet,
) -> pd.DataFrame:
    """`frames.COLUMNS["waited_on"]`: files and peers behind each stage's waits."""
    rows = recording.waits[recording.waits["detail"] > 0]
    rows = _in_quiet_time(rows, segments, roles, quiet)
    if rows.empty:
        return typed("waited_on", pd.DataFrame())
    rows["cause"] = np.array(STATES, dtype=object)[rows["state"].to_numpy(np.int64)]
    keys = ["stage", "role", "cause", "detail"]
    sums = rows.groupby(keys, as_index=False)["weight"].sum()
    amount = causes.set_index(["stage", "role", "cause"])["ms_per_step"]
    index = pd.MultiIndex.from_frame(sums[["stage", "role", "cause"]])
    total = amount.reindex(index).fillna(0.0).to_numpy()
    whole = sums.groupby(["stage", "role", "cause"])["weight"].transform("sum")
    sums["ms_per_step"] = sums["weight"] / whole * total
    named = sums.merge(recording.details, on="detail", how="left")
    named = named.fillna({"syscall": "", "what": ""})  # a run cut off lacks the last
    table = named.sort_values("ms_per_step", ascending=False).head(200)
    return typed("waited_on", table)
