"""Segments: whose time it is between two marks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_runs import FACTS, MS, PID, Words, marks, sites, table

from debottleneck.analysis.timeline import NAMES, Lookup, marks_by_thread, segments_of
from debottleneck.recording.recording import Recording


def segments(words: Words, **more: pd.DataFrame) -> pd.DataFrame:
    """The segments of one thread with these marks."""
    tables = {"sites": sites(), "marks": marks({PID: words}), **more}
    return segments_of(marks_by_thread(Recording.of(FACTS, tables)))


def row(found: pd.DataFrame) -> list[tuple[float, str]]:
    """Milliseconds and stage of each segment."""
    lengths = (found["end_ns"] - found["start_ns"]) / MS
    return list(zip(lengths.tolist(), found["stage"].tolist(), strict=True))


def test_time_outside_of_stages_is_other() -> None:
    """Between two stages the trainer does something that no mark names."""
    words = [(0, "+load"), (10, "-load"), (13, "+forward"), (20, "-forward")]
    found = segments(words)
    assert row(found) == [(10, "load"), (3, "other"), (7, "forward")]
    assert found["site"].tolist()[1] == -1


def test_nested_stages_count_self_time_once() -> None:
    """An inner stage interrupts the outer one."""
    words = [(0, "+load"), (2, "+augment"), (5, "-augment"), (9, "-load")]
    assert row(segments(words)) == [(2, "load"), (3, "augment"), (4, "load")]


def test_recursion_returns_to_the_right_stage() -> None:
    """The same stage below another one, closed from the inside out."""
    words = [(0, "+load"), (1, "+augment"), (2, "+load"), (4, "-load")]
    words += [(5, "-augment"), (9, "-load")]
    assert row(segments(words)) == [
        (1, "load"),
        (1, "augment"),
        (2, "load"),
        (1, "augment"),
        (4, "load"),
    ]


@pytest.mark.parametrize("between", ["evaluate", "checkpoint", "log"])
def test_what_lies_between_steps_takes_all_within_it(between: str) -> None:
    """A load inside of an evaluation is evaluation, from first to last."""
    words = [(0, f"+{between}"), (2, "+load"), (5, "-load"), (9, f"-{between}")]
    found = segments(words)
    assert {stage for _, stage in row(found)} == {between}
    assert found["site"].nunique() == 1


def test_coroutines_need_not_nest() -> None:
    """Leaving the outer one first leaves the inner one open."""
    words = [(0, "+load"), (2, "+forward"), (5, "-load"), (9, "-forward")]
    assert row(segments(words)) == [(2, "load"), (3, "forward"), (4, "forward")]


def test_a_leaving_without_its_entry_closes_nothing() -> None:
    """Marks cut off at the front do not shift the stages behind."""
    words = [(0, "-load"), (2, "+forward"), (5, "-forward")]
    assert row(segments(words)) == [(2, "other"), (3, "forward")]


def test_step_marks_and_step_functions_are_no_stages() -> None:
    """They bound steps; time inside of them is its stages' or other."""
    words = [(0, "|"), (1, "+step"), (2, "+load"), (4, "-load"), (7, "-step")]
    assert row(segments([*words, (9, "||")])) == [
        (1, "other"),
        (1, "other"),
        (2, "load"),
        (3, "other"),
        (2, "other"),
    ]


def test_cpu_time_is_the_clocks_and_never_beyond_the_wall() -> None:
    """Rounding of two clocks must not make more CPU time than wall time."""
    words = [(0, "+load", 5), (10, "-load", 8), (12, "+load", 11), (14, "-load", 7)]
    assert segments(words)["cpu_ns"].tolist() == [3 * MS, 2 * MS, 0]


def test_lengths_add_up_from_first_to_last_mark() -> None:
    """Nothing is lost and nothing counted twice, marks of no length included."""
    rng = np.random.default_rng(5)
    names = [n for n in NAMES.tolist() if n != "other"]
    times = np.cumsum(rng.integers(0, 4, 300)).tolist()
    words = [(ms, rng.choice(["+", "-"]) + rng.choice(names)) for ms in times]
    found = segments(words)
    lengths = found["end_ns"] - found["start_ns"]
    assert lengths.sum() == (times[-1] - times[0]) * MS
    assert (found["start_ns"].to_numpy()[1:] == found["end_ns"].to_numpy()[:-1]).all()
    assert (lengths > 0).all()


def test_threads_and_processes_have_lines_of_their_own() -> None:
    """Marks of two threads interleave without touching each other."""
    words = {1: [(0, "+load"), (8, "-load")], 2: [(4, "+augment"), (6, "-augment")]}
    tables = {"sites": sites(), "marks": marks(words)}
    found = segments_of(marks_by_thread(Recording.of(FACTS, tables)))
    assert found.groupby("tid")["stage"].agg(list).to_dict() == {
        1: ["load"],
        2: ["augment"],
    }


def test_marks_of_unknown_sites_are_left_out() -> None:
    """A site whose line was cut off, or a process without sites, has no stage."""
    strange = marks({PID: [(1, "+load"), (5, "-load")]}, pid=77)
    known = marks({PID: [(0, "+load"), (9, "-load")]})
    lost = known.assign(site=99)
    found = segments([], marks=pd.concat([known, lost, strange]))
    assert row(found) == [(9, "load")]


def test_zero_grad_is_minor() -> None:
    """The loop's rules must not take it for the end of a step."""
    made = [(PID, 0, "update", "torch.optim.Optimizer.zero_grad", "", 0, "torch")]
    rows = [(PID, PID, MS, 0, 0, 0, 0), (PID, PID, 2 * MS, 0, 0, 1, 1)]
    tables = {"sites": table("sites", made), "marks": table("marks", rows)}
    found = marks_by_thread(Recording.of(FACTS, tables))
    assert found[PID, PID][0].minor.tolist() == [True, True]


def test_lookup_finds_the_segment_of_a_time() -> None:
    """From its start up to its end; outside of all there is none."""
    lookup = Lookup(segments([(0, "+load"), (10, "-load"), (20, "+loss")]))
    times = np.array([-1, 0, 10 * MS - 1, 10 * MS, 20 * MS - 1, 20 * MS])
    assert lookup.index(times).tolist() == [-1, 0, 0, 1, 1, -1]
    names = NAMES[lookup.stages(times)].tolist()
    assert names == ["other", "load", "load", "other", "other", "other"]


def test_lookup_of_no_segments() -> None:
    """A thread without marks is in no stage."""
    lookup = Lookup(segments([]))
    assert lookup.index(np.array([5])).tolist() == [-1]
    assert NAMES[lookup.stages(np.array([5]))].tolist() == ["other"]
