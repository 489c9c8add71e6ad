"""A self-check for scripts and CI jobs: one JSON document of a stable schema.

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

from dataclasses import asdict
from typing import Any

from debottleneck.report.machine.strict import dumps
from debottleneck.selfcheck.result import Check, Row, failures, reasons

SCHEMA = 1
DIGITS = 6
"""Decimals of every number."""


def render(check: Check) -> str:
    """The document of the module's docstring as strict JSON."""
    machine = check.machine
    document = {
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
        "rows": [_row(row) for row in check.rows],
        "median_error_points": check.median_error,
        "worst_error_points": check.worst_error,
        "costs": [asdict(cost) for cost in check.costs],
        "instruments": check.facts,
        "exceeded": failures(check),
        "may_be_wrong": reasons(check),
    }
    return dumps(document, DIGITS)


def _row(row: Row) -> dict[str, Any]:
    cells = asdict(row)
    cells["low_points"], cells["high_points"] = cells.pop("low"), cells.pop("high")
    cells["foreign_cores"] = cells.pop("foreign")
    return {**cells, "error_points": row.error}
