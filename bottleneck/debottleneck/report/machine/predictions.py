"""Predictions as JSON, alone and in a run; docs/json.md has the keys."""

from __future__ import annotations

import dataclasses
from typing import Any

from debottleneck.analysis.result import Predictions, VirtualSpeedups
from debottleneck.recording.recording import Recording
from debottleneck.report.machine.strict import dumps
from debottleneck.report.words import faster as said
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


def faster(found: VirtualSpeedups) -> dict[str, Any]:
    """What rows' being faster brings, a run's key of that name."""
    rows = [{**dataclasses.asdict(r), "said": said.sentence(r)} for r in found.rows]
    return {"rows": rows, "unheld": list(found.unheld), "notes": said.notes(found)}


def document(predictions: Predictions) -> dict[str, Any]:
    """The keys that a run's document has, too, under `predictions`."""
    row = dataclasses.asdict
    return {
        "plain": row(predictions.plain),
        "rows": [row(one) for one in predictions.rows],
        "settings": [[row(one) for one in rows] for rows in predictions.settings],
        "replayed": predictions.replayed,
        "doubt": predictions.doubt,
        "untold": list(predictions.untold),
        "machine": predictions.machine,
        "notes": words.notes(predictions),
    }
