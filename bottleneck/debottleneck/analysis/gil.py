"""Who waits for the GIL, who holds it meanwhile, and how often it changes hands."""

from __future__ import annotations

import numpy as np
import pandas as pd

from debottleneck.analysis.code import Frame
from debottleneck.analysis.frames import bounds, typed
from debottleneck.analysis.roles import Roles
from debottleneck.analysis.rows import RowNames
from debottleneck.analysis.threads import QuietTime
from debottleneck.analysis.timeline import stages_at
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import STATES

HANDING_OVER = "(changing hands)"
_GIL, _LOCK = STATES.index("gil"), STATES.index("lock")


def wait_table(
    recording: Recording,
    causes: pd.DataFrame,
    segments: pd.DataFrame,
    names: RowNames,
    roles: Roles,
    quiet: QuietTime,
    lines: dict[int, Frame],
) -> pd.DataFrame:
    """`frames.COLUMNS["gil_waits"]`: who held the GIL when others waited for it.

    The cause `gil` of each stage and role is divided by the holders that its
    waiting samples saw.
    """
    rows = recording.waits[recording.waits["state"] == _GIL]
    rows = _in_quiet_time(rows, segments, names, roles, quiet)
    if rows.empty:
        return typed("gil_waits", pd.DataFrame())
    rows["holder"] = rows["holder"].where(rows["holder"] != rows["tid"], 0)
    keys = ["stage", "role", "pid", "holder"]
    sums = rows.groupby(keys, as_index=False)["weight"].sum()
    gil = causes[causes["cause"] == "gil"].set_index(["stage", "role"])["share"]
    sums["share"] = _shared_out(gil, sums)
    return typed("gil_waits", _named(sums, recording, lines))


def lock_table(
    recording: Recording,
    causes: pd.DataFrame,
    segments: pd.DataFrame,
    names: RowNames,
    roles: Roles,
    quiet: QuietTime,
) -> pd.DataFrame:
    """`frames.COLUMNS["lock_waits"]`: of each stage's cause `lock`, by holder."""
    rows = recording.waits[recording.waits["state"] == _LOCK]
    rows = _in_quiet_time(rows, segments, names, roles, quiet)
    if rows.empty or recording.holders.empty:
        return typed("lock_waits", pd.DataFrame())
    keys = ["stage", "role", "pid", "detail"]
    sums = rows.groupby(keys, as_index=False)["weight"].sum()
    lock = causes[causes["cause"] == "lock"].set_index(["stage", "role"])["share"]
    sums["share"] = _shared_out(lock, sums)
    held = recording.holders.merge(recording.details, on="detail")
    held = held.rename(columns={"tid": "holder", "what": "kind"})
    sums = sums.merge(held, on="detail")
    places = {"function": "holder_function", "file": "holder_file"}
    sums = sums.rename(columns={**places, "line": "holder_line"})
    threads = recording.threads.set_index(["pid", "tid"])["name"].to_dict()
    holders = zip(sums["pid"], sums["holder"], strict=True)
    named = [threads.get(key, f"thread {key[1]}") for key in holders]
    sums = sums.assign(holder_thread=named, holder_tid=sums["holder"])
    return typed("lock_waits", sums.sort_values("share", ascending=False))


def _in_quiet_time(
    rows: pd.DataFrame,
    segments: pd.DataFrame,
    names: RowNames,
    roles: Roles,
    quiet: QuietTime,
) -> pd.DataFrame:
    """Samples of quiet time with their `weight` in ns, `role` and `stage`."""
    start, end = bounds(rows)
    weight = quiet.share(start, end) * (end - start)
    kept = rows.assign(weight=weight)[weight > 0]
    keys = zip(kept["pid"], kept["tid"], strict=True)
    stages = stages_at(segments, names, kept, kept["end_ns"].to_numpy(np.int64) - 1)
    return kept.assign(
        role=[roles.get(key, "other") for key in keys], stage=names.names[stages]
    )


def _shared_out(amounts: pd.Series, sums: pd.DataFrame) -> pd.Series:
    """What the attribution found, divided by the `weight` of the rows of `sums`."""
    keys = list(amounts.index.names)
    index = pd.MultiIndex.from_frame(sums[keys])
    total = amounts.reindex(index).fillna(0.0).to_numpy()
    return sums["weight"] / sums.groupby(keys)["weight"].transform("sum") * total


def _named(
    sums: pd.DataFrame, recording: Recording, lines: dict[int, Frame]
) -> pd.DataFrame:
    names = recording.threads.set_index(["pid", "tid"])["name"].to_dict()
    rows = [
        (
            tid,
            names.get((pid, tid), f"thread {tid}") if tid > 0 else HANDING_OVER,
            *lines.get(tid, ("", "", 0)),
        )
        for pid, tid in zip(sums["pid"], sums["holder"], strict=True)
    ]
    columns = [f"holder_{n}" for n in ("tid", "thread", "function", "file", "line")]
    table = sums.join(pd.DataFrame(rows, sums.index, columns))
    return table.sort_values("share", ascending=False)


def handovers_per_s(recording: Recording, quiet: QuietTime) -> float | None:
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
    names: RowNames,
    roles: Roles,
    quiet: QuietTime,
) -> pd.DataFrame:
    """`frames.COLUMNS["waited_on"]`: files and peers behind each stage's waits."""
    rows = recording.waits[recording.waits["detail"] > 0]
    rows = _in_quiet_time(rows, segments, names, roles, quiet)
    if rows.empty:
        return typed("waited_on", pd.DataFrame())
    rows["cause"] = np.array(STATES, dtype=object)[rows["state"].to_numpy(np.int64)]
    keys = ["stage", "role", "cause"]
    sums = rows.groupby([*keys, "detail"], as_index=False)["weight"].sum()
    sums["ms_per_step"] = _shared_out(causes.set_index(keys)["ms_per_step"], sums)
    named = sums.merge(recording.details, on="detail", how="left")
    named = named.fillna({"syscall": "", "what": ""})  # a run cut off lacks the last
    named = named.groupby([*keys, "syscall", "what"], as_index=False).sum()
    table = named.sort_values("ms_per_step", ascending=False).head(200)
    return typed("waited_on", table)
