"""Plain tables, headings and paragraphs for the terminal, in ASCII."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple, TextIO

from rich.box import Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from debottleneck.report.tables import DASH, Cell
from debottleneck.report.tables import Table as CellTable
from debottleneck.report.words.quantities import clean, cut
from debottleneck.report.words.strategies import pieces

_LINES = "\n".join(["    ", "    ", " -- ", "    ", " -- ", " -- ", "    ", "    "])
PLAIN = Box(_LINES + "\n", ascii=True)
"""No frame: a line below the head, one above the total."""

INDENT = 2
"""Letters by which what belongs to the line before stands in."""

NARROWEST, WIDEST, PIPED = 60, 140, 80
"""Columns: lines are not to be longer than eyes can follow; those where none are."""

GAP = 2
"""Blanks between two columns, as rich counts them."""

MOST_ROWS = 8
"""Of a table that the page has as a whole."""

MOST_LETTERS, LEAST_WORDS, LEAST_LETTERS = 30, 15, 8
"""Of a name before it is broken or cut; of texts beside columns, then in need."""

BROKEN = ("text", "code")
"""Kinds of columns whose texts may break anywhere."""


def new_console(width: int, colour: bool = False) -> Console:
    """What a report is written on: nothing of a real terminal, nothing interpreted."""
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )


class Shape(NamedTuple):
    """How a text looks where it goes."""

    width: int
    colour: bool


def look(stream: TextIO) -> Shape:
    """A terminal's width up to WIDEST, and whether it has colours; 80 of all else.

    `NO_COLOR`, `FORCE_COLOR`, `COLUMNS` and `TERM=dumb` are heeded as by rich.
    """
    console = Console(file=stream)
    is_coloured = console.color_system is not None and not console.no_color
    if not stream.isatty():
        return Shape(PIPED, is_coloured)
    return Shape(max(NARROWEST, min(console.width, WIDEST)), is_coloured)


def print_apart(text: str, stream: TextIO) -> None:
    """Print a text that begins a line, wherever what the script wrote has ended.

    On a terminal as many blanks as it has columns lead to the next line from the midst
    of one, and nowhere from the start of one; elsewhere an empty line comes first.
    """
    console = Console(file=stream)
    is_terminal = stream.isatty() and not console.is_dumb_terminal
    lead = " " * console.width + "\r" if is_terminal else "\n"
    stream.write(f"{lead}{text}")
    stream.flush()


def tidy(captured: str) -> str:
    """What was written on it, without blanks at the ends."""
    lines = [line.rstrip() for line in captured.splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


def plain_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]] = (),
    *,
    left: int,
    right: int = 0,
) -> Table:
    """A table of numbers between words.

    Args:
        headers: Of its columns.
        rows: A cell for each of them.
        left: The first columns, which are words.
        right: The last ones that are; the very last may break its lines.
    """
    table = Table(
        box=PLAIN,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        collapse_padding=True,
        header_style="",
    )
    for index, header in enumerate(headers):
        last = len(headers) - 1 - index
        table.add_column(
            header,
            justify="left" if index < left or last < right else "right",
            overflow="fold",
            no_wrap=last > 0 if right else index == 0 or index >= left,
        )
    for row in rows:
        table.add_row(*row)
    return table


@dataclass(frozen=True)
class _Column:
    """One column: its heading, its kind as of a `tables.Field`, cells as texts."""

    header: str
    kind: str
    cells: tuple[str, ...]

    @classmethod
    def of(cls, cells: Sequence[Cell]) -> _Column:
        """From its heading and cells, in ASCII and without signs."""
        head, *rows = cells
        kind = head.kind or next((cell.kind for cell in rows), "")
        plain = (c.sort if c.kind in ("name", "outcome") else c.text for c in rows)
        texts = (str(text).replace(DASH, "-") for text in plain)
        if kind == "stage":
            texts = (cut(text, MOST_LETTERS) for text in texts)
        return cls(head.text, kind, tuple(texts))

    @property
    def least(self) -> int:
        """Letters that it needs: words break at spaces, strategies where they may."""
        texts = (self.header, *self.cells)
        if self.kind == "name":
            parts = ((i, p) for t in texts for s in pieces(t) for i, p in enumerate(s))
            return min(max(len(p) + INDENT * (i > 0) for i, p in parts), MOST_LETTERS)
        if self.kind in BROKEN:
            return min(max(map(len, texts)), LEAST_WORDS)
        if self.kind not in ("num", "stage"):
            texts = tuple(word for text in texts for word in text.split())
        return max(map(len, texts))


def of_table(
    console: Console,
    title: str,
    table: CellTable,
    *,
    hidden: Sequence[str] = (),
    spare: Sequence[str] = (),
    styles: Sequence[str] = (),
) -> list[str]:
    """A table as every medium has it, its first rows; nothing where it has none.

    Args:
        console: Where.
        title: Stands above it.
        table: Its cells.
        hidden: Headings of columns that a terminal never shows.
        spare: Of those that go, in this order, where there is no room.
        styles: Of its rows.

    Returns:
        The headings of spare columns that had to go.
    """
    if not table.rows:
        return []
    heading(console, title)
    most = len(table.rows) if styles else MOST_ROWS
    every = map(_Column.of, zip(table.headers, *table.rows[:most], strict=True))
    columns = [column for column in every if column.header not in hidden]
    kept, gone = columns, 0
    while sum(c.least + GAP for c in kept) - GAP > console.width and gone < len(spare):
        gone += 1
        kept = [column for column in columns if column.header not in spare[:gone]]
    console.print(_drawn(kept, console.width, styles))
    lost = [c.header for c in columns if c not in kept]
    if lost:
        console.print(Text(f"Left out for want of width: {'; '.join(lost)}."))
    rest = len(table.rows) - most + table.left_out
    more = f"and {rest:,} more, in the page and the JSON\n"
    console.print(Text(more if rest > 0 else ""))
    return lost


def _drawn(columns: Sequence[_Column], width: int, styles: Sequence[str]) -> Table:
    """The columns, each as wide as it likes while there is room, from the left on.

    Where there is too little for all, texts are narrower; numbers stay whole.
    """
    drawn, names = plain_table((), left=0), 0
    spare = width - sum(column.least + GAP for column in columns) + GAP
    for column in columns:
        wanted = max(map(len, (column.header, *column.cells)))
        wide = column.least + min(max(spare, 0), max(wanted - column.least, 0))
        if spare < 0 and column.kind in BROKEN:
            wide = max(column.least + spare, min(column.least, LEAST_LETTERS))
        spare -= wide - column.least
        names = wide if column.kind == "name" else names
        is_number = column.kind == "num"
        look = {"width": wide, "overflow": "fold", "no_wrap": is_number}
        side = "right" if is_number else "left"
        drawn.add_column(column.header, justify=side, **look)  # type: ignore[arg-type] # mypy takes each for all
    rows = zip(*(column.cells for column in columns), strict=True)
    for cells, style in zip_longest(rows, styles, fillvalue=""):
        first = "\n".join(broken(cells[0], names)) if names else cells[0]
        drawn.add_row(first, *cells[1:], style=style)
    return drawn


def heading(console: Console, text: str) -> None:
    """A section's title with a line below it."""
    console.print(Text(text, style="bold"))
    console.print(Text("=" * min(len(text), console.width)))


def paragraph(console: Console, text: str, style: str = "") -> None:
    """Text wrapped to the width, with an empty line after it."""
    console.print(Text(text, style=style))
    console.print()


def verbatim(console: Console, lines: Iterable[str]) -> None:
    """Lines that are never wrapped, such as commands to copy."""
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def broken(spec: str, room: int) -> list[str]:
    """A strategy's text in lines of at most `room`, each strategy on its own."""
    if len(clean(spec)) <= room:
        return [clean(spec)]
    lines: list[str] = []
    for strategy in pieces(spec):
        line = ""
        for piece in strategy:
            if line.strip() and len(line) + len(piece) > room:
                lines.append(line)
                line = " " * INDENT
            line += piece
        lines.append(line)
    return lines
