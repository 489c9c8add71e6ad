"""Limits that a run must keep, by itself or beside a baseline; what it had of each."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from debottleneck.analysis.result import Analysis, Where
from debottleneck.analysis.rules.measures import (
    input_rows,
    main_stage,
    of_trainer,
    where,
)
from debottleneck.errors import UsageError
from debottleneck.trials.recorded import compare_recordings
from debottleneck.trials.result import Interval
from debottleneck.words import CAUSES, STEP

LOAD = "load"
"""Where no stage is called so, the rows that make batches."""

_LIMIT = re.compile(r"(.+?)=(\+?)(\d+(?:\.\d+)?) ?(%|us|ms|s)")
_SCALE = {"%": 0.01, "us": 1e-3, "ms": 1.0, "s": 1e3}
_FORM = "write for example load=25%, step=12ms, or with --baseline step=+10%"
_SHARES = ("share", "share_low", "share_high")
_TIMES = ("ms_per_step", "low", "high")
_SAMPLED, _OF_GIL = ("waits", "causes"), ("gil", "python", "native")
"""How what was not measured begins, where causes are not known without it; and those
that are not known without the GIL's holder."""


@dataclass(frozen=True)
class Limit:
    """`--max NAME=LIMIT`.

    Attributes:
        text: As it was written.
        name: "step", a row or a cause.
        most: In milliseconds, else a share: of the step, of the baseline's step where
            the step's own growth is meant.
        is_share: Which of both.
        grows: Whether it is of what is more than in the baseline.
    """

    text: str
    name: str
    most: float
    is_share: bool
    grows: bool

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read the option's value.

        Raises:
            UsageError: Not of that form, or a part of the step that is the step.
        """
        match = _LIMIT.fullmatch(text)
        if match is None:
            raise UsageError(f"--max {text!r} is not of the form NAME=LIMIT", _FORM)
        name, grows, number, unit = match.groups()
        if name == STEP and unit == "%" and not grows:
            raise UsageError(f"--max {text!r}: the step is no part of itself", _FORM)
        most = float(number) * _SCALE[unit]
        return cls(text, name, most, unit == "%", bool(grows))


@dataclass(frozen=True)
class Checked:
    """What a run had of one limit.

    Attributes:
        limit: The limit.
        found: In its unit.
        kept: Whether it is kept; beside a baseline also where the interval does not lie
            above it as a whole.
        where: The line that carries it, None if unknown.
    """

    limit: Limit
    found: Interval
    kept: bool
    where: Where | None


def check(
    analysis: Analysis,
    limits: Sequence[Limit],
    baseline: Analysis | None = None,
) -> tuple[Checked, ...]:
    """What a run had of each limit.

    Raises:
        UsageError: One names nothing that was measured, or needs a baseline.
    """
    return tuple(_checked(analysis, limit, baseline) for limit in limits)


def _checked(analysis: Analysis, limit: Limit, baseline: Analysis | None) -> Checked:
    if limit.grows and baseline is None:
        raise UsageError(
            f"--max {limit.text} is of what is more than in a baseline",
            "name its recording with --baseline",
        )
    found = _measured(analysis, limit)
    if limit.grows and baseline is not None:
        found = _growth(analysis, baseline, limit)
    kept = not (found.value if baseline is None else found.low) > limit.most
    loop, row = analysis.loop, main_stage(analysis, limit.name)
    if limit.name != STEP and limit.name not in CAUSES:
        rows = _rows(analysis, limit.name)
        row = str(rows.loc[rows["ms_per_step"].idxmax(), "stage"])
    places = where(analysis, row)
    if not places and loop.line:
        places = (Where("", loop.file, loop.line),)
    return Checked(limit, found, kept, places[0] if places else None)


def _measured(analysis: Analysis, limit: Limit) -> Interval:
    loop = analysis.loop
    if not loop.found:
        raise UsageError(
            f"{_name(analysis)} shows no steps to check ({loop.rule})",
            "profile it for longer, or name its loop's line with --step",
        )
    if limit.name == STEP:
        return Interval(loop.step_ms, loop.step_low, loop.step_high)
    rows = _rows(analysis, limit.name)
    columns = _SHARES if limit.is_share else _TIMES
    return Interval(*(float(rows[column].sum(skipna=False)) for column in columns))


def _rows(analysis: Analysis, name: str) -> pd.DataFrame:
    """What is added up: bounds too, which is never too narrow."""
    stages = analysis.stages
    if name in CAUSES:
        needed = (*_SAMPLED, "gil") if name in _OF_GIL else _SAMPLED
        for gap in (g for g in analysis.not_measured if g.what.startswith(needed)):
            reason = f"{name} was not measured: {gap.why}"
            raise UsageError(reason, gap.remedy or "profile it again")
        return of_trainer(analysis.causes, cause=name)
    names = [name]
    if name == LOAD and not (stages["stage"] == LOAD).any():
        names = [*input_rows(analysis)]
    rows = stages[stages["stage"].isin(names)]
    if rows.empty:
        there = ", ".join(stages["stage"])
        raise UsageError(
            f"{_name(analysis)} has no row {name!r}",
            f"name step, a cause such as gil, or one of its rows: {there}",
        )
    return rows


def _growth(analysis: Analysis, baseline: Analysis, limit: Limit) -> Interval:
    """How much more there is than in the baseline: of a step how much longer it is."""
    now, then = _measured(analysis, limit), _measured(baseline, limit)
    if limit.name == STEP:
        before, path = baseline.recording.path, analysis.recording.path
        compared, _ = compare_recordings(before or Path(), [path or Path()])
        ratio = compared.trials[0].speedup
        assert ratio is not None
        length = compared.baseline_ms
        assert length is not None
        of = 1.0 if limit.is_share else length.value
        ends = (ratio.value, ratio.high, ratio.low)
        return Interval(*(of * (1 / max(end, 1e-9) - 1) for end in ends))
    more = now.value - then.value
    below = math.hypot(now.value - now.low, then.high - then.value)
    above = math.hypot(now.high - now.value, then.value - then.low)
    return Interval(more, more - below, more + above)


def _name(analysis: Analysis) -> str:
    path = analysis.recording.path
    return str(path or analysis.recording.facts.script)
