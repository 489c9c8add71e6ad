"""The step itself: waiting, update-, python- and compute-bound, between-steps."""

from __future__ import annotations

from debottleneck.analysis.policy import Policy
from debottleneck.analysis.result import Finding, Where
from debottleneck.analysis.rules.evidence import (
    Cost,
    Evidence,
    calls,
    cost,
    fills,
    most_called,
    stage_cost,
    trainer_stages,
    uses_torch,
    waited_on,
    where,
)
from debottleneck.analysis.rules.inputs import IO_CAUSES
from debottleneck.analysis.rules.wording import (
    DOING,
    finding,
    inside,
    on,
    percent,
    spends,
    spot,
)
from debottleneck.words import BETWEEN_STAGES, CAUSES, OTHER

WORK_STAGES = ("forward", "loss", "backward", "update", OTHER)

COMPUTE_STAGES = ("forward", "loss", "backward")

HELPERS = ("pool", "autograd")


def waiting(evidence: Evidence, policy: Policy) -> tuple[Finding, ...]:
    """Stages that should compute, and wait; without steps, any stage."""
    stages = WORK_STAGES if evidence.loop.found else trainer_stages(evidence)
    asked = [(stage, cause) for stage in stages for cause in (*IO_CAUSES, "lock")]
    found = (_wait(evidence, policy, stage, cause) for stage, cause in asked)
    return tuple(one for one in found if one)


def _wait(evidence: Evidence, policy: Policy, stage: str, cause: str) -> Finding | None:
    amount = cost(evidence, [stage], [cause])
    if amount is None or amount.share < policy.wait_share:
        return None
    if cause == "lock" and _helpers_compute(evidence, policy, stage, amount):
        return None
    what = waited_on(evidence, stage, cause)
    often = calls(evidence, stage)
    doing = spends(evidence, amount, DOING[cause] + on(what))
    return finding(
        policy,
        "waiting",
        amount,
        stage=stage,
        cause=cause,
        summary=f"{doing}{inside(evidence, stage)}.",
        action=_wait_action(evidence, stage, cause, often),
        where=where(evidence, policy, stage),
        evidence={"waited_on": what, "calls_per_step": often},
    )


def _helpers_compute(
    evidence: Evidence, policy: Policy, stage: str, amount: Cost
) -> bool:
    """True when the lock is a barrier: pool or autograd threads compute meanwhile."""
    table = evidence.causes
    rows = table[
        table["role"].isin(HELPERS)
        & (table["stage"] == stage)
        & table["cause"].isin(["python", "native"])
    ]
    return float(rows["ms_per_step"].sum()) >= policy.dominant * amount.ms


def _wait_action(
    evidence: Evidence, stage: str, cause: str, often: float | None
) -> str:
    if not evidence.loop.found:
        return (
            "Take that wait off the main thread, and mark the loop's stages "
            "(`--stage load=module:function`) to see which part waits."
        )
    if cause == "lock":
        return "Find which thread holds that lock meanwhile, and hold it for less."
    strategies = {"forward": "parallel-forward", "update": "parallel-update"}
    if stage in strategies and often is not None and often >= 2:
        return (
            f"If the {often:.0f} calls of a step do not need each other's results, "
            f"run them at once in threads (strategy `{strategies[stage]}`)."
        )
    if cause == "sleep":
        return "Remove the sleep, or do what it waits for in a thread beside the step."
    return "Move that wait out of the step: fetch it beforehand, or in a thread."


def update_bound(evidence: Evidence, policy: Policy) -> tuple[Finding, ...]:
    """The update is Python that walks from parameter to parameter."""
    causes = ["python", "native"] if uses_torch(evidence) else ["python"]
    amount = cost(evidence, ["update"], causes)
    part = fills(evidence, "update", causes)
    if amount is None or part is None or amount.share < policy.update_share:
        return ()
    if part < policy.dominant:
        return ()
    often = calls(evidence, "update")
    many = f", in {often:.0f} calls a step" if often and often >= 2 else ""
    lines = where(evidence, policy, "update")
    work = DOING["python"] if len(causes) == 1 else "in Python and small kernels"
    doing = spends(evidence, amount, f"{work} in `update`")
    return (
        finding(
            policy,
            "update-bound",
            amount,
            stage="update",
            cause="python",
            summary=f"{doing}{many}: work parameter by parameter.",
            action=_update_action(evidence),
            where=lines,
            evidence={"python_part_of_stage": part, "calls_per_step": often}
            | _called(evidence, lines),
        ),
    )


def _update_action(evidence: Evidence) -> str:
    if uses_torch(evidence):
        return "Pass foreach=True (or fused=True) to the optimizer."
    return (
        "Update all parameters in one array operation (one flat array for them and "
        "one for each state); threads (strategy `parallel-update`) help only where "
        "that code releases the GIL."
    )


def _called(evidence: Evidence, lines: tuple[Where, ...]) -> dict[str, object]:
    most = most_called(evidence, lines[0].file) if lines else None
    return {"most_called": most[0], "most_called_calls": most[1]} if most else {}


def python_bound(evidence: Evidence, policy: Policy) -> tuple[Finding, ...]:
    """Model code, or code outside every stage, that is mostly Python."""
    stages = (*COMPUTE_STAGES, OTHER)
    found = (_python(evidence, policy, stage) for stage in stages)
    return tuple(one for one in found if one)


def _python(evidence: Evidence, policy: Policy, stage: str) -> Finding | None:
    amount = cost(evidence, [stage], ["python"])
    part = fills(evidence, stage, ["python"])
    if amount is None or part is None or amount.share < policy.python_share:
        return None
    if part < policy.dominant:
        return None
    lines = where(evidence, policy, stage)
    place = f", most of it in {spot(lines[0])}" if lines else ""
    doing = spends(evidence, amount, DOING["python"] + inside(evidence, stage))
    return finding(
        policy,
        "python-bound",
        amount,
        stage=stage,
        cause="python",
        summary=f"{doing}{place}.",
        action="Replace its loops by array operations on whole batches, or do that "
        "work less often or in another process.",
        where=lines,
        evidence={"python_part_of_stage": part} | _called(evidence, lines),
    )


def compute_bound(evidence: Evidence, policy: Policy) -> tuple[Finding, ...]:
    """One stage's native computing is nearly all there is: a fact, not an alarm."""
    found = (_compute(evidence, policy, stage) for stage in COMPUTE_STAGES)
    return tuple(one for one in found if one)


def _compute(evidence: Evidence, policy: Policy, stage: str) -> Finding | None:
    amount = cost(evidence, [stage], ["native"])
    if amount is None or amount.share < policy.compute_share:
        return None
    doing = spends(evidence, amount, f"{DOING['native']} in `{stage}`")
    return finding(
        policy,
        "compute-bound",
        amount,
        stage=stage,
        cause="native",
        summary=f"{doing}: the loop computes, it does not wait.",
        action="Only cheaper computing helps: a smaller model or type, a faster BLAS, "
        "an accelerator, or independent branches at once (strategy "
        "`parallel-forward`) while cores are free.",
        where=where(evidence, policy, stage),
        severity="low",
    )


def between_steps(evidence: Evidence, policy: Policy) -> tuple[Finding, ...]:
    """Evaluation, checkpoints or logging take a large share of the loop."""
    found = (_between(evidence, policy, stage) for stage in BETWEEN_STAGES)
    return tuple(one for one in found if one)


def _between(evidence: Evidence, policy: Policy, stage: str) -> Finding | None:
    amount = stage_cost(evidence, stage)
    if amount is None:
        return None
    queued = cost(evidence, [stage], ["runqueue"])
    if amount.share - (queued.share if queued else 0.0) < policy.between_share:
        return None
    cause = _main_cause(evidence, policy, stage, amount)
    why = f", mostly {DOING[cause]}" if cause else ""
    what = waited_on(evidence, stage, cause) if cause else ""
    doing = spends(evidence, amount, f"in `{stage}`")
    return finding(
        policy,
        "between-steps",
        amount,
        stage=stage,
        cause=cause,
        summary=f"{doing}, between the steps{why}{on(what)}.",
        action=_between_action(stage, amount.share),
        where=where(evidence, policy, stage),
        evidence={"waited_on": what},
    )


def _main_cause(evidence: Evidence, policy: Policy, stage: str, whole: Cost) -> str:
    for cause in CAUSES:
        amount = cost(evidence, [stage], [cause])
        if amount and amount.ms >= policy.dominant * whole.ms:
            return cause
    return ""


def _between_action(stage: str, share: float) -> str:
    halved = percent(share / 2 / (1 - share / 2))
    words = {
        "evaluate": "Evaluate less often, or on a part of the data",
        "checkpoint": "Write fewer checkpoints, or copy the state and write it in a "
        "thread",
        "log": "Log less often, or hand the records to a thread",
    }
    return f"{words[stage]}: half as often would leave it {halved} of the loop."
