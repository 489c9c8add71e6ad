"""What is predicted of candidates before any is run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import examples
import pytest
from made_trials import predictions

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis, Predictions
from debottleneck.recording.assemble import load
from debottleneck.strategies.spec import parse
from debottleneck.trials import forecast
from debottleneck.trials.result import SKIPPED

SHELF = Path(__file__).parents[3] / "reports"
FETCH, UPDATE = parse("prefetch:workers=4"), parse("parallel-update")


def saying(monkeypatch: pytest.MonkeyPatch, found: Predictions | None) -> None:
    """Let predictions be these."""
    monkeypatch.setattr(forecast, "predict", lambda *_, **__: found)


def test_a_recorded_loop_is_predicted() -> None:
    """A loop that waits for its data gains by fetching ahead, and not otherwise."""
    analysis = analyse(load(SHELF / "article_load" / "baseline"))
    fetch, update = forecast.entrants(analysis, (UPDATE, FETCH), skip=True)
    assert (fetch.strategies, update.strategies) == (FETCH, UPDATE)
    assert fetch.predicted is not None
    assert fetch.predicted.low > 2
    assert fetch.predicted.step_low < fetch.predicted.step_ms < analysis.loop.step_ms
    assert fetch.runs
    assert update.left == SKIPPED


def test_a_recording_without_steps_predicts_nothing() -> None:
    """All are tried, in the order in which they came."""
    found = forecast.entrants(examples.no_steps(), (UPDATE, FETCH), skip=True)
    assert [each.strategies for each in found] == [UPDATE, FETCH]
    assert all(each.runs and each.predicted is None for each in found)


def test_what_would_not_act_is_tried_unless_hopeless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The strategy itself says it with certainty; the sentence has the reason."""
    said = {"prefetch:workers=4": (1.0, 1.2), "parallel-update": (1.0, 1.04)}
    made = predictions((FETCH, UPDATE), said)
    why = "one update call a step"
    rows = tuple(replace(row, why_not=why) for row in made.rows)
    saying(monkeypatch, replace(made, rows=rows))
    fetch, update = forecast.entrants(
        examples.input_bound(), (FETCH, UPDATE), skip=True
    )
    assert fetch.runs
    assert update.left == SKIPPED
    assert update.why == (
        "predicted 1.00x (0.96 to 1.04): one update call a step; `--all` tries it "
        "nevertheless"
    )


def test_without_a_reason_there_is_no_colon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers alone say why it is not tried."""
    made = predictions((UPDATE,), {"parallel-update": (1.0, 1.04)})
    saying(monkeypatch, replace(made, rows=(replace(made.rows[0], limit=""),)))
    (update,) = forecast.entrants(examples.input_bound(), (UPDATE,), skip=True)
    assert update.why.startswith("predicted 1.00x (0.96 to 1.04); `--all`")


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_a_prediction_that_is_no_number_is_none(
    monkeypatch: pytest.MonkeyPatch, odd: float
) -> None:
    """It could not be saved, and says nothing."""
    made = predictions((UPDATE,), {"parallel-update": (1.0, 1.04)})
    saying(monkeypatch, replace(made, rows=(replace(made.rows[0], low=odd),)))
    (update,) = forecast.entrants(examples.input_bound(), (UPDATE,), skip=True)
    assert update.predicted is None
    assert update.runs


def test_no_candidates_ask_for_no_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing named would mean every strategy there is."""

    def predict(analysis: Analysis, *_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(forecast, "predict", predict)
    assert forecast.entrants(examples.input_bound(), (), skip=True) == []
