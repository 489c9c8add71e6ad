"""Ranks x rows as cells, as every medium shows them."""

from __future__ import annotations

from functools import partial

from debottleneck.analysis.ranks import RankRun, Ranks, Straggler
from debottleneck.report.tables import DASH, Field, Table, Value, build
from debottleneck.report.words import ranks as words
from debottleneck.report.words.quantities import clean, number, table_digits

MOST_ROWS, REST = 4, "rest"
"""Rows that are shown, those that take most in any rank, and what others are called
together."""


def ranks_table(ranks: Ranks) -> Table:
    """A rank a line: its own time by row, its waits for others, and which it is."""
    shown = _shown(ranks)
    ms = partial(_ms, digits=table_digits(ranks.step_ms))
    columns = [
        Field("rank", "num", lambda run: (str(run.number), run.number)),
        *(Field(clean(row), "num", partial(_own, row, ms)) for row in shown),
        Field(
            REST,
            "num",
            lambda run: ms(float(run.own.drop(shown, errors="ignore").sum())),
        ),
        Field("own", "num", lambda run: ms(float(run.own.sum()))),
        Field("waits", "num", lambda run: ms(run.waits_ms)),
        Field("step", "num", lambda run: ms(run.analysis.loop.step_ms)),
    ]
    if ranks.straggler:
        columns.append(Field("", "", partial(_mark, ranks.straggler)))
    caption = "Milliseconds of a step: each rank's own, and its waits for the others."
    return build("ranks-table", caption, columns, ranks.runs, sortable=False)


def spare(ranks: Ranks) -> list[str]:
    """Columns that may go where there is no room, the least one first."""
    return [clean(row) for row in reversed(_largest(ranks))][:-1]


def _shown(ranks: Ranks) -> list[str]:
    """In the order of a step."""
    kept = _largest(ranks)
    return [row for row in ranks.rows if row in kept]


def _largest(ranks: Ranks) -> list[str]:
    """Rows that take most in any rank, before them that of the straggler."""
    most = {row: max(run.own.get(row, 0.0) for run in ranks.runs) for row in ranks.rows}
    first = [ranks.straggler.row] if ranks.straggler else []
    chosen = [*first, *sorted(most, key=lambda row: -most[row])]
    return list(dict.fromkeys(chosen))[:MOST_ROWS]


def _ms(value: float, digits: int) -> Value:
    return (number(value, digits), value) if value > 0 else (DASH, 0.0)


def _own(row: str, ms: partial[Value], run: RankRun) -> Value:
    return ms(float(run.own.get(row, 0.0)))


def _mark(found: Straggler, run: RankRun) -> str:
    return words.MARK if found.rank == run.number else ""
