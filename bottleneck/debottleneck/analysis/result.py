"""Analysis: what `analyse` makes of a recording; reports know only this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from debottleneck.recording import NotMeasured, Recording


@dataclass(frozen=True)
class Loop:
    """The training loop that was found, or why none was.

    Attributes:
        trainer_tid: The thread that runs the steps (the main thread if none does).
        found: True when there are steps to measure by.
        rule: How steps were bounded, as a sentence ("a step begins at each load").
        warmup: Leading steps left out.
        warmup_why: Why that many, as a sentence.
        measured: Number of quiet steps that the shares come from.
        step_ms: Mean of the quiet steps, 0 without steps.
        step_low: Lower bound of the mean (95 %, bootstrap over steps).
        step_high: Upper bound.
        step_median_ms: Median quiet step.
        step_p95_ms: 95th percentile.
        unit: "step", or "second" (of wall time) when no steps were found.
    """

    trainer_tid: int
    found: bool
    rule: str
    warmup: int = 0
    warmup_why: str = ""
    measured: int = 0
    step_ms: float = 0.0
    step_low: float = 0.0
    step_high: float = 0.0
    step_median_ms: float = 0.0
    step_p95_ms: float = 0.0
    unit: str = "step"


@dataclass(frozen=True)
class Where:
    """A place in the user's code; `line` 0 and `file` "" when unknown."""

    function: str
    file: str
    line: int


@dataclass(frozen=True)
class Finding:
    """One diagnosis: what holds the loop up, the evidence, and what to try.

    Attributes:
        kind: Stable name, e.g. "input-bound-io", "gil-contention".
        severity: "high", "medium" or "low", by the share of the step at stake.
        stage: The stage concerned, or "" for the whole step.
        cause: The cause concerned, or "".
        role: The role of the threads that wait.
        summary: One sentence: what the loop waits for.
        action: One sentence: what to do about it.
        ceiling: Speed-up if that time vanished, 1 / (1 - share).
        share: The share of the step at stake.
        evidence: Name -> number or text, what the finding rests on.
        where: Lines of the user's code, most important first.
    """

    kind: str
    severity: str
    stage: str
    cause: str
    role: str
    summary: str
    action: str
    ceiling: float
    share: float
    evidence: dict[str, Any]
    where: tuple[Where, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The three lines: what the loop waits for, on which line, what to do."""

    what: str
    where: str
    action: str


@dataclass(frozen=True, eq=False)  # tables have no single truth value
class Analysis:
    """Everything a report shows; the tables are those of `analysis.frames`."""

    recording: Recording
    loop: Loop
    verdict: Verdict
    findings: tuple[Finding, ...]
    not_measured: tuple[NotMeasured, ...]
    handovers_per_s: float | None
    steps: pd.DataFrame
    step_stages: pd.DataFrame
    segments: pd.DataFrame
    stages: pd.DataFrame
    causes: pd.DataFrame
    threads: pd.DataFrame
    gil_waits: pd.DataFrame
    waited_on: pd.DataFrame
    lines: pd.DataFrame
    flame: pd.DataFrame
    functions: pd.DataFrame
    instruments: pd.DataFrame
