"""Each rule fires on its case, and abstains on a healthy loop and without data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pytest

from debottleneck.analysis import frames
from debottleneck.analysis.findings import diagnose, verdict
from debottleneck.analysis.policy import DEFAULT, Policy
from debottleneck.analysis.result import Finding, Loop, Where
from debottleneck.analysis.rules import RUN_RULES, STEP_RULES, Evidence, Rule
from debottleneck.analysis.rules.contention import contenders
from debottleneck.analysis.rules.inputs import fetches
from debottleneck.words import CAUSES

STEP_MS = 100.0
LOOP = Loop(trainer_tid=1, found=True, rule="a step begins at each load", measured=50)
NO_LOOP = Loop(trainer_tid=1, found=False, rule="no stage was seen", unit="second")

HEALTHY = {
    ("load", "python"): 0.02,
    ("load", "native"): 0.04,
    ("forward", "native"): 0.30,
    ("forward", "python"): 0.03,
    ("backward", "native"): 0.36,
    ("backward", "gil"): 0.01,
    ("update", "native"): 0.18,
    ("update", "python"): 0.03,
    ("other", "python"): 0.02,
    ("other", "unattributed"): 0.01,
}

Shares = Mapping[tuple[str, str], float]


def rows(name: str, made: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A table of `frames` from rows that name only the columns that matter."""
    blank = {
        column: "" if kind == "str" else 0 if kind == "int64" else math.nan
        for column, kind in frames.COLUMNS[name].items()
    }
    return frames.typed(name, pd.DataFrame([{**blank, **row} for row in made]))


def timed(share: float, doubt: float) -> dict[str, float]:
    """The numbers of a share of the step; the bounds are milliseconds."""
    ms = share * STEP_MS
    return {"ms_per_step": ms, "share": share, "low": ms - doubt, "high": ms + doubt}


def loop_of(
    shares: Shares, calls: Mapping[str, float] | None = None, **more: Any
) -> Evidence:
    """Evidence of a loop whose trainer spends these shares; the rest as given."""
    causes = [
        {"stage": stage, "role": "trainer", "cause": cause, **timed(share, 1.0)}
        for (stage, cause), share in shares.items()
    ]
    totals: dict[str, float] = {}
    for (stage, _), share in shares.items():
        totals[stage] = totals.get(stage, 0.0) + share
    stages = [
        {"stage": stage, "calls_per_step": (calls or {}).get(stage, 1.0)}
        | timed(share, 1.0)
        for stage, share in totals.items()
    ]
    causes += more.pop("other_roles", [])
    return Evidence(
        loop=more.pop("loop", LOOP),
        stages=rows("stages", stages),
        causes=rows("causes", causes),
        **more,
    )


def threads(*made: Mapping[str, Any]) -> pd.DataFrame:
    """Threads with their own shares; causes not named are 0."""
    zeros = dict.fromkeys(CAUSES, 0.0)
    return rows(
        "threads",
        [
            {"pid": 1, "tid": 10 + number, "wall_ms": 1000.0, **zeros, **row}
            for number, row in enumerate(made)
        ],
    )


def trainer_thread(**shares: float) -> dict[str, Any]:
    """The trainer's row of the thread table."""
    return {"name": "MainThread", "role": "trainer", **shares}


def lines(*made: tuple[str, str, str, str, int, float]) -> pd.DataFrame:
    """Lines as (stage, role, thread, function, line, share) of train.py."""
    return rows(
        "lines",
        [
            {
                "stage": stage,
                "role": role,
                "thread": thread,
                "function": function,
                "file": "/home/u/train.py",
                "line": line,
                "share": share,
            }
            for stage, role, thread, function, line, share in made
        ],
    )


def kinds(found: Sequence[Finding]) -> list[str]:
    """The kinds, in order."""
    return [one.kind for one in found]


def only(found: Sequence[Finding], kind: str) -> Finding:
    """The one finding of that kind."""
    (one,) = [finding for finding in found if finding.kind == kind]
    return one


def socket_loop(share: float = 0.62) -> Evidence:
    """A loop that waits for a socket in `load`."""
    return loop_of(
        {
            ("load", "network"): share,
            ("load", "python"): 0.02,
            ("forward", "native"): 0.98 - share,
        },
        lines=lines(
            ("load", "trainer", "MainThread", "read_rows", 14, 0.9),
            ("load", "trainer", "MainThread", "load_batch", 20, 0.08),
            ("load", "trainer", "MainThread", "noise", 21, 0.02),
        ),
        waited_on=rows(
            "waited_on",
            [
                {
                    "stage": "load",
                    "role": "trainer",
                    "cause": "network",
                    "syscall": "recvfrom",
                    "what": what,
                    "ms_per_step": ms,
                }
                for what, ms in [("", 70.0), ("10.0.0.7:5000", 61.0), ("x:1", 1.0)]
            ],
        ),
    )


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


def gil_loop(**more: Any) -> Evidence:
    """Augment threads hold the GIL while the trainer's forward waits."""
    waits = [
        ("augment-1", 0.30, "augment", 31),
        ("augment-1", 0.10, "", 0),
        ("augment-2", 0.05, "augment", 31),
    ]
    return loop_of(
        {
            ("forward", "gil"): 0.45,
            ("load", "gil"): 0.05,
            ("forward", "python"): 0.25,
            ("forward", "native"): 0.25,
        },
        gil_waits=rows(
            "gil_waits",
            [
                {
                    "stage": "forward",
                    "role": "trainer",
                    "holder_thread": thread,
                    "holder_function": function,
                    "holder_file": "/home/u/train.py" if function else "",
                    "holder_line": line,
                    "share": share,
                }
                for thread, share, function, line in waits
            ],
        ),
        handovers_per_s=190.0,
        **more,
    )


def test_gil_contention_names_holder_function_and_line() -> None:
    """Waits of all stages count; the holder's thread, function and line are named."""
    one = only(diagnose(gil_loop()), "gil-contention")
    assert one.share == pytest.approx(0.5)
    assert (one.stage, one.cause) == ("forward", "gil")
    assert 'thread "augment-1" holds it in `augment` (train.py:31)' in one.summary
    assert "for 89 % of that wait" in one.summary
    assert one.where[0] == Where("augment", "/home/u/train.py", 31)
    assert one.evidence["handovers_per_s"] == 190.0
    assert one.evidence["holder_line"] == 31


def test_gil_holder_without_stacks_is_still_named() -> None:
    """Without py-spy the holding thread is named, and no line is invented."""
    evidence = gil_loop()
    bare = evidence.gil_waits.assign(holder_function="", holder_file="", holder_line=0)
    one = only(
        diagnose(Evidence(LOOP, evidence.stages, evidence.causes, gil_waits=bare)),
        "gil-contention",
    )
    assert 'thread "augment-1" holds it for' in one.summary
    assert one.where == ()


def test_gil_contention_without_holders_says_so() -> None:
    """Waiters alone (no holder read) still give the finding."""
    (one,) = diagnose(loop_of({("forward", "gil"): 0.2, ("forward", "native"): 0.4}))
    assert one.kind == "gil-contention"
    assert "not known" in one.summary


def starved(producer: Mapping[str, Any], stage: str = "load") -> Evidence:
    """A trainer in a queue's lock beside one producer thread."""
    return loop_of(
        {(stage, "lock"): 0.8, ("forward", "native"): 0.2},
        threads=threads(trainer_thread(lock=0.8, native=0.2), producer),
        lines=lines(
            (stage, "trainer", "MainThread", "get", 40, 1.0),
            ("load", "loader", "producer", "produce", 30, 0.9),
        ),
    )


@pytest.mark.parametrize("cause", ["sleep", "python", "network", "native", "disk"])
def test_starvation_names_the_producer_and_its_cause(cause: str) -> None:
    """The thread behind the queue is named with what it does itself."""
    producer = {"name": "producer", "role": "loader", cause: 0.9, "lock": 0.1}
    (one,) = diagnose(starved(producer))
    assert (one.kind, one.stage, one.cause) == ("starvation", "load", "lock")
    assert 'thread "producer", itself 90 % of the time' in one.summary
    assert one.evidence["producer_cause"] == cause
    assert [place.function for place in one.where] == ["produce", "get"]


def test_starvation_outside_every_stage_needs_a_producer() -> None:
    """A queue read in plain loop code starves too; without a producer it waits."""
    producer = {"name": "producer", "role": "loader", "python": 0.9}
    assert kinds(diagnose(starved(producer, "other"))) == ["starvation"]
    alone = loop_of({("other", "lock"): 0.8, ("forward", "native"): 0.2})
    assert kinds(diagnose(alone)) == ["waiting"]


def test_starvation_by_an_unseen_producer_says_so() -> None:
    """A lock in `load` is starvation even if no thread can be named."""
    (one,) = diagnose(loop_of({("load", "lock"): 0.5, ("forward", "native"): 0.5}))
    assert one.kind == "starvation"
    assert "could not be seen" in one.summary


def test_a_guessed_producer_is_called_probable() -> None:
    """Of unrecognised threads the one at work is taken, and marked as a guess."""
    evidence = loop_of(
        {("load", "lock"): 0.8, ("forward", "native"): 0.2},
        threads=threads(
            trainer_thread(lock=0.8),
            {"name": "heartbeat", "role": "other", "sleep": 1.0},
            {"name": "feed", "role": "other", "python": 0.8},
            {"name": "idle", "role": "other", "lock": 1.0},
        ),
    )
    (one,) = diagnose(evidence)
    assert 'probably for thread "feed"' in one.summary


def test_an_idle_loader_waits_on_a_lock_itself() -> None:
    """A loader that waits as well is named, with no cause made up for it."""
    (one,) = diagnose(starved({"name": "producer", "role": "loader", "lock": 1.0}))
    assert "itself waiting on a lock" in one.summary
    assert one.evidence["producer_cause"] == ""


def test_loader_processes_starve_the_trainer_over_a_pipe() -> None:
    """Waiting on DataLoader workers is starvation, with the workers' own cause."""
    workers = [
        {"pid": pid, "name": "pt_data_worker", "role": "worker", "native": 0.9}
        for pid in (7, 8)
    ]
    evidence = loop_of(
        {("load", "ipc"): 0.5, ("forward", "native"): 0.5},
        threads=threads(trainer_thread(ipc=0.5, native=0.5), *workers),
        cores=4,
    )
    (one,) = diagnose(evidence)
    assert (one.kind, one.cause) == ("starvation", "ipc")
    assert "2 loader processes, themselves 90 % of the time" in one.summary
    assert one.evidence["producer_cause"] == "native"
    assert "num_workers" in one.action


def crowd(count: int, cores: float | None, **more: Any) -> Evidence:
    """A trainer that queues for a core beside `count` native threads."""
    helpers = [
        {"name": f"metrics-{n}", "role": "other", "native": 0.5, "runqueue": 0.5}
        for n in range(count)
    ]
    return loop_of(
        {("forward", "runqueue"): 0.45, ("forward", "native"): 0.55},
        threads=threads(trainer_thread(native=0.55, runqueue=0.45), *helpers),
        cores=cores,
        **more,
    )


def test_more_threads_than_cores_is_oversubscription() -> None:
    """Own threads that outnumber the cores are counted and named."""
    (one,) = diagnose(crowd(3, cores=2))
    assert (one.kind, one.cause) == ("oversubscription", "runqueue")
    assert "4 of the script's own threads compete for 2 cores" in one.summary
    assert '"metrics-0"' in one.summary
    assert "at most 2 busy threads" in one.action


def test_oversubscription_names_the_library_pools() -> None:
    """Pool threads lead to the environment variables and threadpoolctl."""
    pool = [{"name": "python", "role": "pool", "native": 0.9} for _ in range(8)]
    evidence = loop_of(
        {("forward", "runqueue"): 0.3, ("forward", "native"): 0.6},
        threads=threads(trainer_thread(native=0.6, runqueue=0.3), *pool),
        environment={
            "thread_pools": [
                {"library": "openblas", "threads": 9},
                {"library": "openmp (gomp)", "file": "libgomp.so.1"},
                {"library": "mkl", "threads": 1},
            ],
            "foreign_load": 1.25,
        },
        cores=4,
    )
    one = only(diagnose(evidence), "oversubscription")
    assert "8 pool threads, openblas with 9 threads and openmp (gomp)" in one.summary
    assert "mkl" not in one.summary
    assert "OMP_NUM_THREADS=4" in one.action
    assert "threadpoolctl" in one.action
    assert "1.2 cores" in one.action
    assert one.evidence["foreign_load"] == 1.25


def test_a_run_queue_of_others_is_a_busy_machine() -> None:
    """One thread on two cores cannot crowd itself out: others did."""
    evidence = crowd(0, cores=2, environment={"foreign_load": 2.4})
    found = diagnose(evidence)
    assert kinds(found) == ["machine-busy"]
    assert "other programs used 2.4 cores" in found[0].summary


def test_a_busy_machine_without_foreign_load_hints_at_a_quota() -> None:
    """No core free, nobody else there: a limit is the likely reason."""
    (one,) = diagnose(crowd(0, cores=2, environment={"foreign_load": 0.05}))
    assert one.kind == "machine-busy"
    assert "quota" in one.action


def test_a_busy_machine_comes_first() -> None:
    """The guard is the headline even before larger shares."""
    shares = {("load", "network"): 0.5, ("forward", "runqueue"): 0.3}
    evidence = loop_of(
        shares, cores=2, threads=threads(trainer_thread(network=0.5, runqueue=0.3))
    )
    assert kinds(diagnose(evidence)) == ["machine-busy", "input-bound-io"]


def test_little_foreign_delay_is_ignored() -> None:
    """Below the guard's threshold nothing is said of the machine."""
    evidence = loop_of(
        {("forward", "runqueue"): 0.2, ("forward", "native"): 0.6},
        threads=threads(trainer_thread(native=0.6, runqueue=0.2)),
        cores=2,
    )
    assert diagnose(evidence) == ()


@pytest.mark.parametrize("load", [None, 0.1])
def test_run_queue_without_knowledge_abstains(load: float | None) -> None:
    """Neither threads nor cores nor a foreign load: no one can be blamed."""
    environment = {} if load is None else {"foreign_load": load}
    evidence = loop_of({("forward", "runqueue"): 0.6}, environment=environment)
    assert diagnose(evidence) == ()


def test_threads_bound_by_the_gil_count_once_a_process() -> None:
    """Python threads of one process cannot crowd the cores; processes can."""
    busy = {"role": "other", "python": 0.3, "runqueue": 0.2}
    same = threads(*({**busy, "name": f"t{n}"} for n in range(4)))
    apart = threads(*({**busy, "name": f"t{n}", "pid": n} for n in range(4)))
    counted = [contenders(Evidence(LOOP, threads=t), DEFAULT) for t in (same, apart)]
    assert [one.at_once for one in counted if one] == [1, 4]


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


@pytest.mark.parametrize("rule", STEP_RULES)
def test_every_rule_abstains_on_a_healthy_loop(rule: Rule) -> None:
    """Nothing wrong, nothing said."""
    healthy = loop_of(HEALTHY, cores=2, threads=threads(trainer_thread(native=0.9)))
    assert rule(healthy, DEFAULT) == ()


@pytest.mark.parametrize("rule", STEP_RULES)
@pytest.mark.parametrize("loop", [LOOP, NO_LOOP])
def test_every_rule_abstains_without_data(rule: Rule, loop: Loop) -> None:
    """Empty tables give no finding and no error."""
    assert rule(Evidence(loop), DEFAULT) == ()


@pytest.mark.parametrize("rule", STEP_RULES)
def test_unattributed_time_is_no_evidence(rule: Rule) -> None:
    """Time without a cause, as when nothing was sampled, accuses nobody."""
    shares = {("load", "unattributed"): 0.6, ("forward", "unattributed"): 0.4}
    assert rule(loop_of(shares), DEFAULT) == ()


def test_too_few_steps_are_not_diagnosed() -> None:
    """Below five steps the only finding is that."""
    short = Loop(trainer_tid=1, found=True, rule="", measured=4)
    found = diagnose(loop_of({("load", "network"): 0.9}, loop=short))
    assert kinds(found) == ["too-short"]
    assert "4 steps were" in found[0].summary
    assert "--steps" in found[0].action
    assert "Gain" not in verdict(Evidence(short), found).action


def test_a_run_without_steps_is_diagnosed_as_a_whole() -> None:
    """GIL and waits count in any stage of the run; input rules stay silent."""
    found = diagnose(
        loop_of({("load", "gil"): 0.3, ("other", "network"): 0.5}, loop=NO_LOOP)
    )
    assert kinds(found) == ["waiting", "gil-contention"]
    assert found[0].summary == (
        "The main thread spends 50 % of the run waiting for the network."
    )
    assert len(RUN_RULES) < len(STEP_RULES)


def test_findings_rank_by_time_to_gain() -> None:
    """The largest share comes first."""
    shares = {
        ("load", "disk"): 0.15,
        ("load", "network"): 0.25,
        ("update", "sleep"): 0.2,
    }
    found = diagnose(loop_of(shares))
    assert [one.share for one in found] == [0.25, 0.2, 0.15]
    assert [one.severity for one in found] == ["medium"] * 3


def test_the_same_time_is_diagnosed_once() -> None:
    """No two findings share stage and cause."""
    producer = {"name": "producer", "role": "loader", "python": 0.9}
    found = diagnose(starved(producer, "other"))
    assert len({(one.stage, one.cause) for one in found}) == len(found)


def test_missing_bounds_are_left_out() -> None:
    """Unknown intervals appear neither in the sentence nor in the evidence."""
    evidence = socket_loop()
    blank = evidence.causes.assign(low=math.nan, high=math.nan)
    (one,) = diagnose(Evidence(LOOP, evidence.stages, blank))
    assert "(" not in one.summary
    assert "share_low" not in one.evidence


@pytest.mark.parametrize(
    "evidence",
    [socket_loop(), gil_loop(), crowd(3, 2), crowd(0, 2), loop_of(HEALTHY)],
)
def test_evidence_is_plain_json(evidence: Evidence) -> None:
    """Everything a finding rests on can be written as strict JSON."""
    for one in diagnose(evidence):
        assert json.loads(json.dumps(one.evidence, allow_nan=False)) == one.evidence
        assert math.isfinite(one.ceiling)
        assert one.summary.endswith(".")
        assert one.action.endswith(".")


def test_a_share_of_one_has_a_finite_ceiling() -> None:
    """Nobody is promised an infinite gain."""
    assert DEFAULT.ceiling(1.0) == pytest.approx(100.0)
    assert DEFAULT.ceiling(0.0) == 1.0


def test_verdict_of_a_finding_has_three_lines() -> None:
    """What, on which line, what to do with the gain to expect."""
    evidence = socket_loop()
    told = verdict(evidence, diagnose(evidence))
    assert "waiting for the network" in told.what
    assert told.where == "In `read_rows` (train.py:14) and `load_batch` (train.py:20)."
    assert told.action.endswith("Gain to expect: up to 2.6x if that wait vanished.")


def test_verdict_without_lines_uses_the_marked_place() -> None:
    """Without stacks the function that marks the stage is named."""
    place = Where("load_batch", "/home/u/train.py", 12)
    evidence = loop_of({("load", "sleep"): 0.9}, places={"load": place})
    told = verdict(evidence, diagnose(evidence))
    assert told.where == "In `load_batch` (train.py:12)."


def test_verdict_of_a_healthy_loop() -> None:
    """Nothing is wrong, and what the time goes to."""
    told = verdict(loop_of(HEALTHY), ())
    assert told.what == (
        "Nothing is wrong: the time of each step goes to native code in `backward` "
        "(36 %), native code in `forward` (30 %) and native code in `update` (18 %)."
    )
    assert "at most 1.6x" in told.action


@pytest.mark.parametrize("cause", ["", "unattributed"])
def test_verdict_without_causes_does_not_call_it_healthy(cause: str) -> None:
    """What was not measured is not "nothing wrong"."""
    evidence = loop_of(
        {("load", "unattributed"): 0.7, ("forward", "unattributed"): 0.3}
    )
    told = verdict(evidence if cause else Evidence(LOOP, evidence.stages), ())
    assert told.what == (
        "What the stages wait for was not measured; the step's time: 70 % in `load` "
        "and 30 % in `forward`."
    )


def test_verdict_admits_much_unknown_time() -> None:
    """A third without a cause is not called healthy either."""
    shares = {("forward", "unattributed"): 0.4, ("forward", "native"): 0.6}
    assert "no known cause" in verdict(loop_of(shares), ()).what


def test_verdict_without_steps_says_how_to_mark() -> None:
    """A script without a loop is told why, and how to mark its stages."""
    told = verdict(loop_of({("other", "native"): 1.0}, loop=NO_LOOP), ())
    assert told.what.startswith("No training steps were found (no stage was seen)")
    assert "--stage" in told.action
