"""The stage x cause table as printable cells: adds up, and fits a width."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from debottleneck import words
from debottleneck.analysis.result import Analysis
from debottleneck.report.words.quantities import (
    in_order,
    interval,
    number,
    percent,
    table_digits,
)

REST = "rest"
GAP = 2
"""Columns of space between two cells, as in `rich_tables.plain_table`."""

KEPT = "unattributed"
"""This cause is never folded into the rest."""


@dataclass(frozen=True)
class CauseMatrix:
    """The table before it is fitted: `values` has a row a stage, a column a cause.

    `lead` are the cells left of the causes (name, ms, share, interval), by row.
    """

    title: str
    lead_headers: tuple[str, ...]
    lead: tuple[tuple[str, ...], ...]
    total: tuple[str, ...]
    values: pd.DataFrame
    digits: int
    note: str = ""


@dataclass(frozen=True)
class Cells:
    """Text cells of the fitted table."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: tuple[str, ...]


def pivot(causes: pd.DataFrame, index: str = "stage") -> pd.DataFrame:
    """Milliseconds, a row a stage (or role), a column a cause that occurs."""
    order = words.STAGES if index == "stage" else words.ROLES
    if causes.empty:
        return pd.DataFrame(dtype="float64")
    table = causes.pivot_table(
        index=index, columns="cause", values="ms_per_step", aggfunc="sum", sort=False
    )
    table = table.loc[:, (table.fillna(0) > 0).any()]
    rows = in_order(map(str, table.index), order)
    return table.reindex(index=rows, columns=in_order(table.columns, words.CAUSES))


def trainer_causes(analysis: Analysis) -> pd.DataFrame:
    """The trainer's milliseconds per step, a row a stage, a column a cause."""
    return pivot(analysis.causes[analysis.causes.role == "trainer"])


def of(analysis: Analysis) -> CauseMatrix:
    """The trainer's stages by cause; without steps every role's time by cause."""
    return _by_stage(analysis) if analysis.loop.found else _by_role(analysis)


def _by_stage(analysis: Analysis) -> CauseMatrix:
    loop = analysis.loop
    digits = table_digits(loop.step_ms)
    stages = analysis.stages.set_index("stage")
    names = in_order(stages.index, analysis.row_names)
    lead = tuple(
        (
            name,
            number(stages.ms_per_step[name], digits),
            percent(stages.share[name]),
            interval(stages.low[name], stages.high[name], digits, "-"),
        )
        for name in names
    )
    values = trainer_causes(analysis)
    bounds = interval(loop.step_low, loop.step_high, digits, "-")
    total = number(float(stages.ms_per_step.sum()), digits)
    return CauseMatrix(
        title="The step by stage and cause, ms per step",
        lead_headers=("stage", "ms", "share", "95 % of ms"),
        lead=lead,
        total=("step", total, percent(stages.share.sum()), bounds),
        values=values.reindex(names),
        digits=digits,
        note="" if values.size else "Causes were not measured; see below.",
    )


def _by_role(analysis: Analysis) -> CauseMatrix:
    values = pivot(analysis.causes, "role")
    sums = values.sum(axis=1)
    digits = table_digits(float(sums.max()) if len(sums) else 0.0)
    over = bool((sums > 1_000.5).any())
    lead = tuple((str(role), number(float(ms), digits)) for role, ms in sums.items())
    return CauseMatrix(
        title="The run by role and cause, ms per second of wall time",
        lead_headers=("role", "ms/s"),
        lead=lead,
        total=(),
        values=values,
        digits=digits,
        note="A role with several threads can exceed a second." if over else "",
    )


def fit(matrix: CauseMatrix, width: int) -> tuple[Cells, str]:
    """Cells that fit, with a sentence on causes summed into `rest`, if any were."""
    values, folded = matrix.values, ""
    while _width(_cells(matrix, values)) > width and values.shape[1] > 2:
        values = _fold_smallest(values)
    if REST in values.columns:
        folded_in = matrix.values.columns.difference(values.columns, sort=False)
        folded = f"rest is {', '.join(folded_in)}."
    return _cells(matrix, values), folded


def _fold_smallest(values: pd.DataFrame) -> pd.DataFrame:
    sums = values.drop(columns=[REST, KEPT], errors="ignore").sum().sort_values()
    small = list(sums.index[: 1 if REST in values.columns else 2])
    rest = values.reindex(columns=[*small, REST]).sum(axis=1, min_count=1)
    kept = values.drop(columns=[*small, REST], errors="ignore").assign(**{REST: rest})
    last = [KEPT] if KEPT in kept.columns else []
    return kept[[*kept.columns.drop(last), *last]]


def _width(cells: Cells) -> int:
    lines = [line for line in (cells.headers, *cells.rows, cells.total) if line]
    columns = zip(*lines, strict=True)
    return sum(max(map(len, column)) + GAP for column in columns) - GAP


def _cells(matrix: CauseMatrix, values: pd.DataFrame) -> Cells:
    causes = ("unattr." if c == KEPT else str(c) for c in values.columns)
    body = [_texts(row, matrix.digits) for row in values.to_numpy()]
    body = body or [()] * len(matrix.lead)
    rows = tuple(lead + texts for lead, texts in zip(matrix.lead, body, strict=True))
    sums = _texts(values.sum(), matrix.digits)
    total = matrix.total + sums if matrix.total else ()
    return Cells((*matrix.lead_headers, *causes), rows, total)


def _texts(row: Iterable[float], digits: int) -> tuple[str, ...]:
    return tuple(number(float(ms), digits) for ms in row)
