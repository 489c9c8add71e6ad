"""Which strategies are tried, and in which order.

Those that have a plan in one profile, the most promising first, without those that are
predicted hopeless or that would do nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from debottleneck.analysis.result import Analysis, Prediction
from debottleneck.prediction.predict import predict
from debottleneck.strategies.spec import (
    FORWARD,
    PREFETCH,
    STRATEGIES,
    UPDATE,
    Strategies,
    parse,
    written,
)
from debottleneck.trials.entrants import Entrant
from debottleneck.trials.result import NOT_APPLICABLE, SKIPPED, Predicted

FORWARD_STAGES = ("forward", "loss", "backward")

STEPS_FOR_S = 3.0
"""A trial trains for so long: start-up and 0.1 s of polling are little beside it."""

LEAST_STEPS = 30
"""Fewer steps in a trial leave too few when the first ones are dropped."""

FEWEST_STEPS = 8
"""With fewer in the whole script half of them are not enough to compare."""

NEVERTHELESS = "`--all` tries it nevertheless"


def supported(analysis: Analysis) -> tuple[Strategies, ...]:
    """What to try: what there are plans for, each in the setting predicted best.

    Where none are known each strategy is tried as it comes, so that "nothing is
    faster" is measured and not assumed.

    Args:
        analysis: Of the plain script.
    """
    predicted = analysis.predictions or predict(analysis)
    if predicted is None or predicted.unplanned:
        return tuple(map(parse, STRATEGIES))
    texts = [row.spec for row in predicted.rows]
    texts += [name for name in _of_torch(analysis) if not _has(texts, name)]
    return tuple(map(parse, texts or STRATEGIES))


def _has(texts: Sequence[str], name: str) -> bool:
    return any(text.partition(":")[0] == name for text in texts)


def _of_torch(analysis: Analysis) -> list[str]:
    """What acts on torch's own classes, where a finding speaks for it; unpredicted."""
    sites = analysis.recording.sites
    names = []
    for finding in analysis.findings:
        stages = sites[(sites["stage"] == finding.stage) & (sites["kind"] == "torch")]
        if len(stages) and finding.stage in FORWARD_STAGES:
            names.append(FORWARD)
        elif len(stages) and finding.stage == "update":
            names.append(UPDATE)
        elif len(stages) and finding.stage == "load":
            names.append(PREFETCH)
    return list(dict.fromkeys(names))


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
