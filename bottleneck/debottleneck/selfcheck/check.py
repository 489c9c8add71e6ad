"""A whole self-check: the machine, the rows, the costs; Ctrl-C keeps what there is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from debottleneck.collect.proc import busy_seconds
from debottleneck.recording.cores import cpu_quota, usable_cores
from debottleneck.selfcheck import cases, cost
from debottleneck.selfcheck.measure import rows_of
from debottleneck.selfcheck.result import Check, CheckedMachine, Row

WATCH_S = 0.5
"""How long others' work is watched before anything is run."""


def run(
    python: str,
    *,
    quick: bool,
    on_row: Callable[[Row], None],
    on_line: Callable[[str], None],
) -> Check:
    """Run every case and the rounds of cost."""
    foreign = foreign_cores()
    rows: list[Row] = []
    problems: dict[str, None] = {}
    gathered = cost.Gathered()
    interrupted = False
    try:
        for case in cases.cases(quick=quick):
            of_case, missing = rows_of(case, python)
            problems |= dict.fromkeys(missing)
            rows += of_case
            for row in of_case:
                on_row(row)
        for line in cost.measure(python, cost.QUICK if quick else cost.FULL, gathered):
            on_line(line)
    except KeyboardInterrupt:
        interrupted = True
    machine = _machine(python, gathered, foreign, tuple(problems))
    busiest = max((row.foreign or 0.0 for row in rows), default=foreign or 0.0)
    costs = tuple(cost.costs(gathered, busiest))
    return Check(machine, tuple(rows), costs, cost.facts(gathered), interrupted)


def foreign_cores() -> float | None:
    """Cores that are busy while this process waits, None where unknown."""
    before, begun = busy_seconds(), time.monotonic()
    time.sleep(WATCH_S)
    after = busy_seconds()
    if before is None or after is None:
        return None
    return round((after - before) / (time.monotonic() - begun), 2)


def counts_delay() -> bool:
    """Whether the kernel counts run-queue delay."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[0]) > 0
    except (OSError, ValueError, IndexError):
        return False


def _machine(
    python: str,
    gathered: cost.Gathered,
    foreign: float | None,
    problems: tuple[str, ...],
) -> CheckedMachine:
    analysis = next(iter(gathered.last.values()), None)
    facts = analysis.recording.facts.environment if analysis is not None else {}
    return CheckedMachine(
        python=python,
        version=str(facts.get("python", "")),
        cores=usable_cores(),
        quota=cpu_quota(),
        foreign=foreign,
        schedstat=counts_delay(),
        problems=problems,
    )
