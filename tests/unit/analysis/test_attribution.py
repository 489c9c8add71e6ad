"""Stage x cause on written samples whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_rows import STAGES_ONLY
from made_runs import (
    FACTS,
    MS,
    PID,
    loop_words,
    marks,
    running,
    sites,
    threads,
    wait,
    waits,
)

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.attribution import (
    CAUSE,
    by_schedstat,
    check_conserved,
    gather,
    split,
)
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.timeline import Lookup
from debottleneck.recording.loop import CODE
from debottleneck.recording.recording import Recording
from debottleneck.words import CAUSES, STAGES

STEPS = 12

Stages = dict[str, tuple[float, float]]
States = dict[float, tuple[str, int]]
Causes = dict[tuple[str, str], float]


def analysed(stages: Stages, rows: Sequence[Sequence[int]]) -> Analysis:
    """A loop of these stages (wall, CPU) with these samples, no warm-up left out."""
    tables = {
        "sites": sites(),
        "marks": marks({PID: loop_words(STEPS + 1, stages)}),
        "threads": threads((PID, "MainThread")),
        "waits": waits(rows),
    }
    return analyse(Recording.of(replace(FACTS, options={"warmup": 0}), tables))


def shares(analysis: Analysis) -> Causes:
    """(stage, cause) -> milliseconds per step of the trainer, rounded."""
    own = analysis.causes[analysis.causes["role"] == "trainer"]
    keys = zip(own["stage"], own["cause"], strict=True)
    values = own["ms_per_step"].round(6)
    return {k: v for k, v in zip(keys, values, strict=True) if v}


def ticks(step_ms: float, every: float, states: States) -> list:
    """Samples of every step: up to each offset in that state, with that GIL holder."""
    rows = []
    for step in range(STEPS):
        at = 0.0
        for until, (state, holder) in states.items():
            while at < until:
                start, end = step * step_ms + at, step * step_ms + at + every
                on = every if state == "running" else 0.0
                rows.append(wait(start, end, state, holder=holder, oncpu=on))
                at += every
    return rows


CASES: dict[str, tuple[Stages, States, Causes]] = {
    "sleep": ({"load": (100, 0)}, {100: ("sleep", 0)}, {("load", "sleep"): 100}),
    "python": (
        {"augment": (100, 100)},
        {100: ("running", PID)},
        {("augment", "python"): 100},
    ),
    "native": (
        {"forward": (100, 100)},
        {50: ("running", 0), 100: ("running", 777)},
        {("forward", "native"): 100},
    ),
    "mixed": (
        {"load": (40, 10), "forward": (40, 35)},
        {30: ("network", 0), 40: ("running", PID), 70: ("running", 0)}
        | {75: ("gil", 777), 80: ("running", PID)},
        {("load", "network"): 30, ("load", "python"): 10, ("forward", "native"): 30}
        | {("forward", "python"): 5, ("forward", "gil"): 5},
    ),
    "the GIL's holder unread": (
        {"load": (100, 60)},
        {60: ("running", -1), 100: ("sleep", -1)},
        {("load", "unattributed"): 60, ("load", "sleep"): 40},
    ),
}


@pytest.mark.parametrize(("stages", "states", "causes"), CASES.values(), ids=CASES)
def test_a_stage_has_the_causes_that_samples_saw(
    stages: Stages, states: States, causes: Causes
) -> None:
    """On a core with the GIL is python, without it native, unread is not guessed."""
    step_ms = sum(wall for wall, _ in stages.values())
    found = shares(analysed(stages, ticks(step_ms, 5, states)))
    assert found == pytest.approx(causes, abs=1e-5)


def test_exact_times_come_from_the_marks() -> None:
    """Samples only divide: however coarse they are, walls and CPU times hold."""
    rows = ticks(100, 20, {20: ("disk", 0), 100: ("running", PID)})
    found = shares(analysed({"load": (37, 4), "augment": (63, 63)}, rows))
    assert found[("augment", "python")] == 63
    assert sum(v for (stage, _), v in found.items() if stage == "load") == 37
    assert found[("load", "disk")] == 33


def test_without_samples_nothing_is_claimed() -> None:
    """The stages are exact, their causes unattributed."""
    found = analysed({"load": (30, 1), "forward": (10, 10)}, [])
    assert shares(found) == {
        ("load", "unattributed"): 30,
        ("forward", "unattributed"): 10,
    }
    assert found.loop.found


def test_waiting_that_samples_deny_is_unattributed() -> None:
    """The clock shows 90 ms off the core, samples show 10: no cause gets the rest."""
    rows = ticks(100, 1, {90: ("running", 0), 100: ("lock", 0)})
    found = shares(analysed({"update": (100, 10)}, rows))
    assert 10 <= found[("update", "lock")] < 15
    assert found[("update", "unattributed")] > 75
    assert sum(found.values()) == pytest.approx(100)


def test_waits_too_short_to_be_seen_are_named_by_those_seen() -> None:
    """A thread that was given a core 500 times has waited 500 times between samples."""
    rows = ticks(100, 1, {90: ("running", 0), 100: ("disk", 0)})
    rows = [(*row[:-1], 5) for row in rows]
    found = shares(analysed({"load": (100, 40)}, rows))
    assert found[("load", "disk")] == pytest.approx(60)


def test_run_queue_delay_is_exact() -> None:
    """What schedstat counts is runqueue; the rest off the core is what was seen."""
    rows = []
    for step in range(STEPS):
        at = step * 100
        rows.append(running(at, at + 50, oncpu=30, delay=20))
        rows.append(wait(at + 50, at + 100, "sleep"))
    found = shares(analysed({"forward": (100, 30)}, rows))
    assert found[("forward", "runqueue")] == pytest.approx(20)
    assert found[("forward", "python")] == pytest.approx(30)
    assert found[("forward", "sleep")] == pytest.approx(50)


def grid_of(*spans: tuple[str, float, float, float]) -> tuple[Lookup, np.ndarray]:
    """Segments (stage, start, end, CPU ms), all of one step."""
    rows = [
        (stage, start * MS, end * MS, cpu * MS, PID, PID)
        for stage, start, end, cpu in spans
    ]
    columns = ["stage", "start_ns", "end_ns", "cpu_ns", "pid", "tid"]
    table = pd.DataFrame(rows, columns=columns)
    table = table.astype(dict.fromkeys(columns[1:], "int64"))
    return Lookup(table, STAGES_ONLY), np.zeros(len(rows), np.int64)


def delays(found: np.ndarray) -> dict[str, float]:
    """Milliseconds of delay laid on each stage."""
    names = list(CODE)
    return {names[i]: found[0, i] / MS for i in np.flatnonzero(found[0])}


def test_delay_is_laid_where_the_clock_shows_loss() -> None:
    """Of two stages in one tick, the one that lost time has waited for a core."""
    lookup, places = grid_of(("load", 0, 10, 10), ("forward", 10, 20, 2))
    rows = waits([running(0, 20, oncpu=12, delay=8)])
    found = delays(gather(rows, lookup, places, 1).delay)
    assert sum(found.values()) == pytest.approx(8)
    assert found["forward"] > 7.5


def test_delay_is_not_laid_on_usual_waiting() -> None:
    """A stage that sleeps anyway has lost nothing to the run queue."""
    lookup, places = grid_of(("load", 0, 100, 0), ("forward", 100, 200, 60))
    rows = [wait(n * 10, n * 10 + 10, "sleep") for n in range(9)]
    rows += [running(90, 110, oncpu=2, delay=8)]
    found = delays(gather(waits(rows), lookup, places, 1).delay)
    assert sum(found.values()) == pytest.approx(8)
    assert found["forward"] > found["load"]


def test_a_delay_longer_than_its_tick_reaches_back() -> None:
    """The kernel books a delay when it ends: it began before this tick."""
    lookup, places = grid_of(("load", 0, 50, 5), ("forward", 50, 60, 10))
    rows = waits([running(0, 50, oncpu=5), running(50, 60, oncpu=10, delay=45)])
    found = delays(gather(rows, lookup, places, 1).delay)
    assert sum(found.values()) == pytest.approx(45)
    assert found["load"] > 43


def test_samples_outside_of_quiet_steps_do_not_count() -> None:
    """A segment without a row on the grid takes nothing."""
    lookup, _ = grid_of(("load", 0, 10, 0), ("load", 10, 20, 0))
    rows = waits([wait(0, 10, "sleep"), wait(10, 20, "disk", delay=3)])
    found = gather(rows, lookup, np.array([0, -1]), 1)
    assert found.blocked.sum() == 10 * MS
    assert found.blocked[0, CODE["load"], CAUSE["sleep"]] == 10 * MS
    assert found.delay.sum() < 1.5 * MS


def test_a_thread_without_steps_goes_by_its_ticks() -> None:
    """Wall, CPU time and delay of its own, by the stage of each tick."""
    rows = waits(
        [
            running(0, 10, tid=5, oncpu=8, delay=2),
            wait(10, 30, "lock", tid=5),
            wait(30, 40, "gil", tid=5, holder=PID, delay=1),
            running(40, 50, tid=5, holder=0),
        ]
    )
    stages = np.array([CODE[s] for s in ("augment", "augment", "augment", "load")])
    found = by_schedstat(rows, stages, np.ones(4), len(STAGES)) / MS
    augment = dict(zip(CAUSES, found[CODE["augment"]], strict=True))
    assert augment["python"] == pytest.approx(8)
    assert augment["runqueue"] == pytest.approx(3)
    assert augment["lock"] / augment["gil"] == pytest.approx(2)
    assert sum(augment.values()) == pytest.approx(40)
    assert found[CODE["load"], CAUSE["native"]] == pytest.approx(10)


def test_causes_that_do_not_add_up_are_a_bug() -> None:
    """Wrong totals must never be reported."""
    causes = np.zeros((1, 3, len(CAUSES)))
    with pytest.raises(AssertionError, match="do not add up"):
        check_conserved(causes, np.ones((1, 3)))
    check_conserved(causes, np.zeros((1, 3)))


def test_no_steps_no_causes() -> None:
    """An empty grid splits into an empty one."""
    assert split(np.empty((0, 3)), np.empty((0, 3)), None).shape == (0, 3, len(CAUSES))
