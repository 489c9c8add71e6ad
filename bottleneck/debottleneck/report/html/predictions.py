"""What strategies should gain: a section of a run's page, and a page of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from debottleneck.analysis.result import Prediction, Predictions
from debottleneck.recording.recording import Recording
from debottleneck.report import prices
from debottleneck.report.figures import described
from debottleneck.report.figures import predictions as figures
from debottleneck.report.figures.catalogue import PREDICTIONS
from debottleneck.report.html import sheet
from debottleneck.report.html.comparison_tables import strategy
from debottleneck.report.html.tables import (
    DASH,
    Field,
    Table,
    Value,
    build,
    numeric,
    sorted_by,
)
from debottleneck.report.words import predictions as words
from debottleneck.report.words.quantities import (
    NOTHING,
    clean,
    home,
    short,
    table_digits,
)

CAPTION = (
    "Each strategy in its best setting, predicted from this recording alone. The step "
    "and the speed-up should be measured within their 90 % interval; memory is "
    "roughly what it takes beyond the plain script."
)


def render(
    predicted: Predictions, recording: Recording, plotly_src: str | None = None
) -> str:
    """A page of its own.

    Args:
        predicted: What to show.
        recording: What it was made from.
        plotly_src: Where it finds plotly's file, by default in itself: `sheet.finish`.
    """
    drawing = sheet.Drawing()
    facts = recording.facts
    context = {
        "title": short(facts.script, home(facts)) or "a run",
        "command": " ".join(map(clean, facts.command)),
        "created": clean(facts.created),
        "headline": words.headline(predicted),
        "outcome": words.outcome(predicted) if predicted.question else "",
        "plain": words.plain_line(predicted),
        "question": clean(predicted.question),
        "predicted": section(predicted, recording, drawing, alone=True),
        "prices": prices.pairs(predicted.machine),
        "measured": clean(predicted.machine.get("measured") or ""),
    }
    return sheet.finish("predictions.html.j2", context, drawing, plotly_src)


def section(
    predicted: Predictions,
    recording: Recording,
    drawing: sheet.Drawing,
    alone: bool = False,
) -> dict[str, Any]:
    """What the section's template needs.

    Args:
        predicted: What to show.
        recording: What it was made from.
        drawing: The page's figures; the curve is added.
        alone: With the loop as it is in the first row.
    """
    rows = (predicted.plain, *predicted.rows) if alone else predicted.rows
    curve = figures.curve(predicted)
    label = described.curves(predicted)
    return {
        "table": _table(predicted, rows),
        "none": "" if words.best(predicted) else words.outcome(predicted),
        "notes": words.notes(predicted),
        "commands": words.next_lines(predicted, recording),
        "curve": curve and drawing.add(PREDICTIONS, curve, label),
        "settings": _settings(predicted),
    }


def _table(predicted: Predictions, rows: Sequence[Prediction]) -> Table:
    digits = table_digits(max((row.step_ms for row in rows), default=1.0))

    def name(row: Prediction) -> Value:
        return strategy(row.spec) if row.spec else words.AS_IT_IS

    def worth(row: Prediction) -> str:
        return words.worth(row, predicted) if row.spec else NOTHING

    def memory(row: Prediction) -> Value:
        return words.memory(row) if row.spec else NOTHING, sorted_by(row.memory_mb)

    columns = [
        Field("strategy", "name", name),
        Field("worth trying", "", worth),
        SPEEDUP,
        INTERVAL,
        Field("step, ms", "num", lambda row: numeric(row.step_ms, digits)),
        Field("memory, MB", "num", memory),
        Field("why no faster", "text", words.why),
    ]
    return build("predictions-table", CAPTION, columns, rows)


SPEEDUP = Field(
    "speed-up", "num", lambda row: (words.speedup(row), sorted_by(row.speedup))
)
INTERVAL = Field(
    "90 % interval", "num", lambda row: (words.bounds(row, DASH), sorted_by(row.low))
)


def _settings(predicted: Predictions) -> Table:
    """The curve in numbers."""
    rows = [row for curve in figures.curves(predicted) for row in curve.rows]
    columns = [
        Field("setting", "code", lambda row: clean(row.spec)),
        SPEEDUP,
        INTERVAL,
    ]
    caption = "Predicted speed-up of every setting that was looked at."
    return build("settings-table", caption, columns, rows, sortable=False)
