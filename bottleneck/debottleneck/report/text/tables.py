"""Plain tables, headings and paragraphs for the terminal, in ASCII."""

from __future__ import annotations

from rich.box import Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_LINES = "\n".join(["    ", "    ", " -- ", "    ", " -- ", " -- ", "    ", "    "])
PLAIN = Box(_LINES + "\n", ascii=True)
"""No frame: a line below the head, one above the total."""


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
