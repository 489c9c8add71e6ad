"""The report on the terminal: verdict first, then what it rests on.

Plain ASCII of ours, readable at 80 columns and without colour; names from the
user's program are printed as they are, less control characters.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from debottleneck.analysis.result import Analysis, Finding
from debottleneck.report import tables
from debottleneck.report.rows import ShownRows
from debottleneck.report.text import causes, predictions
from debottleneck.report.text.tables import (
    INDENT,
    heading,
    new_console,
    of_table,
    paragraph,
    tidy,
    verbatim,
)
from debottleneck.report.words.quantities import (
    clean,
    home,
    percent,
    places,
    times,
)
from debottleneck.report.words.run import (
    basis_lines,
    ending,
    handovers,
    not_measured,
)

MOST_PLACES = 3

BY_ROLE = "run by role and cause, ms per second of wall time"

Part = Callable[[Console, Analysis], None]


def render(
    analysis: Analysis,
    *,
    footer: tuple[str, ...] = (),
    width: int = 80,
    colour: bool = False,
) -> str:
    """The report as text.

    Args:
        analysis: What to report.
        footer: Lines for the end: where things lie, what to type next.
        width: Columns to fit; only commands may be longer.
        colour: Use the terminal's colours.
    """
    console = new_console(width, colour)
    with console.capture() as captured:
        for part in PARTS:
            part(console, analysis)
        verbatim(console, footer)
    return tidy(captured.get())


def _verdict(console: Console, analysis: Analysis) -> None:
    verdict = analysis.verdict
    table = Table.grid(padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("What", Text(clean(verdict.what), style="bold"))
    table.add_row("Where", Text(clean(verdict.where)))
    table.add_row("Do", Text(clean(verdict.action)))
    if verdict.note:
        table.add_row("Note", Text(clean(verdict.note)))
    console.print(table)
    console.print()


def _run(console: Console, analysis: Analysis) -> None:
    cut = ending(analysis)
    if cut:
        paragraph(console, cut, style="yellow")
    for line in basis_lines(analysis):
        first, *rest = line.splitlines()
        console.print(Text(first))
        for each in rest:
            console.print(Padding(Text(each), (0, 0, 0, INDENT)))
        console.print()


def _matrix(console: Console, analysis: Analysis) -> None:
    """The row x cause table, and below a row of code what its line says."""
    if analysis.causes.empty and analysis.stages.empty:
        return
    noun = ShownRows.of(analysis).noun
    by = f"step by {noun} and cause, ms per step" if analysis.loop.found else BY_ROLE
    heading(console, f"The {by}")
    causes.whole(console, analysis)
    if analysis.causes.empty:
        console.print("Causes were not measured; see below.")
    console.print()


def _findings(console: Console, analysis: Analysis) -> None:
    if not analysis.findings:
        return
    heading(console, "Findings, most time at stake first")
    directory = home(analysis.recording.facts)
    for rank, finding in enumerate(analysis.findings, 1):
        console.print(_finding(rank, finding, directory, analysis.loop.unit))
        console.print()


def _finding(rank: int, finding: Finding, directory: str, unit: str) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    style = {"high": "red", "medium": "yellow"}.get(finding.severity, "")
    head = Text(f"{finding.severity.upper()} ", style=style)
    table.add_row(f"{rank}.", head + Text(clean(finding.summary), style="bold"))
    table.add_row("", _stake(finding, unit))
    below = Table.grid(padding=(0, 1))
    spots = places(finding.where[:MOST_PLACES], directory)
    if spots:
        below.add_row("where", Text(spots))
    below.add_row("do", Text(clean(finding.action)))
    if finding.share:
        ceiling = f"({times(finding.ceiling)} if that time vanished altogether)"
        below.add_row("", Text(ceiling, style="dim"))
    table.add_row("", below)
    return table


def _stake(finding: Finding, unit: str) -> Text:
    of = "step" if unit == "step" else "run"
    what = " / ".join(word for word in (finding.stage, finding.cause) if word)
    share = f"{percent(finding.share)} of the {of}"
    parts = (what, share if finding.share else "", f"[{finding.kind}]")
    return Text(clean("  ".join(filter(None, parts))))


def _threads(console: Console, analysis: Analysis) -> None:
    title = "Threads, and where each one's own time went"
    of_table(console, title, tables.threads(analysis))


def _gil(console: Console, analysis: Analysis) -> None:
    table, rate = tables.gil_waits(analysis), analysis.handovers_per_s
    of_table(console, "Waiting for the GIL", table)
    if table.rows and rate is not None:
        paragraph(console, handovers(rate))


def _waited_on(console: Console, analysis: Analysis) -> None:
    table = tables.waited_on(analysis, analysis.loop.unit)
    of_table(console, "What the waits were on", table)


def _instruments(console: Console, analysis: Analysis) -> None:
    table = tables.instruments(analysis)
    title, hidden = "What the instruments cost in this run", ("their median, ms",)
    of_table(console, title, table, hidden=hidden)


def _missing(console: Console, analysis: Analysis) -> None:
    if not analysis.not_measured:
        return
    heading(console, "Not measured")
    for gap in analysis.not_measured:
        text = Text(f"{clean(gap.what)}: {not_measured(gap)}")
        console.print(Padding(text, (0, 0, 0, 2)))
    console.print()


PARTS: tuple[Part, ...] = (
    _verdict,
    _run,
    _matrix,
    _findings,
    _threads,
    _gil,
    _waited_on,
    _instruments,
    _missing,
    predictions.what_to_make_faster,
    predictions.part,
)
