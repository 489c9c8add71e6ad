"""Which strategies act on what a finding is about: predicted ones, and only tried ones.

What is named here is what `compare` tries, in this order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from debottleneck.analysis.result import (
    Analysis,
    Finding,
    Prediction,
    Predictions,
)
from debottleneck.analysis.rules.contention import contenders
from debottleneck.analysis.rules.loaders import advice
from debottleneck.analysis.rules.measures import (
    INPUT_STAGES,
    cost,
    stage_cost,
    uses_dataloader,
    work_lines,
)
from debottleneck.strategies.spec import (
    BACKGROUND,
    BLAS,
    DATALOADER,
    FORWARD,
    GC,
    OF_LOOPS,
    PREFETCH,
    UPDATE,
)
from debottleneck.words import BETWEEN_STAGES, OTHER

OF_STAGES = {
    **dict.fromkeys(("forward", "loss", "backward"), FORWARD),
    "update": UPDATE,
}

INPUT = ("input-bound-io", "input-bound-compute", "starvation", "gil-contention")
"""Kinds of findings about what makes batches."""

BY_SETTINGS = (
    *("too-short", "machine-busy", "oversubscription", "slow-start"),
    *("gc-pauses", "page-faults", "cpu-quota", "lock-contention"),
    *("periodic-stall", "drift", "worker-starts", "slow-item", "device-wait"),
    "collective-wait",
)
"""Kinds on which no rewritten loop acts."""

ALONE = f"{BLAS}:threads=1"
SAVE = f"{BACKGROUND}:checkpoint"
_SAVES = re.compile(r"\b(torch\.save|(np|numpy)\.save\w*|os\.fsync|pickle\.dump)\(")
LEAST_SAVING = 0.02
"""Checkpoints that take less of the loop have nothing to give."""


def acts_on(finding: Finding) -> tuple[str, ...]:
    """Names of the strategies that rewrite loops for such a finding."""
    if finding.kind in BY_SETTINGS or finding.stage in BETWEEN_STAGES:
        return ()
    if "workers" in finding.evidence:  # a DataLoader's, which loads ahead itself
        return ()
    if finding.kind in INPUT:
        return (PREFETCH,)
    name = OF_STAGES.get(finding.stage)
    return (name,) if name else (FORWARD, UPDATE)


def row_for(finding: Finding, predictions: Predictions) -> Prediction | None:
    """What is predicted of the strategy for it, of one that acts if there is one."""
    names = acts_on(finding)
    rows = (row for row in predictions.rows if name_of(row.spec) in names)
    return next(rows, None)


def name_of(spec: str) -> str:
    """The strategy's name, of one as it is written."""
    return spec.partition(":")[0]


def untold(analysis: Analysis, predictions: Predictions | None) -> tuple[str, ...]:
    """Strategies that only a trial can tell of, as they are written.

    Where no loop has a plan each strategy of loops too, so that "nothing is faster" is
    measured and not assumed.
    """
    rows = predictions.rows if predictions else ()
    predicted = {name_of(row.spec) for row in rows}
    texts: list[str] = []
    for finding in analysis.findings:
        texts += (t for t in only_tried(finding, analysis) if t not in predicted)
    planned = predictions is not None and not predictions.unplanned and rows
    loops = () if planned else OF_LOOPS
    return tuple(dict.fromkeys([*texts, *_beside(analysis, predictions), *loops]))


def only_tried(finding: Finding, analysis: Analysis) -> list[str]:
    """What sets python and libraries, or acts on torch's own classes, for a finding."""
    if finding.kind == "collective-wait":
        return []
    if finding.kind == "gc-pauses":
        return [f"{GC}:freeze", f"{GC}:off"]
    if finding.kind == "oversubscription":
        return [*([ALONE] if _pooled(analysis) else []), *advice(analysis).trials]
    if finding.evidence.get("producer_cause") == "runqueue" and _pooled(analysis):
        return [ALONE]
    waits = finding.kind in ("waiting", "periodic-stall") and finding.cause == "disk"
    if finding.stage == "checkpoint" or waits:
        return [SAVE]
    if finding.kind == "worker-starts":
        return [f"{DATALOADER}:persistent"]
    if finding.stage in (*INPUT_STAGES, "") and uses_dataloader(analysis):
        return [*advice(analysis).trials]
    sites = analysis.recording.sites
    of_torch = (sites["stage"] == finding.stage) & (sites["kind"] == "torch")
    name = OF_STAGES.get(finding.stage)
    if not name or not of_torch.any():
        return []
    return [name, f"{name}:fused"] if name == UPDATE else [name]


def _pooled(analysis: Analysis) -> bool:
    """Whether threads of a pool of BLAS are among those that want cores."""
    busy = contenders(analysis)
    return busy is not None and bool(busy.pooled)


def _beside(analysis: Analysis, predictions: Predictions | None) -> Iterator[str]:
    """What is small or unseen in shares of the step, and yet may be worth a trial.

    Where idle threads of BLAS keep the cores busy, loading ahead may gain only once
    they are gone: the two are tried together, too.
    """
    saves = analysis.rows["source"].astype(str).map(_SAVES.search).astype(bool)
    saving = ["checkpoint", *analysis.rows.loc[saves, "row"]]
    waits = cost(analysis, (*work_lines(analysis), OTHER), ["disk"], LEAST_SAVING)
    costs = [stage_cost(analysis, row) for row in saving]
    if waits or sum(c.share for c in costs if c is not None) >= LEAST_SAVING:
        yield SAVE
    if _pooled(analysis):
        yield ALONE
        gaining = predictions.gaining if predictions else []
        ahead = (row.spec for row in gaining if name_of(row.spec) == PREFETCH)
        yield from (f"{ALONE}+{spec}" for spec in ahead)
