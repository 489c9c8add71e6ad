"""The report on the terminal: verdict first, then what it rests on.

Plain ASCII of ours, readable at 80 columns and without colour; names from the
user's program are printed as they are, less control characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from debottleneck.analysis.result import Analysis, Finding
from debottleneck.report import matrix
from debottleneck.report.rows import ShownRows
from debottleneck.report.text import predictions
from debottleneck.report.text.tables import (
    GAP,
    INDENT,
    heading,
    new_console,
    paragraph,
    plain_table,
    tidy,
    verbatim,
)
from debottleneck.report.words import quantities
from debottleneck.report.words.quantities import (
    NOTHING,
    below,
    clean,
    count,
    cut,
    home,
    interval,
    number,
    percent,
    place,
    places,
    table_digits,
    times,
)
from debottleneck.report.words.run import (
    ending,
    handovers,
    loop_lines,
    not_measured,
    shares_of_thread,
    slowdown,
)

MOST_THREADS = 16
MOST_WAITS = 8
MOST_PLACES = 3

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
    for line in loop_lines(analysis.loop):
        first, *rest = line.splitlines()
        console.print(Text(first))
        for each in rest:
            console.print(Padding(Text(each), (0, 0, 0, INDENT)))
        console.print()


def _matrix(console: Console, analysis: Analysis) -> None:
    if analysis.causes.empty and analysis.stages.empty:
        return
    grid = matrix.of(analysis)
    heading(console, grid.title)
    shown, folded = matrix.fit(grid, console.width)
    for style, line in _with_sources(shown, grid.sources, console.width):
        console.print(Text(line, style=style), no_wrap=True, overflow="crop")
    for note in filter(None, (folded, grid.note)):
        console.print(Text(note))
    console.print()


def _with_sources(
    cells: matrix.Cells, sources: Sequence[str], width: int
) -> Iterator[tuple[str, str]]:
    """The table's lines with their styles, below a row of code what it says."""
    rows = [cells.headers, *cells.rows, *filter(None, [cells.total])]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        first = set_cell_size(row[0], widths[0])
        pairs = zip(row[1:], widths[1:], strict=True)
        return (" " * GAP).join([first, *(cell.rjust(wide) for cell, wide in pairs)])

    rule = "", "-" * min(width, sum(widths) + GAP * (len(widths) - 1))
    yield "", line(cells.headers)
    yield rule
    for row, source in zip_longest(cells.rows, sources, fillvalue=""):
        yield "", line(row)
        if source:
            indent = len(row[0]) - len(row[0].lstrip()) + INDENT
            yield "dim", " " * indent + cut(source, width - indent)
    if cells.total:
        yield rule
        yield "bold", line(cells.total)


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
    if analysis.threads.empty:
        return
    heading(console, "Threads, and where each one's own time went")
    headers = ("thread", "role", "seen s", "shares of its time")
    rows = [
        (
            cut(row["name"], 24),
            row["role"],
            number(row["wall_ms"] / 1e3),
            shares_of_thread(row),
        )
        for row in analysis.threads.to_dict("records")
    ]
    console.print(plain_table(headers, rows[:MOST_THREADS], left=2, right=1))
    _and_more(console, len(rows) - MOST_THREADS, "thread")


def _gil(console: Console, analysis: Analysis) -> None:
    if analysis.gil_waits.empty:
        return
    heading(console, "Waiting for the GIL")
    if analysis.handovers_per_s is not None:
        paragraph(console, handovers(analysis.handovers_per_s))
    headers = (ShownRows.of(analysis).noun, "waits", "holds", "running", "of step")
    directory, rows = home(analysis.recording.facts), []
    for row in analysis.gil_waits.to_dict("records"):
        function, file = row["holder_function"], row["holder_file"]
        code = place(function, file, row["holder_line"], directory) or "not known"
        thread = cut(row["holder_thread"], 20) or "unknown"
        row_name = quantities.tail(row["stage"], matrix.LONGEST)
        rows.append((row_name, row["role"], thread, code, percent(row["share"])))
    console.print(plain_table(headers, rows[:MOST_WAITS], left=4))
    _and_more(console, len(rows) - MOST_WAITS, "pair")


def _waited_on(console: Console, analysis: Analysis) -> None:
    named = analysis.waited_on[analysis.waited_on.what != ""]
    if named.empty:
        return
    heading(console, "What the waits were on")
    unit = "ms/step" if analysis.loop.found else "ms/s"
    headers = (ShownRows.of(analysis).noun, "role", "cause", "on", unit)
    directory, rows = home(analysis.recording.facts), []
    digits = table_digits(float(named.ms_per_step.max()))
    for row in named.to_dict("records"):
        what = f"{clean(row['syscall'])} {below(row['what'], directory)}".strip()
        row_name = quantities.tail(row["stage"], matrix.LONGEST)
        lead = (row_name, row["role"], row["cause"])
        rows.append((*lead, what, number(row["ms_per_step"], digits)))
    console.print(plain_table(headers, rows[:MOST_WAITS], left=4))
    _and_more(console, len(rows) - MOST_WAITS, "place")


def _instruments(console: Console, analysis: Analysis) -> None:
    if analysis.instruments.empty:
        return
    heading(console, "What the instruments cost in this run")
    headers = ("instrument", "steps", "slow-down", "95 %", "note")
    rows = [
        (
            clean(row["name"]),
            f"{row['steps']:,}" if row["steps"] else NOTHING,
            slowdown(row["slowdown"]),
            interval(100 * row["low"], 100 * row["high"], 1),
            clean(row["note"]),
        )
        for row in analysis.instruments.to_dict("records")
    ]
    console.print(plain_table(headers, rows, left=1, right=1))
    console.print()


def _missing(console: Console, analysis: Analysis) -> None:
    if not analysis.not_measured:
        return
    heading(console, "Not measured")
    for gap in analysis.not_measured:
        text = Text(f"{clean(gap.what)}: {not_measured(gap)}")
        console.print(Padding(text, (0, 0, 0, 2)))
    console.print()


def _and_more(console: Console, rest: int, noun: str) -> None:
    more = f"and {count(rest, noun)} more, in the page and the JSON\n"
    console.print(Text(more if rest > 0 else ""))


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
    predictions.part,
)
