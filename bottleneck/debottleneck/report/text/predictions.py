"""What strategies should gain, on the terminal: the end of a run's report, or alone."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from debottleneck.analysis.result import Analysis, Prediction, Predictions
from debottleneck.recording.recording import Recording
from debottleneck.report.prediction_tables import faster, strategies
from debottleneck.report.text.tables import (
    heading,
    new_console,
    of_table,
    paragraph,
    tidy,
    verbatim,
)
from debottleneck.report.words import faster as faster_words
from debottleneck.report.words import predictions as words

EMPTY = "Predicted"
TITLE = f"{EMPTY}, best first; memory is beyond the plain script's"

SPARE = ("memory, MB", "step, ms")
"""Columns that go where there is no room for all, the first one first."""

LEFT_OUT = ("10 % less", "75 % less")
"""Columns of the page that a terminal has no room for."""


def part(console: Console, analysis: Analysis) -> None:
    """The last part of a run's report; nothing where nothing was predicted."""
    predictions = analysis.predictions
    if predictions is None:
        return
    if not predictions.rows:
        heading(console, EMPTY)
    _table(console, predictions, predictions.rows)
    if predictions.best is None:
        paragraph(console, words.outcome(predictions))
    _below(console, predictions, analysis.recording)


def what_to_make_faster(console: Console, analysis: Analysis) -> None:
    """What a row's being faster would bring; nothing where that was not tried."""
    if analysis.faster is None:
        return
    table = faster(analysis.faster)
    if not table.rows:
        heading(console, faster_words.TITLE)
    of_table(console, faster_words.TITLE, table, hidden=LEFT_OUT)
    for curve in analysis.faster.rows:
        paragraph(console, faster_words.sentence(curve))
    for note in faster_words.notes(analysis.faster):
        paragraph(console, note)


def render(
    predictions: Predictions,
    recording: Recording,
    *,
    width: int = 80,
    colour: bool = False,
) -> str:
    """Predictions alone, the loop as it is before the strategies."""
    console = new_console(width, colour)
    with console.capture() as captured:
        for line in (words.plain_line(predictions), words.outcome(predictions)):
            paragraph(console, line, style="bold")
        _table(console, predictions, (predictions.plain, *predictions.rows))
        _below(console, predictions, recording)
    return tidy(captured.get())


def _table(
    console: Console, predictions: Predictions, rows: Sequence[Prediction]
) -> None:
    styles = ["bold" if row is predictions.best else "" for row in rows]
    table = strategies(predictions, rows)
    of_table(console, TITLE, table, spare=SPARE, styles=styles)


def _below(console: Console, predictions: Predictions, recording: Recording) -> None:
    """What qualifies the table, and what to type next."""
    for note in words.notes(predictions):
        paragraph(console, note)
    lines = words.next_lines(predictions, recording)
    verbatim(console, lines)
    if lines:
        console.print()
