"""Predictions as JSON, alone and in a run; docs/json.md has the keys."""

from __future__ import annotations

from typing import Any

from debottleneck.analysis.result import Prediction, Predictions
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

    def row(row: Prediction) -> dict[str, Any]:
        return {**vars(row), "worth": words.is_worth(row, predictions)}

    return {
        "question": predictions.question,
        "plain": row(predictions.plain),
        "rows": [row(one) for one in predictions.rows],
        "settings": [[row(one) for one in rows] for rows in predictions.settings],
        "replayed": predictions.replayed,
        "machine": predictions.machine,
        "notes": words.notes(predictions),
    }
