"""A comparison on the terminal: verdict first, the table, how to keep the best."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from debottleneck.report.machine.comparison import SCHEMA, document
from debottleneck.report.text.tables import (
    INDENT,
    broken,
    heading,
    new_console,
    paragraph,
    plain_table,
    tidy,
)
from debottleneck.report.words import comparison as words
from debottleneck.report.words.quantities import NOTHING, clean, number, table_digits
from debottleneck.trials.result import (
    DIFFERENT,
    FAILED,
    FASTER,
    SLOWER,
    Comparison,
    Trial,
)

__all__ = ["SCHEMA", "document", "render"]

UNITS = {"step": "ms a step", "memory": "MB beyond the plain script's"}
GAP = 2
BASELINE = words.PLAIN
MOST_NAME = 30
"""A strategy may need this much; what is longer is folded."""
ERROR = "error"
SPARE = ("CPU", "memory", "step", ERROR, "predicted", "numbers")
"""Columns that go, in this order, where the width is short."""

STYLES = {FASTER: "green", SLOWER: "yellow", DIFFERENT: "red", FAILED: "red"}


@dataclass(frozen=True)
class Column:
    """One column of the table: its header and a cell for the baseline and each row."""

    header: str
    cells: tuple[str, ...]
    is_number: bool = True

    @property
    def width(self) -> int:
        """Columns it needs without breaking a number; words may break at spaces."""
        texts = [self.header, *self.cells]
        if not self.is_number:
            texts = [word for text in texts for word in text.split()] or [""]
        return max(map(len, texts))


def render(
    comparison: Comparison,
    width: int = 80,
    *,
    footer: Sequence[str] = (),
    colour: bool = False,
) -> str:
    """The comparison as text.

    Args:
        comparison: What to report.
        width: Columns to fit; only code and commands may be longer.
        footer: Lines for the end: where things lie, what to type next.
        colour: Use the terminal's colours.

    Raises:
        RecordingError: A row claims more than its interval shows.
    """
    words.check(comparison)
    console = new_console(width, colour)
    with console.capture() as captured:
        console.print(Text(words.headline(comparison), style="bold"))
        console.print()
        paragraph(console, words.basis(comparison))
        _trials(console, comparison)
        _reasons(console, comparison)
        _keep(console, comparison)
        _notes(console, comparison)
        for line in footer:
            console.print(Text(line), soft_wrap=True)
    return tidy(captured.get())


def _trials(console: Console, comparison: Comparison) -> None:
    if not comparison.trials:
        return
    specs = [words.baseline(comparison), *(trial.spec for trial in comparison.trials)]
    every = _columns(comparison)
    first = "recording" if comparison.recorded else "strategy"
    columns, room = _fitted(every, [first, *specs], console.width)
    heading(console, _title(comparison, [column.header for column in columns]))
    table = plain_table(first, *(c.header for c in columns), left=1)
    table.columns[0].width, table.columns[0].no_wrap = room, False
    for column, one in zip(columns, table.columns[1:], strict=True):
        if not column.is_number:
            one.justify, one.no_wrap, one.min_width = "left", False, column.width
    for index, spec in enumerate(specs):
        name = "\n".join(broken(spec, room))
        style = STYLES.get(comparison.trials[index - 1].verdict, "") if index else ""
        cells = [column.cells[index] for column in columns]
        table.add_row(name, *cells[:-1], Text(cells[-1], style=style))
    console.print(table)
    gone = [column.header for column in every if column not in columns]
    if gone:
        console.print(Text(f"Left out for want of width: {', '.join(gone)}."))
    if ERROR in gone:
        console.print(Text(_errors(comparison)))
    console.print()


def _errors(comparison: Comparison) -> str:
    """The column of errors as a sentence, where it has no room."""
    known = [
        f"{clean(trial.spec)} {words.error(trial.step_error)}"
        for trial in comparison.trials
        if trial.step_error is not None
    ]
    return f"The predicted step was off by: {', '.join(known)}."


def _title(comparison: Comparison, shown: Sequence[str]) -> str:
    """What the rows are, and the units of the columns that are shown."""
    units = ", ".join(unit for column, unit in UNITS.items() if column in shown)
    rows = "Recordings" if comparison.recorded else "Trials"
    return f"{rows}, best first{'; ' * bool(units)}{units}"


def _columns(comparison: Comparison) -> list[Column]:
    """All columns right of the strategy; the verdict is the last."""
    base, rows = comparison.baseline_ms, comparison.trials
    plain = None if base is None else base.value
    cpu = comparison.baseline_cpu_ms
    total = comparison.baseline_memory_mb
    made = [
        Column("step", _times(plain, [trial.step_ms for trial in rows])),
        Column("speed-up (95 %)", (NOTHING, *map(_speedup, rows))),
        Column("memory", (_whole(total), *(words.memory(t.memory_mb) for t in rows))),
        Column("CPU", _times(cpu, [trial.cpu_ms for trial in rows])),
        Column("numbers", (NOTHING, *map(words.numbers, rows)), is_number=False),
        Column("verdict", (NOTHING, *(t.verdict for t in rows)), is_number=False),
    ]
    if comparison.recorded:  # which know nothing of memory and of all processes
        made = [column for column in made if column.header not in ("memory", "CPU")]
    if any(trial.predicted is not None for trial in rows):
        made[2:2] = _predictions(rows)
    return made


def _times(plain: float | None, values: Sequence[float | None]) -> tuple[str, ...]:
    known = [value for value in (plain, *values) if value is not None]
    digits = table_digits(max(known, default=1.0))
    return tuple(number(value, digits) for value in (plain, *values))


def _speedup(trial: Trial) -> str:
    if trial.speedup is None:
        return NOTHING
    ratio = words.speedup(trial.speedup)
    return f"{ratio} ({words.bounds(trial.speedup, '-')})"


def _predictions(rows: Sequence[Trial]) -> list[Column]:
    """What was predicted, and how far its step time is off the measured one."""
    said = (words.predicted(trial.predicted, "-") for trial in rows)
    errors = [trial.step_error for trial in rows]
    made = [Column("predicted", (NOTHING, *said))]
    if any(error is not None for error in errors):
        made.append(Column(ERROR, (NOTHING, *map(words.error, errors))))
    return made


def _whole(megabytes: float | None) -> str:
    return number(megabytes, 0)


def _fitted(
    columns: list[Column], specs: Sequence[str], width: int
) -> tuple[list[Column], int]:
    """Columns that fit beside the strategies, and the room these have."""
    wanted = max(len(clean(spec)) for spec in specs)
    least = max(_least(spec) for spec in specs)
    for spare in (None, *SPARE):
        columns = [column for column in columns if column.header != spare]
        room = width - sum(column.width + GAP for column in columns)
        if room >= least:
            break
    return columns, min(wanted, max(room, least))


def _least(spec: str) -> int:
    """The width that a strategy needs when it breaks wherever it may."""
    needed = max(
        len(piece) + INDENT * (at > 0)
        for strategy in words.pieces(spec)
        for at, piece in enumerate(strategy)
    )
    return min(needed, MOST_NAME)


def _reasons(console: Console, comparison: Comparison) -> None:
    found = words.winner(comparison)
    did = (
        [(f"{clean(found.spec)} did", clean(text)) for text in found.did]
        if found
        else []
    )
    told = [*words.reasons(comparison), *did]
    for subject, text in told:
        _hanging(console, f"{subject}: {text}")
    if told:
        console.print()


def _hanging(console: Console, text: str) -> None:
    """A paragraph whose later lines stand in by `INDENT`."""
    later = " " * INDENT
    filled = textwrap.fill(
        text, console.width, subsequent_indent=later, break_on_hyphens=False
    )
    console.print(Text(filled), soft_wrap=True)


def _keep(console: Console, comparison: Comparison) -> None:
    if not (comparison.keep or comparison.run):
        return
    heading(console, "To keep it")
    _code(console, comparison.keep)
    if comparison.run:
        join = "Or without an edit:" if comparison.keep else "Without an edit:"
        paragraph(console, join)
        _code(console, (comparison.run,))


def _code(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(Text(f"    {clean(line)}"), soft_wrap=True)
    if lines:
        console.print()


def _notes(console: Console, comparison: Comparison) -> None:
    for note in words.notes(comparison):
        paragraph(console, note)
