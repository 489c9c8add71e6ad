"""What strategies should gain: a section of a run's page."""

from __future__ import annotations

from typing import Any

from debottleneck.analysis.result import Predictions
from debottleneck.recording.recording import Recording
from debottleneck.report import prediction_tables
from debottleneck.report.words import predictions as words


def section(predicted: Predictions, recording: Recording) -> dict[str, Any]:
    """What the section's template needs."""
    return {
        "table": prediction_tables.strategies(predicted, predicted.rows),
        "none": "" if predicted.best else words.outcome(predicted),
        "notes": words.notes(predicted),
        "commands": words.next_commands(predicted, recording),
        "settings": prediction_tables.settings(predicted),
    }
