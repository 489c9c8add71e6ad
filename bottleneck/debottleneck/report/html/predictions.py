"""What strategies should gain: a section of a run's page."""

from __future__ import annotations

from typing import Any

from debottleneck.analysis.result import Predictions
from debottleneck.recording.recording import Recording
from debottleneck.report import prediction_tables
from debottleneck.report.figures import predictions as figures
from debottleneck.report.figures.catalogue import PREDICTIONS, RUN
from debottleneck.report.html import sheet
from debottleneck.report.tables import Field, Table, build
from debottleneck.report.words import predictions as words
from debottleneck.report.words.quantities import clean


def section(
    predicted: Predictions, recording: Recording, drawing: sheet.Drawing
) -> dict[str, Any]:
    """What the section's template needs."""
    curve, label = figures.curve(predicted), RUN[PREDICTIONS].title
    return {
        "table": prediction_tables.strategies(predicted, predicted.rows),
        "none": "" if predicted.best else words.outcome(predicted),
        "notes": words.notes(predicted),
        "commands": words.next_commands(predicted, recording),
        "curve": curve and drawing.add(PREDICTIONS, curve, label),
        "settings": _settings(predicted),
    }


def _settings(predicted: Predictions) -> Table:
    """The curve of speed-up over workers, in numbers."""
    rows = [row for curve in figures.curves(predicted) for row in curve.rows]
    columns = [
        Field("setting", "code", lambda row: clean(row.spec)),
        prediction_tables.SPEEDUP,
    ]
    caption = "Predicted speed-up of every setting that was looked at."
    return build("settings-table", caption, columns, rows, sortable=False)
