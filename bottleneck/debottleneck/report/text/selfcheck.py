"""A self-check as text, and as a JSON document.

Schema 1 of the document. Shares are of 1, errors in percentage points, numbers that
were not measured null::

    {"schema": 1, "ok", "interrupted",
     "python": {"path", "version"},
     "machine": {"cores", "cpu_quota", "foreign_cores", "counts_run_delay"},
     "rows": [{"causes", "cause", "place", "dialled", "truth", "attributed",
               "error_points", "low_points", "high_points", "foreign_cores",
               "verdict", "note"}],
     "median_error_points", "worst_error_points",
     "costs": [{"name", "step_ms", "slowdown", "low", "high", "bound", "verdict",
                "note"}],
     "instruments": {"mark_pair_us", "sampler_cpu_share", "asked_hz", "achieved_hz"},
     "exceeded": [sentence], "may_be_wrong": [sentence]}

`causes` is empty and `cause` "" for the healthy loop; `verdict` is "ok", "off",
"not judged" or "skipped".
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
from typing import Any

from rich.console import Console

from debottleneck.report.text.tables import heading, paragraph, plain_table
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

SCHEMA = 1
WIDTH = 80


def row_line(row: Row) -> str:
    """One row on one line, as it comes."""
    cells = _cells(row)
    line = f"{cells[0]:<14}{cells[1]:<8}" + "".join(f"{c:>9}" for c in cells[2:5])
    return f"{line}{cells[5]:>15}  {cells[6]}{_why(row)}".rstrip()


def _why(row: Row) -> str:
    return f" ({clean(row.note)})" if row.note else ""


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


def text(check: Check, width: int = WIDTH) -> str:
    """The whole check, at most `width` columns wide."""
    console = _console(width)
    with console.capture() as captured:
        _rows(console, check)
        if check.costs:
            _costs(console, check)
        _conclusion(console, check)
    return _trimmed(captured.get())


def _console(width: int) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=False,
        color_system=None,
        markup=False,
        highlight=False,
        emoji=False,
        _environ={},
    )


def _trimmed(printed: str) -> str:
    lines = [line.rstrip() for line in printed.splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


def _rows(console: Console, check: Check) -> None:
    heading(console, "Planted causes: the loop's exact counters, and what was found")
    headers = ("cause", "in", "truth", "found", "points", "95 %", "verdict")
    table = plain_table(*headers, left=2)
    table.columns[-1].justify = "left"
    table.columns[1].no_wrap = True
    for row in check.rows:
        table.add_row(*_cells(row))
    console.print(table)
    for note in dict.fromkeys(f"{_name(r)}: {r.note}" for r in check.rows if r.note):
        console.print(clean(note))
    console.print()


def _costs(console: Console, check: Check) -> None:
    heading(console, "What the instruments do to the loop's own median step")
    headers = ("instruments", "step ms", "cost", "95 %", "bound", "verdict")
    table = plain_table(*headers, left=1)
    table.columns[-1].justify = "left"
    for cost in check.costs:
        table.add_row(*_cost_cells(cost))
    console.print(table)
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
    errors = check.errors()
    if errors:
        text = (
            f"Median error {check.median_error:.1f} points (at most "
            f"{BOUNDS.median_points:g}), worst {check.worst_error:.1f} (at most "
            f"{BOUNDS.row_points:g}), over {len(errors)} judged rows of "
            f"{len(check.rows)}."
        )
        paragraph(console, text)
    for line in _statement(check):
        paragraph(console, line)


def _statement(check: Check) -> list[str]:
    exceeded, why = failures(check), reasons(check)
    lines = ["Interrupted: only what was measured is shown."] * check.interrupted
    if exceeded:
        lines.append(f"NOT within bounds: {'; '.join(exceeded)}.")
        if why:
            lines.append(f"What may be wrong: {'; '.join(why)}.")
        else:
            lines.append(
                "What may be wrong: nothing was noticed on this machine; run it again, "
                "and if it stays, report it with --format json."
            )
        return lines
    if not check.errors():
        return [*lines, _too_busy(check)]
    open_rows = sum(row.verdict == NOT_JUDGED for row in check.rows)
    if open_rows:
        lines.append(f"{open_rows} rows were not judged: {'; '.join(why)}.")
    return [*lines, "All that was judged is within bounds."]


def _too_busy(check: Check) -> str:
    if any(is_busy(row.foreign) for row in check.rows):
        return (
            "This machine is too busy with other work to judge; run it again on a "
            "quiet one."
        )
    return f"Nothing could be judged: {'; '.join(reasons(check)) or 'no row ran'}."


def document(check: Check) -> str:
    """The JSON document of the module's docstring."""
    machine = check.machine
    told = {
        "schema": SCHEMA,
        "ok": not failures(check) and not check.interrupted,
        "interrupted": check.interrupted,
        "python": {"path": machine.python, "version": machine.version},
        "machine": {
            "cores": machine.cores,
            "cpu_quota": machine.quota,
            "foreign_cores": machine.foreign,
            "counts_run_delay": machine.schedstat,
        },
        "rows": [_row_json(row) for row in check.rows],
        "median_error_points": check.median_error,
        "worst_error_points": check.worst_error,
        "costs": [dataclasses.asdict(cost) for cost in check.costs],
        "instruments": check.facts,
        "exceeded": failures(check),
        "may_be_wrong": reasons(check),
    }
    return json.dumps(_plain(told), indent=1, allow_nan=False) + "\n"


def _row_json(row: Row) -> dict[str, Any]:
    found = dataclasses.asdict(row)
    found["low_points"], found["high_points"] = found.pop("low"), found.pop("high")
    found["foreign_cores"] = found.pop("foreign")
    return {**found, "error_points": row.error}


def _plain(value: Any) -> Any:
    """JSON knows no NaN: what is missing is null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return round(value, 6) if isinstance(value, float) else value
