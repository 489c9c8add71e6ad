"""A whole self-check: the machine, the rows, the costs; Ctrl-C keeps what there is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from debottleneck.collect.proc import busy_seconds
from debottleneck.errors import BottleneckError
from debottleneck.recording.environment import cpu_quota, usable_cores
from debottleneck.selfcheck import cost, plan
from debottleneck.selfcheck.measure import rows_of
from debottleneck.selfcheck.result import SKIPPED, Check, Machine, Row

WATCH_S = 0.5
"""How long others' work is watched before anything is run."""


@dataclass(frozen=True)
class Wanted:
    """What to check.

    Attributes:
        python: The interpreter of the loops.
        quick: A selection of the rows and fewer rounds.
    """

    python: str
    quick: bool = False


@dataclass(frozen=True)
class Progress:
    """Who is told what as it comes."""

    row: Callable[[Row], None]
    line: Callable[[str], None]


def run(wanted: Wanted, progress: Progress) -> Check:
    """Run every case and the rounds of cost; they appear as they come."""
    foreign = foreign_cores()
    rows: list[Row] = []
    problems: dict[str, None] = {}
    gathered = cost.Gathered()
    interrupted = False
    rounds = cost.QUICK if wanted.quick else cost.FULL
    try:
        for case in plan.cases(quick=wanted.quick):
            found, missing = _rows(case, wanted.python)
            problems |= dict.fromkeys(missing)
            rows += found
            for row in found:
                progress.row(row)
        for line in cost.measure(wanted.python, rounds, gathered):
            progress.line(line)
    except KeyboardInterrupt:
        interrupted = True
    machine = _machine(wanted.python, gathered, foreign, tuple(problems))
    busiest = max((row.foreign or 0.0 for row in rows), default=foreign or 0.0)
    costs = tuple(cost.costs(gathered, busiest))
    return Check(machine, tuple(rows), costs, cost.facts(gathered), interrupted)


def _rows(case: plan.Case, python: str) -> tuple[list[Row], tuple[str, ...]]:
    try:
        return rows_of(case, python)
    except BottleneckError as error:
        cause = "+".join(case.causes)
        lead = (case.causes, cause, case.place, case.share)
        return [Row(*lead, verdict=SKIPPED, note=str(error))], (str(error),)


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
) -> Machine:
    seen = next(iter(gathered.last.values()), None)
    facts = seen.recording.facts.environment if seen is not None else {}
    return Machine(
        python=os.fspath(python),
        version=str(facts.get("python", "")),
        cores=usable_cores(),
        quota=cpu_quota(),
        foreign=foreign,
        schedstat=counts_delay(),
        problems=problems,
    )
