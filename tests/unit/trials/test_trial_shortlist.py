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
from debottleneck.recording.assemble import load
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


FETCHES = [f"prefetch:workers={count}" for count in (2, 4, 8)]
APART = "prefetch:workers={},where=process"


@pytest.mark.parametrize(
    ("kind", "stage", "cause", "more", "expected"),
    [
        # Waits overlap: twice, four and eight times in flight, whatever the cores.
        ("input-bound-io", "load", "sleep", {"fetches_in_flight": 32}, FETCHES),
        # Where two in flight hide the wait, eight are not tried.
        ("input-bound-io", "load", "disk", {"fetches_in_flight": 2}, FETCHES[:2]),
        # Threads are tried beside a process, so that they are seen not to help.
        ("input-bound-compute", "augment", "python", {}, [APART.format(2), FETCHES[0]]),
        ("input-bound-compute", "augment", "gil", {}, [APART.format(2), FETCHES[0]]),
        # Native code gets as many threads as cores, its Python part a process.
        ("input-bound-compute", "load", "native", {}, [FETCHES[0], APART.format(2)]),
        (
            "input-bound-compute",
            "load",
            "native",
            {"cores": 8},
            [*FETCHES, APART.format(8)],
        ),
        # Threads that hold the GIL get a process, whichever stage suffers.
        (
            "gil-contention",
            "forward",
            "gil",
            {},
            ["prefetch:where=process", FETCHES[0]],
        ),
        (
            "starvation",
            "load",
            "lock",
            {"producer_cause": "python"},
            ["prefetch:where=process", FETCHES[0]],
        ),
        # Work gets as many workers as cores, waits as many as there are siblings.
        (
            "compute-bound",
            "forward",
            "native",
            {"cores": 4},
            ["parallel-forward", "parallel-forward:workers=4"],
        ),
        ("waiting", "forward", "sleep", {}, ["parallel-forward"]),
        ("waiting", "update", "sleep", {}, ["parallel-update"]),
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
    """Threads where it waits, processes where the GIL is held, workers for cores."""
    cores = more.get("cores", 2)
    assert supported(finding(kind, stage, cause, **more), cores=cores) == expected


def test_an_optimizer_of_torch_has_one_form() -> None:
    """Its own, whatever the number of workers."""
    sites = made_runs.table(
        "sites", [(1, 0, "update", "torch.optim.Adam.step", "", 0, "torch")]
    )
    specs = supported(finding("compute-bound", "update", "native"), sites=sites)
    assert specs == ["parallel-update"]


def test_rank_decides_the_order_and_nothing_is_tried_twice() -> None:
    """The first finding's strategies come first; without one all are tried."""
    specs = supported(
        finding("waiting", "update", "sleep"),
        finding("input-bound-io", "load", "sleep", fetches_in_flight=1),
        finding("input-bound-io", "augment", "network", fetches_in_flight=1),
    )
    assert specs == ["parallel-update", "prefetch:workers=2"]
    assert supported() == list(OF_LOOPS)


@pytest.mark.parametrize(
    ("step_ms", "steps"), [(1.0, 3000), (100.0, 30), (2000.0, 30), (0.0, 3_000_000)]
)
def test_steps_of_a_trial(step_ms: float, steps: int) -> None:
    """Three seconds, and thirty steps at least."""
    assert shortlist.steps_of_trial(step_ms) == steps


def test_a_recorded_loop_is_predicted() -> None:
    """A loop that waits for its data gains by fetching ahead, and not otherwise."""
    analysis = analyse(load(SHELF / "article_load" / "baseline"))
    fetch, update = shortlist.entrants(analysis, (UPDATE, FETCH), skip=True)
    assert (fetch.strategies, update.strategies) == (FETCH, UPDATE)
    assert fetch.predicted is not None
    assert fetch.predicted.low > 2
    assert fetch.predicted.step_low < fetch.predicted.step_ms < analysis.loop.step_ms
    assert fetch.runs
    assert update.left == SKIPPED


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


def test_what_would_not_act_is_tried_unless_hopeless(predicted: Predicted) -> None:
    """The strategy itself says it with certainty; the sentence has the reason."""
    said = {"prefetch:workers=4": (1.0, 1.2), "parallel-update": (1.0, 1.04)}
    fetch, update = predicted(said, why_not="one update call a step")
    assert fetch.runs
    assert update.left == SKIPPED
    assert update.why == (
        "predicted 1.00x (0.96 to 1.04): one update call a step; `--all` tries it "
        "nevertheless"
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
