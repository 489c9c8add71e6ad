"""What forbids a diagnosis: too-short, machine-busy."""

from __future__ import annotations

import math
from collections.abc import Iterator

from debottleneck.analysis.result import Analysis, Finding
from debottleneck.analysis.rules.contention import contenders, foreign_evidence
from debottleneck.analysis.rules.measures import (
    Cost,
    cores,
    cost,
    foreign,
    trainer_stages,
)
from debottleneck.analysis.rules.wording import DOING, finding, spends
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


def machine_busy(analysis: Analysis) -> Iterator[Finding]:
    """No core is free for the trainer, and its own process cannot be the reason."""
    stages = trainer_stages(analysis)
    amount = cost(analysis, stages, ["runqueue"], THRESHOLDS.busy_share)
    if amount is None:
        return
    others, room, rivals = foreign(analysis), cores(analysis), contenders(analysis)
    if rivals is not None and room is not None:
        if rivals.at_once > room:
            return
    elif others is None or others < THRESHOLDS.foreign_cores:
        return
    yield finding(
        analysis,
        "machine-busy",
        amount,
        cause="runqueue",
        summary=_busy_summary(analysis, amount, others),
        action=_busy_action(others),
        evidence={"cores": room} | foreign_evidence(analysis),
    )


def _busy_summary(analysis: Analysis, amount: Cost, others: float | None) -> str:
    used = ""
    if others is not None:
        used = f" (other programs used {others:.1f} cores meanwhile)"
    return (
        f"{spends(analysis, amount, DOING['runqueue'])}, and the script's own "
        f"threads cannot be the reason{used}."
    )


def _busy_action(others: float | None) -> str:
    if others is not None and others < THRESHOLDS.foreign_cores:
        return (
            "Look for a CPU limit (container quota, taskset, nice) and profile again: "
            "until then times here say little about the script."
        )
    return (
        "Profile again when the machine is quiet, or without a CPU quota: until then "
        "times here say little about the script."
    )
