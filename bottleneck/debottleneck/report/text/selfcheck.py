"""A self-check on the terminal, row by row as it comes and as a whole."""

from __future__ import annotations

import math

from rich.console import Console

from debottleneck.report.text.tables import (
    heading,
    new_console,
    paragraph,
    plain_table,
    tidy,
)
from debottleneck.report.words.quantities import (
    NOTHING,
    clean,
    interval,
    number,
    percent,
)
from debottleneck.selfcheck.result import (
    BOUNDS,
    NOT_JUDGED,
    Check,
    InstrumentCost,
    Row,
    failures,
    is_busy,
    reasons,
)

NOTHING_NOTICED = (
    "nothing was noticed on this machine; run it again, and if it stays, report it"
)
TOO_BUSY = (
    "This machine is too busy with other work to judge; run it again on a quiet one."
)


def row_line(row: Row) -> str:
    """One row on one line, as it comes."""
    cells = _cells(row)
    line = f"{cells[0]:<14}{cells[1]:<8}" + "".join(f"{c:>9}" for c in cells[2:5])
    note = f" ({clean(row.note)})" if row.note else ""
    return f"{line}{cells[5]:>15}  {cells[6]}{note}".rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    """Cause, place, truth, attributed, error, interval, verdict."""
    return (
        _name(row),
        row.place,
        percent(row.truth),
        percent(row.attributed),
        _signed(row.error),
        interval(row.low, row.high, 1),
        row.verdict,
    )


def _name(row: Row) -> str:
    if not row.cause:
        return "healthy loop"
    if row.verdict == "skipped":
        return clean(row.cause)
    beside = [name for name in row.causes if name != row.cause]
    return f"{row.cause} +{len(beside)}" if beside else row.cause


def _signed(points: float) -> str:
    return f"{points:+.1f}" if math.isfinite(points) else NOTHING


def render(check: Check, width: int = 80) -> str:
    """The whole check, at most `width` columns wide."""
    console = new_console(width)
    with console.capture() as captured:
        _rows(console, check)
        if check.costs:
            _costs(console, check)
        _conclusion(console, check)
    return tidy(captured.get())


def _rows(console: Console, check: Check) -> None:
    heading(console, "Planted causes: the loop's exact counters, and what was found")
    headers = ("cause", "in", "truth", "found", "points", "95 %", "verdict")
    console.print(plain_table(headers, map(_cells, check.rows), left=2, right=1))
    for note in dict.fromkeys(f"{_name(r)}: {r.note}" for r in check.rows if r.note):
        console.print(clean(note))
    console.print()


def _costs(console: Console, check: Check) -> None:
    heading(console, "What the instruments do to the loop's own median step")
    headers = ("instruments", "step ms", "cost", "95 %", "bound", "verdict")
    rows = map(_cost_cells, check.costs)
    console.print(plain_table(headers, rows, left=1, right=1))
    console.print()
    paragraph(console, _rates(check.facts))


def _cost_cells(cost: InstrumentCost) -> tuple[str, ...]:
    bounds = interval(100 * cost.low, 100 * cost.high, 1)
    allowed = f"{cost.bound:.0%}" if cost.bound is not None else NOTHING
    verdict = cost.verdict if cost.bound is not None else ""
    slower = f"{_signed(100 * cost.slowdown)} %"
    return (clean(cost.name), number(cost.step_ms), slower, bounds, allowed, verdict)


def _rates(facts: dict[str, float | None]) -> str:
    mark, share = facts.get("mark_pair_us"), facts.get("sampler_cpu_share")
    asked, achieved = facts.get("asked_hz"), facts.get("achieved_hz")
    parts = []
    if mark is not None:
        parts.append(f"A pair of marks takes {mark:.1f} us.")
    if share is not None and asked is not None and achieved is not None:
        parts.append(
            f"The wait sampler uses {share:.1%} of one core and takes {achieved:.0f} "
            f"of {asked:.0f} samples a second."
        )
    return " ".join(parts)


def _conclusion(console: Console, check: Check) -> None:
    if errors := check.errors():
        paragraph(
            console,
            f"Median error {check.median_error:.1f} points (at most "
            f"{BOUNDS.median_points:g}), worst {check.worst_error:.1f} (at most "
            f"{BOUNDS.row_points:g}), over {len(errors)} judged rows of "
            f"{len(check.rows)}.",
        )
    for line in _statement(check):
        paragraph(console, line)


def _statement(check: Check) -> list[str]:
    exceeded, doubts = failures(check), "; ".join(reasons(check))
    lines = ["Interrupted: only what was measured is shown."] * check.interrupted
    if exceeded:
        lines.append(f"NOT within bounds: {'; '.join(exceeded)}.")
        return [*lines, f"What may be wrong: {doubts or NOTHING_NOTICED}."]
    if not check.errors():
        cause = doubts or "no row ran"
        is_full = any(is_busy(row.foreign) for row in check.rows)
        return [*lines, TOO_BUSY if is_full else f"Nothing could be judged: {cause}."]
    open_rows = sum(row.verdict == NOT_JUDGED for row in check.rows)
    if open_rows:
        lines.append(f"{open_rows} rows were not judged: {doubts}.")
    return [*lines, "All that was judged is within bounds."]
