"""The row x cause table: milliseconds by row or role and cause, small ones summed."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import pandas as pd

from debottleneck import words
from debottleneck.analysis.result import Analysis
from debottleneck.report.words.quantities import in_order

SMALL = 0.01
"""Rows below this share of the step are summed into one, where there are many."""

REST = "rest"
"""The smallest causes together."""

KEPT = "unattributed"
"""This cause is never summed with others."""


def pivot(
    causes: pd.DataFrame, index: str = "role", order: Sequence[str] = words.ROLES
) -> pd.DataFrame:
    """Milliseconds, a row a role (or stage), a column a cause that occurs."""
    if causes.empty:
        return pd.DataFrame(dtype="float64")
    table = causes.pivot_table(
        index=index, columns="cause", values="ms_per_step", aggfunc="sum", sort=False
    )
    table = table.loc[:, (table.fillna(0) > 0).any()]
    rows = in_order(map(str, table.index), order)
    return table.reindex(index=rows, columns=in_order(table.columns, words.CAUSES))


def trainer_causes(analysis: Analysis) -> pd.DataFrame:
    """The trainer's milliseconds per step, a row a row, a column a cause."""
    causes = analysis.causes[analysis.causes.role == "trainer"]
    return pivot(causes, "stage", analysis.row_names)


def narrowed(values: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most so many columns: the smallest causes are summed as REST."""
    others = [cause for cause in values.columns if cause != KEPT]
    room = most - (len(others) < len(values.columns)) - 1
    if len(values.columns) <= most or room < 1:
        return values
    small = values[others].sum().sort_values().index[: len(others) - room]
    rest = values[small].sum(axis=1, min_count=1)
    kept = values.drop(columns=small).assign(**{REST: rest})
    last = [KEPT] if KEPT in kept.columns else []
    return kept[[*kept.columns.drop(last), *last]]


def of_rows(analysis: Analysis, least: float = 0.0) -> pd.DataFrame:
    """The trainer's rows in order: columns of `stages`, then a column a cause.

    Args:
        analysis: Of the recording.
        least: With those below this share of the step as one row. A row stays that
            has a large one below it; so does the rest of the step.
    """
    values = trainer_causes(analysis)
    rows = analysis.stages.set_index("stage").join(values)
    small: list[str] = []
    if least:
        parents = dict(zip(analysis.rows["row"], analysis.rows["parent"], strict=True))
        kept = {*rows.index[rows.share >= least], words.OTHER}
        for name in [*kept]:
            while (name := parents.get(name, "")) and name not in kept:
                kept.add(name)
        rows = rows.reindex(in_order([*rows.index, *kept], analysis.row_names))
        rows = rows.fillna({"ms_per_step": 0.0, "share": 0.0})
        small = [name for name in rows.index if name not in kept]
    order = [*analysis.row_names]
    if len(small) > 1:
        name = f"({len(small)} more under {100 * least:.0f} % each)"
        one = (
            rows.loc[small].sum(min_count=1).to_frame(name).T.assign(low=nan, high=nan)
        )
        rows = pd.concat([rows.drop(small), one])
        order.insert(-1, name)
    return rows.reindex(in_order(rows.index, order))
