"""Steps: which are warm-up, which an instrument disturbed, and what is in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_runs import FACTS, MS, PID, Words, loop_words, marks, sites, table

from debottleneck.analysis.steps import choose_warmup, find_loop, label, with_stages
from debottleneck.analysis.timeline import marks_by_thread, raw_segments
from debottleneck.recording.loop import Steps
from debottleneck.recording.recording import Recording, empty


def warmup(*wall: float, asked: int | None = None) -> int:
    """The number chosen for quiet steps of these lengths."""
    walls = np.array(wall) * MS
    return choose_warmup(walls.astype(np.int64), np.ones(len(wall), bool), asked)[0]


LEADING = {
    "even: the first is left out anyway": ([10] * 20, 1),
    "one slow": ([80, *[10] * 19], 1),
    "three slow": ([80, 50, 30, *[10] * 20], 3),
    "two fast": ([1, 1, *[10] * 20], 2),
    "only leading ones": ([80, 10, 80, *[10] * 20], 1),
    "at most a quarter": ([80] * 10 + [10] * 10, 5),
    "too few": ([80, 10, 10], 0),
    "none": ([], 0),
}


@pytest.mark.parametrize(("wall", "count"), LEADING.values(), ids=LEADING)
def test_leading_steps_of_another_length_are_warm_up(
    wall: list[float], count: int
) -> None:
    """Those before the first that is like the later ones, within a quarter."""
    assert warmup(*wall) == count


def test_a_noisy_loop_is_not_all_warm_up() -> None:
    """What the loop does anyway is no warm-up, however wide it is."""
    rng = np.random.default_rng(1)
    assert warmup(*rng.uniform(5, 40, 200)) <= 2


@pytest.mark.parametrize(("asked", "count"), [(0, 0), (3, 3), (99, 5)])
def test_the_users_number_holds(asked: int, count: int) -> None:
    """As asked, if there are so many."""
    assert warmup(*[10] * 5, asked=asked) == count


def test_the_reason_is_a_sentence_with_its_number() -> None:
    """Whoever doubts the choice sees what it rests on."""
    wall, quiet = np.array([75, *[10] * 19]) * MS, np.ones(20, bool)
    reasons = [choose_warmup(wall, quiet, asked)[1] for asked in (None, 4)]
    assert reasons == [
        "the first took up to 7.5 times the median step",
        "as asked with --warmup",
    ]


def test_disturbed_steps_do_not_set_the_measure() -> None:
    """Steps under an instrument say nothing of how long a step should be."""
    wall = np.array([10] * 6 + [90] * 14) * MS
    assert choose_warmup(wall, np.arange(20) < 6, None)[0] >= 1


def steps(count: int, ms: float = 10) -> Steps:
    """Steps of equal length, one after the other."""
    edges = (np.arange(count + 1) * ms * MS).astype(np.int64)
    return Steps.of(edges[:-1], edges[1:], "a step begins at each load")


def test_steps_that_touch_a_block_are_not_quiet() -> None:
    """Even by a little, at either end; touching at a point is not overlapping."""
    blocks = table(
        "blocks",
        [
            ("stacks", 45 * MS, 60 * MS),
            ("gil", 99 * MS, 101 * MS),
            ("functions-wall", 140 * MS, 150 * MS),
            ("functions-cpu", 150 * MS, 160 * MS),
        ],
    )
    found, _, _ = label(steps(20), blocks, FACTS.end_ns, 2)
    letters = "".join(block[0] for block in found["block"])
    assert letters == "wwqqssqqqssqqqffqqqq"


def staged(words: Words) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The steps of a loop with these marks, and their times by stage."""
    recording = Recording.of(FACTS, {"sites": sites(), "marks": marks({PID: words})})
    threads = marks_by_thread(recording)
    trainer, steps = find_loop(recording, threads, None)
    assert trainer == PID
    table, _, _ = label(steps, empty("blocks"), FACTS.end_ns, 0)
    by_stage, within = with_stages(table, raw_segments(threads, {}))
    assert set(within["step"]) == set(table["step"])
    sums = by_stage.groupby("step")["wall_ns"].sum()
    assert sums.tolist() == table["wall_ns"].tolist()
    return table, by_stage


def test_stages_add_up_to_each_step() -> None:
    """Every step's stages are its wall time, each with its CPU time."""
    stages = {"load": (10, 1), "forward": (20, 19), "update": (5, 5)}
    table, by_stage = staged(loop_words(8, stages))
    assert len(table) == 7
    step = by_stage[by_stage["step"] == 3].set_index("stage")
    times = {name: (row["wall_ns"], row["cpu_ns"]) for name, row in step.iterrows()}
    assert times == {name: (w * MS, c * MS) for name, (w, c) in stages.items()}


def test_a_long_checkpoint_between_steps_belongs_to_its_step() -> None:
    """A loop that stalls between two steps is told so."""
    stages = {"load": (10, 10), "update": (5, 5)}
    words = loop_words(3, stages)
    words += [(45, "+checkpoint", 45), (90, "-checkpoint", 50)]
    _, by_stage = staged(words + loop_words(3, stages, start=95))
    stalled = by_stage[by_stage["stage"] == "checkpoint"]
    assert stalled["wall_ns"].tolist() == [45 * MS]


def test_only_the_targets_own_process_trains() -> None:
    """A worker process that computes is not the trainer of the run."""
    words = loop_words(8, {"load": (10, 10), "forward": (5, 5)})
    tables = {
        "sites": pd.concat([sites(), sites(77)]),
        "marks": pd.concat(
            [
                marks({PID: loop_words(4, {"forward": (30, 30)})}),
                marks({77: words}, pid=77),
            ]
        ),
    }
    recording = Recording.of(FACTS, tables)
    trainer, found = find_loop(recording, marks_by_thread(recording), None)
    assert trainer == PID
    assert len(found) == 3
