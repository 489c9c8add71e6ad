"""What rules look at: the tables of an analysis, and questions asked of them.

A question answers None where nothing was measured; it never answers 0 for that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from debottleneck.analysis.frames import empty
from debottleneck.analysis.policy import Policy
from debottleneck.analysis.result import Loop, Where
from debottleneck.words import STAGES

TRAINER = "trainer"


@dataclass(frozen=True)
class Evidence:
    """The tables of `frames` that a diagnosis rests on, and what surrounds them.

    Attributes:
        loop: The loop found, or why none was.
        stages: The trainer's stages.
        causes: Stage x role x cause.
        threads: Each thread's own causes.
        gil_waits: Who waited for the GIL, and for whom.
        waited_on: Files and peers.
        lines: The user's lines, from py-spy's blocks.
        functions: yappi's calls.
        environment: `recording.facts.environment`.
        cores: Cores the process may use (affinity and quota), None if unknown.
        handovers_per_s: GIL hand-overs, None if not counted.
        places: Where each stage is marked: named when there are no lines.
        torch: True when stages were marked by PyTorch's own hooks.
    """

    loop: Loop
    stages: pd.DataFrame = field(default_factory=partial(empty, "stages"))
    causes: pd.DataFrame = field(default_factory=partial(empty, "causes"))
    threads: pd.DataFrame = field(default_factory=partial(empty, "threads"))
    gil_waits: pd.DataFrame = field(default_factory=partial(empty, "gil_waits"))
    waited_on: pd.DataFrame = field(default_factory=partial(empty, "waited_on"))
    lines: pd.DataFrame = field(default_factory=partial(empty, "lines"))
    functions: pd.DataFrame = field(default_factory=partial(empty, "functions"))
    environment: Mapping[str, Any] = field(default_factory=dict)
    cores: float | None = None
    handovers_per_s: float | None = None
    places: Mapping[str, Where] = field(default_factory=dict)
    torch: bool = False


@dataclass(frozen=True)
class Cost:
    """Time of the trainer: per step, as a share of it, and the share's interval."""

    ms: float
    share: float
    low: float
    high: float


def cost(
    evidence: Evidence, stages: Iterable[str], causes: Iterable[str]
) -> Cost | None:
    """What these causes cost the trainer in these stages; None if not measured.

    Bounds of several rows are added, which is never too narrow.
    """
    table = evidence.causes
    rows = table[
        (table["role"] == TRAINER)
        & table["stage"].isin(list(stages))
        & table["cause"].isin(list(causes))
    ]
    return None if rows.empty else _sum(rows)


def stage_cost(evidence: Evidence, stage: str) -> Cost | None:
    """What the whole stage costs; None if it did not occur."""
    rows = evidence.stages[evidence.stages["stage"] == stage]
    return None if rows.empty else _sum(rows)


def _sum(rows: pd.DataFrame) -> Cost:
    ms, share = float(rows["ms_per_step"].sum()), float(rows["share"].sum())
    scale = share / ms if ms > 0 else math.nan
    low = float(rows["low"].sum(skipna=False)) * scale
    high = float(rows["high"].sum(skipna=False)) * scale
    return Cost(ms, share, max(low, 0.0), min(high, 1.0) if high == high else high)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, each a mapping from column to value."""
    return [{str(key): row[key] for key in row} for row in table.to_dict("records")]


def trainer_stages(evidence: Evidence) -> tuple[str, ...]:
    """Stages in which the trainer's causes are known, in the order of a loop."""
    table = evidence.causes
    seen = set(table.loc[table["role"] == TRAINER, "stage"])
    return tuple(stage for stage in STAGES if stage in seen)


def main_stage(evidence: Evidence, cause: str) -> str:
    """The stage in which the trainer meets most of that cause, "" if none."""
    table = evidence.causes
    rows = table[(table["role"] == TRAINER) & (table["cause"] == cause)]
    if rows.empty:
        return ""
    return str(rows.sort_values("ms_per_step").iloc[-1]["stage"])


def fills(evidence: Evidence, stage: str, causes: Iterable[str]) -> float | None:
    """The causes' part of the stage, leaving out its time in the run queue."""
    own = cost(evidence, [stage], causes)
    whole = stage_cost(evidence, stage)
    if own is None or whole is None:
        return None
    queued = cost(evidence, [stage], ["runqueue"])
    base = whole.ms - (queued.ms if queued else 0.0)
    return own.ms / base if base > 0 else None


def calls(evidence: Evidence, stage: str) -> float | None:
    """Calls of the stage in a step, None if unknown."""
    rows = evidence.stages.loc[evidence.stages["stage"] == stage, "calls_per_step"]
    known = rows.dropna()
    return None if known.empty else float(known.iloc[0])


def where(
    evidence: Evidence, policy: Policy, stage: str, thread: str = ""
) -> tuple[Where, ...]:
    """The lines that carry the stage (of that thread, or else of the trainer)."""
    table = evidence.lines
    if thread:
        rows = table[(table["thread"] == thread) & (table["role"] != TRAINER)]
    else:
        rows = table[(table["role"] == TRAINER) & (table["stage"] == stage)]
    best = rows[rows["share"] >= policy.line_share]
    best = best.sort_values("share", ascending=False).head(policy.max_lines)
    known = tuple(
        Where(row["function"], row["file"], int(row["line"])) for row in records(best)
    )
    if known or thread or stage not in evidence.places:
        return known
    return (evidence.places[stage],)


def waited_on(evidence: Evidence, stage: str, cause: str) -> str:
    """The file or peer on which most of that wait was spent, "" if unknown."""
    table = evidence.waited_on
    rows = table[
        (table["role"] == TRAINER)
        & (table["stage"] == stage)
        & (table["cause"] == cause)
        & (table["what"] != "")
    ]
    if rows.empty:
        return ""
    sums = rows.groupby("what")["ms_per_step"].sum()
    return str(sums.idxmax())


def most_called(evidence: Evidence, file: str) -> tuple[str, int] | None:
    """The trainer's most often called function of that file, with its calls."""
    table = evidence.functions
    rows = table[(table["role"] == TRAINER) & (table["file"] == file)]
    if rows.empty:
        return None
    row = rows.sort_values("calls").iloc[-1]
    return str(row["function"]), int(row["calls"])


def uses_torch(evidence: Evidence) -> bool:
    """True when the run used PyTorch, as far as it shows."""
    files = evidence.functions["file"]
    return evidence.torch or any("torch" in PurePosixPath(file).parts for file in files)
