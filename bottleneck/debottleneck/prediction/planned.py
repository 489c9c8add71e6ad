"""What strategies said of the loop that trains while it was recorded, and where."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from debottleneck.analysis.frames import Ints
from debottleneck.analysis.steps import chosen_loop
from debottleneck.recording.loop import Marks
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import ENTER, OPENED
from debottleneck.strategies.rewriting.plan import Piece, Plan, Reason
from debottleneck.strategies.spec import PREFETCH
from debottleneck.words import LINE


def lines_at(recording: Recording, marks: Marks, begin: Ints) -> Ints:
    """Line of the loop's own statement that each time lies in, 0 where none shows."""
    chosen, sites = chosen_loop(recording), recording.sites
    if chosen is None:
        return np.zeros(len(begin), np.int64)
    own = sites[(sites["pid"] == recording.facts.pid) & (sites["stage"] == LINE)]
    own = own[own["within"] == chosen.site]
    entered = (marks.edge == ENTER) & np.isin(marks.site, own["site"].to_numpy())
    lines = own.set_index("site")["line"].reindex(marks.site[entered])
    known = np.concatenate([[0], lines.to_numpy(np.int64)])
    return known[np.searchsorted(marks.t[entered], begin, side="right")]


def functions_of(rows: pd.DataFrame, sites: pd.DataFrame) -> dict[str, str]:
    """Rows of opened functions -> the one that the loop itself calls, by its name."""
    opened = sites[sites["kind"] == OPENED]
    within: dict[str, str] = {}
    for row in rows.itertuples(index=False):
        around = opened[(opened["file"] == row.file) & (opened["line"] <= row.line)]
        around = around[around["end"] >= row.line]
        own = str(around["name"].iloc[-1]) if len(around) else ""
        within[str(row.row)] = within.get(str(row.parent), "") or own
    return {row: name for row, name in within.items() if name}


def plans_of(recording: Recording) -> tuple[Plan, ...]:
    """What strategies said of the loop that trains, of those in it and that feed it."""
    chosen = chosen_loop(recording)
    if chosen is None:
        return ()
    own = recording.sites[recording.sites["within"] == chosen.site]
    begin = sorted({chosen.line, *map(int, own["line"])})
    found: dict[tuple[str, str, int], Plan] = {}
    for said in recording.facts.plans:
        pieces = tuple(Piece(**piece) for piece in said["pieces"])
        facts: dict[str, Any] = {**said, "pieces": pieces}
        reason = Reason(said["reason"], facts.pop("edit"))
        plan = Plan(**{**facts, "reason": reason})
        if plan.feeds:
            found[PREFETCH, plan.file, plan.line] = plan
        elif plan.strategy == PREFETCH:
            if (plan.file, plan.line) == (chosen.file, chosen.line):
                found[PREFETCH, "", 0] = plan
            continue
        for loop, line in plan.around:
            if loop == chosen.line <= line:
                line = begin[bisect_right(begin, line) - 1]
                moved = tuple(replace(piece, line=line) for piece in pieces)
                key = plan.strategy, plan.file, plan.line
                found[key] = replace(plan, pieces=moved)
    return tuple(found.values())
