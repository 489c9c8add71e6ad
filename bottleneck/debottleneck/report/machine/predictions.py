"""Predictions as JSON: a key of a run's document, and a document of their own.

`schema` is this module's SCHEMA; it grows when a key changes its meaning or goes. New
keys may appear without that. What is not known is null.

| key | what |
| --- | --- |
| `schema` | version of this document, an integer |
| `recording` | the folder they were made from, null if it has none |
| `script` | its script |
| `question` | what was assumed beside the recording, a sentence; "" for nothing |
| `plain` | the loop as it is under that question, a row |
| `rows` | a row for each strategy in its best setting, the fastest first |
| `settings` | every setting that was looked at: a list of rows for each strategy |
| `replayed` | the simulated plain step over the measured one, 1 for a perfect replay |
| `doubt` | why none of them is recommended, "" if they are |
| `untold` | strategies that only a trial can tell of, which `compare` tries, too |
| `machine` | the prices that were assumed, nanoseconds where a name ends in `_ns`; \
`measured` is the date, "" for an ordinary machine's |
| `notes` | sentences that qualify the rows |

A row is:

| key | what |
| --- | --- |
| `spec` | as it is written after `--strategy`; "" for the loop as it is |
| `step_ms` | the predicted mean step; `step_low`, `step_high` bound what will be \
measured (90 %) |
| `speedup` | over the loop as it was recorded; `low`, `high` bound it (90 %) |
| `limit` | what keeps it from being faster |
| `memory_mb` | roughly, beyond the plain script's |
| `why_not` | why it would not act on this script, "" if it may; the numbers are then \
those of a script that lets it act |
| `worth` | true if it should be tried |
"""

from __future__ import annotations

import dataclasses
from typing import Any

from debottleneck.analysis.result import Predictions
from debottleneck.recording.recording import Recording
from debottleneck.report.machine.strict import dumps
from debottleneck.report.words import predictions as words

SCHEMA = 1
"""Version of the document."""


def render(predictions: Predictions, recording: Recording) -> str:
    """A document of their own as strict JSON with a final newline."""
    path = recording.path
    lead = {
        "schema": SCHEMA,
        "recording": None if path is None else str(path),
        "script": recording.facts.script,
    }
    return dumps({**lead, **document(predictions)})


def document(predictions: Predictions) -> dict[str, Any]:
    """The keys that a run's document has, too, under `predictions`."""
    row = dataclasses.asdict
    return {
        "question": predictions.question,
        "plain": row(predictions.plain),
        "rows": [row(one) for one in predictions.rows],
        "settings": [[row(one) for one in rows] for rows in predictions.settings],
        "replayed": predictions.replayed,
        "doubt": predictions.doubt,
        "untold": list(predictions.untold),
        "machine": dict(predictions.machine),
        "notes": words.notes(predictions),
    }
