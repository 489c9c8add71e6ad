"""The loop waits for its input: input-bound-io, input-bound-compute, starvation."""

from __future__ import annotations

import math

from debottleneck.analysis.policy import Policy
from debottleneck.analysis.result import Finding
from debottleneck.analysis.rules.evidence import (
    Cost,
    Evidence,
    cost,
    uses_torch,
    waited_on,
    where,
)
from debottleneck.analysis.rules.producers import Producer, producer_of
from debottleneck.analysis.rules.wording import (
    DOING,
    counted,
    finding,
    inside,
    on,
    percent,
    spends,
)
from debottleneck.words import OTHER

INPUT_STAGES = ("load", "augment", "transfer")

IO_CAUSES = ("network", "disk", "ipc", "sleep")

MOST_FETCHES = 32
"""More fetches in flight than this are advised to nobody: mind the source."""

MOST_PRODUCERS = 3
"""More than these at first are a guess: the source's own limit shows by then."""


def fetches(share: float) -> int:
    """How many fetches in flight hide a wait of that share behind the rest."""
    rest = 1.0 - min(share, 0.99)
    return min(MOST_FETCHES, max(1, math.ceil(round(share / rest, 6))))


def input_io(evidence: Evidence, policy: Policy) -> tuple[Finding, ...]:
    """Input stages that wait for a network, a disk, another process, or sleep."""
    asked = [(stage, cause) for stage in INPUT_STAGES for cause in IO_CAUSES]
    found = (_io(evidence, policy, stage, cause) for stage, cause in asked)
    return tuple(one for one in found if one)


def _io(evidence: Evidence, policy: Policy, stage: str, cause: str) -> Finding | None:
    amount = cost(evidence, [stage], [cause])
    if amount is None or amount.share < policy.wait_share:
        return None
    what = waited_on(evidence, stage, cause)
    depth = fetches(amount.share)
    doing = spends(evidence, amount, DOING[cause] + on(what))
    return finding(
        policy,
        "input-bound-io",
        amount,
        stage=stage,
        cause=cause,
        summary=f"{doing}{inside(evidence, stage)}.",
        action=_io_action(stage, cause, depth, uses_torch(evidence)),
        where=where(evidence, policy, stage),
        evidence={"waited_on": what, "fetches_in_flight": depth},
    )


def _io_action(stage: str, cause: str, depth: int, torch: bool) -> str:
    flight = f"{counted(depth, 'fetch', 'fetches')} in flight"
    ahead = f"fetch batches ahead in threads (strategy `prefetch`) with {flight}"
    if torch:
        ahead += f", or give the DataLoader num_workers={depth} or more"
    if cause == "sleep":
        return f"Remove the sleep in `{stage}` if it is not needed, or {ahead}."
    if cause == "disk":
        return f"{_upper(ahead)}; keep the data in memory if it fits."
    if cause == "ipc":
        return f"{_upper(ahead)}, and see why the process at the other end is slow."
    return f"{_upper(ahead)}; the wait holds no GIL, so threads overlap it."


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def input_compute(evidence: Evidence, policy: Policy) -> tuple[Finding, ...]:
    """Input stages that compute: decoding, tokenising, augmenting."""
    found = (_compute(evidence, policy, stage) for stage in INPUT_STAGES)
    return tuple(one for one in found if one)


def _compute(evidence: Evidence, policy: Policy, stage: str) -> Finding | None:
    amount = cost(evidence, [stage], ["python", "native"])
    if amount is None or amount.share < policy.input_work_share:
        return None
    python, native = (_ms(evidence, stage, cause) for cause in ("python", "native"))
    cause = "python" if python > native else "native"
    doing = spends(evidence, amount, f"computing{inside(evidence, stage)}")
    return finding(
        policy,
        "input-bound-compute",
        amount,
        stage=stage,
        cause=cause,
        summary=f"{doing}, mostly {_kind_of_work(cause)}.",
        action=_compute_action(evidence, stage, cause, amount),
        where=where(evidence, policy, stage),
        evidence={"python_ms_per_step": python, "native_ms_per_step": native},
    )


def _ms(evidence: Evidence, stage: str, cause: str) -> float:
    amount = cost(evidence, [stage], [cause])
    return amount.ms if amount else 0.0


def _kind_of_work(cause: str) -> str:
    if cause == "python":
        return "Python code that holds the GIL"
    return "native code that leaves the GIL free"


def _compute_action(evidence: Evidence, stage: str, cause: str, amount: Cost) -> str:
    if stage == "transfer" and cause == "native":
        return (
            "Copy ahead of use: pinned memory and `.to(device, non_blocking=True)` "
            "while the previous step computes."
        )
    workers = fetches(amount.share)
    if evidence.cores is not None:
        workers = min(workers, max(int(evidence.cores), 1))
    if evidence.cores is not None and evidence.cores < 2:
        return f"Make `{stage}` cheaper or do it once beforehand: one core is all here."
    if uses_torch(evidence):
        return (
            f"Let the DataLoader do it in processes (num_workers={workers}), "
            "or store the data decoded."
        )
    if cause == "native":
        return (
            f"Do it ahead in {counted(workers, 'thread')} (strategy `prefetch`): the "
            "GIL is free meanwhile, so that work runs beside the rest of the step."
        )
    return (
        f"Do it ahead in {counted(workers, 'subprocess', 'subprocesses')} (strategy "
        "`prefetch`): in threads it would compete with the trainer for the GIL."
    )


def starvation(evidence: Evidence, policy: Policy) -> tuple[Finding, ...]:
    """The trainer waits on a queue or lock until somebody has made its batch."""
    asked = [
        (stage, cause) for stage in (*INPUT_STAGES, OTHER) for cause in ("lock", "ipc")
    ]
    found = (_starved(evidence, policy, stage, cause) for stage, cause in asked)
    return tuple(one for one in found if one)


def _starved(
    evidence: Evidence, policy: Policy, stage: str, cause: str
) -> Finding | None:
    amount = cost(evidence, [stage], [cause])
    if amount is None or amount.share < policy.wait_share:
        return None
    producer = producer_of(evidence, policy)
    if cause == "ipc" and (producer is None or producer.role != "worker"):
        return None
    if stage == OTHER and producer is None:
        return None
    doing = DOING["lock"] if cause == "lock" else "waiting on a pipe"
    opening = f"{spends(evidence, amount, doing)}{inside(evidence, stage)}"
    own = where(evidence, policy, stage)
    theirs = where(evidence, policy, "", producer.name) if producer else ()
    return finding(
        policy,
        "starvation",
        amount,
        stage=stage,
        cause=cause,
        summary=f"{opening}{_blames(producer)}.",
        action=_starved_action(producer, amount.share),
        where=(*theirs, *own)[: policy.max_lines],
        evidence=_producer_evidence(producer),
    )


def _blames(producer: Producer | None) -> str:
    if producer is None:
        return "; which thread fills it could not be seen"
    sure = "" if producer.role != "other" else "probably "
    own = "itself" if producer.count == 1 else "themselves"
    opening = f", {sure}for {producer.title}, {own}"
    if not producer.cause:
        return f"{opening} waiting on a lock"
    return f"{opening} {percent(producer.share)} of the time {DOING[producer.cause]}"


def _producer_evidence(producer: Producer | None) -> dict[str, object]:
    if producer is None:
        return {}
    return {
        "producer": producer.name,
        "producer_role": producer.role,
        "producers": producer.count,
        "producer_cause": producer.cause,
        "producer_share": producer.share,
    }


def _starved_action(producer: Producer | None, share: float) -> str:
    if producer is None or not producer.cause:
        return "Find what fills that queue or holds that lock and make it faster."
    if producer.role == "worker":
        return _worker_action(producer)
    if producer.cause in IO_CAUSES:
        many = min(fetches(share), MOST_PRODUCERS) + producer.count
        return f"Run {many} producers at once, so that their waits overlap."
    if producer.cause in ("python", "gil"):
        return (
            f"Move {producer.title} into a process of its own (strategy `prefetch` in "
            "a subprocess): in a thread it shares the GIL with the trainer."
        )
    if producer.cause == "runqueue":
        return "Run fewer threads than cores: the producer waits for a core itself."
    return "Add producer threads while cores are free: their work leaves the GIL free."


def _worker_action(producer: Producer) -> str:
    if producer.cause in IO_CAUSES:
        more = f"num_workers={2 * producer.count} or more"
        return f"Raise {more} and prefetch_factor: their waits overlap."
    if producer.cause == "runqueue":
        return "Use fewer workers or threads: the workers wait for a core themselves."
    return (
        f"Raise num_workers above {producer.count} while cores are free, or make "
        "the decoding cheaper (smaller files, data stored decoded)."
    )
