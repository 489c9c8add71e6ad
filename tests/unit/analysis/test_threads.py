"""Every thread's time by cause, of the quiet time alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_rows import STAGES_ONLY
from made_runs import (
    FACTS,
    MS,
    PID,
    marks,
    running,
    segments,
    sites,
    threads,
    wait,
    waits,
)

from debottleneck.analysis.roles import roles_of
from debottleneck.analysis.threads import (
    QuietTime,
    cause_totals,
    causes_of_roles,
    sample_causes,
    thread_table,
)
from debottleneck.recording.recording import Recording
from debottleneck.words import CAUSES


def quiet(*spans: tuple[int, int]) -> QuietTime:
    """Quiet time from (start, end) in milliseconds, a step each."""
    edges = np.array(spans, np.int64).reshape(-1, 2) * MS
    return QuietTime(edges[:, 0], edges[:, 1], float(len(spans)))


def share(time: QuietTime, start: int, end: int) -> float:
    """The quiet part of one interval in milliseconds."""
    return float(time.share(np.array([start]) * MS, np.array([end]) * MS)[0])


@pytest.mark.parametrize(
    ("start", "end", "part"),
    [
        (0, 10, 0.0),
        (10, 20, 1.0),
        (12, 14, 1.0),
        (5, 15, 0.5),
        (15, 35, 0.5),
        (20, 30, 0.0),
        (20, 20, 0.0),
        (0, 100, 0.2),
        (40, 50, 0.0),
    ],
)
def test_the_quiet_part_of_an_interval(start: int, end: int, part: float) -> None:
    """Inside, outside, across one edge, across a gap, over everything."""
    assert share(quiet((10, 20), (30, 40)), start, end) == pytest.approx(part)


def test_adjoining_steps_leave_no_gap() -> None:
    """Where one step ends and the next begins nothing is lost."""
    time = quiet((0, 10), (10, 20), (20, 30))
    assert share(time, 5, 25) == 1.0
    assert time.total_ns == 30 * MS


def test_no_quiet_time() -> None:
    """A run without any has no quiet share of anything."""
    assert quiet().total_ns == 0
    assert share(quiet(), 0, 10) == 0


def run() -> Recording:
    """A trainer, a loader that augments, and a pool thread, all sampled."""
    rows = [wait(n, n + 10, "sleep") for n in range(0, 100, 10)]
    for n in range(0, 100, 10):
        rows.append(running(n, n + 10, tid=101))
        held = "gil" if n < 50 else "lock"
        rows.append(wait(n, n + 10, held, tid=102, holder=101))
    made = threads((PID, "MainThread"), (101, "loader-0"))
    pool = threads((102, "blas"), python=False)
    return Recording.of(
        FACTS,
        {
            "sites": sites(),
            "marks": marks({101: [(0, "+augment"), (60, "-augment"), (99, "+load")]}),
            "threads": pd.concat([made, pool]),
            "waits": waits(rows),
        },
    )


def totals(recording: Recording, time: QuietTime) -> dict[tuple[int, int], np.ndarray]:
    """Nanoseconds by thread, stage and cause."""
    return cause_totals(recording, segments(recording), STAGES_ONLY, time)


def roles(recording: Recording) -> dict[tuple[int, int], str]:
    """What each thread is for."""
    return roles_of(recording, PID, segments(recording))


def test_only_quiet_time_counts() -> None:
    """Every thread's causes add up to the quiet time it was seen in."""
    grids = totals(run(), quiet((0, 25), (50, 75)))
    assert {tid: grid.sum() / MS for (_, tid), grid in grids.items()} == {
        tid: pytest.approx(50) for tid in (PID, 101, 102)
    }


def test_the_table_of_threads() -> None:
    """Trainer first, then by time that was not sleep or lock; shares of their own."""
    recording = run()
    by_thread = totals(recording, quiet((0, 100)))
    table = thread_table(recording, by_thread, roles(recording))
    assert table["tid"].tolist() == [PID, 101, 102]
    assert table["role"].tolist() == ["trainer", "loader", "pool"]
    assert table["name"].tolist() == ["MainThread", "loader-0", "blas"]
    shares = zip(("sleep", "python", "gil"), table.index, strict=True)
    largest = [table.at[row, cause] for cause, row in shares]
    assert largest == pytest.approx([1, 1, 0.5])
    assert table[list(CAUSES)].sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    assert table["wall_ms"].tolist() == pytest.approx([100, 100, 100])


def test_a_thread_that_fills_a_queue_is_a_loader() -> None:
    """Whatever it is called, and one that wakes the trainer, which stays that."""
    facts = replace(FACTS, feeders=(PID,), wakers=(101,))
    made = {"threads": threads((PID, "MainThread"), (101, "Thread-2"), (102, "x"))}
    found = roles(Recording.of(facts, made))
    assert found == {(PID, PID): "trainer", (PID, 101): "loader", (PID, 102): "other"}


def test_causes_of_other_roles() -> None:
    """Per step and by stage, summed over a role's threads, the trainer left out."""
    recording, steps = run(), quiet((0, 50), (50, 100))
    by_thread = totals(recording, steps)
    table = causes_of_roles(
        by_thread, roles(recording), STAGES_ONLY, steps, without="trainer"
    )
    table = table.set_index(["role", "stage", "cause"])
    assert set(table.index.get_level_values(0)) == {"loader", "pool"}
    assert table.at[("loader", "augment", "python"), "ms_per_step"] == pytest.approx(30)
    assert table.at[("loader", "augment", "python"), "share"] == pytest.approx(0.6)
    assert table.at[("pool", "other", "gil"), "ms_per_step"] == pytest.approx(25)


def test_two_threads_of_a_role_may_exceed_the_step() -> None:
    """Shares of roles are summed: two busy loaders are twice the step."""
    rows = [running(0, 100, tid=tid, holder=0) for tid in (101, 102)]
    made = threads((101, "loader-0"), (102, "loader-1"))
    recording = Recording.of(FACTS, {"threads": made, "waits": waits(rows)})
    loaders = {(PID, 101): "loader", (PID, 102): "loader"}
    steps = quiet((0, 100))
    by_thread = totals(recording, steps)
    table = causes_of_roles(by_thread, loaders, STAGES_ONLY, steps, without="trainer")
    assert table["share"].tolist() == pytest.approx([2.0])


def test_a_sample_alone_shows_its_cause() -> None:
    """On a core by who holds the GIL, or queued; else what it waited for."""
    rows = [
        running(0, 10),
        running(10, 20, holder=7),
        running(20, 30, holder=-1),
        running(30, 40, oncpu=1, delay=9),
        wait(40, 50, "disk"),
    ]
    causes = ["python", "native", "running", "runqueue", "disk"]
    assert sample_causes(waits(rows)).tolist() == causes
