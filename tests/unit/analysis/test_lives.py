"""Processes that come one after the other are lives of one place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_loops import loaders
from made_runs import FACTS, PID, table, wait, waits

from debottleneck.analysis.lives import by_place, places_of
from debottleneck.analysis.threads import thread_table
from debottleneck.recording.recording import Recording
from debottleneck.words import CAUSES

Span = tuple[int, float, float]


def recording(*spans: Span) -> Recording:
    """Processes that were seen from one time to another, ms, beside the target."""
    rows = [wait(0, 100, "lock")]
    rows += [wait(a, b, "running", tid=pid, pid=pid) for pid, a, b in spans]
    names = [(pid, pid, 0, "MainThread", True) for pid in {s[0] for s in spans}]
    tables = {"waits": waits(rows), "threads": table("threads", names)}
    return Recording.of(FACTS, tables)


@pytest.mark.parametrize(
    ("spans", "places"),
    [
        (((7, 0, 10), (8, 0, 10)), {7: 7, 8: 8}),
        (((7, 0, 10), (8, 0, 10), (9, 12, 20), (11, 12, 20)), {9: 7, 11: 8}),
        (((7, 0, 30), (8, 0, 10), (9, 12, 20)), {7: 7, 8: 8, 9: 8}),
        (((7, 0, 10), (8, 10, 20)), {8: 7}),
    ],
    ids=["at once", "two epochs", "one stays", "at the very end"],
)
def test_who_begins_when_another_has_ended_takes_its_place(
    spans: tuple[Span, ...], places: dict[int, int]
) -> None:
    """As many places as lived at once, and none is the target's."""
    found = places_of(recording(*spans))
    assert {pid: found[pid] for pid in places} == places
    assert PID not in found


def test_workers_of_one_loader_take_each_others_place() -> None:
    """Though the next ones begin before the last have gone; so do a later loader's."""
    spans = ((7, 0, 12), (8, 0, 12), (9, 10, 20), (11, 10, 20), (12, 30, 40))
    runs = [
        {**loaders(*pids)["loaders"][0], "loader": number, "start_ns": a, "end_ns": b}
        for number, pids, a, b in (
            *((0, (7, 8), 0, 12), (0, (9, 11), 10, 20)),
            *((1, (12,), 30, 0),),
        )
    ]
    made = recording(*spans)
    made = replace(made, facts=replace(made.facts, loaders=tuple(runs)))
    assert places_of(made) == {7: 7, 8: 8, 9: 7, 11: 8, 12: 7}


def test_threads_count_once_a_place() -> None:
    """Two workers over three epochs are two rows, with the time of all their lives."""
    made = recording(
        *((7 + 10 * n, 20.0 * n, 20.0 * n + 10) for n in range(3)),
        *((8 + 10 * n, 20.0 * n, 20.0 * n + 10) for n in range(3)),
    )
    grid = np.zeros((1, len(CAUSES)))
    grid[0, CAUSES.index("python")] = 5e6
    pids = made.threads["pid"]
    totals = {(int(pid), int(pid)): grid for pid in sorted(pids)}
    threads = thread_table(made, totals, dict.fromkeys(totals, "worker"))
    assert threads["wall_ms"].tolist() == [15.0, 15.0]
    assert threads["python"].tolist() == [1.0, 1.0]


def test_threads_of_one_process_stay_apart() -> None:
    """Two of the same name in one process are two, whatever takes its place."""
    names = [(7, tid, 0, "pool", False) for tid in (7, 8)]
    joined = by_place({(7, 7): 1, (7, 8): 2}, table("threads", names), {7: 7})
    assert joined == {(7, 7): [1], (7, 8): [2]}
