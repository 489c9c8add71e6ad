"""Time is conserved: whatever was marked and sampled, parts add up to their whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from depth import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from made_rows import STAGES_ONLY
from made_runs import (
    FACTS,
    MS,
    PID,
    marks,
    sites,
    table,
    threads,
    wait,
    waits,
)

from debottleneck.analysis import frames
from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.attribution import (
    CAUSE,
    CAUSE_OF_STATE,
    Counted,
    Samples,
    by_schedstat,
    gather,
    split,
)
from debottleneck.analysis.threads import QuietTime
from debottleneck.analysis.timeline import Lookup
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import STATES
from debottleneck.words import CAUSES, ON_CORE, STAGES

PARTS = st.floats(0, 1)
COUNT = len(STAGES)
NOT_BLOCKED = [CAUSE[cause] for cause in (*ON_CORE, "runqueue", "throttle")]


@st.composite
def grids(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Samples]:
    """Walls, CPU times and samples that need not agree with each other."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    empty = draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
    orders = draw(st.integers(1, 12))

    def some(*shape: int) -> np.ndarray:
        sizes = rng.random(shape) * 10.0 ** rng.integers(0, orders, shape)
        return np.rint(sizes * (rng.random(shape) >= empty))

    grid = (draw(st.integers(1, 5)), COUNT)
    ran, blocked = some(*grid), some(*grid, len(CAUSES))
    blocked[..., NOT_BLOCKED] = 0
    samples = Samples(
        blocked=blocked,
        seen=some(*grid),
        held=ran * rng.random(grid),
        ran=ran,
        delay=some(*grid),
        stopped=some(*grid),
        count=rng.integers(0, 1000, COUNT).astype(float),
        slices=rng.integers(0, 1000, COUNT).astype(float),
        reads_gil=draw(st.booleans()),
    )
    return some(*grid), some(*grid), samples


@given(grids())
def test_causes_add_up_to_their_stage(
    made: tuple[np.ndarray, np.ndarray, Samples],
) -> None:
    """Every step's stage is its causes, none of them negative."""
    wall, cpu, samples = made
    counted = Counted(gc=samples.held, memory=samples.seen)
    found = split(wall, cpu, samples, counted)
    assert found.sum(axis=-1) == pytest.approx(wall, rel=1e-6, abs=1)
    assert (found >= -1e-3).all()


@given(grids())
def test_run_queue_delay_is_never_made_up(
    made: tuple[np.ndarray, np.ndarray, Samples],
) -> None:
    """No more of it than schedstat counted, nor than the time off the core."""
    wall, cpu, samples = made
    causes = split(wall, cpu, samples)
    found = causes[..., CAUSE["runqueue"]] + causes[..., CAUSE["throttle"]]
    assert found.sum() <= samples.delay.sum() * (1 + 1e-9) + 1
    assert (found <= wall - np.minimum(cpu, wall) + 1e-3).all()


@given(grids())
def test_causes_nobody_saw_are_not_claimed(
    made: tuple[np.ndarray, np.ndarray, Samples],
) -> None:
    """A wait that no sample of the stage showed does not appear in it."""
    wall, cpu, samples = made
    found = split(wall, cpu, samples).sum(axis=0)
    unseen = samples.blocked.sum(axis=0) == 0
    unseen[:, [*NOT_BLOCKED, CAUSE["unattributed"]]] = False
    assert (found[unseen] == 0).all()


@st.composite
def ticks(draw: st.DrawFn, tid: int = PID) -> list[tuple[int, ...]]:
    """Consecutive samples of one thread, of any state and any accounting."""
    rows = []
    at = draw(st.integers(0, 20))
    for _ in range(draw(st.integers(0, 25))):
        length = draw(st.integers(1, 12))
        row = wait(
            at,
            at + length,
            draw(st.sampled_from(STATES)),
            tid=tid,
            holder=draw(st.sampled_from([-1, 0, tid, tid + 1])),
            oncpu=draw(st.integers(0, 15)),
            delay=draw(st.integers(0, 15)),
            detail=draw(st.integers(0, 3)),
        )
        rows.append(row)
        at += length + draw(st.sampled_from([0, 0, 3]))
    return rows


@settings(max_examples=cases(50))
@given(ticks(), st.data())
def test_a_threads_causes_are_its_time(
    rows: list[tuple[int, ...]], data: st.DataObject
) -> None:
    """Without marks: the causes of all stages are the weighted ticks."""
    count = len(rows)
    stages = data.draw(hnp.arrays(np.int64, count, elements=st.integers(0, 10)))
    weight = data.draw(hnp.arrays(np.float64, count, elements=PARTS))
    made = waits(rows)
    found = by_schedstat(made, stages, weight, COUNT)
    length = (made["end_ns"] - made["start_ns"]).to_numpy() * weight
    assert found.sum() == pytest.approx(length.sum(), rel=1e-6, abs=1)
    assert (found >= -1e-3).all()


@settings(max_examples=cases(50))
@given(ticks(), st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_samples_are_laid_on_the_grid_once(
    rows: list[tuple[int, ...]], lengths: list[int]
) -> None:
    """Seen time is blocked and running time; no delay appears from nowhere."""
    edges = np.cumsum([0, *lengths]) * MS
    made = pd.DataFrame({"start_ns": edges[:-1], "end_ns": edges[1:]})
    names = STAGES_ONLY.names[np.arange(len(lengths)) % COUNT]
    made = made.assign(stage=names, cpu_ns=np.diff(edges) // 2)
    found = gather(
        waits(rows), Lookup(made, STAGES_ONLY), np.zeros(len(made), np.int64), 1
    )
    table = waits(rows)
    inside = (table["end_ns"] > edges[0]) & (table["end_ns"] <= edges[-1])
    length = (table["end_ns"] - table["start_ns"])[inside]
    running = (table["state"] == 0)[inside]
    assert found.seen.sum() == length.sum()
    assert found.blocked.sum() == length[~running].sum()
    assert found.count.sum() == inside.sum()
    assert (found.held <= found.ran).all()
    assert found.delay.sum() <= table["delay_ns"].sum() * (1 + 1e-9)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), max_size=8),
    st.integers(0, 100),
    st.integers(1, 100),
)
def test_quiet_shares_add_up(
    gaps: list[tuple[int, int]], start: int, length: int
) -> None:
    """The quiet part of an interval is the sum of its overlaps."""
    lengths = np.array([part for pair in gaps for part in pair], np.int64)
    edges = np.cumsum(lengths)
    quiet = QuietTime(edges[0::2], edges[1::2], 1.0)
    share = quiet.share(np.array([start]), np.array([start + length]))
    overlap = [
        max(0, min(b, start + length) - max(a, start))
        for a, b in zip(edges[0::2], edges[1::2], strict=True)
    ]
    assert share[0] * length == pytest.approx(sum(overlap), abs=1e-6)


def test_every_waiting_state_has_its_cause() -> None:
    """States and causes share their words, but for running."""
    for number, name in enumerate(STATES):
        if name != "running":
            assert CAUSES[CAUSE_OF_STATE[number]] == name


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Any run: two threads with any marks and samples, blocks anywhere."""
    by_thread = {}
    for tid in (PID, PID + 1):
        at, cpu, words = 0, 0, []
        for _ in range(draw(st.integers(0, 40))):
            at += draw(st.integers(1, 9))
            cpu += draw(st.integers(0, 9))
            word = draw(st.sampled_from(["|", "||", *_WORDS]))
            words.append((at, word, cpu))
        by_thread[tid] = words
    rows = [*draw(ticks()), *draw(ticks(tid=PID + 1))]
    edges = draw(st.lists(st.integers(0, 300), min_size=4, max_size=4).map(sorted))
    blocks = [("stacks", edges[0] * MS, edges[1] * MS)]
    blocks += [("functions-wall", edges[2] * MS, edges[3] * MS)]
    tables = {
        "sites": sites(),
        "marks": marks(by_thread),
        "threads": threads((PID, "MainThread"), (PID + 1, "loader")),
        "waits": waits(rows),
        "blocks": table("blocks", blocks[: draw(st.integers(0, 2))]),
        "details": table("details", [(0, "", ""), (1, "read", "/data/a")]),
    }
    return Recording.of(FACTS, tables)


_TRAIN = ["load", "load", "forward", "backward", "update", "evaluate", "step"]
_WORDS = [sign + name for name in _TRAIN for sign in "+-"]


@settings(max_examples=cases(20))
@given(recordings())
def test_any_run_is_analysed_and_its_time_adds_up(recording: Recording) -> None:
    """Stages are the step, the trainer's causes their stage, shares a whole."""
    found = analyse(recording)
    causes = found.causes
    assert set(causes["cause"]) <= set(CAUSES)
    assert set(causes["stage"]) <= set(STAGES)
    assert (causes["ms_per_step"] >= -1e-9).all()
    by_step = found.step_stages.groupby("step")["wall_ns"].sum()
    walls = found.steps.set_index("step")["wall_ns"]
    assert (by_step.reindex(walls.index, fill_value=0) == walls).all()
    if found.loop.found:
        stages = found.stages.set_index("stage")["ms_per_step"]
        own = causes[causes["role"] == "trainer"]
        sums = own.groupby("stage")["ms_per_step"].sum()
        assert stages.sum() == pytest.approx(found.loop.step_ms)
        assert sums.reindex(stages.index).to_numpy() == pytest.approx(stages.to_numpy())
        assert found.stages["share"].sum() == pytest.approx(1)
    shares = found.threads[list(CAUSES)].sum(axis=1)
    assert shares.to_numpy() == pytest.approx(np.ones(len(shares)))
    for name in frames.COLUMNS:
        assert list(getattr(found, name).columns) == list(frames.COLUMNS[name])
