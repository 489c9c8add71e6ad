"""What forbids a diagnosis: too-short, machine-busy."""

from __future__ import annotations

import math

from debottleneck.analysis.policy import Policy
from debottleneck.analysis.result import Finding
from debottleneck.analysis.rules.contention import (
    contenders,
    foreign,
    foreign_evidence,
)
from debottleneck.analysis.rules.evidence import (
    Cost,
    Evidence,
    cost,
    trainer_stages,
)
from debottleneck.analysis.rules.wording import DOING, finding, spends


def too_short(evidence: Evidence, policy: Policy) -> tuple[Finding, ...]:
    """A loop was found, but too few of its steps were measured."""
    steps = evidence.loop.measured
    if not evidence.loop.found or steps >= policy.min_steps:
        return ()
    measured = f"{steps} step was" if steps == 1 else f"{steps} steps were"
    return (
        finding(
            policy,
            "too-short",
            Cost(0.0, 0.0, math.nan, math.nan),
            summary=f"Only {measured} measured after warm-up, too few to diagnose.",
            action=f"Let the script train for at least {policy.min_steps} more steps, "
            "or measure longer with a larger --steps or --seconds, or with a smaller "
            "--warmup.",
            evidence={"measured": steps, "needed": policy.min_steps},
        ),
    )


def machine_busy(evidence: Evidence, policy: Policy) -> tuple[Finding, ...]:
    """No core is free for the trainer, and its own process cannot be the reason."""
    amount = cost(evidence, trainer_stages(evidence), ["runqueue"])
    if amount is None or amount.share < policy.busy_share:
        return ()
    others = foreign(evidence)
    rivals = contenders(evidence, policy)
    if rivals is not None and evidence.cores is not None:
        if rivals.at_once > evidence.cores:
            return ()
    elif others is None or others < policy.foreign_cores:
        return ()
    return (
        finding(
            policy,
            "machine-busy",
            amount,
            cause="runqueue",
            summary=_busy_summary(evidence, amount, others),
            action=_busy_action(policy, others),
            evidence={"cores": evidence.cores} | foreign_evidence(evidence),
        ),
    )


def _busy_summary(evidence: Evidence, amount: Cost, others: float | None) -> str:
    used = ""
    if others is not None:
        used = f" (other programs used {others:.1f} cores meanwhile)"
    return (
        f"{spends(evidence, amount, DOING['runqueue'])}, and the script's own "
        f"threads cannot be the reason{used}."
    )


def _busy_action(policy: Policy, others: float | None) -> str:
    if others is not None and others < policy.foreign_cores:
        return (
            "Look for a CPU limit (container quota, taskset, nice) and profile again: "
            "until then times here say little about the script."
        )
    return (
        "Profile again when the machine is quiet, or without a CPU quota: until then "
        "times here say little about the script."
    )
