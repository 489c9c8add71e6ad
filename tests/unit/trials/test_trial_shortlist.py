"""Which strategies a profile's findings speak for, and what is predicted of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import examples
import made_runs
import pandas as pd
import pytest
from made_trials import predictions

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis, Finding
from debottleneck.strategies.spec import OF_LOOPS, parse, written
from debottleneck.trials import shortlist
from debottleneck.trials.entrants import Entrant
from debottleneck.trials.result import SKIPPED

SHELF = Path(__file__).parents[3] / "reports"
FETCH, UPDATE = parse("prefetch:workers=4"), parse("parallel-update")
EMPTY = analyse(made_runs.EMPTY)


def finding(kind: str, stage: str, cause: str = "", **evidence: object) -> Finding:
    """A finding with what the choice reads of it."""
    return Finding(kind, "high", stage, cause, "trainer", "", "", 2.0, 0.5, evidence)


def supported(
    *findings: Finding, cores: int = 2, sites: pd.DataFrame | None = None
) -> list[str]:
    """What these findings speak for, as it is written."""
    recording = EMPTY.recording
    if sites is not None:
        recording = replace(recording, sites=sites)
    analysis: Analysis = replace(EMPTY, findings=findings, recording=recording)
    return list(map(written, shortlist.supported(analysis, cores)))


@pytest.mark.parametrize(
    ("kind", "stage", "cause", "more", "expected"),
    [
        # Nothing speaks for any: each as it comes, so that no gain is measured.
        ("between-steps", "log", "disk", {}, list(OF_LOOPS)),
        # What no rewriting of the loop takes away is taken away where it lies.
        ("gc-pauses", "", "python", {}, ["gc:freeze", "gc:off"]),
        ("oversubscription", "forward", "runqueue", {}, ["blas:threads=1"]),
        ("waiting", "other", "disk", {}, ["background:checkpoint"]),
    ],
)
def test_what_a_finding_speaks_for(
    kind: str, stage: str, cause: str, more: dict[str, Any], expected: list[str]
) -> None:
    """Settings, where no loop need be rewritten."""
    cores = more.get("cores", 2)
    assert supported(finding(kind, stage, cause, **more), cores=cores) == expected


def test_an_optimizer_of_torch_has_one_form() -> None:
    """Its own, whatever the number of workers."""
    sites = made_runs.table(
        "sites", [(1, 0, "update", "torch.optim.Adam.step", "", 0, "torch")]
    )
    specs = supported(finding("compute-bound", "update", "native"), sites=sites)
    assert specs == ["parallel-update"]


def test_what_there_are_plans_for_is_tried_first() -> None:
    """In its best settings, then what findings speak for; without any each once."""
    said = {"prefetch:workers=8": (2.0, 2.1), "parallel-update:workers=4": (1.2, 1.3)}
    asked = predictions([*map(parse, said)], said)
    analysis = replace(EMPTY, predictions=asked, findings=(finding("gc-pauses", ""),))
    specs = list(map(written, shortlist.supported(analysis, 2)))
    assert specs == [*said, "gc:freeze", "gc:off"]
    assert supported() == list(OF_LOOPS)


@pytest.mark.parametrize(
    ("step_ms", "steps"), [(1.0, 3000), (100.0, 30), (2000.0, 30), (0.0, 3_000_000)]
)
def test_steps_of_a_trial(step_ms: float, steps: int) -> None:
    """Three seconds, and thirty steps at least."""
    assert shortlist.steps_of_trial(step_ms) == steps


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
    """The plan says why, and the hopeless one's sentence what was predicted."""
    said = {"prefetch:workers=4": (1.0, 1.2), "parallel-update": (1.0, 1.04)}
    (fetch, _) = predicted(said, why_not="line 4 changes loss, which line 3 uses")
    assert (fetch.left, fetch.why) == (
        "not applicable",
        "line 4 changes loss, which line 3 uses",
    )
    fetch, update = predicted(said)
    assert fetch.runs
    assert (update.left, update.why) == (
        SKIPPED,
        "predicted 1.00x (0.96 to 1.04): limited by the GIL; `--all` tries it "
        "nevertheless",
    )


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
