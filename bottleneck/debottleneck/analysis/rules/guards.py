"""What stands above a diagnosis: too-short, machine-busy, other work meanwhile."""

from __future__ import annotations

import math
from collections.abc import Iterator

from debottleneck.analysis.result import Analysis, Finding
from debottleneck.analysis.rules.contention import (
    contenders,
    crowded,
    foreign_evidence,
)
from debottleneck.analysis.rules.measures import (
    Cost,
    cores,
    cost,
    foreign,
    of_trainer,
    records,
    trainer_stages,
)
from debottleneck.analysis.rules.wording import (
    DOING,
    IN_TIME,
    finding,
    inside,
    percent,
    spends,
)
from debottleneck.analysis.thresholds import THRESHOLDS


def too_short(analysis: Analysis) -> Iterator[Finding]:
    """A loop was found, but too few of its steps were measured."""
    steps, needed = analysis.loop.measured, THRESHOLDS.min_steps
    if not analysis.loop.found or steps >= needed:
        return
    measured = f"{steps} step was" if steps == 1 else f"{steps} steps were"
    yield finding(
        analysis,
        "too-short",
        Cost(0.0, 0.0, math.nan, math.nan),
        summary=f"Only {measured} measured after warm-up, too few to diagnose.",
        action=f"Measure for longer (--seconds, --steps), until {needed} steps count.",
        evidence={"measured": steps, "needed": needed},
    )


def busy(analysis: Analysis) -> str:
    """A sentence where other work took enough cores to delay the run, else ""."""
    others = foreign(analysis)
    if others is None or others < THRESHOLDS.foreign_cores:
        return ""
    return (
        f"Other work kept {others:.1f} cores busy meanwhile: times are longer than on "
        "a quiet machine, and intervals wider."
    )


def _of_the_rest(analysis: Analysis) -> str:
    """What most of the trainer's other time goes to, as a clause; "" for none."""
    table = of_trainer(analysis.causes)
    rest = table[table["cause"] != "runqueue"].sort_values("share", ascending=False)
    total = float(rest["share"].sum())
    for row in records(rest.head(1)) if total else ():
        what = f"{IN_TIME[row['cause']]}{inside(analysis, row['stage'])}"
        return f"; {percent(row['share'] / total)} of the rest is {what}"
    return ""


def machine_busy(analysis: Analysis) -> Iterator[Finding]:
    """No core is free for the trainer, and its own process is not the reason."""
    stages = trainer_stages(analysis)
    amount = cost(analysis, stages, ["runqueue"], THRESHOLDS.busy_share)
    rivals, room = contenders(analysis), cores(analysis)
    known = rivals is not None and room is not None
    if amount is None or crowded(analysis) or not (known or busy(analysis)):
        return
    delayed = spends(analysis, amount, DOING["runqueue"])
    action = "Profile again when the machine is quiet"
    if not busy(analysis):
        action = "Look for a CPU limit (container quota, taskset, nice)"
    yield finding(
        analysis,
        "machine-busy",
        amount,
        cause="runqueue",
        summary=f"{delayed}, and the script's own threads cannot be the reason"
        f"{_of_the_rest(analysis)}.",
        action=f"{action}: until then times here say little about the script.",
        evidence={"cores": room} | foreign_evidence(analysis),
    )
