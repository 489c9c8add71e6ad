"""A run as JSON for scripts and CI; docs/json.md says what each key is."""

from __future__ import annotations

from typing import Any

import pandas as pd

from debottleneck.analysis.result import Analysis
from debottleneck.report.machine import predictions
from debottleneck.report.machine.strict import dumps
from debottleneck.report.words.quantities import in_order

SCHEMA = 1
"""Version of the document."""

PLACE = ("header", "file", "line", "count")
LOOP = ("found", "unit", "rule", "warmup", "warmup_why", *PLACE, "why", "others")
"""Keys that are a loop's own attributes."""

AS_THEY_ARE = (
    "lock_waits",
    "waited_on",
    "findings",
    "threads",
    "lines",
    "instruments",
    "not_measured",
)
"""Keys that are an analysis' own attributes."""

RUN = (
    "command",
    "script",
    "directory",
    "created",
    "exit_code",
    "exit_signal",
    "ended_by",
)
"""Keys that are attributes of a recording's facts."""


def render(analysis: Analysis) -> str:
    """The document as strict JSON (no NaN, no infinity) with a final newline."""
    predicted = analysis.predictions
    document = {
        "schema": SCHEMA,
        **_steps(analysis),
        "verdict": analysis.verdict,
        "rows": analysis.rows,
        "stages": _in_order(analysis),
        "causes": analysis.causes,
        "gil": {
            "handovers_per_s": analysis.handovers_per_s,
            "waits": analysis.gil_waits,
        },
        "device": analysis.device,
        "loader": analysis.feeding,
        "faster": analysis.faster and predictions.faster(analysis.faster),
        "predictions": predicted and predictions.document(predicted),
        **{name: getattr(analysis, name) for name in AS_THEY_ARE},
        **_run(analysis),
    }
    return dumps(document)


def _steps(analysis: Analysis) -> dict[str, Any]:
    loop = analysis.loop
    times = {
        "step_ms": loop.step_ms,
        "step_ms_low": loop.step_low,
        "step_ms_high": loop.step_high,
        "step_ms_median": loop.step_median_ms,
        "step_ms_p95": loop.step_p95_ms,
    }
    return {
        "steps": loop.measured,
        **(times if loop.found else dict.fromkeys(times)),
        "loop": {name: getattr(loop, name) for name in LOOP},
    }


def _in_order(analysis: Analysis) -> pd.DataFrame:
    """The trainer's rows as steps come to them."""
    stages = analysis.stages.set_index("stage", drop=False)
    return stages.loc[in_order(stages.index, analysis.row_names)]


def _run(analysis: Analysis) -> dict[str, Any]:
    facts = analysis.recording.facts
    return {
        "partial": facts.partial,
        "partial_why": facts.partial_why,
        "run": {
            "seconds": (facts.end_ns - facts.start_ns) / 1e9,
            **{name: getattr(facts, name) for name in RUN},
        },
        "environment": facts.environment,
    }
