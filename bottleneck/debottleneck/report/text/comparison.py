"""A comparison on the terminal: verdict first, the table, how to keep the best."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from debottleneck.report.text.tables import (
    INDENT,
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
from debottleneck.report.words import comparison as words
from debottleneck.report.words.quantities import NOTHING, clean, number, table_digits
from debottleneck.report.words.strategies import pieces
from debottleneck.trials import result
from debottleneck.trials.result import Comparison, Trial

UNITS = {"step": "ms a step", "memory": "MB beyond the plain script's"}
MOST_NAME = 30
"""A strategy may need this much; what is longer is folded."""
ERROR = "error"
SPARE = ("CPU", "memory", "step", ERROR, "predicted", "numbers")
"""Columns that go, in this order, where the width is short."""

STYLES = {
    result.FASTER: "green",
    result.SLOWER: "yellow",
    result.DIFFERENT: "red",
    result.FAILED: "red",
}


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
        for note in words.notes(comparison):
            paragraph(console, note)
        verbatim(console, footer)
    return tidy(captured.get())


def _trials(console: Console, comparison: Comparison) -> None:
    if not comparison.trials:
        return
    specs = [words.baseline(comparison), *(trial.spec for trial in comparison.trials)]
    columns = _columns(comparison)
    first = "recording" if comparison.recorded else "strategy"
    wanted = max(len(clean(text)) for text in (first, *specs))
    least = max(map(_least, (first, *specs)))
    kept, room = fitted(columns, SPARE, console.width, wanted, least)
    heading(console, _title(comparison, [column.header for column in kept]))
    table = beside(first, room, kept)
    styles = ["", *(STYLES.get(trial.verdict, "") for trial in comparison.trials)]
    for index, (spec, style) in enumerate(zip(specs, styles, strict=True)):
        *cells, verdict = (column.cells[index] for column in kept)
        table.add_row("\n".join(broken(spec, room)), *cells, Text(verdict, style=style))
    console.print(table)
    if ERROR in left_out(console, columns, kept):
        errors = [
            f"{clean(trial.spec)} {words.error(trial.step_error)}"
            for trial in comparison.trials
            if trial.step_error is not None
        ]
        console.print(Text(f"The predicted step was off by: {', '.join(errors)}."))
    console.print()


def _title(comparison: Comparison, shown: Sequence[str]) -> str:
    """What the rows are, and the units of the columns that are shown."""
    units = ", ".join(unit for column, unit in UNITS.items() if column in shown)
    rows = "Recordings" if comparison.recorded else "Trials"
    return f"{rows}, best first{'; ' * bool(units)}{units}"


def _columns(comparison: Comparison) -> list[Column]:
    """All columns right of the strategy; the verdict is the last."""
    rows, base = comparison.trials, comparison.baseline_ms
    plain_ms = None if base is None else base.value
    steps = _times([plain_ms, *(trial.step_ms for trial in rows)])
    cpu = _times([comparison.baseline_cpu_ms, *(trial.cpu_ms for trial in rows)])
    memory = number(comparison.baseline_memory_mb, 0)
    columns = [
        Column("step", steps),
        Column("speed-up (95 %)", (NOTHING, *map(_speedup, rows))),
        *_predictions(rows),
        Column("memory", (memory, *(words.memory(trial.memory_mb) for trial in rows))),
        Column("CPU", cpu),
        Column("numbers", (NOTHING, *map(words.numbers, rows)), is_number=False),
        Column("verdict", (NOTHING, *(t.verdict for t in rows)), is_number=False),
    ]
    if comparison.recorded:  # which know nothing of memory and of all processes
        return [column for column in columns if column.header not in ("memory", "CPU")]
    return columns


def _times(values: Sequence[float | None]) -> tuple[str, ...]:
    digits = table_digits(max((v for v in values if v is not None), default=1.0))
    return tuple(number(value, digits) for value in values)


def _speedup(trial: Trial) -> str:
    if trial.speedup is None:
        return NOTHING
    return f"{words.speedup(trial.speedup)} ({words.bounds(trial.speedup, '-')})"


def _predictions(rows: Sequence[Trial]) -> list[Column]:
    """What was predicted, and how far its step time is off the measured one."""
    ratios = (words.predicted(trial.predicted, "-") for trial in rows)
    errors = (words.error(trial.step_error) for trial in rows)
    columns = (
        Column("predicted", (NOTHING, *ratios)),
        Column(ERROR, (NOTHING, *errors)),
    )
    return [column for column in columns if set(column.cells) != {NOTHING}]


def _least(spec: str) -> int:
    """The width that a strategy needs when it breaks wherever it may."""
    needed = max(
        len(piece) + INDENT * (at > 0)
        for strategy in pieces(spec)
        for at, piece in enumerate(strategy)
    )
    return min(needed, MOST_NAME)


def _reasons(console: Console, comparison: Comparison) -> None:
    winner = words.winner(comparison)
    lines = [f"{specs}: {reason}" for specs, reason in words.reasons(comparison)]
    if winner:
        lines += [f"{clean(winner.spec)} did: {clean(text)}" for text in winner.did]
    for line in lines:
        filled = textwrap.fill(
            line,
            console.width,
            subsequent_indent=" " * INDENT,
            break_on_hyphens=False,
        )
        verbatim(console, [filled])
    if lines:
        console.print()


def _keep(console: Console, comparison: Comparison) -> None:
    if not (comparison.keep or comparison.run):
        return
    heading(console, "To keep it")
    _code(console, comparison.keep)
    if comparison.run:
        lead = "Or without an edit:" if comparison.keep else "Without an edit:"
        paragraph(console, lead)
        _code(console, (comparison.run,))


def _code(console: Console, lines: Sequence[str]) -> None:
    verbatim(console, (f"    {clean(line)}" for line in lines))
    if lines:
        console.print()
