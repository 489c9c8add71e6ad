"""A self-check as JSON for scripts and CI; docs/json.md has the keys."""

from __future__ import annotations

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
        "costs": check.costs,
        "instruments": check.facts,
        "exceeded": failures(check),
        "may_be_wrong": reasons(check),
    }
    return dumps(document, DIGITS)


def _row(row: Row) -> dict[str, Any]:
    cells = {**vars(row)}
    cells["low_points"], cells["high_points"] = cells.pop("low"), cells.pop("high")
    cells["foreign_cores"] = cells.pop("foreign")
    return {**cells, "error_points": row.error}
