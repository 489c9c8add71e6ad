"""Which strategies are tried: what the profile names, in its order.

Those that are predicted hopeless or that would do nothing leave before they are run.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from debottleneck.analysis.result import Analysis, Prediction
from debottleneck.prediction.predict import predict
from debottleneck.prediction.verdict import refusal
from debottleneck.strategies.spec import OF_LOOPS, Strategies, parse, written
from debottleneck.trials.entrants import Entrant
from debottleneck.trials.result import NOT_APPLICABLE, SKIPPED, Predicted

STEPS_FOR_S = 3.0
"""A trial trains for so long: start-up and 0.1 s of polling are little beside it."""

LEAST_STEPS = 30
"""Fewer steps in a trial leave too few when the first ones are dropped."""

FEWEST_STEPS = 8
"""With fewer in the whole script half of them are not enough to compare."""

NEVERTHELESS = "`--all` tries it nevertheless"


def supported(analysis: Analysis) -> tuple[Strategies, ...]:
    """What to try: what the profile of the plain script names, in its order."""
    named = analysis.predictions
    if named is None:
        return tuple(map(parse, OF_LOOPS))
    first, rest = ((), ()) if named.unplanned else (named.gaining, named.rows)
    texts = [*(r.spec for r in first), *named.untold, *(r.spec for r in rest)]
    return tuple(map(parse, dict.fromkeys(texts)))


def entrants(
    analysis: Analysis, candidates: Sequence[Strategies], *, skip: bool
) -> list[Entrant]:
    """Candidates with what is predicted of them, in the order given."""
    predictions = _predictions(analysis, candidates)
    entrants = []
    for strategies in candidates:
        row = predictions.get(written(strategies))
        entrant = Entrant(strategies, predicted=_predicted(row) if row else None)
        if skip and row and row.why_not:
            entrant.leave(NOT_APPLICABLE, refusal(row))
        elif skip and row and row.hopeless:
            entrant.leave(SKIPPED, _why(row))
        entrants.append(entrant)
    return entrants


def _predictions(
    analysis: Analysis, candidates: Sequence[Strategies]
) -> dict[str, Prediction]:
    """By specification, as the profile says it; made of what it did not name.

    None where the recording shows nothing to replay.
    """
    known = analysis.predictions.rows if analysis.predictions else ()
    found = {row.spec: row for row in known}
    others = [c for c in candidates if written(c) not in found]
    others = [c for c in others if all(s.name in OF_LOOPS for s in c)]
    made = predict(analysis, others) if others else None
    found |= {row.spec: row for row in (made.rows if made else ())}
    return {spec: row for spec, row in found.items() if _is_finite(row)}


def _is_finite(row: Prediction) -> bool:
    numbers = row.step_ms, row.step_low, row.step_high, row.speedup, row.low, row.high
    return all(map(math.isfinite, numbers))


def _predicted(row: Prediction) -> Predicted:
    names = (field.name for field in dataclasses.fields(Predicted))
    return Predicted(**{name: getattr(row, name) for name in names})


def _why(row: Prediction) -> str:
    return f"predicted {row.text}{': ' if row.limit else ''}{row.limit}; {NEVERTHELESS}"


def steps_of_trial(step_ms: float) -> int:
    """Steps after which a trial is stopped, unless the user said how many."""
    return max(LEAST_STEPS, round(STEPS_FOR_S * 1e3 / max(step_ms, 1e-3)))
