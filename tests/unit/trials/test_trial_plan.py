"""Which strategies a profile's findings speak for."""

from __future__ import annotations

from dataclasses import replace

import made_runs
import pandas as pd
import pytest

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis, Finding
from debottleneck.errors import UsageError
from debottleneck.strategies.spec import STRATEGIES, written
from debottleneck.trials import plan

EMPTY = analyse(made_runs.EMPTY)


def finding(kind: str, stage: str, cause: str = "", **evidence: object) -> Finding:
    """A finding with what the plan reads of it."""
    return Finding(kind, "high", stage, cause, "trainer", "", "", 2.0, 0.5, evidence)


def analysis(*findings: Finding, sites: pd.DataFrame | None = None) -> Analysis:
    """An analysis with these findings."""
    recording = EMPTY.recording
    if sites is not None:
        recording = replace(recording, sites=sites)
    return replace(EMPTY, findings=findings, recording=recording)


def planned(*findings: Finding, cores: int = 2, **how: object) -> list[str]:
    """The candidates as they are written."""
    return [
        written(each) for each in plan.candidates(analysis(*findings, **how), cores)
    ]


def test_a_load_that_waits_gets_threads() -> None:
    """Waits overlap: twice, four and eight times in flight, whatever the cores."""
    found = planned(finding("input-bound-io", "load", "sleep", fetches_in_flight=32))
    assert found == [f"prefetch:workers={count}" for count in (2, 4, 8)]


def test_no_more_fetches_than_can_help() -> None:
    """Where two in flight hide the wait, eight are not tried."""
    found = planned(finding("input-bound-io", "load", "disk", fetches_in_flight=2))
    assert found == ["prefetch:workers=2", "prefetch:workers=4"]


@pytest.mark.parametrize("cause", ["python", "gil"])
def test_a_load_that_holds_the_gil_gets_a_process(cause: str) -> None:
    """Threads are tried beside it, so that they are seen not to help."""
    found = planned(finding("input-bound-compute", "augment", cause))
    assert found == ["prefetch:workers=2,where=process", "prefetch:workers=2"]


def test_a_load_of_native_code_gets_no_more_threads_than_cores() -> None:
    """And a process, should its Python part be what is left."""
    one = finding("input-bound-compute", "load", "native")
    assert planned(one) == ["prefetch:workers=2", "prefetch:workers=2,where=process"]
    assert planned(one, cores=8) == [
        "prefetch:workers=2",
        "prefetch:workers=4",
        "prefetch:workers=8",
        "prefetch:workers=8,where=process",
    ]


@pytest.mark.parametrize(
    "one",
    [
        finding("gil-contention", "forward", "gil"),
        finding("starvation", "load", "lock", producer_cause="python"),
    ],
)
def test_threads_that_hold_the_gil_get_a_process(one: Finding) -> None:
    """Also when the stage that suffers is another one."""
    assert planned(one)[0] == "prefetch:where=process"


def test_forward_and_update() -> None:
    """Work gets as many workers as cores, waits as many as there are siblings."""
    assert planned(finding("compute-bound", "forward", "native"), cores=4) == [
        "parallel-forward",
        "parallel-forward:workers=4",
    ]
    assert planned(finding("waiting", "forward", "sleep")) == ["parallel-forward"]
    assert planned(finding("waiting", "update", "sleep")) == ["parallel-update"]


def test_modules_of_torch_can_be_split_by_batch() -> None:
    """Where the branches are inside one module, its batch can still be divided."""
    sites = made_runs.table(
        "sites", [(1, 0, "forward", "torch.nn.Module.__call__", "", 0, "torch")]
    )
    found = planned(finding("compute-bound", "forward", "native"), sites=sites)
    assert "parallel-forward:chunks=2" in found


def test_rank_decides_the_order_and_nothing_is_tried_twice() -> None:
    """The first finding's strategies come first."""
    found = planned(
        finding("waiting", "update", "sleep"),
        finding("input-bound-io", "load", "sleep", fetches_in_flight=1),
        finding("input-bound-io", "augment", "network", fetches_in_flight=1),
    )
    assert found == ["parallel-update", "prefetch:workers=2"]


@pytest.mark.parametrize("findings", [(), (finding("between-steps", "log", "disk"),)])
def test_without_support_each_is_tried_as_it_comes(
    findings: tuple[Finding, ...],
) -> None:
    """So that "nothing is faster" is measured."""
    assert planned(*findings) == list(STRATEGIES)


def test_what_is_no_strategy_is_refused() -> None:
    """In a sentence with those there are."""
    with pytest.raises(UsageError, match="no strategy"):
        plan.distinct(["prefetch", "magic"])


@pytest.mark.parametrize(
    ("step_ms", "steps"), [(1.0, 3000), (100.0, 30), (2000.0, 30), (0.0, 3_000_000)]
)
def test_steps_of_a_trial(step_ms: float, steps: int) -> None:
    """Three seconds, and thirty steps at least."""
    assert plan.steps_of_trial(step_ms) == steps
