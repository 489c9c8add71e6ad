"""What went unmarked is divided as what is marked: iterations, calls before a look."""

from __future__ import annotations

import numpy as np
import pandas as pd

from debottleneck.analysis.frames import bounds, of_thread
from debottleneck.analysis.timeline import PLACES
from debottleneck.recording.spool import LEARNING, LOOP
from debottleneck.words import LINE, STEP

ENOUGH = 100_000
"""Segments that say how the time in a call is divided."""

SMALLEST = 0.005
"""A part of the marked iterations below this is left out."""

WHERE = ["stage", "site", *PLACES]
WITHIN = WHERE[:3]
"""What is taken over where it is known which statements call the loop."""


def spread(raw: pd.DataFrame, sites: pd.DataFrame) -> pd.DataFrame:
    """Divide what is known to be of a loop only among what its statements were seen at.

    In each stretch they follow one another once, in the order of the code, each as
    long as its share of the marked iterations.
    """
    is_loop = (sites["stage"] == STEP) & (sites["kind"] == LOOP)
    lines = sites[sites["stage"] == LINE]
    within = lines.set_index(["pid", "site"])["within"].to_dict()
    made = [raw]
    for pid, loop in sites.loc[is_loop, ["pid", "site"]].itertuples(index=False):
        own = raw["pid"] == pid
        stretches = raw[own & (raw["line"] == loop)]
        if stretches.empty:
            continue
        inner = [
            site for (of, site), holder in within.items() if (of, holder) == (pid, loop)
        ]
        marked = raw[own & raw["line"].isin(inner)]
        if marked.empty:
            continue
        made[0] = made[0].drop(stretches.index)
        for callers, called in stretches.groupby("callers"):
            alike = marked[marked["callers"] == callers]
            like = marked if alike.empty else alike
            made.append(_divided(called, like, WITHIN if callers else WHERE))
    return _ordered(made)


def opened_late(
    raw: pd.DataFrame, pid: int, tid: int, steps: pd.DataFrame, blocks: pd.DataFrame
) -> pd.DataFrame:
    """Divide calls of functions that were not opened yet as those that came later.

    A statement's own time is its functions' too until these are opened.

    Args:
        raw: With what one thread did.
        pid: Its process.
        tid: The thread.
        steps: Its steps.
        blocks: Of the recording: when it was looked for what to open.
    """
    looked = blocks.loc[blocks["kind"] == LEARNING, "end_ns"].max()
    after = steps.loc[steps["start_ns"] >= looked, "start_ns"]
    if after.empty:
        return raw
    own, until = of_thread(raw, pid, tid), after.min()
    own = own[own["in_loop"]]
    early = own[own["start_ns"] < until]
    later = own[own["start_ns"] >= until].head(ENOUGH)
    made, chains = [raw], sorted(filter(None, later["callers"].unique()), key=len)
    for callers in chains if len(early) else ():
        above, _, line = callers.rpartition(" ")
        calls = [
            (some["line"] == int(line)) & (some["callers"] == above)
            for some in (early, later)
        ]
        below = later["callers"].str.startswith(f"{callers} ")
        alike = later[calls[1] | below | (later["callers"] == callers)]
        begin = own.loc[own["callers"] == callers, "start_ns"].min()
        whole = calls[0] & (early["stage"] == LINE) & (early["end_ns"] < begin)
        if not whole.any():
            continue
        made[0] = made[0].drop(early.index[whole])
        made.append(_divided(early[whole], alike, WHERE))
        early = early[~whole]
    return _ordered(made)


def _ordered(made: list[pd.DataFrame]) -> pd.DataFrame:
    if len(made) == 1:
        return made[0]
    return pd.concat(made).sort_values(["pid", "tid", "start_ns"], ignore_index=True)


def _divided(
    stretches: pd.DataFrame, marked: pd.DataFrame, columns: list[str]
) -> pd.DataFrame:
    """Each stretch in as many pieces as there are places in the marked iterations."""
    start, end = bounds(marked)
    times = marked.assign(ns=end - start).groupby(columns, as_index=False)["ns"].sum()
    places = times[times["ns"] >= SMALLEST * times["ns"].sum()].sort_values("line")
    ends = np.cumsum(places["ns"].to_numpy()) / places["ns"].sum()
    begun, left = bounds(stretches)
    length = left - begun
    cuts = begun[:, None] + np.rint(length[:, None] * ends).astype(np.int64)
    starts = np.column_stack([begun, cuts[:, :-1]]).ravel()
    pieces = stretches.loc[stretches.index.repeat(len(places))].assign(
        start_ns=starts, end_ns=cuts.ravel()
    )
    lasting = np.repeat(np.maximum(length, 1), len(places))
    share = (cuts.ravel() - starts) / lasting
    pieces["cpu_ns"] = np.rint(pieces["cpu_ns"] * share).astype(np.int64)
    for column in columns:
        pieces[column] = np.tile(places[column].to_numpy(), len(stretches))
    return pieces[pieces["end_ns"] > pieces["start_ns"]]
