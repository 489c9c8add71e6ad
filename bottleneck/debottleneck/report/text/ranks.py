"""The ranks of a distributed run on the terminal, verdict first."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from debottleneck.analysis.ranks import Ranks
from debottleneck.report import rank_tables
from debottleneck.report.text.tables import new_console, of_table, tidy
from debottleneck.report.words import ranks as words


def render(
    ranks: Ranks, *, footer: Sequence[str] = (), width: int = 80, colour: bool = False
) -> str:
    """The text."""
    console = new_console(width, colour)
    with console.capture() as captured:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, text in words.verdict(ranks).items():
            grid.add_row(name, Text(text, style="bold" if name == "What" else ""))
        console.print(grid)
        console.print()
        table = rank_tables.ranks_table(ranks)
        styles = ["bold" if row[-1].text else "" for row in table.rows]
        spare = rank_tables.spare(ranks)
        of_table(console, "Ranks, ms a step", table, styles=styles, spare=spare)
        for line in (*words.gaps(ranks), *footer):
            console.print(Text(line), soft_wrap=True)
    return tidy(captured.get())
