"""Plain tables, headings and paragraphs for the terminal, in ASCII."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.box import Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from debottleneck.report.words.quantities import clean
from debottleneck.report.words.strategies import pieces

_LINES = "\n".join(["    ", "    ", " -- ", "    ", " -- ", " -- ", "    ", "    "])
PLAIN = Box(_LINES + "\n", ascii=True)
"""No frame: a line below the head, one above the total."""

INDENT = 2
"""Letters by which what belongs to the line before stands in."""

GAP = 2
"""Blanks between two columns, as rich counts them."""


def new_console(width: int, colour: bool = False) -> Console:
    """What a report is written on: nothing of a real terminal, nothing interpreted.

    Args:
        width: Columns to fit.
        colour: Use the terminal's colours.
    """
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
class Column:
    """One column beside the strategies: its header, and its cells from top to bottom.

    Attributes:
        header: What stands above it.
        cells: A cell for each strategy.
        is_number: Whether it is never broken; words may break at spaces.
        least: The room that words need at least, 0 for that of the longest.
    """

    header: str
    cells: tuple[str, ...]
    is_number: bool = True
    least: int = 0

    @property
    def width(self) -> int:
        """Columns that it needs."""
        texts = [self.header, *self.cells]
        if not self.is_number:
            texts = [word for text in texts for word in text.split()]
        return self.least or max(map(len, texts), default=0)


def fitted(
    columns: Sequence[Column],
    spare: Sequence[str],
    width: int,
    wanted: int,
    least: int,
) -> tuple[list[Column], int]:
    """The columns that fit beside strategies, and the letters that these have.

    Args:
        columns: All of them.
        spare: Headers of those that go, in this order, where there is no room.
        width: Columns of the terminal.
        wanted: Letters of the longest strategy.
        least: Letters that strategies need at least, broken wherever they may.
    """
    kept, room = list(columns), 0
    for header in (None, *spare):
        kept = [column for column in kept if column.header != header]
        room = width - sum(column.width + GAP for column in kept)
        if room >= least:
            break
    return kept, max(least, min(wanted, room))


def beside(first: str, room: int, columns: Sequence[Column]) -> Table:
    """An empty table of columns right of one that is `room` letters wide."""
    table = plain_table([first, *(column.header for column in columns)], left=1)
    table.columns[0].width, table.columns[0].no_wrap = room, False
    for column, drawn in zip(columns, table.columns[1:], strict=True):
        if not column.is_number:
            drawn.justify, drawn.no_wrap = "left", False
            drawn.min_width = None if column.least else column.width
    return table


def left_out(
    console: Console, columns: Sequence[Column], kept: Sequence[Column]
) -> list[str]:
    """Say which columns had no room; their headers."""
    headers = [column.header for column in columns if column not in kept]
    if headers:
        console.print(Text(f"Left out for want of width: {', '.join(headers)}."))
    return headers


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
