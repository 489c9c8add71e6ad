"""What strategies should gain, on the terminal: the end of a run's report, or alone."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from debottleneck.analysis.result import Analysis, Prediction, Predictions
from debottleneck.recording.recording import Recording
from debottleneck.report.text.tables import (
    GAP,
    Column,
    beside,
    broken,
    fitted,
    heading,
    left_out,
    new_console,
    paragraph,
    tidy,
    verbatim,
)
from debottleneck.report.words import predictions as words
from debottleneck.report.words.quantities import NOTHING, clean, number, table_digits
from debottleneck.report.words.strategies import pieces

EMPTY = "Predicted"
TITLE = f"{EMPTY}, best first; ms a step, MB beyond the plain script's"

SPARE = ("memory", "step")
"""Columns that go where there is no room for all, the first one first."""

LEAST_WHY = 18
"""Letters that the reasons have room for at least."""

LEAST_NAME, MOST_NAME = 17, 34
"""Letters of a strategy: as many as `parallel-forward:` has, and as many as most have
that are written on one line."""


def part(console: Console, analysis: Analysis) -> None:
    """The last part of a run's report; nothing where nothing was predicted."""
    predictions = analysis.predictions
    if predictions is None:
        return
    heading(console, TITLE if predictions.rows else EMPTY)
    if predictions.rows:
        _table(console, predictions, predictions.rows)
    if predictions.best is None:
        paragraph(console, words.outcome(predictions))
    _below(console, predictions, analysis.recording)


def render(
    predictions: Predictions,
    recording: Recording,
    *,
    width: int = 80,
    colour: bool = False,
) -> str:
    """Predictions alone, the loop as it is before the strategies.

    Args:
        predictions: What to report.
        recording: What they were made from.
        width: Columns to fit; only commands may be longer.
        colour: Use the terminal's colours.
    """
    console = new_console(width, colour)
    with console.capture() as captured:
        for line in (words.plain_line(predictions), words.outcome(predictions)):
            paragraph(console, line, style="bold")
        heading(console, TITLE)
        _table(console, predictions, (predictions.plain, *predictions.rows))
        _below(console, predictions, recording)
    return tidy(captured.get())


def _table(
    console: Console, predictions: Predictions, rows: Sequence[Prediction]
) -> None:
    specs = [row.spec or words.AS_IT_IS for row in rows]
    columns = _columns(predictions, rows)
    wanted = min(max(len(clean(spec)) for spec in specs), MOST_NAME)
    longest = max(len(p) for s in specs for part in pieces(s) for p in part)
    least = min(longest + GAP, LEAST_NAME)
    kept, room = fitted(columns, SPARE, console.width, wanted, least)
    table = beside("strategy", room, kept)
    for index, (row, spec) in enumerate(zip(rows, specs, strict=True)):
        style = "bold" if row is predictions.best else ""
        cells = [column.cells[index] for column in kept]
        table.add_row("\n".join(broken(spec, room)), *cells, style=style)
    console.print(table)
    left_out(console, columns, kept)
    console.print()


def _columns(predictions: Predictions, rows: Sequence[Prediction]) -> list[Column]:
    """What stands right of each strategy, and of the loop as it is."""
    digits = table_digits(max(row.step_ms for row in rows))
    assumed = "as recorded"
    if predictions.question:
        assumed = f"with {clean(predictions.question)}"
    cells = [
        (
            number(row.step_ms, digits),
            f"{words.speedup(row)} ({words.bounds(row, '-')})",
            words.memory(row) if row.spec else NOTHING,
            words.worth(row) if row.spec else "",
            words.why(row) if row.spec else assumed,
        )
        for row in rows
    ]
    steps, speedups, memory, tries, reasons = zip(*cells, strict=True)
    return [
        Column("step", steps),
        Column(f"speed-up ({words.BY})", speedups),
        Column("memory", memory),
        Column("try", tries, is_number=False),
        Column("why no faster", reasons, is_number=False, least=LEAST_WHY),
    ]


def _below(console: Console, predictions: Predictions, recording: Recording) -> None:
    """What qualifies the table, and what to type next."""
    for note in words.notes(predictions):
        paragraph(console, note)
    lines = words.next_lines(predictions, recording)
    verbatim(console, lines)
    if lines:
        console.print()
