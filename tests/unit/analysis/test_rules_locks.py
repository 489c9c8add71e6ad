"""Findings on locks whose holder was seen."""

from __future__ import annotations

import pytest
from made_loops import kinds, loop_of, only, rows, starved, threads, trainer_thread

from debottleneck.analysis.findings import diagnose
from debottleneck.analysis.result import Analysis

WRITER = {"name": "writer", "role": "other", "python": 0.3, "sleep": 0.7}


def contended(part: float, file: str = "/home/u/train.py") -> Analysis:
    """A trainer in `update`'s lock, which the writer holds for a part of that."""
    held = {
        "stage": "update",
        "role": "trainer",
        "kind": "RLock",
        "holder_thread": "writer",
        "holder_tid": 7,
        "holder_function": "flush",
        "holder_file": file,
        "holder_line": 12,
        "share": 0.4 * part,
    }
    return loop_of(
        {("update", "lock"): 0.4, ("forward", "native"): 0.6},
        threads=threads(trainer_thread(lock=0.4, native=0.6), WRITER),
        lock_waits=rows("lock_waits", [held]),
    )


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
    one = only(
        diagnose(contended(0.9, "/usr/lib/logging/__init__.py")), "lock-contention"
    )
    assert "QueueHandler" in one.action


@pytest.mark.parametrize("part", [0.0, 0.3])
def test_a_lock_that_is_mostly_free_is_not_blamed(part: float) -> None:
    """Most of the wait is for somebody to be woken by: no contention."""
    assert "lock-contention" not in kinds(diagnose(contended(part)))


def test_a_queue_starves_and_contends_for_nothing() -> None:
    """Its waiters wait for what is put, and no lock is held meanwhile."""
    producer = {"name": "producer", "role": "loader", "python": 0.9}
    assert "starvation" in kinds(diagnose(starved(producer)))
