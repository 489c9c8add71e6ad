"""Tables for every medium: columns applied to rows; and those of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

import pandas as pd

from debottleneck.analysis.result import Analysis
from debottleneck.report import matrix
from debottleneck.report.rows import ShownRows
from debottleneck.report.words.quantities import (
    NOTHING,
    below,
    clean,
    home,
    interval,
    number,
    percent,
    place,
    table_digits,
)
from debottleneck.report.words.run import shares_of_thread, slowdown

MOST_ROWS = 400
LONG = 80
"""Letters of a line's source."""
MOST_FUNCTIONS = 800
DASH = "\N{EN DASH}"
HEADED = ("num", "text")
"""Kinds of columns whose heading looks like their cells."""


class Field(NamedTuple):
    """A column: its heading, how it looks, and a row's value in it.

    Kinds: "" for words, "num" for numbers, "text" for sentences, "code" for names of
    the program, "stage" and "cause" for names with a colour.
    """

    heading: str
    kind: str
    value: Callable[[Any], Value]


@dataclass(frozen=True)
class Cell:
    """Text of a cell; `sort` is what its column sorts by, `kind` how it looks.

    A row's cell has its `colour`, what its line says (`source`) and how far it stands
    in (`depth`).
    """

    text: str
    sort: float | str = ""
    kind: str = ""
    colour: str = ""
    source: str = ""
    depth: int = 0


Value: TypeAlias = str | tuple[str, float | str] | Cell
"""A cell's text, and what its column sorts by where that is not the text."""


@dataclass(frozen=True)
class Table:
    """A table; `left_out` rows did not fit, `total` is its last row.

    `things` is what its rows are: a table that says it folds away when it is long.
    """

    id: str
    caption: str
    headers: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] = ()
    sortable: bool = True
    filterable: bool = False
    left_out: int = 0
    things: str = ""


def build(
    id: str,
    caption: str,
    columns: Sequence[Field],
    rows: Sequence[Any] | pd.DataFrame,
    *,
    total: Any = None,
    most: int = MOST_ROWS,
    **look: Any,
) -> Table:
    """The table of the first `most` rows; a frame's rows are dicts.

    Args:
        id: Of the element.
        caption: What it shows.
        columns: From left to right.
        rows: Whatever the columns read.
        total: One more row for the foot.
        most: Rows to show; how many are left out is said.
        look: What else is to be said of a `Table`.
    """
    shown = rows[:most]
    if isinstance(shown, pd.DataFrame):
        shown = shown.to_dict("records")
    return Table(
        id,
        caption,
        tuple(Cell(c.heading, kind=c.kind * (c.kind in HEADED)) for c in columns),
        tuple(cells(columns, row) for row in shown),
        () if total is None else cells(columns, total),
        left_out=len(rows) - len(shown),
        **look,
    )


def cells(columns: Sequence[Field], row: Any) -> tuple[Cell, ...]:
    """A row's cells."""
    return tuple(_cell(column.value(row), column.kind) for column in columns)


def _cell(value: Value, kind: str) -> Cell:
    if isinstance(value, Cell):
        return value
    return Cell(value, kind=kind) if isinstance(value, str) else Cell(*value, kind)


def sorted_by(value: float | None) -> float:
    """What a column of numbers sorts by: what is missing comes first."""
    return -1.0 if value is None or value != value else round(float(value), 6)


def numeric(value: float | None, digits: int | None = None) -> Value:
    """A number's cell."""
    return number(value, digits), sorted_by(value)


def bounded(low: float, high: float, digits: int) -> Value:
    """An interval's cell."""
    return interval(low, high, digits, DASH), sorted_by(low)


def row_field(rows: ShownRows, name: str | int = "stage", wide: int = 0) -> Field:
    """The column of rows, under that name or at that place.

    Args:
        rows: Those of the page.
        name: Where a row's name stands.
        wide: Letters of a line's source below its name; 0 to show it on demand.
    """

    def value(row: Any) -> Value:
        called = str(row[name])
        source = rows.source(called, wide or LONG)
        look = (rows.colour(called), source, rows.depth(called) if wide else -1)
        return Cell(clean(called), rows.rank(called), "stage", *look)

    return Field(rows.noun, "stage", value)


def numbers(name: str | int, digits: int | None = None) -> Callable[[Any], Value]:
    """What reads the number of that name, or at that place."""
    return lambda row: numeric(row[name], digits)


def _share(row: Any) -> Value:
    return percent(row["share"]), sorted_by(row["share"])


def _code(name: str) -> Callable[[Any], Value]:
    return lambda row: clean(row[name]) or NOTHING


def _spot(directory: str) -> Callable[[Any], Value]:
    """What reads a place in a file, sorted by line."""

    def value(row: Any) -> Value:
        spot = place("", row["file"], row["line"], directory)
        return spot or NOTHING, f"{row['file']}:{row['line']:07d}"

    return value


INDENTED = "Indented rows are called by the line above; its time is without theirs."
ROLE = Field("role", "", itemgetter("role"))


def row_causes(
    analysis: Analysis, most: int | None = None, least: float | None = None
) -> Table:
    """The trainer's rows: time, share, interval, median, p95, then each cause.

    Args:
        analysis: Of the recording.
        most: Columns of causes.
        least: Rows below this share of the step are one; by default those that are
            small where rows are lines and columns few.
    """
    shown, loop = ShownRows.of(analysis), analysis.loop
    digits = table_digits(loop.step_ms)
    if least is None:
        least = matrix.SMALL if most is not None and shown.sources else 0.0
    rows = matrix.of_rows(analysis, least)
    values = rows[matrix.trainer_causes(analysis).columns]
    values = values if most is None else matrix.narrowed(values, most)
    rows = rows[analysis.stages.columns.drop("stage")].join(values)
    rows = rows.assign(stage=rows.index)
    columns = [
        row_field(shown, wide=LONG),
        Field("ms", "num", numbers("ms_per_step", digits)),
        Field("95 % interval", "num", lambda r: bounded(r["low"], r["high"], digits)),
        Field("share", "num", _share),
        Field("median", "num", numbers("median_ms", digits)),
        Field("95th percentile", "num", numbers("p95_ms", digits)),
        *(Field(str(c), "num", numbers(c, digits)) for c in values.columns),
    ]
    total = {
        **rows.sum(numeric_only=True),
        "stage": "step",
        "low": loop.step_low,
        "high": loop.step_high,
        "median_ms": loop.step_median_ms,
        "p95_ms": loop.step_p95_ms,
    }
    caption = (
        f"Each {shown.noun}'s time in ms per step, and how it divides into causes. "
        f"The {shown.noun}s add up to the step, causes to their {shown.noun}."
    )
    if any(shown.depths.values()):
        caption += f" {INDENTED}"
    return build("stage-causes", caption, columns, rows, total=total)


def role_causes(analysis: Analysis, most: int | None = None) -> Table:
    """Causes of the other roles' threads, summed over the threads of the role."""
    causes, unit = analysis.causes, analysis.loop.unit
    if analysis.loop.found:
        causes = causes[causes.role != "trainer"]
    values = matrix.pivot(causes)
    values = values if most is None else matrix.narrowed(values, most)
    digits = table_digits(float(values.max().max())) if values.size else 1
    named = ["ms", *values.columns]
    columns = [ROLE, *(Field(name, "num", numbers(name, digits)) for name in named)]
    caption = (
        f"Time by role and cause, ms per {unit}, summed over the threads of a role: "
        f"several threads can exceed the {unit}."
    )
    rows = values.assign(ms=values.sum(axis=1), role=list(map(str, values.index)))
    return build("role-causes", caption, columns, rows)


def threads(analysis: Analysis) -> Table:
    """Every thread with its role, the time it was seen, and its shares."""
    columns = [
        Field("thread", "code", _code("name")),
        ROLE,
        Field("seen, s", "num", lambda row: numeric(row["wall_ms"] / 1e3)),
        Field("shares of its own time", "text", shares_of_thread),
    ]
    caption = "Each thread's own time in quiet steps, by cause."
    return build("threads-table", caption, columns, analysis.threads, things="threads")


def gil_waits(analysis: Analysis) -> Table:
    """Who waits for the GIL, who holds it, and the code that the holder runs."""
    directory = home(analysis.recording.facts)

    def running(row: Any) -> str:
        function, file = row["holder_function"], row["holder_file"]
        return place(function, file, row["holder_line"], directory) or "not known"

    columns = [
        row_field(ShownRows.of(analysis)),
        ROLE._replace(heading="waits"),
        Field("holds", "code", lambda row: clean(row["holder_thread"] or "unknown")),
        Field("running", "code", running),
        Field("share", "num", _share),
    ]
    whole = "the step" if analysis.loop.found else "wall time"
    caption = f"Who waits for the GIL, and who holds it; shares are of {whole}."
    return build("gil-table", caption, columns, analysis.gil_waits, things="waits")


def waited_on(analysis: Analysis, unit: str) -> Table:
    """Files and peers that stages waited on."""
    directory = home(analysis.recording.facts)
    rows = analysis.waited_on[analysis.waited_on.what != ""]
    digits = table_digits(float(rows.ms_per_step.max())) if len(rows) else 1

    def target(row: Any) -> str:
        return f"{row['syscall']} {below(row['what'], directory)}"

    columns = [
        row_field(ShownRows.of(analysis)),
        ROLE,
        Field("cause", "cause", itemgetter("cause")),
        Field("on", "code", lambda row: clean(target(row).strip()) or NOTHING),
        Field(f"ms per {unit}", "num", numbers("ms_per_step", digits)),
    ]
    caption = "Files, pipes and peers behind the waits."
    return build("waited-on", caption, columns, rows, things="files and peers")


def lines(analysis: Analysis) -> Table:
    """Lines of the user's code by their share of a row's samples."""
    part = ShownRows.of(analysis)
    columns = [
        row_field(part),
        ROLE,
        Field("thread", "code", _code("thread")),
        Field("function", "code", _code("function")),
        Field("line", "code", _spot(home(analysis.recording.facts))),
        Field(f"share of {part.noun}", "num", _share),
    ]
    caption = (
        f"Share of the {part.noun}'s samples in that role by the innermost line of "
        "your code, or of a library where none of your code was on the stack."
    )
    rows, things = analysis.lines, "lines"
    return build("lines-table", caption, columns, rows, things=things, filterable=True)


def functions(analysis: Analysis) -> Table:
    """Functions that yappi saw, by thread: those with the longest totals."""

    def thread_and_role(row: Any) -> str:
        thread, role = clean(row["thread"]), row["role"]
        return thread if thread == role else f"{thread} ({role})"

    columns = [
        Field("thread", "code", thread_and_role),
        Field("function", "code", _code("function")),
        Field("at", "code", _spot(home(analysis.recording.facts))),
        Field("calls", "num", lambda row: (f"{row['calls']:,}", float(row["calls"]))),
        Field("self wall, ms", "num", numbers("self_wall_ms", 2)),
        Field("total wall, ms", "num", numbers("total_wall_ms", 2)),
        Field("self CPU, ms", "num", numbers("self_cpu_ms", 2)),
        Field("total CPU, ms", "num", numbers("total_cpu_ms", 2)),
        Field("wall minus CPU, ms", "num", numbers("wall_minus_cpu_ms", 2)),
    ]
    rows = analysis.functions.sort_values("total_wall_ms", ascending=False)
    caption = "Functions that ran while yappi was on, per thread."
    look: dict[str, Any] = {"things": "functions", "filterable": True}
    return build("functions-table", caption, columns, rows, most=MOST_FUNCTIONS, **look)


def instruments(analysis: Analysis) -> Table:
    """What each instrument costs in this run."""

    def steps(row: Any) -> Value:
        return (f"{row['steps']:,}" if row["steps"] else NOTHING), row["steps"]

    def bounds(row: Any) -> str:
        return interval(100 * row["low"], 100 * row["high"], 1)

    columns = [
        Field("instrument", "code", _code("name")),
        Field("its steps", "num", steps),
        Field(
            "their median, ms",
            "num",
            lambda r: numeric(r["step_ms"] if r["steps"] else None),
        ),
        Field(
            "slow-down",
            "num",
            lambda r: (slowdown(r["slowdown"]), sorted_by(r["slowdown"])),
        ),
        Field("95 % interval, %", "num", bounds),
        Field("note", "text", lambda row: clean(row["note"])),
    ]
    caption = (
        "Slow-down of the steps that each instrument had, against quiet neighbours."
    )
    return build("instruments-table", caption, columns, analysis.instruments)
