"""Rules on threads: GIL, starvation, too many threads, a busy machine."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from made_loops import (
    analysis_of,
    crowd,
    gil_loop,
    kinds,
    loop_of,
    only,
    starved,
    threads,
    trainer_thread,
)

from debottleneck.analysis.findings import diagnose
from debottleneck.analysis.result import Where
from debottleneck.analysis.rules.contention import contenders


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
    analysis = gil_loop()
    bare = analysis.gil_waits.assign(holder_function="", holder_file="", holder_line=0)
    one = only(diagnose(replace(analysis, gil_waits=bare)), "gil-contention")
    assert 'thread "augment-1" holds it for' in one.summary
    assert one.where == ()


def test_gil_contention_without_holders_says_so() -> None:
    """Waiters alone (no holder read) still give the finding."""
    (one,) = diagnose(loop_of({("forward", "gil"): 0.2, ("forward", "native"): 0.4}))
    assert one.kind == "gil-contention"
    assert "not known" in one.summary


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
    analysis = loop_of(
        {("load", "lock"): 0.8, ("forward", "native"): 0.2},
        threads=threads(
            trainer_thread(lock=0.8),
            {"name": "heartbeat", "role": "other", "sleep": 1.0},
            {"name": "feed", "role": "other", "python": 0.8},
            {"name": "idle", "role": "other", "lock": 1.0},
        ),
    )
    (one,) = diagnose(analysis)
    assert 'probably for thread "feed"' in one.summary


def test_an_idle_loader_waits_on_a_lock_itself() -> None:
    """A loader that waits as well is named, with no cause made up for it."""
    (one,) = diagnose(starved({"name": "producer", "role": "loader", "lock": 1.0}))
    assert "itself waiting on a lock" in one.summary
    assert one.evidence["producer_cause"] == ""


def test_processes_starve_the_trainer_over_a_pipe() -> None:
    """Processes of its own making are no DataLoader's, and none is to be set."""
    workers = [
        {"pid": pid, "name": "Process-1", "role": "worker", "native": 0.9}
        for pid in (7, 8)
    ]
    analysis = loop_of(
        {("load", "ipc"): 0.5, ("forward", "native"): 0.5},
        threads=threads(trainer_thread(ipc=0.5, native=0.5), *workers),
        cores=4,
    )
    (one,) = diagnose(analysis)
    assert (one.kind, one.cause) == ("starvation", "ipc")
    assert "for 2 processes, themselves 90 % of the time" in one.summary
    assert one.evidence["producer_cause"] == "native"
    assert "Add producer processes while cores are free" in one.action
    assert "num_workers" not in one.action


def test_more_threads_than_cores_is_oversubscription() -> None:
    """Own threads that outnumber the cores are counted and named."""
    (one,) = diagnose(crowd(3))
    assert (one.kind, one.cause) == ("oversubscription", "runqueue")
    assert "4 of the script's own threads compete for 2 cores" in one.summary
    assert '"metrics-0"' in one.summary
    assert "at most 2 busy threads" in one.action


def test_oversubscription_names_the_library_pools() -> None:
    """Pool threads lead to the environment variables and threadpoolctl."""
    pool = [{"name": "python", "role": "pool", "native": 0.9} for _ in range(8)]
    analysis = loop_of(
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
    one = only(diagnose(analysis), "oversubscription")
    assert "8 pool threads, openblas with 9 threads and openmp (gomp)" in one.summary
    assert "mkl" not in one.summary
    assert "OMP_NUM_THREADS=4" in one.action
    assert "threadpoolctl" in one.action
    assert one.evidence["foreign_load"] == 1.25


@pytest.mark.parametrize(
    ("load", "says"),
    [(2.4, "when the machine is quiet"), (0.05, "container quota")],
)
def test_a_run_queue_of_others_is_a_busy_machine(load: float, says: str) -> None:
    """One thread on two cores cannot crowd itself out: others did, or a limit."""
    (finding,) = diagnose(crowd(0, foreign_load=load))
    assert finding.kind == "machine-busy"
    assert says in finding.summary + finding.action
    rest = r"; \d+ % of the rest is (Python|native) code in `\w+`\.$"
    assert re.search(rest, finding.summary)


@pytest.mark.parametrize(
    ("threads", "load", "kind"),
    [(3, 1.5, "oversubscription"), (2, 1.5, "machine-busy"), (2, 0.1, "oversubsc")],
)
def test_who_wants_more_is_blamed(threads: int, load: float, kind: str) -> None:
    """Own threads beyond the cores by more than others took, or the others."""
    (finding,) = diagnose(crowd(threads, foreign_load=load))
    assert finding.kind.startswith(kind)


def test_the_script_s_own_cause_comes_first() -> None:
    """A busy machine is said behind it, even of a larger share."""
    shares = {("load", "network"): 0.3, ("forward", "runqueue"): 0.5}
    analysis = loop_of(
        shares, cores=2, threads=threads(trainer_thread(network=0.3, runqueue=0.5))
    )
    assert kinds(diagnose(analysis)) == ["input-bound-io", "machine-busy"]


def test_threads_bound_by_the_gil_count_once_a_process() -> None:
    """Python threads of one process cannot crowd the cores; processes can."""
    busy = {"role": "other", "python": 0.3, "runqueue": 0.2}
    same = threads(*({**busy, "name": f"t{n}"} for n in range(4)))
    apart = threads(*({**busy, "name": f"t{n}", "pid": n} for n in range(4)))
    counted = [contenders(analysis_of(threads=t)) for t in (same, apart)]
    assert [one.at_once for one in counted if one] == [1, 4]
