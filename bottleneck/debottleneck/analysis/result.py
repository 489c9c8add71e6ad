"""Analysis: what `analyse` makes of a recording; reports know only this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from debottleneck.analysis.device import DeviceUse
from debottleneck.analysis.feeding import LoaderWork
from debottleneck.analysis.frames import of_thread, quiet_steps
from debottleneck.analysis.rows import as_steps_pass
from debottleneck.recording.recording import NotMeasured, Recording


@dataclass(frozen=True)
class Candidate:
    """A loop of the user's code that steps may be the iterations of.

    Attributes:
        header: As it is written: "for x, y in loader".
        file: Where.
        line: Of its header.
        count: Its iterations in the whole run.
        option: Takes it as the step: "--step train.py:24".
    """

    header: str
    file: str
    line: int
    count: int
    option: str


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
        step_low: Lower bound of this run's mean (95 %).
        step_high: Upper bound.
        step_median_ms: Median quiet step.
        step_p95_ms: 95th percentile.
        unit: "step", or "second" (of wall time) when no steps were found.
        header: Of the loop whose iterations the steps are, "" if that is not known.
        file: Where it is, "" where they are not.
        line: Of its header, 0 likewise.
        count: Steps of the whole run.
        why: What it was chosen for: "because it holds {why}".
        others: Loops that might have been it instead.
        iterations: Of that loop in a step, 0 without one.
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
    header: str = ""
    file: str = ""
    line: int = 0
    count: int = 0
    why: str = ""
    others: tuple[Candidate, ...] = ()
    iterations: int = 0


@dataclass(frozen=True)
class Where:
    """A place in the user's code; `line` 0 and `file` "" when unknown."""

    function: str
    file: str
    line: int


WORTH = 1.05
"""A strategy predicted to gain less than this is not recommended: repeated runs differ
by more, and threads are not for free."""


def digits_of(speedup: float, low: float) -> int:
    """Enough that what is not worth a trial does not read as if it were."""
    if speedup < WORTH <= round(speedup, 2):
        return 3
    return 1 if low >= 10 else 2


def gain_in_words(
    speedup: float, low: float, high: float, between: str = " to "
) -> str:
    """A predicted speed-up and its bounds, the same wherever it is said."""
    gain, *bounds = (f"{x:.{digits_of(speedup, low)}f}" for x in (speedup, low, high))
    return f"{gain}x ({between.join(bounds)})"


@dataclass(frozen=True)
class Prediction:
    """What a strategy should make of the loop, said before anybody tries it.

    Attributes:
        spec: As it is written after `--strategy`; "" for the loop as it is.
        step_ms: Mean step, milliseconds.
        step_low: Lower bound of what will be measured (90 %).
        step_high: Upper bound.
        speedup: How many times faster than the loop as it was recorded.
        low: Lower bound of what will be measured (90 %).
        high: Upper bound.
        limit: What keeps it from being faster, without a period: "limited by the GIL
            at 3 threads".
        memory_mb: Memory beyond the plain script's, a rough figure; None if unknown.
        why_not: Why it would not act on this script as it is, "" if it may.
        edit: What to change in the script that it acts, an imperative clause; the
            numbers are then those of the script so changed. "" where nobody knows.
        worth: Whether it should be tried: it may act, gains enough beside what is
            assumed, and the prediction can be relied on.
    """

    spec: str
    step_ms: float
    step_low: float
    step_high: float
    speedup: float
    low: float
    high: float
    limit: str = ""
    memory_mb: float | None = None
    why_not: str = ""
    edit: str = ""
    worth: bool = False

    @property
    def text(self) -> str:
        """The speed-up and its bounds: "1.79x (1.53 to 2.11)"."""
        return gain_in_words(self.speedup, self.low, self.high)

    @property
    def hopeless(self) -> bool:
        """Whether even the upper bound is not worth a trial."""
        return self.high < WORTH


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
        action: What to do about it; a rule's is by hand, `prediction.verdict` puts the
            strategy before it that does the same, and what that gains.
        ceiling: Speed-up if that time vanished, 1 / (1 - share); no gain to expect.
        share: The share of the step at stake.
        evidence: Name -> number or text, what the finding rests on.
        where: Lines of the user's code, most important first.
        gain: What is predicted of the strategy for it, in its best setting; None
            where there is none, or where only a trial can tell.
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
    gain: Prediction | None = None


@dataclass(frozen=True)
class Verdict:
    """What is said first: what the loop waits for, on which line, what to do.

    Attributes:
        what: A script that failed has its exit first.
        where: The lines of the headline.
        action: With its gain, as predicted.
        note: What kept the machine busy meanwhile, "" for nothing.
    """

    what: str
    where: str
    action: str
    note: str = ""


NO_VERDICT = Verdict("", "", "")


@dataclass(frozen=True)
class Predictions:
    """What every strategy should make of one loop.

    Attributes:
        plain: The loop as it is.
        rows: One for each strategy in its best setting, the fastest first.
        settings: Every setting that was looked at, a tuple for each strategy, in order
            of its workers: a curve of speed-up over workers.
        replayed: The simulated plain step over the measured one, 1 for a perfect
            replay; the rest of the loop's time is what the model does not see.
        machine: The prices that were assumed (`machine.Machine.as_dict`).
        unplanned: Why no strategy can be predicted at all, "" if one can.
        doubt: Why none of them is recommended, whatever it should gain; "" if they are.
        untold: Strategies that findings speak for and only a trial can tell of, as
            they are written.
    """

    plain: Prediction
    rows: tuple[Prediction, ...]
    settings: tuple[tuple[Prediction, ...], ...]
    replayed: float
    machine: Mapping[str, Any]
    unplanned: str = ""
    doubt: str = ""
    untold: tuple[str, ...] = ()

    @property
    def best(self) -> Prediction | None:
        """The row to try first, None if none is worth it."""
        return next((row for row in self.rows if row.worth), None)

    @property
    def gaining(self) -> list[Prediction]:
        """Rows that act and gain enough, whether they can be relied on or not."""
        least = WORTH * self.plain.speedup
        return [row for row in self.rows if not row.why_not and row.speedup >= least]


@dataclass(frozen=True)
class Faster:
    """What a row's being faster brings.

    Attributes:
        percent: Of the row's time that goes.
        gain: Part of the step that then goes, 0 to 1.
        low: Lower bound (95 %).
        high: Upper bound.
    """

    percent: int
    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class RowCurve:
    """What the step gains where a row is faster, tried in the running loop.

    Attributes:
        row: Its name, as in other tables; of a place that no table names that place.
        role: Of the threads that run it.
        pass_ms: One pass of it, waits for other threads left out.
        points: In order of their percent.
        blocks: Blocks of steps that they come from; 0 where no other thread marks: the
            row's share says it then.
        knee: Percent beyond which next to nothing more is gained, 100 for none.
        limit: What is the limit beyond: "the loader"; "" where there is no knee.
    """

    row: str
    role: str
    pass_ms: float
    points: tuple[Faster, ...]
    blocks: int
    knee: int = 100
    limit: str = ""


@dataclass(frozen=True)
class VirtualSpeedups:
    """Curves of rows, the one that gains most first.

    Attributes:
        rows: The curves.
        unheld: Names of threads at work that mark nothing and were not held back.
    """

    rows: tuple[RowCurve, ...]
    unheld: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)  # tables have no single truth value
class Analysis:
    """Everything a report shows; the tables are those of `analysis.frames`.

    Without `findings`, `verdict` and `predictions` it is what those are made from;
    `within` says of stages that an opened function enters which row calls that.
    """

    recording: Recording
    loop: Loop
    not_measured: tuple[NotMeasured, ...]
    handovers_per_s: float | None
    steps: pd.DataFrame
    step_stages: pd.DataFrame
    segments: pd.DataFrame
    rows: pd.DataFrame
    stages: pd.DataFrame
    causes: pd.DataFrame
    threads: pd.DataFrame
    gil_waits: pd.DataFrame
    lock_waits: pd.DataFrame
    waited_on: pd.DataFrame
    lines: pd.DataFrame
    flame: pd.DataFrame
    functions: pd.DataFrame
    instruments: pd.DataFrame
    findings: tuple[Finding, ...] = ()
    verdict: Verdict = NO_VERDICT
    predictions: Predictions | None = None
    faster: VirtualSpeedups | None = None
    feeding: LoaderWork | None = None
    device: DeviceUse | None = None
    within: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def row_names(self) -> tuple[str, ...]:
        """Every stage and line, in the order in which tables show them."""
        pid, tid = self.recording.facts.pid, self.loop.trainer_tid
        own = of_thread(self.segments, pid, tid)
        return as_steps_pass(self.rows, own, quiet_steps(self.steps), self.within)
