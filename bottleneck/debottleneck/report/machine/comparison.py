"""A comparison for scripts and CI jobs: one JSON document of a stable schema.

`schema` is this module's SCHEMA; it grows when a key changes its meaning or goes.
New keys may appear without that. What was not measured is null, never 0.

| key | what |
| --- | --- |
| `schema` | version of this document, an integer |
| `baseline` | the plain script: `step_ms` with its 95 % interval `low` and `high`, \
`memory_mb` (peak of its process tree), `cpu_ms` (CPU time a step); `name` of the \
recording that stands for it, null if the script itself was run |
| `trials` | best first: `strategy`, `settings`, `verdict`, `step_ms`, `speedup` with \
its 95 % interval `low` and `high` (plain step over this one's, paired by round), \
`rounds`, `memory_mb` (beyond the plain script's), `numbers`, `predicted`, \
`why`, `spec` (for --strategy), `cpu_ms`, `did` (sentences), `checked_steps` and \
`checked_epochs` (how far its numbers and state were compared) |
| `predicted` | said before the trial was run, null if nothing was: `step_ms` with the \
90 % interval `step_low` and `step_high` of what would be measured, `speedup` with \
`low` and `high`, `limit` (what keeps it from being faster); and how it came, null \
without a measurement: `step_error` and `speedup_error` (predicted over measured less \
1), `inside` (whether the measured speed-up lies within `low` and `high`) |
| `best` | the `spec` of the winner, null when nothing is faster |
| `keep` | lines of a patch (a unified diff for `git apply`) that makes it permanent, \
empty where `notes` say why there is none |
| `run` | the command that applies it without an edit, "" without a winner |
| `deterministic` | false when two plain runs differ |
| `notes` | sentences that qualify the table |
| `command`, `created` | the script's command line, and when (ISO 8601, UTC) |
| `rounds`, `steps` | rounds begun, steps of a trial |
| `folder`, `before`, `after` | where it is saved, recordings of the plain script and \
of the winner; null where there is none |
| `environment` | host, Python and libraries |
| `recorded` | true when it was made of saved recordings, one run each: `spec` of a \
trial is its recording's name, nobody compared the numbers, and a verdict is of the \
speed alone |
"""

from __future__ import annotations

from dataclasses import asdict
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
        "strategy": trial.strategy,
        "settings": trial.settings,
        "verdict": trial.verdict,
        "step_ms": trial.step_ms,
        **_estimate("speedup", trial.speedup),
        "rounds": trial.rounds,
        "memory_mb": trial.memory_mb,
        "numbers": trial.numbers,
        "predicted": trial.predicted and {**asdict(trial.predicted), **errors},
        "why": trial.why,
        "spec": trial.spec,
        "cpu_ms": trial.cpu_ms,
        "did": trial.did,
        "checked_steps": trial.checked_steps,
        "checked_epochs": trial.checked_epochs,
    }


def _estimate(name: str, estimate: Interval | None) -> dict[str, float | None]:
    if estimate is None:
        return {name: None, "low": None, "high": None}
    return {name: estimate.value, "low": estimate.low, "high": estimate.high}
