"""Rules on input and on the step itself fire on their case, and only there."""

from __future__ import annotations

import pytest
from made_loops import (
    LOOP,
    kinds,
    lines,
    loop_of,
    only,
    rows,
    socket_loop,
    threads,
    timed,
    trainer_thread,
)

from debottleneck.analysis.findings import diagnose, verdict
from debottleneck.analysis.policy import Policy
from debottleneck.analysis.rules import Evidence
from debottleneck.analysis.rules.inputs import fetches


def test_network_wait_in_load_is_input_bound_io() -> None:
    """A socket wait is named with its peer, its lines, its share and its ceiling."""
    one = only(diagnose(socket_loop()), "input-bound-io")
    assert (one.stage, one.cause, one.role) == ("load", "network", "trainer")
    assert one.summary == (
        "The trainer spends 62 % of each step (61 to 63 %) waiting for the network "
        "(10.0.0.7:5000) in `load`."
    )
    assert "`prefetch`" in one.action
    assert "2 fetches in flight" in one.action
    assert one.ceiling == pytest.approx(1 / 0.38)
    assert one.severity == "high"
    assert [place.function for place in one.where] == ["read_rows", "load_batch"]
    assert one.evidence["waited_on"] == "10.0.0.7:5000"


@pytest.mark.parametrize("cause", ["network", "disk", "ipc", "sleep"])
@pytest.mark.parametrize("stage", ["load", "augment", "transfer"])
def test_every_wait_of_an_input_stage_is_input_bound_io(stage: str, cause: str) -> None:
    """Any of the four waits in any input stage gives that one finding."""
    found = diagnose(loop_of({(stage, cause): 0.4, ("forward", "native"): 0.6}))
    assert kinds(found) == ["input-bound-io"]
    assert (found[0].stage, found[0].cause) == (stage, cause)


def test_actions_differ_by_cause() -> None:
    """Network, disk, another process and sleep are advised differently."""
    actions = {
        diagnose(loop_of({("load", cause): 0.4}))[0].action
        for cause in ("network", "disk", "ipc", "sleep")
    }
    assert len(actions) == 4


def test_torch_input_is_told_of_the_dataloader() -> None:
    """A script on PyTorch's hooks is pointed to num_workers."""
    (one,) = diagnose(loop_of({("load", "disk"): 0.5}, torch=True))
    assert "num_workers=1 or more" in one.action


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.1, 1), (0.5, 1), (0.62, 2), (0.75, 3), (0.9, 9), (1.0, 32)],
)
def test_fetches_in_flight_hide_the_wait(share: float, expected: int) -> None:
    """As many fetches as the wait is longer than the rest, within reason."""
    assert fetches(share) == expected


def test_a_small_wait_is_no_finding() -> None:
    """Less than the threshold is left alone, and the threshold is the policy's."""
    evidence = socket_loop(0.09)
    assert kinds(diagnose(evidence)) == ["compute-bound"]
    strict = Policy(wait_share=0.05)
    assert "input-bound-io" in kinds(diagnose(evidence, strict))


def test_decoding_in_native_code_wants_threads() -> None:
    """Native input work may run in threads, because the GIL is free."""
    shares = {("load", "native"): 0.4, ("load", "python"): 0.05}
    (one,) = diagnose(loop_of({**shares, ("forward", "native"): 0.55}, cores=4))
    assert (one.kind, one.cause) == ("input-bound-compute", "native")
    assert one.share == pytest.approx(0.45)
    assert "1 thread" in one.action
    assert "GIL is free" in one.action


def test_python_input_wants_a_subprocess() -> None:
    """Python input work in threads would compete for the GIL."""
    (one,) = diagnose(loop_of({("augment", "python"): 0.7}, cores=4))
    assert (one.kind, one.cause) == ("input-bound-compute", "python")
    assert "3 subprocess" in one.action


def test_one_core_cannot_overlap_input_work() -> None:
    """With a single core prefetching computation gains nothing, and is not advised."""
    (one,) = diagnose(loop_of({("load", "native"): 0.6}, cores=1))
    assert "prefetch" not in one.action


def test_torch_decoding_wants_worker_processes() -> None:
    """A DataLoader without workers that decodes is told num_workers."""
    (one,) = diagnose(loop_of({("load", "native"): 0.6}, cores=4, torch=True))
    assert "num_workers=2" in one.action


@pytest.mark.parametrize(
    ("stage", "strategy"), [("forward", "parallel-forward"), ("update", "parallel-upd")]
)
def test_repeated_waits_want_their_strategy(stage: str, strategy: str) -> None:
    """Five waiting calls a step are what the parallel strategies are for."""
    evidence = loop_of({(stage, "sleep"): 0.97}, calls={stage: 5.0})
    (one,) = diagnose(evidence)
    assert (one.kind, one.stage, one.cause) == ("waiting", stage, "sleep")
    assert "5 calls" in one.action
    assert strategy in one.action


@pytest.mark.parametrize("cause", ["sleep", "network", "disk", "ipc", "lock"])
@pytest.mark.parametrize("stage", ["forward", "loss", "backward", "update", "other"])
def test_any_wait_of_a_work_stage_is_waiting(stage: str, cause: str) -> None:
    """Stages that should compute and wait instead are told so."""
    found = diagnose(loop_of({(stage, cause): 0.3, ("load", "python"): 0.1}))
    assert kinds(found) == ["waiting"]
    assert (found[0].stage, found[0].cause) == (stage, cause)


def test_a_barrier_behind_which_helpers_compute_is_no_wait() -> None:
    """Waiting for the pool's own computing is computing."""
    helper = {"stage": "forward", "role": "pool", "cause": "native"} | timed(0.5, 1.0)
    evidence = loop_of(
        {("forward", "lock"): 0.3, ("forward", "native"): 0.6}, other_roles=[helper]
    )
    assert diagnose(evidence) == ()


def test_per_parameter_python_is_update_bound() -> None:
    """An optimizer of Python loops is told to use one array operation."""
    evidence = loop_of(
        {("update", "python"): 0.7, ("update", "native"): 0.1},
        calls={"update": 300.0},
        lines=lines(("update", "trainer", "MainThread", "adam", 50, 0.6)),
        functions=rows(
            "functions",
            [
                {
                    "role": "trainer",
                    "function": name,
                    "file": "/home/u/train.py",
                    "calls": calls,
                }
                for name, calls in [("adam", 300), ("train", 1)]
            ],
        ),
    )
    (one,) = diagnose(evidence)
    assert (one.kind, one.stage, one.cause) == ("update-bound", "update", "python")
    assert "in 300 calls a step" in one.summary
    assert "one array operation" in one.action
    assert one.evidence["most_called"] == "adam"
    assert one.where[0].line == 50


def test_torch_update_wants_foreach() -> None:
    """PyTorch's optimizers have a switch for it."""
    (one,) = diagnose(loop_of({("update", "python"): 0.5}, torch=True))
    assert "foreach=True" in one.action


def test_an_update_of_array_operations_is_no_finding() -> None:
    """Native update time is arithmetic, however long."""
    shares = {("update", "native"): 0.5, ("update", "python"): 0.25}
    assert diagnose(loop_of({**shares, ("forward", "native"): 0.25})) == ()


def test_a_delayed_python_update_is_still_python() -> None:
    """Time in the run queue does not hide what the stage is."""
    evidence = loop_of(
        {("update", "python"): 0.3, ("update", "runqueue"): 0.6},
        threads=threads(trainer_thread(python=0.3, runqueue=0.6)),
        cores=2,
    )
    assert kinds(diagnose(evidence)) == ["machine-busy", "update-bound"]


@pytest.mark.parametrize("stage", ["forward", "loss", "backward", "other"])
def test_python_in_the_model_is_python_bound(stage: str) -> None:
    """Stages of Python code name their lines."""
    shares = {(stage, "python"): 0.5, ("update", "native"): 0.5}
    evidence = loop_of(
        shares, lines=lines((stage, "trainer", "MainThread", "slow", 9, 0.8))
    )
    (one,) = diagnose(evidence)
    assert (one.kind, one.stage) == ("python-bound", stage)
    assert "`slow` (train.py:9)" in one.summary


def test_compute_bound_is_said_quietly_and_last() -> None:
    """Near-total native computing is a low finding behind any other."""
    shares = {("forward", "native"): 0.75, ("load", "disk"): 0.12}
    found = diagnose(loop_of(shares))
    assert kinds(found) == ["input-bound-io", "compute-bound"]
    assert found[1].severity == "low"


def test_sixty_per_cent_of_computing_is_no_finding() -> None:
    """A loop that computes most of the time is healthy; the verdict says on what."""
    evidence = loop_of({("forward", "native"): 0.6, ("backward", "native"): 0.4})
    assert diagnose(evidence) == ()
    assert "native code in `forward` (60 %)" in verdict(evidence, ()).what


@pytest.mark.parametrize("stage", ["evaluate", "checkpoint", "log"])
def test_large_share_between_steps(stage: str) -> None:
    """What happens between steps may take too much of the loop."""
    evidence = loop_of({(stage, "disk"): 0.4, ("forward", "native"): 0.6})
    (one,) = diagnose(evidence)
    assert (one.kind, one.stage, one.cause) == ("between-steps", stage, "disk")
    assert "25 % of the loop" in one.action


def test_between_steps_needs_no_causes() -> None:
    """The marks alone tell how long evaluation takes."""
    evidence = loop_of({("evaluate", "native"): 0.5, ("forward", "native"): 0.5})
    (one,) = diagnose(Evidence(LOOP, evidence.stages))
    assert (one.kind, one.cause) == ("between-steps", "")
