"""What a self-check found: rows, costs, and the judgement on them."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

OK, OFF, NOT_JUDGED, SKIPPED = "ok", "off", "not judged", "skipped"
"""Verdicts on a row; a cost has the first three."""


@dataclass(frozen=True)
class Bounds:
    """What counts as an error: percentage points, and shares of the median step."""

    # Half of the smallest strength's distance to the middle one would still rank
    # causes rightly; 4 points is a third of it.
    row_points: float = 4.0
    # Errors of single rows are sampling; their median says whether there is a bias.
    median_points: float = 1.5
    # Quiet steps are what all shares come from: they must be the script's own.
    quiet_cost: float = 0.02
    # py-spy stops the loop for a moment at each of its samples.
    default_cost: float = 0.03
    # Half a core of others' work delays samples and steps alike.
    foreign_cores: float = 0.5


BOUNDS = Bounds()


@dataclass(frozen=True)
class Row:
    """One cause in one run of the dialled loop.

    Attributes:
        causes: All that was planted in that run; empty for the healthy loop.
        cause: The one that this row is about, "" for the healthy loop.
        place: Where it was planted: "trainer" or "loader".
        dialled: The share asked for.
        truth: Its share by the loop's exact counters (of the step; in a loader of
            that thread's time), NaN where there is none.
        attributed: Its share by `profile`.
        low: Lower bound of the error in percentage points (95 %).
        high: Upper bound.
        foreign: Cores that other work kept busy meanwhile, None if unknown.
        verdict: `OK`, `OFF`, `NOT_JUDGED` or `SKIPPED`.
        note: Why it was skipped or not judged, or what else is to be said.
    """

    causes: tuple[str, ...]
    cause: str
    place: str
    dialled: float
    truth: float = math.nan
    attributed: float = math.nan
    low: float = math.nan
    high: float = math.nan
    foreign: float | None = None
    verdict: str = NOT_JUDGED
    note: str = ""

    @property
    def error(self) -> float:
        """Attributed less truth, in percentage points."""
        return 100 * (self.attributed - self.truth)


@dataclass(frozen=True)
class InstrumentCost:
    """What a set of instruments does to the loop's own median step.

    Attributes:
        name: The instruments.
        step_ms: Median step with them, of all rounds.
        slowdown: Median step with them against without, less 1.
        low: Lower bound (95 %, over rounds).
        high: Upper bound.
        bound: What it may be, None where there is no promise.
        verdict: `OK`, `OFF`, `NOT_JUDGED` or `SKIPPED`.
        note: How it was measured.
    """

    name: str
    step_ms: float
    slowdown: float
    low: float
    high: float
    bound: float | None = None
    verdict: str = NOT_JUDGED
    note: str = ""


@dataclass(frozen=True)
class CheckedMachine:
    """What is known of the place in which the check ran.

    Attributes:
        python: The interpreter of the loops.
        version: Its version.
        cores: Usable cores.
        quota: CPU quota in cores, None without one.
        foreign: Cores that others kept busy before the check, None if unknown.
        schedstat: Whether the kernel counts run-queue delay.
        problems: What instruments said they could not do, and why.
    """

    python: str
    version: str
    cores: int
    quota: float | None
    foreign: float | None
    schedstat: bool
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """A whole self-check, or what there was of it when it was interrupted."""

    machine: CheckedMachine
    rows: tuple[Row, ...]
    costs: tuple[InstrumentCost, ...] = ()
    facts: dict[str, float | None] = field(default_factory=dict)
    interrupted: bool = False

    def errors(self) -> list[float]:
        """Sizes of the errors of all rows that were judged, in points."""
        judged = (row for row in self.rows if row.cause and row.verdict in (OK, OFF))
        return [abs(row.error) for row in judged]

    @property
    def median_error(self) -> float:
        """Median error in points, NaN when no row was judged."""
        errors = self.errors()
        return statistics.median(errors) if errors else math.nan

    @property
    def worst_error(self) -> float:
        """Largest error in points, NaN when no row was judged."""
        return max(self.errors(), default=math.nan)


def is_busy(foreign: float | None) -> bool:
    """Whether others' work makes a measurement worthless."""
    return foreign is not None and foreign > BOUNDS.foreign_cores


def judged(row: Row) -> tuple[str, str]:
    """Verdict on a measured row, and a note that goes with it."""
    if is_busy(row.foreign):
        return NOT_JUDGED, f"other work kept {row.foreign:.1f} cores busy"
    if not math.isfinite(row.error):
        return OFF, "nothing was attributed"
    return (OK if abs(row.error) <= BOUNDS.row_points else OFF), ""


def judged_cost(cost: InstrumentCost, foreign: float | None) -> str:
    """Verdict on a cost: off only when it is beyond its bound and beyond noise."""
    if cost.bound is None or not math.isfinite(cost.slowdown):
        return NOT_JUDGED
    if cost.slowdown <= cost.bound:
        return OK
    return NOT_JUDGED if cost.low <= 0 or is_busy(foreign) else OFF


def failures(check: Check) -> list[str]:
    """What exceeds its bound, a sentence each; empty when all is well."""
    off = [row for row in check.rows if row.verdict == OFF]
    errors = sum(bool(row.cause) for row in off)
    sentences = []
    if errors:
        sentences.append(
            f"{errors} of {len(check.errors())} attributions are more than "
            f"{BOUNDS.row_points:g} points off, the worst {check.worst_error:.1f}"
        )
    if check.median_error > BOUNDS.median_points:
        sentences.append(
            f"the median error is {check.median_error:.1f} points, more than "
            f"{BOUNDS.median_points:g}"
        )
    sentences += [
        f"the healthy loop was not left in peace: {row.note}"
        for row in off
        if not row.cause
    ]
    sentences += [
        f"{cost.name} cost {cost.slowdown:.1%}, more than {cost.bound:.0%}"
        for cost in check.costs
        if cost.verdict == OFF and cost.bound is not None
    ]
    return sentences


def reasons(check: Check) -> list[str]:
    """What may be wrong on this machine, a sentence each with its remedy."""
    machine = check.machine
    sentences = list(machine.problems)
    if not machine.schedstat:
        sentences.append(
            "the kernel counts no run-queue delay (/proc/self/schedstat is missing or "
            "empty), so waiting for a core cannot be told from other waits; it takes "
            "a kernel with CONFIG_SCHED_INFO"
        )
    if machine.quota is not None:
        sentences.append(
            f"a CPU quota of {machine.quota:g} cores stops all threads now and then; "
            "raise it, or read `runqueue` as the quota"
        )
    if any(map(is_busy, (machine.foreign, *(row.foreign for row in check.rows)))):
        sentences.append(
            "other work keeps the machine busy; run it again on a quiet one"
        )
    return sentences


def exit_code(check: Check) -> int:
    """1 if an error exceeds its bound, 130 after Ctrl-C, else 0."""
    if check.interrupted:
        return 130
    return 1 if failures(check) else 0
