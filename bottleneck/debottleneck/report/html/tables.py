"""The page's tables: an analysis' rows as cells of text, with what to sort by."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from debottleneck import words
from debottleneck.analysis.result import Analysis
from debottleneck.report import matrix
from debottleneck.report.words.quantities import (
    NOTHING,
    below,
    clean,
    home,
    in_order,
    interval,
    number,
    percent,
    short,
    table_digits,
)
from debottleneck.report.words.run import shares_of_thread, slowdown

MOST_ROWS = 400
MOST_FUNCTIONS = 800
DASH = "\N{EN DASH}"

Row = dict[Hashable, Any]


@dataclass(frozen=True)
class Cell:
    """Text of a cell; `sort` is what its column sorts by, `kind` how it looks.

    Kinds: "" for words, "num" for numbers, "code" for names of the program,
    "stage" and "cause" for words with a colour.
    """

    text: str
    sort: float | str = ""
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the page; `left_out` rows did not fit, `total` is its last row.

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


def _number(value: float, digits: int | None = None) -> Cell:
    text = number(value, digits)
    return Cell(text, _key(value), "num")


def _percent(share: float) -> Cell:
    return Cell(percent(share), _key(share), "num")


def _key(value: float) -> float:
    return -1.0 if value != value else round(float(value), 6)


def _code(text: object) -> Cell:
    known = clean(text)
    return Cell(known or NOTHING, known, "code")


def _spot(row: Row, directory: str, prefix: str = "") -> Cell:
    file, line = row[f"{prefix}file"], row[f"{prefix}line"]
    if not file:
        return Cell(NOTHING, "", "code")
    spot = short(file, directory)
    return Cell(f"{spot}:{line}" if line else spot, f"{spot}:{line:07d}", "code")


def _heads(*names: str, numbers: Sequence[str] = ()) -> tuple[Cell, ...]:
    return (
        *(Cell(name) for name in names),
        *(Cell(name, kind="num") for name in numbers),
    )


def stage_causes(analysis: Analysis) -> Table:
    """The trainer's stages: time, share, interval, median, p95, then each cause."""
    loop = analysis.loop
    digits = table_digits(loop.step_ms)
    stages = analysis.stages.set_index("stage")
    names = in_order(stages.index, words.STAGES)
    causes = analysis.causes[analysis.causes.role == "trainer"]
    values = matrix.pivot(causes).reindex(names)
    rows = []
    for name in names:
        at = stages.loc[name]
        bounds = interval(at.low, at.high, digits, DASH)
        body = [_number(float(v), digits) for v in values.loc[name]]
        times = [_number(float(at[c]), digits) for c in ("median_ms", "p95_ms")]
        rows.append(
            (
                Cell(name, words_rank(name), "stage"),
                _number(float(at.ms_per_step), digits),
                Cell(bounds, _key(at.low), "num"),
                _percent(float(at.share)),
                *times,
                *body,
            )
        )
    total = (
        Cell("step"),
        _number(float(stages.ms_per_step.sum()), digits),
        Cell(interval(loop.step_low, loop.step_high, digits, DASH), kind="num"),
        _percent(float(stages.share.sum())),
        _number(loop.step_median_ms, digits),
        _number(loop.step_p95_ms, digits),
        *(_number(float(v), digits) for v in values.sum()),
    )
    heads = _heads(
        "stage",
        numbers=("ms", "95 % interval", "share", "median", "95th percentile"),
    )
    extra = tuple(Cell(str(c), kind="num") for c in values.columns)
    caption = (
        "Each stage's time in ms per step, and how it divides into causes. Stages add "
        "up to the step, causes to their stage."
    )
    return Table("stage-causes", caption, (*heads, *extra), tuple(rows), total)


def words_rank(stage: str) -> float:
    """A stage's place in the order of words.STAGES."""
    known = list(words.STAGES)
    return float(known.index(stage)) if stage in known else 99.0


def role_causes(analysis: Analysis, unit: str) -> Table:
    """Causes of the other roles' threads, summed over the threads of the role."""
    causes = analysis.causes
    if analysis.loop.found:
        causes = causes[causes.role != "trainer"]
    values = matrix.pivot(causes, "role")
    digits = table_digits(float(values.max().max())) if values.size else 1
    rows = tuple(
        (Cell(str(role)), *(_number(float(v), digits) for v in values.loc[role]))
        for role in values.index
    )
    heads = _heads("role", numbers=tuple(map(str, values.columns)))
    caption = (
        f"Time by role and cause, ms per {unit}, summed over the threads of a role: "
        f"several threads can exceed the {unit}."
    )
    return Table("role-causes", caption, heads, rows)


def threads(analysis: Analysis) -> Table:
    """Every thread with its role, the time it was seen, and its shares."""
    shown = analysis.threads.head(MOST_ROWS)
    rows = tuple(
        (
            _code(row["name"]),
            Cell(row["role"], row["role"]),
            Cell(str(row["tid"]), float(row["tid"]), "num"),
            _number(row["wall_ms"] / 1e3),
            Cell(shares_of_thread(row), kind="text"),
        )
        for row in shown.to_dict("records")
    )
    heads = _heads("thread", "role", numbers=("id", "seen, s"))
    left = len(analysis.threads) - len(shown)
    caption = "Each thread's own time in quiet steps, by cause."
    heads = (*heads, Cell("shares of its own time"))
    return Table("threads-table", caption, heads, rows, left_out=left, things="threads")


def gil_waits(analysis: Analysis) -> Table:
    """Who waits for the GIL, who holds it, and the code that the holder runs."""
    directory = home(analysis.recording.facts)
    shown = analysis.gil_waits.head(MOST_ROWS)
    rows = tuple(
        (
            Cell(row["stage"], words_rank(row["stage"]), "stage"),
            Cell(row["role"], row["role"]),
            _code(row["holder_thread"] or "unknown"),
            _code(row["holder_function"]),
            _spot(row, directory, "holder_"),
            _percent(row["share"]),
        )
        for row in shown.to_dict("records")
    )
    heads = _heads(
        "stage", "who waits", "who holds it", "running", "at", numbers=("share",)
    )
    caption = "Waits for the GIL by stage and holder; shares are of the step."
    if not analysis.loop.found:
        caption = "Waits for the GIL by holder; shares are of wall time."
    left = len(analysis.gil_waits) - len(shown)
    return Table("gil-table", caption, heads, rows, left_out=left, things="waits")


def waited_on(analysis: Analysis, unit: str) -> Table:
    """Files and peers that stages waited on."""
    directory = home(analysis.recording.facts)
    named = analysis.waited_on[analysis.waited_on.what != ""]
    shown = named.head(MOST_ROWS)
    digits = table_digits(float(shown.ms_per_step.max())) if len(shown) else 1
    rows = tuple(
        (
            Cell(row["stage"], words_rank(row["stage"]), "stage"),
            Cell(row["role"], row["role"]),
            Cell(row["cause"], row["cause"], "cause"),
            _code(f"{row['syscall']} {below(row['what'], directory)}".strip()),
            _number(row["ms_per_step"], digits),
        )
        for row in shown.to_dict("records")
    )
    heads = _heads("stage", "role", "cause", "on", numbers=(f"ms per {unit}",))
    left = len(named) - len(shown)
    caption = "Files, pipes and peers behind the waits."
    return Table(
        "waited-on", caption, heads, rows, left_out=left, things="files and peers"
    )


def lines(analysis: Analysis) -> Table:
    """Lines of the user's code by their share of a stage's samples."""
    directory = home(analysis.recording.facts)
    shown = analysis.lines.head(MOST_ROWS)
    rows = tuple(
        (
            Cell(row["stage"], words_rank(row["stage"]), "stage"),
            Cell(row["role"], row["role"]),
            _code(row["thread"]),
            _code(row["function"]),
            _spot(row, directory),
            _percent(row["share"]),
        )
        for row in shown.to_dict("records")
    )
    heads = _heads(
        "stage", "role", "thread", "function", "line", numbers=("share of stage",)
    )
    left = len(analysis.lines) - len(shown)
    caption = (
        "Share of the stage's samples in that role by the innermost line of your code, "
        "or of a library where none of your code was on the stack."
    )
    return Table(
        "lines-table",
        caption,
        heads,
        rows,
        filterable=True,
        left_out=left,
        things="lines",
    )


FUNCTION_NUMBERS = (
    "self_wall_ms",
    "total_wall_ms",
    "self_cpu_ms",
    "total_cpu_ms",
    "wall_minus_cpu_ms",
)


def functions(analysis: Analysis) -> Table:
    """Functions that yappi saw, by thread: those with the longest totals."""
    directory = home(analysis.recording.facts)
    ranked = analysis.functions.sort_values("total_wall_ms", ascending=False)
    shown = ranked.head(MOST_FUNCTIONS)
    rows = tuple(_function(row, directory) for row in shown.to_dict("records"))
    heads = _heads(
        "thread",
        "function",
        "at",
        numbers=(
            "calls",
            "self wall, ms",
            "total wall, ms",
            "self CPU, ms",
            "total CPU, ms",
            "wall minus CPU, ms",
        ),
    )
    caption = "Functions that ran while yappi was on, per thread."
    left = len(ranked) - len(shown)
    return Table(
        "functions-table",
        caption,
        heads,
        rows,
        filterable=True,
        left_out=left,
        things="functions",
    )


def _function(row: Row, directory: str) -> tuple[Cell, ...]:
    thread = clean(row["thread"])
    role = row["role"]
    name = thread if thread == role else f"{thread} ({role})"
    return (
        Cell(name, name, "code"),
        _code(row["function"]),
        _spot(row, directory),
        Cell(f"{row['calls']:,}", float(row["calls"]), "num"),
        *(_number(row[column], 2) for column in FUNCTION_NUMBERS),
    )


def instruments(analysis: Analysis) -> Table:
    """What each instrument costs in this run."""
    rows = tuple(
        (
            _code(row["name"]),
            Cell(f"{row['steps']:,}" if row["steps"] else NOTHING, row["steps"], "num"),
            _number(row["step_ms"] if row["steps"] else float("nan")),
            Cell(slowdown(row["slowdown"]), _key(row["slowdown"]), "num"),
            Cell(interval(100 * row["low"], 100 * row["high"], 1), kind="num"),
            Cell(clean(row["note"]), kind="text"),
        )
        for row in analysis.instruments.to_dict("records")
    )
    numbers = ("its steps", "their median, ms", "slow-down", "95 % interval, %")
    heads = (*_heads("instrument", numbers=numbers), Cell("note"))
    caption = (
        "Slow-down of the steps that each instrument had, against quiet neighbours."
    )
    return Table("instruments-table", caption, heads, rows)
