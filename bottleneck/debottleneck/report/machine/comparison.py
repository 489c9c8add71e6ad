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
`why`, `spec` (for --strategy), `cpu_ms`, `did` (sentences) |
| `predicted` | said before the trial was run, null if nothing was: `step_ms` with the \
90 % interval `step_low` and `step_high` of what would be measured, `speedup` with \
`low` and `high`, `limit` (what keeps it from being faster); and how it came, null \
without a measurement: `step_error` and `speedup_error` (predicted over measured less \
1), `inside` (whether the measured speed-up lies within `low` and `high`) |
| `best` | the `spec` of the winner, null when nothing is faster |
| `keep` | lines of code that make it permanent |
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

import json
from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from debottleneck.report.machine.strict import strict
from debottleneck.report.words import comparison as words
from debottleneck.trials.result import (
    NUMBERS,
    VERDICTS,
    Comparison,
    Interval,
    Trial,
)

SCHEMA = 2
"""Version of the document."""

_POSITIVE = {"type": ["number", "null"], "minimum": 0}
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_PLACE = {"type": ["string", "null"]}

_BASELINE = {
    "step_ms": _POSITIVE,
    "low": _POSITIVE,
    "high": _POSITIVE,
    "memory_mb": _POSITIVE,
    "cpu_ms": _POSITIVE,
    "name": _PLACE,
}
_ERROR = {"type": ["number", "null"]}
_PREDICTED = {
    **dict.fromkeys(("step_ms", "step_low", "step_high"), _POSITIVE),
    **dict.fromkeys(("speedup", "low", "high"), _POSITIVE),
    "limit": _TEXT,
    "step_error": _ERROR,
    "speedup_error": _ERROR,
    "inside": {"type": ["boolean", "null"]},
}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    """An object that has all of these, and may have more."""
    found = dict(properties)
    return {"type": "object", "required": list(found), "properties": found}


_TRIAL = {
    "strategy": _TEXT,
    "settings": {
        "type": "object",
        "additionalProperties": {"type": ["integer", "string"]},
    },
    "verdict": {"enum": list(VERDICTS)},
    "step_ms": _POSITIVE,
    "speedup": _POSITIVE,
    "low": _POSITIVE,
    "high": _POSITIVE,
    "rounds": _COUNT,
    "memory_mb": {"type": ["number", "null"]},
    "numbers": {"enum": list(NUMBERS)},
    "predicted": {**_object(_PREDICTED), "type": ["object", "null"]},
    "why": _TEXT,
    "spec": _TEXT,
    "cpu_ms": _POSITIVE,
    "did": _TEXTS,
}

JSON_SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "bottleneck compare --format json",
        **_object(
            {
                "schema": {"const": SCHEMA},
                "baseline": _object(_BASELINE),
                "trials": {"type": "array", "items": _object(_TRIAL)},
                "best": _PLACE,
                "keep": _TEXTS,
                "run": _TEXT,
                "deterministic": {"type": "boolean"},
                "notes": _TEXTS,
                "command": _TEXTS,
                "created": _TEXT,
                "rounds": _COUNT,
                "steps": _COUNT,
                "folder": _PLACE,
                "before": _PLACE,
                "after": _PLACE,
                "environment": {"type": "object"},
                "recorded": {"type": "boolean"},
            }
        ),
    }
)
"""The document's JSON Schema."""


def render(comparison: Comparison) -> str:
    """The document as strict JSON (no NaN, no infinity) with a final newline."""
    return json.dumps(document(comparison), indent=1, allow_nan=False) + "\n"


def document(comparison: Comparison) -> dict[str, Any]:
    """The document as plain dicts, lists, strings, numbers and None.

    Raises:
        RecordingError: A row claims more than its interval shows.
    """
    words.check(comparison)
    whole = {
        "schema": SCHEMA,
        "baseline": {
            **_estimate("step_ms", comparison.baseline_ms),
            "memory_mb": comparison.baseline_memory_mb,
            "cpu_ms": comparison.baseline_cpu_ms,
            "name": comparison.baseline or None,
        },
        "trials": [_trial(trial) for trial in comparison.trials],
        "best": comparison.best or None,
        "keep": comparison.keep,
        "run": comparison.run,
        "deterministic": comparison.deterministic,
        "notes": comparison.notes,
        "command": comparison.command,
        "created": comparison.created,
        "rounds": comparison.rounds,
        "steps": comparison.steps,
        "folder": comparison.folder,
        "before": comparison.before,
        "after": comparison.after,
        "environment": comparison.environment,
        "recorded": comparison.recorded,
    }
    return {key: strict(value) for key, value in whole.items()}


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "strategy": trial.strategy,
        "settings": trial.settings,
        "verdict": trial.verdict,
        "step_ms": trial.step_ms,
        **_estimate("speedup", trial.speedup),
        "rounds": trial.rounds,
        "memory_mb": trial.memory_mb,
        "numbers": trial.numbers,
        "predicted": _predicted(trial),
        "why": trial.why,
        "spec": trial.spec,
        "cpu_ms": trial.cpu_ms,
        "did": trial.did,
    }


def _predicted(trial: Trial) -> dict[str, Any] | None:
    if trial.predicted is None:
        return None
    came = {
        "step_error": trial.step_error,
        "speedup_error": trial.speedup_error,
        "inside": trial.inside,
    }
    return {**asdict(trial.predicted), **came}


def _estimate(name: str, estimate: Interval | None) -> dict[str, float | None]:
    if estimate is None:
        return {name: None, "low": None, "high": None}
    return {name: estimate.value, "low": estimate.low, "high": estimate.high}
