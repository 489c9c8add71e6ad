"""The row x cause table as printable cells: adds up, and fits a width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import nan

import pandas as pd

from debottleneck import words
from debottleneck.analysis.result import Analysis
from debottleneck.report.rows import ShownRows
from debottleneck.report.words.quantities import (
    in_order,
    interval,
    number,
    percent,
    table_digits,
    tail,
)

REST = "rest"
SMALL = 0.01
"""Rows below this share of the step are summed into one, where rows are lines."""

LONGEST = 28
"""Letters of a row's name."""

FOLDED = "(small rows)"
GAP = 2
"""Columns of space between two cells, as in `rich_tables.plain_table`."""

KEPT = "unattributed"
"""This cause is never folded into the rest."""


@dataclass(frozen=True)
class CauseMatrix:
    """The table before it is fitted: `values` has a row a row, a column a cause.

    `lead` are the cells left of the causes (name, ms, share, interval), by row;
    `sources` what each row's line says, "" where it is none.
    """

    title: str
    lead_headers: tuple[str, ...]
    lead: tuple[tuple[str, ...], ...]
    total: tuple[str, ...]
    values: pd.DataFrame
    digits: int
    note: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cells:
    """Text cells of the fitted table."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: tuple[str, ...]


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


def of(analysis: Analysis) -> CauseMatrix:
    """The trainer's rows by cause; without steps every role's time by cause."""
    return _by_row(analysis) if analysis.loop.found else _by_role(analysis)


def _by_row(analysis: Analysis) -> CauseMatrix:
    loop, rows = analysis.loop, ShownRows.of(analysis)
    digits = table_digits(loop.step_ms)
    stages, values, folded = _folded(analysis, rows)
    names = [str(name) for name in stages.index]
    lead = tuple(
        (
            folded if name == FOLDED else _indented(name, rows),
            number(stages.ms_per_step[name], digits),
            percent(stages.share[name]),
            interval(stages.low[name], stages.high[name], digits, "-"),
        )
        for name in names
    )
    bounds = interval(loop.step_low, loop.step_high, digits, "-")
    total = number(float(stages.ms_per_step.sum()), digits)
    return CauseMatrix(
        title=f"The step by {rows.noun} and cause, ms per step",
        lead_headers=(rows.noun, "ms", "share", "95 % of ms"),
        lead=lead,
        total=("step", total, percent(stages.share.sum()), bounds),
        values=values.reindex(names),
        digits=digits,
        note=_note(names, values, rows),
        sources=tuple(rows.sources.get(name, "") for name in names),
    )


def _folded(
    analysis: Analysis, rows: ShownRows
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """The table `stages` and the causes by row, small rows summed, and their name.

    A row stays that is large, or has one below it that is; so does the rest of the
    step, and so do all where stages are the only rows.
    """
    stages = analysis.stages.set_index("stage")
    values = trainer_causes(analysis)
    parents = dict(zip(analysis.rows["row"], analysis.rows["parent"], strict=True))
    kept = set(stages.index[stages.share >= SMALL])
    for name in [*kept]:
        while (name := parents.get(name, "")) and name not in kept:
            kept.add(name)
    kept |= {words.OTHER} & set(stages.index)
    stages = stages.reindex(in_order([*stages.index, *kept], analysis.row_names))
    stages = stages.fillna({"ms_per_step": 0.0, "share": 0.0})
    small = [name for name in stages.index if name not in kept]
    if not rows.sources or len(small) < 2:
        return stages, values, ""
    sums = stages.loc[small].sum().to_frame(FOLDED).T.assign(low=nan, high=nan)
    stages = pd.concat([stages.drop(small), sums])
    if values.size:
        causes = values.reindex(small).sum(min_count=1).to_frame(FOLDED).T
        values = pd.concat([values.drop(small, errors="ignore"), causes])
    order = in_order(stages.index, [*analysis.row_names[:-1], FOLDED])
    return stages.reindex(order), values, f"({len(small)} more under 1 % each)"


def _indented(name: str, rows: ShownRows) -> str:
    """A row's name, further in the deeper it lies."""
    return "  " * rows.depth(name) + tail(name, LONGEST)


def _note(names: Iterable[str], values: pd.DataFrame, rows: ShownRows) -> str:
    if not values.size:
        return "Causes were not measured; see below."
    if any(map(rows.depth, names)):
        return "Indented rows are called by the line above; its time is without theirs."
    return ""


def _by_role(analysis: Analysis) -> CauseMatrix:
    values = pivot(analysis.causes)
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
    if _width(_cells(matrix, values)) > width:  # without the interval
        lead, headers = (row[:3] for row in matrix.lead), matrix.lead_headers[:3]
        matrix = replace(
            matrix, lead=tuple(lead), lead_headers=headers, total=matrix.total[:3]
        )
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
