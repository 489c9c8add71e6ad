"""The trainer's wait for workers, joined to what they did meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_loops import loaders, rows
from made_runs import FACTS, MS, PID, table, wait, waits

from debottleneck.analysis.feeding import HANDING, STARTING, LoaderWork, feeding_of
from debottleneck.analysis.threads import QuietTime
from debottleneck.recording.recording import Recording

ONE, TWO = 7, 8
LIFE = (0, 100)
QUIET = QuietTime(np.array([0]), np.array([100 * MS]), 1.0)
SOCKET = table("details", [(0, "", ""), (1, "read", "local socket"), (2, "poll", "p")])


def segment(pid: int, start: int, end: int) -> dict[str, Any]:
    """A fetch in a worker, or the trainer's wait in `load`."""
    times = {"start_ns": start * MS, "end_ns": end * MS, "cpu_ns": 0}
    return {"pid": pid, "tid": pid, "stage": "load", "site": 0, **times}


def fed(
    trainer: list[tuple[int, int, int]],
    workers: dict[int, list[tuple[int, int, str]]],
    work: list[tuple[int, int, int]],
) -> LoaderWork:
    """What is found of a trainer that waits in `load` for 100 ms.

    Args:
        trainer: Its samples: start, end and detail.
        workers: Samples of each: start, end and state.
        work: Fetches: process, start, end.
    """
    samples = [wait(a, b, "ipc", detail=detail) for a, b, detail in trainer]
    samples += [
        wait(a, b, state, pid=pid, tid=pid, holder=pid * (state == "running"))
        for pid, of_worker in workers.items()
        for a, b, state in of_worker
    ]
    segments = [segment(PID, *LIFE), *(segment(*each) for each in work)]
    causes = rows(
        "causes",
        [
            {"stage": "load", "role": "trainer", "cause": "ipc", "ms_per_step": 80.0},
            {"stage": "load", "role": "worker", "cause": "python", "ms_per_step": 60.0},
        ],
    )
    facts = replace(FACTS, **loaders(*workers))
    made = Recording.of(facts, {"waits": waits(samples), "details": SOCKET})
    found = feeding_of(made, PID, pd.DataFrame(segments), {}, causes, QUIET)
    assert found is not None
    return found


def test_the_wait_is_what_workers_at_work_did() -> None:
    """Half the wait one worker ran Python code, half the other waited for a file."""
    found = fed(
        [(0, 50, 2), (50, 100, 2)],
        {ONE: [(0, 100, "running")], TWO: [(0, 50, "ipc"), (50, 100, "disk")]},
        [(ONE, 0, 60), (TWO, 60, 100)],
    )
    assert found.workers == 2
    assert found.wait_ms == 80.0
    assert found.parts == pytest.approx({"python": 0.5, "disk": 0.5})
    assert found.made_ms == {"python": 60.0}


def test_fetching_a_descriptor_is_handing_over() -> None:
    """A socket of the family is no queue: that batch is made."""
    found = fed(
        [(0, 75, 1), (75, 100, 2)], {ONE: [(0, 100, "running")]}, [(ONE, *LIFE)]
    )
    assert found.parts == pytest.approx({HANDING: 0.75, "python": 0.25})


def test_a_worker_that_has_not_begun_is_starting() -> None:
    """Until its first fetch."""
    found = fed(
        [(0, 50, 2), (50, 100, 2)], {ONE: [(0, 100, "running")]}, [(ONE, 90, 99)]
    )
    assert found.parts == pytest.approx({STARTING: 0.5, HANDING: 0.5})


def test_one_of_several_at_work_holds_up_the_others() -> None:
    """While the other one is idle: it has its batch ready."""
    found = fed(
        [(0, 50, 2), (50, 100, 2)],
        {ONE: [(0, 100, "sleep")], TWO: [(0, 100, "ipc")]},
        [(ONE, 0, 100), (TWO, 0, 50)],
    )
    assert found.alone == pytest.approx(0.5)


def test_workers_without_marks_are_told_by_their_state() -> None:
    """Spawned ones have no agent: one that waits for its queue is idle."""
    states = {ONE: [(0, 100, "running")], TWO: [(0, 100, "ipc")]}
    assert fed([(0, 100, 2)], states, []).parts == {"python": 1.0}


def test_without_workers_there_is_none() -> None:
    """A DataLoader that loads in the trainer feeds nobody."""
    made = Recording.of(replace(FACTS, **loaders()), {})
    empty = rows("causes", [])
    assert feeding_of(made, PID, pd.DataFrame(), {}, empty, QUIET) is None
