"""The report for scripts and CI jobs: one JSON document of a stable schema.

`schema` is this module's SCHEMA; it grows when a key changes its meaning or goes.
New keys may appear without that: read by name and ignore what you do not know.
A number that was not measured is null, never 0. Times are milliseconds "per step";
in a recording without steps `loop.unit` is "second" and they are milliseconds per
second of wall time. A `share` is of the step (of wall time without steps).

| key | what |
| --- | --- |
| `schema` | version of this document, an integer |
| `steps` | quiet steps that every time and share comes from |
| `step_ms` | their mean; `step_ms_low`, `step_ms_high` bound it (95 %) |
| `step_ms_median`, `step_ms_p95` | median and 95th percentile |
| `loop` | `found`, `unit`, `rule`, `warmup` (steps left out), `warmup_why`; of the \
loop whose iterations the steps are `header` (as it is written), `file`, `line`, \
`count` (steps of the whole run) and `why` it was chosen ("because it holds ..."), "" \
and 0 where they are no loop's; `others` that might have been it, in a run without \
steps those that were seen: `header`, `file`, `line`, `count`, `option` (takes it: \
"--step train.py:12") |
| `verdict` | sentences: `what`, `where`, `action`, and `note` ("" or what kept the \
machine busy) |
| `rows` | rows that are lines of the user's code, in the order of the step: `row` \
(what every `stage` below calls it: "train.py:17", "train.py:22-25"), `file`, `line`, \
`end` (its last line), `source`, `parent` (the row that calls its function, "" for \
none), `side` ("input": makes what training uses; "train"; "" neither or unknown) |
| `stages` | the trainer's rows, lines too, as steps come to them: `stage`, \
`ms_per_step`, `share`, `low` and `high` (95 % interval of `ms_per_step`), \
`median_ms`, `p95_ms`, `cpu_ms_per_step`, `calls_per_step`; they add up to `step_ms` |
| `causes` | `stage`, `role`, `cause`, `ms_per_step`, `share`, `low`, `high`, \
`median_ms`, `p95_ms`; those of role `trainer` add up to their stage, those of other \
roles are sums over the role's threads |
| `gil` | `handovers_per_s`; `waits`: `stage`, `role`, `holder_thread`, \
`holder_tid`, `holder_function`, `holder_file`, `holder_line`, `share` |
| `waited_on` | files and peers: `stage`, `role`, `cause`, `syscall`, `what`, \
`ms_per_step` |
| `findings` | most time at stake first: `kind`, `severity`, `stage`, `cause`, `role`, \
`summary`, `action`, `ceiling` (speed-up if that time vanished), `share`, `evidence`, \
`where` (a list of `function`, `file`, `line`), `gain` (the row of `predictions` that \
`action` names, or null) |
| `threads` | `pid`, `tid`, `name`, `role`, `wall_ms`, and the thread's own shares by \
cause |
| `lines` | the user's lines: `stage`, `role`, `thread`, `function`, `file`, `line`, \
`share` |
| `predictions` | what strategies should gain, null in a recording without steps: \
`question`, `plain`, `rows`, `settings`, `replayed`, `machine`, `notes`, as in \
`report.machine.predictions` |
| `instruments` | `name`, `steps`, `step_ms`, `slowdown`, `low`, `high`, `note` |
| `not_measured` | `what`, `why`, `remedy` |
| `partial`, `partial_why` | true when the run was cut off |
| `run` | `command`, `script`, `directory`, `created`, `seconds`, `exit_code`, \
`exit_signal`, `ended_by` |
| `environment` | host, Python and libraries as recorded |
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd

from debottleneck.analysis.result import Analysis
from debottleneck.report.machine import predictions
from debottleneck.report.machine.strict import dumps
from debottleneck.report.words.quantities import in_order

SCHEMA = 1
"""Version of the document."""

PLACE = ("header", "file", "line", "count")
LOOP = ("found", "unit", "rule", "warmup", "warmup_why", *PLACE, "why")
"""Keys that are a loop's own attributes."""


def render(analysis: Analysis) -> str:
    """The document as strict JSON (no NaN, no infinity) with a final newline."""
    document = {
        "schema": SCHEMA,
        **_steps(analysis),
        "verdict": dataclasses.asdict(analysis.verdict),
        "rows": _rows(analysis.rows),
        "stages": _rows(_in_order(analysis)),
        "causes": _rows(analysis.causes),
        "gil": {
            "handovers_per_s": analysis.handovers_per_s,
            "waits": _rows(analysis.gil_waits),
        },
        "waited_on": _rows(analysis.waited_on),
        "findings": [dataclasses.asdict(finding) for finding in analysis.findings],
        "threads": _rows(analysis.threads),
        "lines": _rows(analysis.lines),
        "predictions": analysis.predictions
        and predictions.document(analysis.predictions),
        "instruments": _rows(analysis.instruments),
        "not_measured": [dataclasses.asdict(gap) for gap in analysis.not_measured],
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
        "loop": {
            **{name: getattr(loop, name) for name in LOOP},
            "others": [dataclasses.asdict(other) for other in loop.others],
        },
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
            "command": list(facts.command),
            "script": facts.script,
            "directory": facts.directory,
            "created": facts.created,
            "seconds": (facts.end_ns - facts.start_ns) / 1e9,
            "exit_code": facts.exit_code,
            "exit_signal": facts.exit_signal,
            "ended_by": facts.ended_by,
        },
        "environment": facts.environment,
    }


def _rows(table: pd.DataFrame) -> list[dict[Any, Any]]:
    rows: list[dict[Any, Any]] = table.to_dict("records")
    return rows
