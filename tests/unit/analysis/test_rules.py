"""Rules on input and on the step itself fire on their case, and only there."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from made_loops import (
    LOOP,
    TORCH,
    kinds,
    lines,
    loaders,
    loop_of,
    only,
    rows,
    socket_loop,
    threads,
    timed,
    trainer_thread,
)

from debottleneck.analysis.findings import diagnose
from debottleneck.analysis.frames import empty
from debottleneck.analysis.result import Analysis, Where
from debottleneck.analysis.rules.measures import cost
from debottleneck.analysis.rules.wording import spends


def test_network_wait_in_load_is_input_bound_io() -> None:
    """A socket wait is named with its peer, its lines, its share and its ceiling."""
    finding = only(diagnose(socket_loop()), "input-bound-io")
    assert (finding.stage, finding.cause) == ("load", "network")
    assert finding.summary == (
        "The trainer spends 62 % of each step (61 to 63 %) waiting for the network "
        "(10.0.0.7:5000) in `load`."
    )
    assert finding.action.startswith("Fetch batches ahead of use")
    assert finding.ceiling == pytest.approx(1 / 0.38)
    assert finding.severity == "high"
    assert [place.function for place in finding.where] == ["read_rows", "load_batch"]
    assert finding.evidence["waited_on"] == "10.0.0.7:5000"


@pytest.mark.parametrize("cause", ["network", "disk", "ipc", "sleep", "lock"])
@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        *((stage, "input-bound-io") for stage in ("load", "augment", "transfer")),
        *((s, "waiting") for s in ("forward", "loss", "backward", "update", "other")),
    ],
)
def test_every_wait_of_a_stage_has_its_finding(
    stage: str, kind: str, cause: str
) -> None:
    """Input stages are input-bound, or starved by a lock; others should compute."""
    findings = diagnose(loop_of({(stage, cause): 0.4, ("log", "python"): 0.1}))
    starved = kind == "input-bound-io" and cause == "lock"
    assert kinds(findings) == ["starvation" if starved else kind]
    assert (findings[0].stage, findings[0].cause) == (stage, cause)


def test_actions_differ_by_cause() -> None:
    """Network, disk, another process and sleep are advised differently."""
    actions = {
        diagnose(loop_of({("load", cause): 0.4}))[0].action
        for cause in ("network", "disk", "ipc", "sleep")
    }
    assert len(actions) == 4


def test_a_small_wait_is_no_finding() -> None:
    """Less than a tenth of the step is left alone."""
    assert kinds(diagnose(socket_loop(0.09))) == ["compute-bound"]


@pytest.mark.parametrize(
    ("stage", "cause", "cores", "advice"),
    [
        ("load", "native", 4, "in a thread: the GIL is free"),
        ("augment", "python", 4, "in another process"),
        ("load", "native", 1, "one core is all here"),
        ("transfer", "native", 4, "non_blocking=True"),
    ],
)
def test_input_work_moves_to_where_it_can_run(
    stage: str, cause: str, cores: float, advice: str
) -> None:
    """Native work to threads, Python to subprocesses, neither on a single core."""
    shares = {(stage, cause): 0.6, (stage, "lock"): 0.05}
    (finding,) = diagnose(loop_of(shares, cores=cores))
    assert (finding.kind, finding.cause) == ("input-bound-compute", cause)
    assert finding.share == pytest.approx(0.6)
    assert advice in finding.action


@pytest.mark.parametrize(
    ("shares", "advice"),
    [
        ({("load", "disk"): 0.5}, "num_workers=2 and persistent_workers=True: those"),
        ({("augment", "native"): 0.6}, "the DataLoader's data set do `augment`"),
        ({("update", "python"): 0.5}, "Pass foreach=True to Adadelta"),
    ],
)
def test_torch_has_switches_of_its_own(
    shares: dict[tuple[str, str], float], advice: str
) -> None:
    """A script on PyTorch's hooks is told of the DataLoader's and the optimizer's."""
    forms = {"name": "Adadelta", "offers": ("foreach",), "asked": ()}
    told = loaders() | {"optimizers": (forms,)}
    loop = replace(LOOP, step_ms=100.0)
    analysis = loop_of(shares, loop=loop, cores=4, sites=TORCH, told=told)
    (finding,) = diagnose(analysis)
    assert advice in finding.action


def test_bounds_in_a_sentence_differ() -> None:
    """They get a decimal where whole per cent would be the same twice."""
    close = cost(loop_of({("load", "disk"): 0.24}), ["load"], ["disk"])
    assert close is not None
    close = replace(close, low=0.236, high=0.242)
    said = spends(socket_loop(), close, "sleeping")
    assert "24 % of each step (23.6 to 24.2 %) sleeping" in said
    assert "24 % of each step sleeping" in spends(
        socket_loop(), replace(close, low=math.nan), "sleeping"
    )


@pytest.mark.parametrize("cause", ["native", "python", "disk"])
def test_without_a_dataloader_none_is_to_be_set(cause: str) -> None:
    """A loop on PyTorch that has no DataLoader: its switches are not named."""
    (finding,) = diagnose(loop_of({("load", cause): 0.6}, cores=4, sites=TORCH))
    assert "DataLoader" not in finding.action
    assert "num_workers" not in finding.action


def test_a_form_is_named_only_where_the_optimizer_has_it() -> None:
    """One that has none, or is told of all it has, is not told of them again."""
    forms = {"name": "Adadelta", "offers": ("foreach",), "asked": ("foreach",)}
    shares = {("update", "python"): 0.5}
    made = loop_of(shares, sites=TORCH, told={"optimizers": (forms,)})
    (finding,) = diagnose(made)
    assert "foreach" not in finding.action
    assert "fused" not in finding.action


@pytest.mark.parametrize("stage", ["forward", "update"])
def test_repeated_waits_may_be_at_once(stage: str) -> None:
    """Five waiting calls a step need not come one after the other."""
    (finding,) = diagnose(loop_of({(stage, "sleep"): 0.97}, calls={stage: 5.0}))
    assert (finding.kind, finding.stage, finding.cause) == ("waiting", stage, "sleep")
    assert "5 calls" in finding.action


READ, TRAIN, LOG = "train.py:17", "train.py:22-25", "train.py:40"
LINES = rows(
    "rows",
    [
        {"row": READ, "source": "df = pd.read_csv(path)", "side": "input"},
        {"row": TRAIN, "source": "W1 -= lr * (x.T @ (x @ W1 - y)) " + "+ 0 " * 20},
        {
            "row": LOG,
            "source": "writer.writerow([loss])",
            "line": 40,
            "file": "/w/a.py",
        },
    ],
)
"""A flat script of three lines: one makes batches."""

SPENDS = "The trainer spends 60 % of each step (59 to 61 %) "


@pytest.mark.parametrize(
    ("row", "cause", "kind", "says"),
    [
        (READ, "network", "input-bound-io", "waiting for the network"),
        (READ, "native", "input-bound-compute", "computing"),
        (READ, "python", "input-bound-compute", "computing"),
        (READ, "lock", "starvation", "waiting on a lock, queue or condition"),
        (LOG, "disk", "waiting", "waiting for files"),
        (LOG, "lock", "waiting", "waiting on a lock, queue or condition"),
        (TRAIN, "python", "python-bound", "running Python code"),
        (TRAIN, "native", "compute-bound", "computing"),
    ],
)
def test_a_line_is_diagnosed_as_a_stage_is(
    row: str, cause: str, kind: str, says: str
) -> None:
    """What makes batches as `load`, other lines as computing; with their source."""
    shares = {(row, cause): 0.6, ("other", "native"): 0.2}
    (finding,) = diagnose(loop_of(shares, cores=4, rows=LINES))
    assert (finding.kind, finding.stage, finding.cause) == (kind, row, cause)
    source = {READ: "df = pd.read_csv(path)", LOG: "writer.writerow([loss])"}
    shown = source.get(
        row, "W1 -= lr * (x.T @ (x @ W1 - y)) + 0 + 0 + 0 + 0 + 0 + 0 +..."
    )
    assert finding.summary.startswith(f"{SPENDS}{says} in {row} (`{shown}`)")
    assert "module:function" not in finding.action


def test_a_line_that_mixes_python_and_native_is_told() -> None:
    """It takes half of the step, and neither kind alone would."""
    shares = {(TRAIN, "python"): 0.25, (TRAIN, "native"): 0.24, (LOG, "disk"): 0.02}
    (finding,) = diagnose(loop_of(shares, rows=LINES))
    assert ", Python and native: the loop computes" in finding.summary


def test_a_line_without_samples_is_where_it_is_written() -> None:
    """No stacks were taken: the row itself says the place."""
    (finding,) = diagnose(loop_of({(LOG, "disk"): 0.6}, rows=LINES))
    assert finding.where == (Where("", "/w/a.py", 40),)


HELPER = {"stage": "forward", "role": "pool", "cause": "native"} | timed(0.5, 1.0)
QUEUED = {("forward", "runqueue"): 0.6}
NOTHING_WRONG = {
    "a barrier behind which helpers compute": loop_of(
        {("forward", "lock"): 0.3, ("forward", "native"): 0.6}, other_roles=[HELPER]
    ),
    "an update of array operations": loop_of(
        {("update", "native"): 0.5, ("update", "python"): 0.25}
    ),
    "an update of large operations of torch": loop_of(
        {("update", "native"): 0.6, ("update", "python"): 0.02}, sites=TORCH
    ),
    "sixty per cent of computing": loop_of(
        {("forward", "native"): 0.6, ("backward", "native"): 0.4}
    ),
    "a little foreign delay": loop_of(
        {("forward", "runqueue"): 0.2}, threads=threads(trainer_thread()), cores=2
    ),
    "a run queue alone": loop_of(QUEUED),
    "a run queue and little load": loop_of(QUEUED, environment={"foreign_load": 0.1}),
}


@pytest.mark.parametrize("analysis", NOTHING_WRONG.values(), ids=NOTHING_WRONG)
def test_nothing_is_wrong(analysis: Analysis) -> None:
    """What looks like a case of a rule and is none, or blames nobody."""
    assert diagnose(analysis) == ()


def test_per_parameter_python_is_update_bound() -> None:
    """An optimizer of Python loops is told to use one array operation."""
    place: dict[str, Any] = {"role": "trainer", "file": "/home/u/train.py"}
    functions = [
        {**place, "function": name, "calls": calls}
        for name, calls in [("adam", 300), ("train", 1)]
    ]
    (finding,) = diagnose(
        loop_of(
            {("update", "python"): 0.7, ("update", "native"): 0.1},
            calls={"update": 300.0},
            lines=lines(("update", "trainer", "MainThread", "adam", 50, 0.6)),
            functions=rows("functions", functions),
        )
    )
    assert (finding.kind, finding.stage) == ("update-bound", "update")
    assert finding.cause == "python"
    assert "in 300 calls a step" in finding.summary
    assert "one array operation" in finding.action
    assert finding.evidence["most_called"] == "adam"
    assert finding.where[0].line == 50


def test_a_delayed_python_update_is_still_python() -> None:
    """Time in the run queue does not hide what the stage is."""
    analysis = loop_of(
        {("update", "python"): 0.3, ("update", "runqueue"): 0.6},
        threads=threads(trainer_thread(python=0.3, runqueue=0.6)),
        cores=2,
    )
    assert kinds(diagnose(analysis)) == ["update-bound", "machine-busy"]


@pytest.mark.parametrize("stage", ["forward", "loss", "backward", "other"])
def test_python_in_the_model_is_python_bound(stage: str) -> None:
    """Stages of Python code name their lines."""
    slow = lines((stage, "trainer", "MainThread", "slow", 9, 0.8))
    shares = {(stage, "python"): 0.5, ("update", "native"): 0.5}
    (finding,) = diagnose(loop_of(shares, lines=slow))
    assert (finding.kind, finding.stage) == ("python-bound", stage)
    assert "`slow` (train.py:9)" in finding.summary


def test_python_everywhere_is_python_bound() -> None:
    """No stage passes its threshold, and most of the step is Python nevertheless."""
    spread = {(stage, "python"): 0.21 for stage in ("backward", "other")}
    slow = lines(("forward", "trainer", "MainThread", "slow", 9, 0.8))
    shares = {**spread, ("forward", "python"): 0.24, ("update", "native"): 0.34}
    (finding,) = diagnose(loop_of(shares, lines=slow))
    assert (finding.kind, finding.stage) == ("python-bound", "")
    assert "66 % of each step" in finding.summary
    assert "spread over all of it, most of it in `slow` (train.py:9)" in finding.summary


def test_compute_bound_is_said_quietly_and_last() -> None:
    """Near-total native computing is a low finding behind any other."""
    findings = diagnose(loop_of({("forward", "native"): 0.75, ("load", "disk"): 0.12}))
    assert kinds(findings) == ["input-bound-io", "compute-bound"]
    assert findings[1].severity == "low"


@pytest.mark.parametrize("stage", ["evaluate", "checkpoint", "log"])
def test_large_share_between_steps(stage: str) -> None:
    """What happens between steps may take too much of the loop."""
    analysis = loop_of({(stage, "disk"): 0.4, ("forward", "native"): 0.6})
    (finding,) = diagnose(analysis)
    assert (finding.kind, finding.stage) == ("between-steps", stage)
    assert finding.cause == "disk"
    assert "25 % of the loop" in finding.action
    (bare,) = diagnose(replace(analysis, causes=empty("causes")))
    assert (bare.kind, bare.cause) == ("between-steps", "")
