"""Which strategies are tried, and in which order.

Those that one profile's findings support, the most promising first, without those that
are predicted hopeless.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from debottleneck.analysis.result import Analysis, Finding, Prediction
from debottleneck.analysis.rules.contention import contenders
from debottleneck.analysis.rules.measures import stage_cost, uses_dataloader
from debottleneck.prediction.predict import predict
from debottleneck.strategies.spec import (
    BACKGROUND,
    BLAS,
    DATALOADER,
    FORWARD,
    GC,
    OF_LOOPS,
    PREFETCH,
    UPDATE,
    Strategies,
    parse,
    written,
)
from debottleneck.trials.entrants import Entrant
from debottleneck.trials.result import SKIPPED, Predicted

THREADS = (2, 4, 8)
"""Loads in flight that are tried: each twice the one before, as the gain levels off
where the source or the trainer becomes the limit."""

INPUT_STAGES = ("load", "augment", "transfer")
FORWARD_STAGES = ("forward", "loss", "backward")
UPDATE_STAGE = "update"
HOLDS_GIL = ("python", "gil")

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
    """What to try, by the rank of the finding that speaks for it.

    Without such a finding each strategy is tried as it comes, so that "nothing is
    faster" is measured and not assumed.

    Args:
        analysis: Of the plain script.
        cores: Cores that the script may use.
    """
    texts: list[str] = []
    for finding in analysis.findings:
        texts += _for_finding(finding, analysis, cores)
    texts = [*(texts or OF_LOOPS), *_beside(analysis)]
    return tuple(map(parse, dict.fromkeys(texts)))


def _beside(analysis: Analysis) -> list[str]:
    """What is small or unseen in shares of the step, and yet may be worth a trial."""
    texts = []
    saving = stage_cost(analysis, "checkpoint")
    if saving is not None and saving.share >= LEAST_SAVING:
        texts.append(f"{BACKGROUND}:checkpoint")
    busy = contenders(analysis)
    if busy is not None and busy.pooled:
        texts.append(f"{BLAS}:threads=1")
    return texts


def _for_finding(finding: Finding, analysis: Analysis, cores: int) -> list[str]:
    if finding.kind == "gc-pauses":
        return [f"{GC}:freeze", f"{GC}:off"]
    if finding.kind == "oversubscription":
        return _for_crowd(analysis)
    if finding.kind == "waiting" and finding.cause == "disk":
        return [f"{BACKGROUND}:checkpoint"]
    if finding.stage in (*INPUT_STAGES, "") and uses_dataloader(analysis):
        return _for_loader(finding, cores)
    if finding.kind in ("gil-contention", "starvation"):
        return _for_producers(finding)
    if finding.stage in INPUT_STAGES:
        return _for_input(finding, cores)
    if finding.stage in FORWARD_STAGES:
        return _parallel(FORWARD, finding, cores)
    if finding.stage == UPDATE_STAGE:
        torch = _kinds(analysis, UPDATE_STAGE) == {"torch"}
        return [UPDATE] if torch else _parallel(UPDATE, finding, cores)
    return []


def _for_crowd(analysis: Analysis) -> list[str]:
    """Too many threads: fewer in each pool, and fewer workers of a loader."""
    fewer = [f"{DATALOADER}:workers={count}" for count in (0, 1)]
    return [f"{BLAS}:threads=1", *(fewer if uses_dataloader(analysis) else [])]


def _for_loader(finding: Finding, cores: int) -> list[str]:
    """More workers and fewer than the script's, and those that stay."""
    waits = finding.kind == "input-bound-io"
    most = 2 * int(finding.evidence.get("fetches_in_flight", 1)) if waits else cores
    counts = [count for count in THREADS if count <= max(most, THREADS[0])]
    settings = [*(f"workers={n},persistent" for n in counts), "persistent", "workers=0"]
    return [f"{DATALOADER}:{one}" for one in settings]


def _for_producers(finding: Finding) -> list[str]:
    """Somebody's threads hold the GIL, or are too slow at filling a queue."""
    cause = finding.evidence.get("producer_cause", finding.cause)
    apart = f"{PREFETCH}:where=process"
    if cause in HOLDS_GIL:
        return [apart, f"{PREFETCH}:workers=2"]
    return [f"{PREFETCH}:workers=2", f"{PREFETCH}:workers=4", apart]


def _for_input(finding: Finding, cores: int) -> list[str]:
    if finding.kind == "input-bound-io":
        most = 2 * int(finding.evidence.get("fetches_in_flight", THREADS[-1]))
    else:
        most = cores
    counts = [count for count in THREADS if count <= max(most, THREADS[0])]
    threads = [f"{PREFETCH}:workers={count}" for count in counts]
    if finding.kind == "input-bound-io":
        return threads
    apart = f"{PREFETCH}:workers={max(cores, 2)},where=process"
    return [apart, threads[0]] if finding.cause in HOLDS_GIL else [*threads, apart]


def _kinds(analysis: Analysis, stage: str) -> set[str]:
    """Whose functions a stage is made of: the script's own, torch's."""
    sites = analysis.recording.sites
    return set(sites.loc[sites["stage"] == stage, "kind"])


def _parallel(name: str, finding: Finding, cores: int) -> list[str]:
    """As it comes, and for work (not waits) with no more threads than cores."""
    waits = finding.kind == "waiting"
    return [name] if waits else [name, f"{name}:workers={max(cores, 2)}"]


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
        if skip and row and row.hopeless:
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
    reason = row.why_not or row.limit
    return f"{gain}{': ' if reason else ''}{reason}; {NEVERTHELESS}"


def _promise(entrant: Entrant) -> float:
    """Least for the most promising; unknown is no gain."""
    return -(entrant.predicted.speedup if entrant.predicted else 1.0)


def steps_of_trial(step_ms: float) -> int:
    """Steps after which a trial is stopped, unless the user said how many."""
    return max(LEAST_STEPS, round(STEPS_FOR_S * 1e3 / max(step_ms, 1e-3)))
