"""What a comparison found: rows of the table, and what to keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from debottleneck.analysis.result import gain_in_words
from debottleneck.recording.checked import Between, Like, OneOf
from debottleneck.recording.environment import Environment
from debottleneck.strategies.spec import Setting

FASTER, SAME_SPEED, SLOWER = "faster", "no difference", "slower"
UNDECIDED = "undecided"
DIFFERENT, UNVERIFIED = "different numbers", "unverified"
NOT_APPLICABLE, FAILED = "not applicable", "failed"
SKIPPED = "not tried"
VERDICTS = (
    FASTER,
    SAME_SPEED,
    UNDECIDED,
    SLOWER,
    UNVERIFIED,
    SKIPPED,
    DIFFERENT,
    NOT_APPLICABLE,
    FAILED,
)
"""In the order of the table's rows."""

NUMBERS = ("same", "equal", "different", "unverified")
"""Bit-identical; equal within the tolerance; not so; the script differs from itself."""

MOST_DIGITS = 4

Positive = Annotated[float, Between(1e-9)]
NotNegative = Annotated[float, Between(0)]
Count = Annotated[int, Between(0)]


@dataclass(frozen=True)
class Judgement:
    """What the equality gate says of one strategy.

    Attributes:
        numbers: A word of `NUMBERS`.
        why: A sentence: where it first differs, or why it cannot be told.
        steps: Steps that were compared.
        epochs: How often what is loaded came to its end in them.
    """

    numbers: str
    why: str = ""
    steps: int = 0
    epochs: int = 0


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval."""

    value: Positive
    low: NotNegative
    high: NotNegative

    @property
    def digits(self) -> int:
        """So many that a bound of a ratio beside 1 is not printed as 1."""
        digits = 1 if self.low >= 10 else 2
        ends = [end for end in (self.low, self.high) if end != 1]
        while digits < MOST_DIGITS and any(round(end, digits) == 1 for end in ends):
            digits += 1
        return digits


@dataclass(frozen=True)
class Predicted:
    """What was said of a row before it was run; the intervals hold 90 %.

    Attributes:
        step_ms: Mean step, milliseconds.
        step_low: Lower bound of the measured step.
        step_high: Upper bound.
        speedup: How many times faster than the profiled script.
        low: Lower bound of the measured speed-up.
        high: Upper bound.
        limit: What keeps it from being faster, a clause; "" if nobody said.
    """

    step_ms: Positive
    step_low: NotNegative
    step_high: NotNegative
    speedup: Positive
    low: NotNegative
    high: NotNegative
    limit: str = ""

    @property
    def text(self) -> str:
        """The speed-up and its bounds, as the profile says them."""
        return gain_in_words(self.speedup, self.low, self.high)


@dataclass(frozen=True)
class Trial:
    """One row of the table: a strategy with its settings, over all rounds.

    Attributes:
        strategy: "prefetch", or several joined by "+".
        settings: By name; of several strategies as "prefetch.workers".
        spec: The text for `--strategy`.
        verdict: A word of `VERDICTS`.
        numbers: A word of `NUMBERS`.
        why: Why not applicable or not tried, where numbers differ, how it failed,
            how many more rounds would decide.
        rounds: Rounds in which it ran to the end.
        step_ms: Mean steady-state step, None when it never ran.
        speedup: Baseline's step over this one's, paired by round; None likewise.
        memory_mb: Peak memory of the process tree beyond the baseline's, MB; None
            where /proc is missing.
        cpu_ms: CPU time of the process tree a step, milliseconds.
        predicted: Said before it was run; None without a prediction.
        did: What the strategy did, in its own words.
        checked_steps: Steps whose numbers and state were compared.
        checked_epochs: How often what is loaded came to its end in them.
    """

    strategy: str
    settings: Mapping[str, Setting]
    spec: str
    verdict: Annotated[str, OneOf(VERDICTS)]
    numbers: Annotated[str, OneOf(NUMBERS)] = "unverified"
    why: str = ""
    rounds: Count = 0
    step_ms: Positive | None = None
    speedup: Interval | None = None
    memory_mb: float | None = None
    cpu_ms: float | None = None
    predicted: Predicted | None = None
    did: tuple[str, ...] = ()
    checked_steps: int = 0
    checked_epochs: int = 0

    @property
    def outcome(self) -> str:
        """What was predicted, measured and found, as a clause."""
        said = [f"{self.predicted.text} predicted"] if self.predicted else []
        if ratio := self.speedup:
            bounds = (ratio.value, ratio.low, ratio.high)
            value, low, high = (f"{x:.{ratio.digits}f}" for x in bounds)
            said.append(f"{value}x ({low} to {high}) measured")
        return ": ".join(filter(None, [", ".join(said), self.verdict]))

    @property
    def step_error(self) -> float | None:
        """Predicted step over the measured one, less 1; None unless both are known."""
        if self.predicted is None or self.step_ms is None:
            return None
        return self.predicted.step_ms / self.step_ms - 1

    @property
    def speedup_error(self) -> float | None:
        """Predicted speed-up over the measured one, less 1; None likewise."""
        if self.predicted is None or self.speedup is None:
            return None
        return self.predicted.speedup / self.speedup.value - 1

    @property
    def inside(self) -> bool | None:
        """Whether the predicted interval holds the measured speed-up; None likewise."""
        if self.predicted is None or self.speedup is None:
            return None
        return self.predicted.low <= self.speedup.value <= self.predicted.high


@dataclass(frozen=True)
class Comparison:
    """One `bottleneck compare`.

    Attributes:
        command: The script's command line.
        created: ISO 8601, UTC.
        baseline_ms: The plain script's steady-state step, milliseconds.
        baseline_memory_mb: Peak memory of its process tree.
        baseline_cpu_ms: CPU time a step.
        rounds: Rounds begun.
        steps: Steps of a trial.
        trials: The rows, best first.
        best: The spec of the winner, "" when nothing is faster.
        keep: Lines of a patch that makes it permanent, below those that are to be
            written by hand; empty without a winner, or where `notes` say why.
        run: The `bottleneck run` command that applies it.
        deterministic: False when two plain runs differ.
        notes: Sentences the user should know: rounds cut short, machine busy.
        environment: Host, Python, libraries (`environment.describe`).
        folder: Where it is saved.
        before: The baseline's recording, in the folder, if there is one.
        after: The winner's.
        recorded: True when it was made of saved recordings: one run each, in which
            nobody compared the numbers. `spec` of a row is then its recording's name,
            and `before` and `after` are the first and the best row's recording.
        baseline: The name of the recording that stands for the plain script, ""
            where the plain script itself was run.
    """

    command: tuple[str, ...]
    created: str
    baseline_ms: Interval | None
    baseline_memory_mb: float | None
    baseline_cpu_ms: float | None
    rounds: Count
    steps: Count
    trials: tuple[Trial, ...]
    best: str = ""
    keep: tuple[str, ...] = ()
    run: str = ""
    deterministic: bool = True
    notes: tuple[str, ...] = ()
    environment: Annotated[Mapping[str, object], Like(Environment)] = field(
        default_factory=dict
    )
    folder: Path | None = None
    before: Path | None = None
    after: Path | None = None
    recorded: bool = False
    baseline: str = ""
