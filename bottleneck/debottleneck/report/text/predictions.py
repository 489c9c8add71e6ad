"""What strategies should gain, on the terminal: the end of a run's report, or alone."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from debottleneck.analysis.result import Analysis, Prediction, Predictions
from debottleneck.recording.recording import Recording
from debottleneck.report.text.tables import (
    broken,
    heading,
    new_console,
    paragraph,
    plain_table,
    tidy,
)
from debottleneck.report.words import comparison as comparison_words
from debottleneck.report.words import predictions as words
from debottleneck.report.words.quantities import NOTHING, clean, number, table_digits

EMPTY = "Predicted"
TITLE = f"{EMPTY}, best first; ms a step, MB beyond the plain script's"
HEADERS = ("step", f"speed-up ({words.BY})", "memory", "try", "why no faster")

SPARE = ("memory", "step")
"""Columns that go where there is no room for all, the first one first."""

GAP = 2
"""Blanks between two columns."""

LEAST_WHY = 18
"""Letters that the reasons have room for at least."""

LEAST_NAME, MOST_NAME = 17, 34
"""Letters of a strategy: as many as `parallel-forward:` has, and as many as most have
that are written on one line."""


def part(console: Console, analysis: Analysis) -> None:
    """The last part of a run's report; nothing where nothing was predicted."""
    found = analysis.predictions
    if found is None:
        return
    heading(console, TITLE if found.rows else EMPTY)
    if found.rows:
        _table(console, found, found.rows)
    _below(console, found, words.best(found) is None)
    _next(console, found, analysis.recording)


def render(
    found: Predictions, recording: Recording, *, width: int = 80, colour: bool = False
) -> str:
    """Predictions alone, the loop as it is before the strategies.

    Args:
        found: What to report.
        recording: What they were made from.
        width: Columns to fit; only commands may be longer.
        colour: Use the terminal's colours.
    """
    console = new_console(width, colour)
    with console.capture() as captured:
        for line in (words.plain_line(found), words.outcome(found)):
            paragraph(console, line, style="bold")
        heading(console, TITLE)
        _table(console, found, (found.plain, *found.rows))
        _below(console, found, none=False)
        _next(console, found, recording)
    return tidy(captured.get())


def _table(console: Console, found: Predictions, rows: Sequence[Prediction]) -> None:
    digits = table_digits(max(row.step_ms for row in rows))
    specs = [row.spec or words.AS_IT_IS for row in rows]
    lines = [_cells(row, found, digits) for row in rows]
    kept, room = _fitted(specs, lines, console.width)
    table = plain_table("strategy", *(HEADERS[at] for at in kept), left=1)
    table.columns[0].width, table.columns[0].no_wrap = room, False
    _words_last(table)
    for row, spec, line in zip(rows, specs, lines, strict=True):
        style = "bold" if row is words.best(found) else ""
        cells = [line[at] for at in kept]
        table.add_row("\n".join(broken(spec, room)), *cells, style=style)
    console.print(table)
    gone = [header for at, header in enumerate(HEADERS) if at not in kept]
    if gone:
        console.print(Text(f"Left out for want of width: {', '.join(gone)}."))
    console.print()


def _cells(row: Prediction, found: Predictions, digits: int) -> tuple[str, ...]:
    """What stands below each of HEADERS."""
    plain = not row.spec
    return (
        number(row.step_ms, digits),
        f"{words.speedup(row)} ({words.bounds(row, '-')})",
        NOTHING if plain else words.memory(row),
        "" if plain else words.worth(row, found),
        _assumed(found) if plain else words.why(row),
    )


def _assumed(found: Predictions) -> str:
    return f"with {clean(found.question)}" if found.question else "as recorded"


def _fitted(
    specs: Sequence[str], lines: Sequence[Sequence[str]], width: int
) -> tuple[list[int], int]:
    """Which of HEADERS fit, and how many letters the strategies have beside them."""
    wanted = min(max(len(clean(spec)) for spec in specs), MOST_NAME)
    pieces = (p for s in specs for one in comparison_words.pieces(s) for p in one)
    least = min(max(len(piece) for piece in pieces) + GAP, LEAST_NAME)
    columns = list(zip(HEADERS, *lines, strict=True))
    kept, room = list(range(len(HEADERS))), 0
    for spare in (None, *SPARE):
        kept = [at for at in kept if HEADERS[at] != spare]
        taken = sum(max(map(len, columns[at])) + GAP for at in kept[:-1]) + GAP
        room = width - taken - LEAST_WHY
        if room >= least:
            break
    return kept, max(least, min(wanted, room))


def _words_last(table: Table) -> None:
    for column in table.columns[-2:]:
        column.justify = "left"
    table.columns[-1].no_wrap = False


def _below(console: Console, found: Predictions, none: bool) -> None:
    for line in (*((words.NONE,) if none else ()), *words.notes(found)):
        paragraph(console, line)


def _next(console: Console, found: Predictions, recording: Recording) -> None:
    lines = words.next_lines(found, recording)
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    if lines:
        console.print()
