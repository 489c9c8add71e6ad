"""The loop's own input work: input-bound-io, input-bound-compute."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

from debottleneck.analysis.result import Analysis, Finding
from debottleneck.analysis.rules.measures import (
    Cost,
    cores,
    cost,
    input_rows,
    uses_dataloader,
    uses_torch,
    waited_on,
)
from debottleneck.analysis.rules.wording import (
    DOING,
    called,
    counted,
    finding,
    inside,
    on,
    spends,
)
from debottleneck.analysis.thresholds import THRESHOLDS

IO_CAUSES = ("network", "disk", "ipc", "sleep")

MOST_FETCHES = 32
"""More fetches in flight than this are advised to nobody: mind the source."""


def fetches(share: float) -> int:
    """How many fetches in flight hide a wait of that share behind the rest."""
    rest = 1.0 - min(share, 0.99)
    return min(MOST_FETCHES, max(1, math.ceil(round(share / rest, 6))))


def input_io(analysis: Analysis) -> Iterator[Finding]:
    """Input stages that wait for a network, a disk, another process, or sleep."""
    for stage, cause in product(input_rows(analysis), IO_CAUSES):
        amount = cost(analysis, [stage], [cause], THRESHOLDS.wait_share)
        if amount is None:
            continue
        what = waited_on(analysis, stage, cause)
        depth = fetches(amount.share)
        doing = spends(analysis, amount, DOING[cause] + on(what))
        yield finding(
            analysis,
            "input-bound-io",
            amount,
            stage=stage,
            cause=cause,
            summary=f"{doing}{inside(analysis, stage)}.",
            action=_io_action(analysis, stage, cause, depth),
            evidence={"waited_on": what, "fetches_in_flight": depth},
        )


def _io_action(analysis: Analysis, stage: str, cause: str, depth: int) -> str:
    row = called(analysis, stage)
    batches = "batches ahead in threads (strategy `prefetch`) with "
    batches += f"{counted(depth, 'fetch', 'fetches')} in flight"
    if uses_dataloader(analysis):
        batches += f", or give the DataLoader num_workers={depth} or more"
    if cause == "sleep":
        return f"Remove the sleep in {row} if it is not needed, or fetch {batches}."
    if cause == "disk":
        return f"Fetch {batches}; keep the data in memory if it fits."
    if cause == "ipc":
        return f"Fetch {batches}, and see why the process at the other end is slow."
    return f"Fetch {batches}; the wait holds no GIL, so threads overlap it."


def input_compute(analysis: Analysis) -> Iterator[Finding]:
    """Input stages that compute: decoding, tokenising, augmenting."""
    for stage in input_rows(analysis):
        causes = ("python", "native")
        amount = cost(analysis, [stage], causes, THRESHOLDS.input_work_share)
        if amount is None:
            continue
        parts = (cost(analysis, [stage], [cause]) for cause in causes)
        python, native = (part.ms if part else 0.0 for part in parts)
        cause = "python" if python > native else "native"
        doing = spends(analysis, amount, f"computing{inside(analysis, stage)}")
        yield finding(
            analysis,
            "input-bound-compute",
            amount,
            stage=stage,
            cause=cause,
            summary=f"{doing}, mostly {KIND_OF_WORK[cause]}.",
            action=_compute_action(analysis, stage, cause, amount),
            evidence={"python_ms_per_step": python, "native_ms_per_step": native},
        )


KIND_OF_WORK = {
    "python": "Python code that holds the GIL",
    "native": "native code that leaves the GIL free",
}


def _compute_action(analysis: Analysis, stage: str, cause: str, amount: Cost) -> str:
    if stage == "transfer" and cause == "native":
        return (
            "Copy ahead of use: pinned memory and `.to(device, non_blocking=True)` "
            "while the previous step computes."
        )
    workers, room = fetches(amount.share), cores(analysis)
    row = called(analysis, stage)
    if room is not None:
        workers = min(workers, max(int(room), 1))
    if room is not None and room < 2:
        return f"Make {row} cheaper or do it once beforehand: one core is all here."
    if uses_torch(analysis):
        who = f"Move {row} into a Dataset's `__getitem__` and let a DataLoader call it"
        if uses_dataloader(analysis):
            who = f"Let the DataLoader do {row}"
        return f"{who} in processes (num_workers={workers}), or store the data decoded."
    if cause == "native":
        return (
            f"Do {row} ahead in {counted(workers, 'thread')} (strategy `prefetch`): "
            "the GIL is free meanwhile, so that work runs beside the rest of the step."
        )
    return (
        f"Do {row} ahead in {counted(workers, 'subprocess', 'subprocesses')} (strategy "
        "`prefetch`): in threads it would compete with the trainer for the GIL."
    )
