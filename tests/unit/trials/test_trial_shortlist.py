"""Which strategies a profile's findings speak for, and what is predicted of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import examples
import made_plans
import made_predictions
import made_runs
import pandas as pd
import pytest
from made_trials import predictions

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis, Finding
from debottleneck.prediction.actions import untold
from debottleneck.prediction.sides import NO_TURNS
from debottleneck.strategies.spec import OF_LOOPS, parse, written
from debottleneck.trials import shortlist
from debottleneck.trials.entrants import Entrant
from debottleneck.trials.result import NOT_APPLICABLE

FETCH, UPDATE = parse("prefetch:workers=4"), parse("parallel-update")
EMPTY = analyse(made_runs.EMPTY)


def finding(kind: str, stage: str, cause: str = "") -> Finding:
    """A finding with what the choice reads of it."""
    return Finding(kind, "high", stage, cause, "trainer", "", "", 2.0, 0.5, {})


def supported(analysis: Analysis) -> list[str]:
    """What is tried, as it is written."""
    predicted = analysis.predictions
    if predicted is not None:
        found = untold(analysis, predicted)
        analysis = replace(analysis, predictions=replace(predicted, untold=found))
    return list(map(written, shortlist.supported(analysis)))


ROWS = made_predictions.WAITING.rows
GAINING = [row.spec for row in ROWS if row.spec.startswith("prefetch")]
OTHERS = [row.spec for row in ROWS if row.spec not in GAINING]


def test_what_plans_allow_is_tried_in_its_best_setting() -> None:
    """Those that would do nothing too, for their reasons."""
    planned = replace(EMPTY, predictions=made_predictions.WAITING)
    assert supported(planned) == [*GAINING, *OTHERS]


@pytest.mark.parametrize(
    ("kind", "stage", "cause", "expected"),
    [
        # What no rewriting of the loop takes away is taken away where it lies.
        ("gc-pauses", "", "gc", ["gc:freeze", "gc:off"]),
        # No thread of a pool of BLAS is among those that want cores.
        ("oversubscription", "forward", "runqueue", []),
        ("waiting", "other", "disk", ["background:checkpoint"]),
    ],
)
def test_what_a_finding_speaks_for(
    kind: str, stage: str, cause: str, expected: list[str]
) -> None:
    """Settings, after what is predicted to gain, before what is not."""
    found = replace(EMPTY, findings=(finding(kind, stage, cause),))
    planned = replace(found, predictions=made_predictions.WAITING)
    assert supported(planned) == [*GAINING, *expected, *OTHERS]


def test_without_plans_each_strategy_is_tried_as_it_comes() -> None:
    """So that no gain is measured and not assumed."""
    assert supported(EMPTY) == list(OF_LOOPS)
    unplanned = replace(made_predictions.WAITING, unplanned="no plan")
    assert supported(replace(EMPTY, predictions=unplanned)) == list(OF_LOOPS)


@pytest.mark.parametrize(
    ("stage", "name", "more"),
    [
        ("update", "parallel-update", ["parallel-update:fused"]),
        ("forward", "parallel-forward", []),
    ],
)
def test_what_torch_does_itself_is_tried_where_a_finding_is(
    stage: str, name: str, more: list[str]
) -> None:
    """No plan knows of it; once is enough."""
    sites = made_runs.table("sites", [(1, 0, stage, "torch.x", "", 0, "torch")])
    rows = tuple(
        row for row in made_predictions.WAITING.rows if not row.spec.startswith(name)
    )
    analysis = replace(
        EMPTY,
        recording=replace(EMPTY.recording, sites=sites),
        predictions=replace(made_predictions.WAITING, rows=rows),
        findings=(finding("compute-bound", stage), finding("waiting", stage)),
    )
    others = [row.spec for row in rows if row.spec in OTHERS]
    assert supported(analysis) == [*GAINING, name, *more, *others]
    assert name not in supported(replace(analysis, findings=()))


@pytest.mark.parametrize(
    ("row", "source", "share", "tried"),
    [
        ("checkpoint", "", 0.05, True),
        ("checkpoint", "", 0.01, False),
        ("train.py:9", 'np.save("state", weights)', 0.05, True),
        ("train.py:9", "os.fsync(file.fileno())", 0.05, True),
        ("train.py:9", "model.save(batch)", 0.05, False),
    ],
)
def test_saves_are_tried_beside_the_loop(
    row: str, source: str, share: float, tried: bool
) -> None:
    """Where they take some of the loop, by their stage or by what a line calls."""
    costs = dict.fromkeys(
        ("ms_per_step", "share", "share_low", "share_high", "low", "high"), share
    )
    stages = pd.DataFrame([{"stage": row, "calls_per_step": 0.1, **costs}])
    rows = pd.DataFrame([{"row": row, "source": source, "side": "train"}])
    analysis = replace(EMPTY, stages=stages, rows=rows)
    assert ("background:checkpoint" in untold(analysis, None)) == tried


@pytest.mark.parametrize(
    ("step_ms", "steps"), [(1.0, 3000), (100.0, 30), (2000.0, 30), (0.0, 3_000_000)]
)
def test_steps_of_a_trial(step_ms: float, steps: int) -> None:
    """Three seconds, and thirty steps at least."""
    assert shortlist.steps_of_trial(step_ms) == steps


def test_a_recorded_loop_is_predicted() -> None:
    """A loop that waits for its data gains by fetching ahead, and not otherwise."""
    analysis = analyse(made_plans.run())
    update, fetch = shortlist.entrants(analysis, (UPDATE, FETCH), skip=True)
    assert (fetch.strategies, update.strategies) == (FETCH, UPDATE)
    assert fetch.predicted is not None
    assert fetch.predicted.low > 2
    assert fetch.predicted.step_low < fetch.predicted.step_ms < analysis.loop.step_ms
    assert fetch.runs
    assert update.left == NOT_APPLICABLE
    assert update.why == f"does not act here: {NO_TURNS}"


def test_a_recording_without_steps_predicts_nothing() -> None:
    """All are tried, in the order in which they came; of none nothing is asked."""
    entrants = shortlist.entrants(examples.no_steps(), (UPDATE, FETCH), skip=True)
    assert [entrant.strategies for entrant in entrants] == [UPDATE, FETCH]
    assert all(entrant.runs and entrant.predicted is None for entrant in entrants)
    assert shortlist.entrants(examples.input_bound(), (), skip=True) == []


Predicted = Callable[..., list[Entrant]]


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> Predicted:
    """Entrants of which this is predicted: speed-up, its upper bound; row's fields."""

    def entrants(
        said: dict[str, tuple[float, float]], **fields: object
    ) -> list[Entrant]:
        candidates = tuple(map(parse, said))
        answer = predictions(candidates, said)
        rows = tuple(replace(row, **fields) for row in answer.rows)
        answer = replace(answer, rows=rows)
        monkeypatch.setattr(shortlist, "predict", lambda *_, **__: answer)
        return shortlist.entrants(examples.input_bound(), candidates, skip=True)

    return entrants


def test_what_would_not_act_is_not_tried(predicted: Predicted) -> None:
    """The plan said it with certainty, and is quoted."""
    said = {"prefetch:workers=4": (1.0, 1.2), "parallel-update": (1.0, 1.04)}
    for entrant in predicted(said, why_not="both sides use seen"):
        assert entrant.left == NOT_APPLICABLE
        assert entrant.why == "does not act here: both sides use seen"


def test_without_a_reason_there_is_no_colon(predicted: Predicted) -> None:
    """The numbers alone say why it is not tried."""
    (update,) = predicted({"parallel-update": (1.0, 1.04)}, limit="")
    assert update.why.startswith("predicted 1.00x (0.96 to 1.04); `--all`")


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_a_prediction_that_is_no_number_is_none(
    predicted: Predicted, odd: float
) -> None:
    """It could not be saved, and says nothing."""
    (update,) = predicted({"parallel-update": (1.0, 1.04)}, low=odd)
    assert update.predicted is None
    assert update.runs
