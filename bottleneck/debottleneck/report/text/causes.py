"""The row x cause table as far as it fits, with what its lines say."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from debottleneck.analysis.result import Analysis
from debottleneck.report import matrix, tables
from debottleneck.report.tables import Cell
from debottleneck.report.tables import Table as CellTable
from debottleneck.report.text.tables import GAP, INDENT, MOST_LETTERS
from debottleneck.report.words.quantities import cut, tail
from debottleneck.words import CAUSES

INTERVAL = "95 % interval"
HIDDEN = ("median", "95th percentile")
"""Columns of the page that a terminal has no room for."""

LEAST_SOURCE = 16
"""Letters of a line's source beside its row for which there must be room."""


def whole(console: Console, analysis: Analysis) -> None:
    """The table between rules, below a row of code what its line says."""
    table, texts = _fitted(analysis, console.width, None, HIDDEN)
    rule = "-" * min(_wide(texts), console.width)
    for at, line in enumerate(_aligned(texts)):
        if at in (1, len(table.rows) + 1):
            console.print(rule)
        _print(console, line, at > len(table.rows))
        first = table.rows[at - 1][0] if 0 < at <= len(table.rows) else None
        if first and first.source:
            indent = INDENT * (first.depth + 1)
            code = cut(first.source, console.width - indent)
            console.print(Text(" " * indent + code, "dim"))
    _explained(console, analysis, table)
    if any(row[0].depth > 0 for row in table.rows):
        console.print(Text(tables.INDENTED))


def folded(console: Console, analysis: Analysis, least: float) -> None:
    """Without rules and intervals, rows below `least` in one, its line beside a row."""
    table, texts = _fitted(analysis, console.width, least, (INTERVAL, *HIDDEN))
    room = console.width - _wide(texts) - GAP
    sources = ["", *(row[0].source for row in table.rows), ""]
    for at, line in enumerate(_aligned(texts)):
        code = cut(sources[at], room) if sources[at] and room >= LEAST_SOURCE else ""
        _print(console, line, at > len(table.rows), code)
    _explained(console, analysis, table)


def _print(console: Console, line: str, is_total: bool, code: str = "") -> None:
    text = Text(line, "bold" if is_total else "")
    if code:
        text.append(" " * GAP).append(code, "dim")
    console.print(text, no_wrap=True, overflow="crop")


def _explained(console: Console, analysis: Analysis, table: CellTable) -> None:
    """What the column of small causes is the sum of."""
    headers = {cell.text for cell in table.headers}
    every = {*analysis.causes.cause}
    if matrix.REST in headers:
        rest = [cause for cause in CAUSES if cause in every - headers]
        console.print(f"rest is {', '.join(rest)}.")


def _fitted(
    analysis: Analysis, width: int, least: float | None, hidden: Sequence[str]
) -> tuple[CellTable, list[list[str]]]:
    """The table with as many causes as fit, and its lines as cells."""
    every = max(analysis.causes.cause.nunique(), 2)
    looks = [(most, hidden) for most in range(every, 1, -1)]
    for most, left_out in (*looks, (2, (*hidden, INTERVAL))):
        table = (
            tables.row_causes(analysis, most, least)
            if analysis.loop.found
            else tables.role_causes(analysis, most)
        )
        headers = enumerate(table.headers)
        kept = [at for at, cell in headers if cell.text not in left_out]
        rows = [table.headers, *table.rows, *filter(None, [table.total])]
        texts = [[_named(row[0]), *(_cell(row[i]) for i in kept[1:])] for row in rows]
        if _wide(texts) <= width:
            break
    return table, texts


def _widths(texts: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*texts, strict=True)]


def _wide(texts: Sequence[Sequence[str]]) -> int:
    widths = _widths(texts)
    return sum(widths) + GAP * (len(widths) - 1)


def _aligned(texts: Sequence[Sequence[str]]) -> list[str]:
    """Each line with its cells under those of the others."""
    first, *others = _widths(texts)
    return [
        (" " * GAP).join(
            [
                set_cell_size(cells[0], first),
                *(c.rjust(wide) for c, wide in zip(cells[1:], others, strict=True)),
            ]
        )
        for cells in texts
    ]


def _named(cell: Cell) -> str:
    """A row's name, further in the deeper it lies."""
    return " " * INDENT * max(cell.depth, 0) + tail(cell.text, MOST_LETTERS)


def _cell(cell: Cell) -> str:
    text = cell.text.replace(INTERVAL, "95 % of ms")
    return text.replace(tables.DASH, "-").replace("unattributed", "unattr.")
