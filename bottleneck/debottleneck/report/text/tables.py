"""Plain tables, headings and paragraphs for the terminal, in ASCII."""

from __future__ import annotations

import io

from rich.box import Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from debottleneck.report.words.comparison import pieces
from debottleneck.report.words.quantities import clean

_LINES = "\n".join(["    ", "    ", " -- ", "    ", " -- ", " -- ", "    ", "    "])
PLAIN = Box(_LINES + "\n", ascii=True)
"""No frame: a line below the head, one above the total."""

INDENT = 2
"""Letters by which what belongs to the line before stands in."""


def new_console(width: int, colour: bool) -> Console:
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


def plain_table(*headers: str, left: int) -> Table:
    """A table whose first `left` columns are words and whose others are numbers."""
    table = Table(
        box=PLAIN,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        collapse_padding=True,
        header_style="",
    )
    for index, header in enumerate(headers):
        words = index < left
        table.add_column(
            header,
            justify="left" if words else "right",
            overflow="fold",
            no_wrap=not words or index == 0,
        )
    return table


def heading(console: Console, text: str) -> None:
    """A section's title with a line below it."""
    console.print(Text(text, style="bold"))
    console.print(Text("=" * min(len(text), console.width)))


def paragraph(console: Console, text: str, style: str = "") -> None:
    """Text wrapped to the width, with an empty line after it."""
    console.print(Text(text, style=style))
    console.print()


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
