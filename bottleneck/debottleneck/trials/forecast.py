"""What is predicted of candidates: which come first, and which are not tried."""

from __future__ import annotations

import math
from collections.abc import Sequence

from debottleneck.analysis.result import Analysis, Prediction
from debottleneck.prediction.predict import predict
from debottleneck.strategies.spec import Strategies, written
from debottleneck.trials.entrants import Entrant
from debottleneck.trials.result import SKIPPED, Predicted

NEVERTHELESS = "`--all` tries it nevertheless"


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
    known = _predictions(analysis, candidates, seed)
    found = []
    for each in candidates:
        said = known.get(written(each))
        entrant = Entrant(each, predicted=_predicted(said) if said else None)
        if skip and said and said.hopeless:
            entrant.leave(SKIPPED, _why(said))
        found.append(entrant)
    return sorted(found, key=_promise)


def _predictions(
    analysis: Analysis, candidates: Sequence[Strategies], seed: int
) -> dict[str, Prediction]:
    """By specification; none where the recording shows nothing to replay."""
    found = predict(analysis, candidates, seed=seed) if candidates else None
    rows = found.rows if found else ()
    return {row.spec: row for row in rows if _is_finite(row)}


def _is_finite(row: Prediction) -> bool:
    numbers = row.step_ms, row.step_low, row.step_high, row.speedup, row.low, row.high
    return all(map(math.isfinite, numbers))


def _predicted(row: Prediction) -> Predicted:
    return Predicted(
        step_ms=row.step_ms,
        step_low=row.step_low,
        step_high=row.step_high,
        speedup=row.speedup,
        low=row.low,
        high=row.high,
        limit=row.limit,
    )


def _why(row: Prediction) -> str:
    gain = f"predicted {row.speedup:.2f}x ({row.low:.2f} to {row.high:.2f})"
    reason = row.why_not or row.limit
    return f"{gain}{': ' if reason else ''}{reason}; {NEVERTHELESS}"


def _promise(entrant: Entrant) -> float:
    """Least for the most promising; unknown is no gain."""
    return -(entrant.predicted.speedup if entrant.predicted else 1.0)
