"""Segments: whose time it is between two marks."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from made_rows import STAGES_ONLY
from made_runs import FACTS, MS, PID, Words, loop_words, marks, sites, table

from debottleneck.analysis import timeline
from debottleneck.analysis.timeline import (
    Lookup,
    marks_by_thread,
    raw_segments,
    stages_at,
)
from debottleneck.recording.loop import CODE
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import LEAVE


def segments(words: Words, **more: pd.DataFrame) -> pd.DataFrame:
    """The segments of one thread with these marks."""
    tables = {"sites": sites(), "marks": marks({PID: words}), **more}
    return raw_segments(marks_by_thread(Recording.of(FACTS, tables)), {})


def row(found: pd.DataFrame) -> list[tuple[float, str]]:
    """Milliseconds and stage of each segment."""
    lengths = (found["end_ns"] - found["start_ns"]) / MS
    return list(zip(lengths.tolist(), found["stage"].tolist(), strict=True))


NESTED = {
    "0+load 10-load 13+forward 20-forward": "10 load, 3 other, 7 forward",
    "0+load 2+augment 5-augment 9-load": "2 load, 3 augment, 4 load",
    "0+load 1+augment 2+load 4-load 5-augment 9-load": (
        "1 load, 1 augment, 2 load, 1 augment, 4 load"
    ),
    # Coroutines need not nest, and what was entered before the first mark may leave.
    "0+load 2+forward 5-load 9-forward": "2 load, 3 forward, 4 forward",
    "0-load 2+forward 5-forward": "2 other, 3 forward",
    # Steps and step functions bound steps and are no stages.
    "0| 1+step 2+load 4-load 7-step 9||": "1 other, 1 other, 2 load, 3 other, 2 other",
}


@pytest.mark.parametrize(("words", "lengths"), NESTED.items())
def test_time_belongs_to_the_innermost_open_stage(words: str, lengths: str) -> None:
    """Each millisecond counts once, for the stage entered last and not yet left."""
    pairs = (re.fullmatch(r"(\d+)(.+)", word) for word in words.split())
    marked = [(int(pair[1]), pair[2]) for pair in pairs if pair]
    parts = [f"{length:g} {stage}" for length, stage in row(segments(marked))]
    assert ", ".join(parts) == lengths


def test_calls_joined_over_two_places_end_together() -> None:
    """The pair is entered at the first one's site and left at the last one's."""
    words = [(0, "+load"), (2, "-load*2"), (5, "+forward"), (9, "-forward")]
    made = marks({PID: words})
    other = CODE["load"] + 100
    made.loc[made["edge"] == LEAVE, "site"] = made["site"].replace(CODE["load"], other)
    places = sites()
    second = places[places["site"] == CODE["load"]].assign(site=other)
    more = {"marks": made, "sites": pd.concat([places, second])}
    assert row(segments(words, **more)) == [
        *((2.0, "load"), (3.0, "other"), (4.0, "forward"))
    ]


@pytest.mark.parametrize("between", ["evaluate", "checkpoint", "log"])
def test_what_lies_between_steps_takes_all_within_it(between: str) -> None:
    """A load inside of an evaluation is evaluation, from first to last."""
    words = [(0, f"+{between}"), (2, "+load"), (5, "-load"), (9, f"-{between}")]
    found = segments(words)
    assert {stage for _, stage in row(found)} == {between}
    assert found["site"].nunique() == 1


def test_cpu_time_is_the_clocks_and_never_beyond_the_wall() -> None:
    """Rounding of two clocks must not make more CPU time than wall time."""
    words = [(0, "+load", 5), (10, "-load", 8), (12, "+load", 11), (14, "-load", 7)]
    assert segments(words)["cpu_ns"].tolist() == [3 * MS, 2 * MS, 0]


def test_threads_and_processes_have_lines_of_their_own() -> None:
    """Marks of two threads interleave without touching each other."""
    words = {1: [(0, "+load"), (8, "-load")], 2: [(4, "+augment"), (6, "-augment")]}
    tables = {"sites": sites(), "marks": marks(words)}
    found = raw_segments(marks_by_thread(Recording.of(FACTS, tables)), {})
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
    lookup = Lookup(segments([(0, "+load"), (10, "-load"), (20, "+loss")]), STAGES_ONLY)
    times = np.array([-1, 0, 10 * MS - 1, 10 * MS, 20 * MS - 1, 20 * MS])
    assert lookup.index(times).tolist() == [-1, 0, 0, 1, 1, -1]
    assert Lookup(segments([]), STAGES_ONLY).index(np.array([5])).tolist() == [-1]


def test_the_stage_at_a_time_is_of_the_threads_own_marks() -> None:
    """Outside of them, and in a thread without marks, it is other."""
    found = segments([(0, "+load"), (10, "-load"), (20, "+loss")])
    rows = pd.DataFrame({"pid": PID, "tid": [PID, 7, PID, PID]})
    stages = stages_at(found, STAGES_ONLY, rows, np.array([5, 5, 15, 25]) * MS)
    assert STAGES_ONLY.names[stages].tolist() == ["load", "other", "other", "other"]


def test_what_is_remembered_of_states_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Marks at random, some never left: the same, however few states are kept."""
    draw = np.random.default_rng(7)
    names = list(CODE)[:8]
    words = [
        (at, f"{draw.choice(['+', '+', '-'])}{draw.choice(names)}") for at in range(900)
    ]
    whole = segments(words)
    monkeypatch.setattr(timeline, "MOST_STATES", 2)
    monkeypatch.setattr(timeline, "AT_ONCE", 7)
    pd.testing.assert_frame_equal(segments(words), whole)


def test_a_step_like_the_last_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a run is, a mark is worked out only where it leads anew."""
    worked, plain = [], timeline._States._moved
    monkeypatch.setattr(
        timeline._States, "_moved", lambda *mark: worked.append(1) or plain(*mark)
    )
    words = loop_words(500, {"load": (1, 1), "forward": (2, 2)})
    assert len(segments(words)) == 1_000
    assert len(worked) < 9
