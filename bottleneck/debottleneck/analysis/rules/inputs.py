"""The loop's own input: what to do about its waits, input-bound-compute."""

from __future__ import annotations

from collections.abc import Iterator

from debottleneck.analysis.result import Analysis, Finding
from debottleneck.analysis.rules.loaders import advice
from debottleneck.analysis.rules.measures import (
    cores,
    cost,
    input_rows,
    uses_dataloader,
)
from debottleneck.analysis.rules.wording import (
    called,
    finding,
    inside,
    spends,
)
from debottleneck.analysis.thresholds import THRESHOLDS


def io_action(analysis: Analysis, stage: str, cause: str) -> str:
    """What to do by hand about an input row that waits for the outside."""
    if stage == "load" and uses_dataloader(analysis):
        return advice(analysis).text
    batches = "batches ahead of use, several at once"
    if cause == "sleep":
        row = called(analysis, stage)
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
            action=_compute_action(analysis, stage, cause),
            evidence={"python_ms_per_step": python, "native_ms_per_step": native},
        )


KIND_OF_WORK = {
    "python": "Python code that holds the GIL",
    "native": "native code that leaves the GIL free",
}


def _compute_action(analysis: Analysis, stage: str, cause: str) -> str:
    if stage == "transfer" and cause == "native":
        return (
            "Copy ahead of use: pinned memory and `.to(device, non_blocking=True)` "
            "while the previous step computes."
        )
    row, room = called(analysis, stage), cores(analysis)
    if room is not None and room < 2:
        return f"Make {row} cheaper or do it once beforehand: one core is all here."
    if uses_dataloader(analysis):
        if stage == "load":
            return advice(analysis).text
        return f"Let the DataLoader's data set do {row}, in its workers (num_workers)."
    if cause == "native":
        return (
            f"Do {row} ahead of use in a thread: the GIL is free meanwhile, so that "
            "work runs beside the rest of the step."
        )
    return (
        f"Do {row} ahead of use in another process: in a thread it would compete with "
        "the trainer for the GIL."
    )
