"""A comparison as JSON for scripts and CI; docs/json.md has the keys."""

from __future__ import annotations

from typing import Any

from debottleneck.report.machine.strict import dumps
from debottleneck.report.words import comparison as words
from debottleneck.trials.result import Comparison, Interval, Trial

SCHEMA = 2
"""Version of the document."""

AS_THEY_ARE = (
    "keep",
    "run",
    "deterministic",
    "notes",
    "command",
    "created",
    "rounds",
    "steps",
    "folder",
    "before",
    "after",
    "environment",
    "recorded",
)
"""Keys that are a comparison's own attributes."""

ERRORS = ("step_error", "speedup_error", "inside")
"""Keys of a trial that stand with what was predicted."""


def render(comparison: Comparison) -> str:
    """The document as strict JSON (no NaN, no infinity) with a final newline.

    Raises:
        RecordingError: A row claims more than its interval shows.
    """
    words.check(comparison)
    document = {
        "schema": SCHEMA,
        "baseline": {
            **_estimate("step_ms", comparison.baseline_ms),
            "memory_mb": comparison.baseline_memory_mb,
            "cpu_ms": comparison.baseline_cpu_ms,
            "name": comparison.baseline or None,
        },
        "trials": [_trial(trial) for trial in comparison.trials],
        "best": comparison.best or None,
        **{name: getattr(comparison, name) for name in AS_THEY_ARE},
    }
    return dumps(document)


def _trial(trial: Trial) -> dict[str, Any]:
    errors = {name: getattr(trial, name) for name in ERRORS}
    return {
        **vars(trial),
        **_estimate("speedup", trial.speedup),
        "predicted": trial.predicted and {**vars(trial.predicted), **errors},
    }


def _estimate(name: str, estimate: Interval | None) -> dict[str, float | None]:
    if estimate is None:
        return {name: None, "low": None, "high": None}
    return {name: estimate.value, "low": estimate.low, "high": estimate.high}
