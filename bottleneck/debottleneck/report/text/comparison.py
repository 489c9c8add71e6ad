"""A comparison on the terminal: verdict first, the table, how to keep the best."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from debottleneck.report import comparison_tables
from debottleneck.report.text.tables import (
    INDENT,
    heading,
    new_console,
    of_table,
    paragraph,
    tidy,
    verbatim,
)
from debottleneck.report.words import comparison as words
from debottleneck.report.words.quantities import clean
from debottleneck.trials import result
from debottleneck.trials.result import Comparison

ERROR = comparison_tables.ERROR
SPARE = ("CPU, ms", "memory, MB", "step, ms", ERROR, "predicted (90 %)", "numbers")
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

    Raises:
        RecordingError: A row claims more than its interval shows.
    """
    words.check(comparison)
    console = new_console(width, colour)
    with console.capture() as captured:
        console.print(Text(words.headline(comparison), style="bold"))
        console.print()
        paragraph(console, words.basis(comparison))
        if comparison.trials:
            _trials(console, comparison)
        _reasons(console, comparison)
        _keep(console, comparison)
        for note in words.notes(comparison):
            paragraph(console, note)
        verbatim(console, footer)
    return tidy(captured.get())


def _trials(console: Console, comparison: Comparison) -> None:
    lost = of_table(
        console,
        f"{'Recordings' if comparison.recorded else 'Trials'}, best first",
        comparison_tables.trials(comparison),
        hidden=("remark",),
        spare=SPARE,
        styles=["", *(STYLES.get(trial.verdict, "") for trial in comparison.trials)],
    )
    if ERROR in lost:
        errors = [
            f"{clean(trial.spec)} {words.error(trial.step_error)}"
            for trial in comparison.trials
            if trial.step_error is not None
        ]
        paragraph(console, f"The predicted step was off by: {', '.join(errors)}.")


def _reasons(console: Console, comparison: Comparison) -> None:
    winner = words.winner(comparison)
    lines = [f"{specs}: {reason}" for specs, reason in words.reasons(comparison)]
    if winner:
        lines += [f"{clean(winner.spec)} did: {clean(text)}" for text in winner.did]
    hanging = {"subsequent_indent": " " * INDENT, "break_on_hyphens": False}
    filled = [textwrap.fill(line, console.width, **hanging) for line in lines]  # type: ignore[arg-type] # mypy takes each for all
    verbatim(console, [*filled, ""] if filled else [])


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
