"""Findings on locks whose holder was seen."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from made_loops import kinds, loop_of, only, rows, starved, threads, trainer_thread
from made_runs import PID

from debottleneck.analysis.findings import diagnose
from debottleneck.analysis.result import Analysis

WRITER = {"name": "writer", "role": "other", "python": 0.3, "sleep": 0.7}


def contended(part: float, kind: str = "RLock", what: str = "") -> Analysis:
    """A trainer in `update`'s lock, which the writer holds for a part of that.

    Args:
        part: Of the wait.
        kind: Of the lock.
        what: What the wait was seen to be on, "" for nothing.
    """
    held = {
        "stage": "update",
        "role": "trainer",
        "kind": kind,
        "holder_thread": "writer",
        "holder_tid": 7,
        "holder_function": "flush",
        "holder_file": "/home/u/train.py",
        "holder_line": 12,
        "share": 0.4 * part,
    }
    return loop_of(
        {("update", "lock"): 0.4, ("forward", "native"): 0.6},
        threads=threads(trainer_thread(lock=0.4, native=0.6), WRITER),
        lock_waits=rows("lock_waits", [held]),
        waited_on=waited(what or kind),
    )


def waited(what: str) -> pd.DataFrame:
    """What the trainer's wait in `update` was on."""
    row = {"stage": "update", "role": "trainer", "cause": "lock", "what": what}
    return rows("waited_on", [{**row, "syscall": "futex", "ms_per_step": 40.0}])


def test_a_lock_names_its_holder_and_line() -> None:
    """Nobody is told to add producers: nobody produces."""
    findings = diagnose(contended(0.9))
    one = only(findings, "lock-contention")
    assert (one.stage, one.cause) == ("update", "lock")
    assert 'thread "writer" held for 90 % of that wait' in one.summary
    assert "`flush` (train.py:12)" in one.summary
    assert one.where[0].line == 12
    assert one.evidence["lock_kind"] == "RLock"
    assert not {"starvation", "waiting"} & {*kinds(findings)}
    assert not any("producers" in each.action for each in findings)


def test_loggings_lock_has_its_own_remedy() -> None:
    """A handler writes under its lock."""
    one = only(diagnose(contended(0.9, "logging")), "lock-contention")
    assert "waiting for a lock (logging)" in one.summary
    assert "QueueHandler" in one.action


@pytest.mark.parametrize("part", [0.0, 0.3])
@pytest.mark.parametrize("what", ["Queue", "Event"])
def test_what_must_be_woken_is_no_lock(part: float, what: str) -> None:
    """Most of the wait is for somebody to be woken by: no contention."""
    (one,) = diagnose(contended(part, what=what))
    assert one.kind == "waiting"
    assert f"waiting for {'an' if what == 'Event' else 'a'} `{what}`" in one.summary
    assert "producer" not in one.action


def test_a_lock_whose_holder_is_not_seen_is_one_yet() -> None:
    """No thread is accused, and nobody is told to add producers."""
    (one,) = diagnose(contended(0.1, "lock"))
    assert one.kind == "lock-contention"
    assert "who held it could not be seen" in one.summary
    assert "producer" not in one.action


def test_a_library_s_own_threads_neither_hold_nor_produce() -> None:
    """It is named, and may have fewer of them."""
    (one,) = diagnose(contended(0.0, what="libgomp.so"))
    assert one.kind == "waiting"
    assert "waiting in libgomp.so for the threads of that library" in one.summary
    assert "OMP_NUM_THREADS" in one.action


def test_a_queue_starves_and_contends_for_nothing() -> None:
    """Its waiters wait for what is put, and no lock is held meanwhile."""
    producer = {"name": "producer", "role": "loader", "python": 0.9}
    assert "starvation" in kinds(diagnose(starved(producer)))


def test_who_was_seen_to_wake_the_trainer_is_the_producer() -> None:
    """And not one that is busier."""
    analysis = loop_of(
        {("load", "lock"): 0.8, ("forward", "native"): 0.2},
        threads=threads(
            trainer_thread(lock=0.8),
            {"pid": PID, "name": "metrics", "role": "loader", "python": 0.9},
            {"pid": PID, "name": "source", "role": "loader", "network": 0.5},
        ),
        told={"wakers": (12,)},
    )
    (one,) = diagnose(analysis)
    assert 'for thread "source", itself' in one.summary
    assert "metrics" not in one.summary


@pytest.mark.parametrize("what", ["Queue", "Barrier"])
def test_more_producers_fill_a_queue_and_no_barrier(what: str) -> None:
    """That is passed when the last of all is there."""
    analysis = starved({"name": "producer", "role": "loader", "sleep": 0.9})
    on = waited(what).assign(stage="load")
    (one,) = diagnose(replace(analysis, waited_on=on))
    assert one.kind == "starvation"
    assert ("Add producer" in one.action) is (what == "Queue")
