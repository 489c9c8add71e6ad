"""Which strategies are tried, and in which order.

Those that have a plan in one profile, the most promising first, without those that are
predicted hopeless or that would do nothing.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence

from debottleneck.analysis.result import Analysis, Finding, Prediction
from debottleneck.analysis.rules.contention import contenders
from debottleneck.analysis.rules.measures import (
    cost,
    stage_cost,
    uses_dataloader,
    work_lines,
)
from debottleneck.prediction.predict import predict
from debottleneck.strategies.spec import (
    BACKGROUND,
    BLAS,
    DATALOADER,
    FORWARD,
    GC,
    OF_LOOPS,
    UPDATE,
    Strategies,
    parse,
    written,
)
from debottleneck.trials.entrants import Entrant
from debottleneck.trials.result import NOT_APPLICABLE, SKIPPED, Predicted
from debottleneck.words import OTHER

THREADS = (2, 4, 8)
"""Workers of a loader that are tried: each number twice the one before."""

INPUT_STAGES = ("load", "augment", "transfer")
FORWARD_STAGES = ("forward", "loss", "backward")
UPDATE_STAGE = "update"

_SAVES = re.compile(r"\b(torch\.save|(np|numpy)\.save\w*|os\.fsync|pickle\.dump)\(")
LEAST_SAVING = 0.02
"""Checkpoints that take less of the loop have nothing to give."""

STEPS_FOR_S = 3.0
"""A trial trains for so long: start-up and 0.1 s of polling are little beside it."""

LEAST_STEPS = 30
"""Fewer steps in a trial leave too few when the first ones are dropped."""

FEWEST_STEPS = 8
"""With fewer in the whole script half of them are not enough to compare."""

NEVERTHELESS = "`--all` tries it nevertheless"


def supported(analysis: Analysis, cores: int) -> tuple[Strategies, ...]:
    """What to try: what there are plans for, each in the setting predicted best.

    Where none are known each strategy is tried as it comes, so that "nothing is
    faster" is measured and not assumed; settings where a finding speaks for them.

    Args:
        analysis: Of the plain script.
        cores: Cores that the script may use.
    """
    predicted = analysis.predictions or predict(analysis)
    planned = predicted is not None and not predicted.unplanned
    texts = [row.spec for row in predicted.rows] if predicted and planned else []
    for finding in analysis.findings:
        texts += _for_finding(finding, analysis, cores)
    texts = [*(texts or OF_LOOPS), *_beside(analysis)]
    return tuple(map(parse, dict.fromkeys(texts)))


def _beside(analysis: Analysis) -> list[str]:
    """What is small or unseen in shares of the step, and yet may be worth a trial."""
    texts = []
    saves = analysis.rows["source"].astype(str).map(_SAVES.search).astype(bool)
    saving = ["checkpoint", *analysis.rows.loc[saves, "row"]]
    waits = cost(analysis, (*work_lines(analysis), OTHER), ["disk"], LEAST_SAVING)
    costs = [stage_cost(analysis, row) for row in saving]
    if waits or sum(c.share for c in costs if c is not None) >= LEAST_SAVING:
        texts.append(f"{BACKGROUND}:checkpoint")
    if (busy := contenders(analysis)) and busy.pooled:
        texts.append(f"{BLAS}:threads=1")
    return texts


def _for_finding(finding: Finding, analysis: Analysis, cores: int) -> list[str]:
    """What sets python and libraries, or acts on torch's own classes."""
    if finding.kind == "gc-pauses":
        return [f"{GC}:freeze", f"{GC}:off"]
    if finding.kind == "oversubscription":
        return _for_crowd(analysis)
    if finding.kind == "waiting" and finding.cause == "disk":
        return [f"{BACKGROUND}:checkpoint"]
    if finding.stage in (*INPUT_STAGES, "") and uses_dataloader(analysis):
        return _for_loader(finding, cores)
    sites = analysis.recording.sites
    of_torch = (sites["stage"] == finding.stage) & (sites["kind"] == "torch")
    if of_torch.any() and finding.stage in (*FORWARD_STAGES, UPDATE_STAGE):
        return [FORWARD if finding.stage in FORWARD_STAGES else UPDATE]
    return []


def _for_crowd(analysis: Analysis) -> list[str]:
    """Too many threads: fewer in each pool, and fewer workers of a loader."""
    fewer = [f"{DATALOADER}:workers={count}" for count in (0, 1)]
    return [f"{BLAS}:threads=1", *(fewer if uses_dataloader(analysis) else [])]


def _for_loader(finding: Finding, cores: int) -> list[str]:
    """Whole batches; more workers and fewer than the script's, and those that stay."""
    waits = finding.kind == "input-bound-io"
    most = 2 * int(finding.evidence.get("fetches_in_flight", 1)) if waits else cores
    counts = [count for count in THREADS if count <= max(most, THREADS[0])]
    settings = [*(f"workers={n},persistent" for n in counts), "persistent", "workers=0"]
    first = [] if waits else ["whole"]
    return [f"{DATALOADER}:{one}" for one in (*first, *settings)]


def entrants(
    analysis: Analysis, candidates: Sequence[Strategies], *, skip: bool, seed: int = 0
) -> list[Entrant]:
    """Candidates with what is predicted of them, the most promising first.

    Args:
        analysis: Of the plain script.
        candidates: What may be tried.
        skip: Those predicted hopeless leave before they are run.
        seed: Of the predictions.
    """
    predictions = _predictions(analysis, candidates, seed)
    entrants = []
    for strategies in candidates:
        row = predictions.get(written(strategies))
        entrant = Entrant(strategies, predicted=_predicted(row) if row else None)
        if skip and row and row.why_not:
            entrant.leave(NOT_APPLICABLE, row.why_not)
        elif skip and row and row.hopeless:
            entrant.leave(SKIPPED, _why(row))
        entrants.append(entrant)
    return sorted(entrants, key=_promise)


def _predictions(
    analysis: Analysis, candidates: Sequence[Strategies], seed: int
) -> dict[str, Prediction]:
    """By specification; none where the recording shows nothing to replay."""
    candidates = [c for c in candidates if all(s.name in OF_LOOPS for s in c)]
    predicted = predict(analysis, candidates, seed=seed) if candidates else None
    rows = predicted.rows if predicted else ()
    return {row.spec: row for row in rows if _is_finite(row)}


def _is_finite(row: Prediction) -> bool:
    numbers = row.step_ms, row.step_low, row.step_high, row.speedup, row.low, row.high
    return all(map(math.isfinite, numbers))


def _predicted(row: Prediction) -> Predicted:
    names = (field.name for field in dataclasses.fields(Predicted))
    return Predicted(**{name: getattr(row, name) for name in names})


def _why(row: Prediction) -> str:
    gain = f"predicted {row.speedup:.2f}x ({row.low:.2f} to {row.high:.2f})"
    return f"{gain}{': ' if row.limit else ''}{row.limit}; {NEVERTHELESS}"


def _promise(entrant: Entrant) -> float:
    """Least for the most promising; unknown is no gain."""
    return -(entrant.predicted.speedup if entrant.predicted else 1.0)


def steps_of_trial(step_ms: float) -> int:
    """Steps after which a trial is stopped, unless the user said how many."""
    return max(LEAST_STEPS, round(STEPS_FOR_S * 1e3 / max(step_ms, 1e-3)))
