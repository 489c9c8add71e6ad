"""Questions that rules ask of an analysis, each answered from its tables.

An answer is None where nothing was measured; it is never 0 for that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from debottleneck.analysis.result import Analysis, Where
from debottleneck.analysis.thresholds import THRESHOLDS
from debottleneck.recording.recording import Loader
from debottleneck.words import LIBRARY, LOCKS

TRAINER = "trainer"

INPUT_STAGES = ("load", "augment", "transfer")

IO_CAUSES = ("network", "disk", "ipc", "sleep")

SHOWN = 60
"""Characters of a line in a sentence."""


@dataclass(frozen=True)
class Cost:
    """Time of the trainer: per step, as a share of it, and the share's interval."""

    ms: float
    share: float
    low: float
    high: float


def of_trainer(table: pd.DataFrame, **values: str) -> pd.DataFrame:
    """The trainer's rows that have these values in the columns so named."""
    rows = table[table["role"] == TRAINER]
    for column, value in values.items():
        rows = rows[rows[column] == value]
    return rows


def cost(
    analysis: Analysis, stages: Iterable[str], causes: Iterable[str], least: float = 0.0
) -> Cost | None:
    """What these causes cost the trainer in these stages; None if not measured.

    Bounds of several rows are added, which is never too narrow.

    Args:
        analysis: Of the run.
        stages: Words of `words.STAGES`, or rows that are lines.
        causes: Words of `words.CAUSES`.
        least: None for less than this share of the step, too.
    """
    rows = of_trainer(analysis.causes)
    rows = rows[rows["stage"].isin(list(stages)) & rows["cause"].isin(list(causes))]
    amount = _sum(rows)
    return amount if amount and amount.share >= least else None


def stage_cost(analysis: Analysis, stage: str) -> Cost | None:
    """What the whole stage costs; None if it did not occur."""
    return _sum(analysis.stages[analysis.stages["stage"] == stage])


def _sum(rows: pd.DataFrame) -> Cost | None:
    if rows.empty:
        return None
    ms, share = float(rows["ms_per_step"].sum()), float(rows["share"].sum())
    low = float(rows["share_low"].sum(skipna=False))
    high = float(rows["share_high"].sum(skipna=False))
    return Cost(ms, share, low, min(high, 1.0) if high == high else high)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, each a mapping from column to value."""
    return [{str(key): row[key] for key in row} for row in table.to_dict("records")]


def trainer_stages(analysis: Analysis) -> tuple[str, ...]:
    """Stages in which the trainer's causes are known, in the order of a loop."""
    seen = set(of_trainer(analysis.causes)["stage"])
    return tuple(stage for stage in analysis.row_names if stage in seen)


def input_rows(analysis: Analysis) -> tuple[str, ...]:
    """What makes batches: stages, and lines that training only takes from."""
    return (*INPUT_STAGES, *_lines(analysis, of_input=True))


def work_lines(analysis: Analysis) -> tuple[str, ...]:
    """The other lines, those of the training itself among them."""
    return tuple(_lines(analysis, of_input=False))


def _lines(analysis: Analysis, *, of_input: bool) -> list[str]:
    rows = analysis.rows
    return [str(row) for row in rows.loc[(rows["side"] == "input") == of_input, "row"]]


def source(analysis: Analysis, stage: str) -> str:
    """A line as it is written, "" of a stage; long ones lose their end."""
    texts = analysis.rows.loc[analysis.rows["row"] == stage, "source"]
    return shortened(str(texts.iloc[0]) if len(texts) else "")


def shortened(text: str) -> str:
    """Code as a sentence shows it."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def main_stage(analysis: Analysis, cause: str) -> str:
    """The stage in which the trainer meets most of that cause, "" if none."""
    rows = of_trainer(analysis.causes, cause=cause)
    return str(rows.sort_values("ms_per_step").iloc[-1]["stage"]) if len(rows) else ""


def fills(analysis: Analysis, stage: str, causes: Iterable[str]) -> float | None:
    """The causes' part of the stage, leaving out its time in the run queue."""
    part = cost(analysis, [stage], causes)
    total = stage_cost(analysis, stage)
    if part is None or total is None:
        return None
    queued = cost(analysis, [stage], ["runqueue"])
    base = total.ms - (queued.ms if queued else 0.0)
    return part.ms / base if base > 0 else None


def calls(analysis: Analysis, stage: str) -> float | None:
    """Calls of the stage in a step, None if unknown."""
    stages = analysis.stages
    counts = stages.loc[stages["stage"] == stage, "calls_per_step"].dropna()
    return None if counts.empty else float(counts.iloc[0])


def where(analysis: Analysis, stage: str) -> tuple[Where, ...]:
    """The lines of the trainer that carry the row, else where it is marked."""
    lines = _heaviest(of_trainer(analysis.lines, stage=stage))
    own = records(analysis.rows[analysis.rows["row"] == stage])
    places = tuple(Where("", row["file"], int(row["line"])) for row in own)
    return lines or places or _marked_place(analysis, stage)


def where_of(analysis: Analysis, role: str, thread: str = "") -> tuple[Where, ...]:
    """The lines that carry a role's threads, or one of them, where they work most.

    Shares of lines are of their stage: the stage that takes most comes first.
    """
    lines = analysis.lines[analysis.lines["role"] == role]
    lines = lines[lines["thread"] == thread] if thread else lines
    own = analysis.causes[analysis.causes["role"] == role]
    own = own[~own["cause"].isin(("lock", "ipc"))]
    worked = own.groupby("stage")["ms_per_step"].sum().to_dict()
    stages = sorted(set(lines["stage"]), key=lambda stage: -worked.get(stage, 0.0))
    return _heaviest(lines[lines["stage"].isin(stages[:1])])


def _heaviest(lines: pd.DataFrame) -> tuple[Where, ...]:
    best = lines[lines["share"] >= THRESHOLDS.line_share]
    best = best.sort_values("share", ascending=False).head(THRESHOLDS.max_lines)
    return tuple(
        Where(row["function"], row["file"], int(row["line"])) for row in records(best)
    )


def _marked_place(analysis: Analysis, stage: str) -> tuple[Where, ...]:
    """The function of the user's own whose marks took most of the stage's time."""
    sites = analysis.recording.sites
    named = sites[(sites["kind"] != "torch") & (sites["file"] != "")]
    rows = analysis.segments[analysis.segments["stage"] == stage]
    rows = rows.merge(named.drop(columns="stage"), on=["pid", "site"])
    if rows.empty:
        return ()
    rows["length_ns"] = rows["end_ns"] - rows["start_ns"]
    marks = rows.groupby(["name", "file", "line", "pid", "site"])["length_ns"].sum()
    function, file, line, *_ = marks.idxmax()
    return (Where(function, file, int(line)),)


def waited_on(analysis: Analysis, stage: str, cause: str) -> str:
    """The file or peer on which most of that wait was spent, "" if unknown."""
    rows = of_trainer(analysis.waited_on, stage=stage, cause=cause)
    sums = rows[rows["what"] != ""].groupby("what")["ms_per_step"].sum()
    return "" if sums.empty else str(sums.idxmax())


def waits_for_lock(analysis: Analysis, stage: str) -> bool:
    """Whether a wait is for what somebody holds, and for nobody to make anything."""
    return waited_on(analysis, stage, "lock") in LOCKS


def waits_in_library(analysis: Analysis, stage: str) -> bool:
    """Whether it is within a library, whose own threads it waits for."""
    return waited_on(analysis, stage, "lock").endswith(LIBRARY)


def most_called(analysis: Analysis, file: str) -> tuple[str, int] | None:
    """The trainer's most often called function of that file, with its calls."""
    rows = of_trainer(analysis.functions, file=file)
    if rows.empty:
        return None
    row = rows.sort_values("calls").iloc[-1]
    return str(row["function"]), int(row["calls"])


def uses_torch(analysis: Analysis) -> bool:
    """True when the run used PyTorch, as far as it shows."""
    if (analysis.recording.sites["kind"] == "torch").any():
        return True
    files = analysis.functions["file"]
    return any("torch" in PurePosixPath(file).parts for file in files)


def uses_dataloader(analysis: Analysis) -> bool:
    """True when a DataLoader of PyTorch made batches in this run."""
    return loader_of(analysis) is not None


def loader_of(analysis: Analysis) -> Loader | None:
    """The script's DataLoader, of several the one that was iterated most often.

    With workers before without: those that have none are told of once.
    """
    runs = analysis.recording.facts.loaders
    often = Counter(run["loader"] for run in runs)

    def rank(run: Loader) -> tuple[bool, int]:
        return run["workers"] > 0, often[run["loader"]]

    return max(runs, key=rank, default=None)


def cores(analysis: Analysis) -> float | None:
    """Cores the process may use (affinity and quota), None if unknown."""
    environment = analysis.recording.facts.environment
    count, quota = environment.get("cores"), environment.get("cpu_quota")
    if count is None:
        return None
    return float(min(count, quota) if quota else count)


def foreign(analysis: Analysis) -> float | None:
    """Cores that other programs used in quiet time, None if not measured."""
    load = analysis.recording.facts.environment.get("foreign_load")
    return float(load) if isinstance(load, (int, float)) else None
