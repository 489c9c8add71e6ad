"""py-spy's stacks by stage: marker frames, the user's lines, flame graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import pytest
from made_rows import STAGES_ONLY, RowNames, Script
from made_runs import (
    FACTS,
    MS,
    PID,
    loop_words,
    marks,
    running,
    segments,
    sites,
    table,
    threads,
    wait,
    waits,
)

from debottleneck.analysis import code as code_pass
from debottleneck.analysis.analyse import analyse
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import FRAME_FILE

Frame = tuple[str, str, int]
MAIN: Frame = ("<module>", "/w/train.py", 90)
LOAD: Frame = ("load_fn", "/w/train.py", 11)
READ: Frame = ("read", "/w/lib/data.py", 33)
NUMPY: Frame = ("mean", "/v/lib/python3.11/site-packages/numpy/core.py", 7)
AGENT: Frame = ("enter", "/x/debottleneck/agent/marks.py", 180)
AHEAD: Frame = ("run", "/x/debottleneck/strategies/rewriting/ahead.py", 90)
SPIN: Frame = ("spin", "/w/train.py", 40)
SPIN_LATER: Frame = ("spin", "/w/train.py", 41)


def marker(stage: str) -> Frame:
    """The wrapper's frame of a stage."""
    return (f"[stage {stage}]", FRAME_FILE, 99)


def recording(
    stacks: Sequence[tuple[Frame, ...]], rows: Sequence[Sequence[object]]
) -> Recording:
    """Samples (block, tid, start, end, weight ms, stack) beside a marked loop."""
    frames = [
        (number, depth, *frame)
        for number, stack in enumerate(stacks)
        for depth, frame in enumerate(stack)
    ]
    sampled = [
        (block, PID, tid, start * MS, end * MS, weight * MS, stack)
        for block, tid, start, end, weight, stack in rows
    ]
    words = loop_words(4, {"load": (10, 5), "forward": (10, 10)})
    return Recording.of(
        FACTS,
        {
            "sites": sites().assign(kind="api"),
            "marks": marks({PID: words}),
            "threads": threads((PID, "MainThread"), (101, "loader-0")),
            "stacks": table("stacks", sampled),
            "frames": table("frames", frames),
        },
    )


def sampled(made: Recording) -> tuple[pd.DataFrame, code_pass.StackCode]:
    """The samples with their stages, and the code."""
    code = code_pass.code_of(made)
    roles = {(PID, PID): "trainer", (PID, 101): "loader"}
    found = code_pass.sampled(made, code, segments(made), STAGES_ONLY, roles)
    return found, code


@pytest.mark.parametrize(
    ("stack", "stage"),
    [
        ((MAIN, marker("load"), LOAD), "load"),
        ((MAIN, marker("load"), LOAD, marker("augment"), SPIN), "augment"),
        ((MAIN, marker("evaluate"), SPIN, marker("load"), LOAD), "evaluate"),
        ((MAIN, marker("step"), SPIN), ""),
        ((MAIN, marker("step"), SPIN, marker("loss"), SPIN), "loss"),
        ((MAIN, ("[stage cooking]", FRAME_FILE, 1), SPIN), ""),
        ((MAIN, SPIN), ""),
    ],
)
def test_the_marker_in_a_stack_names_its_stage(
    stack: tuple[Frame, ...], stage: str
) -> None:
    """The innermost; but what lies between steps takes all within it."""
    assert code_pass.code_of(recording([stack], [])).stage == {0: stage}


@pytest.mark.parametrize(
    ("stack", "line"),
    [
        ((MAIN, LOAD, NUMPY), LOAD),
        ((MAIN, LOAD, READ, NUMPY), READ),
        ((NUMPY,), NUMPY),
        ((marker("load"),), ("", "", 0)),
        ((MAIN, marker("load"), LOAD, AGENT), LOAD),
        ((AHEAD, LOAD, AHEAD), LOAD),
    ],
    ids=[
        *("below a library", "a module beside", "no user code", "nothing left"),
        *("ours", "a strategy's"),
    ],
)
def test_the_line_is_the_innermost_of_the_users_own(
    stack: tuple[Frame, ...], line: Frame
) -> None:
    """Time in a library is the user's line that called it; our frames are no code."""
    code = code_pass.code_of(recording([stack], []))
    assert code.line == {0: line}
    assert not {marker("load"), AGENT, AHEAD} & set(code.frames[0])


def test_a_sample_without_a_marker_has_the_stage_of_its_time() -> None:
    """The thread's own marks tell; other threads' marks do not."""
    rows = [
        ("stacks", PID, 2, 8, 6, 0),
        ("stacks", PID, 12, 18, 6, 0),
        ("stacks", PID, 200, 210, 10, 0),
        ("stacks", 101, 2, 8, 6, 0),
        ("gil", PID, 2, 8, 6, 0),
    ]
    found, _ = sampled(recording([(MAIN, SPIN)], rows))
    assert found["stage"].tolist() == ["load", "forward", "other", "other", "other"]
    assert found["role"].tolist() == ["trainer"] * 3 + ["loader", "trainer"]
    assert found["weight_ms"].tolist() == [6, 6, 10, 6, 6]


def test_a_sample_is_of_the_row_whose_lines_its_stack_has() -> None:
    """The innermost; in the trainer alone, and however the file is written."""
    made = Script()
    made.turn()
    train = made.line(12, "net.train(x)", 5, end=14)
    called = made.enter("Net.train", 60, 70)
    made.line(61, "x @ W", 5, within=called)
    made.leave(called)
    made.turn()
    stacks = [(MAIN, ("<module>", "./train.py", 13), NUMPY)]
    stacks += [(MAIN, ("<module>", "/w/train.py", 12), ("train", "/w/train.py", 61))]
    stacks += [(MAIN, SPIN), (MAIN, marker("load"), ("<module>", "/w/train.py", 12))]
    samples = [("stacks", PID, PID, 0, MS, MS, number) for number in range(4)]
    samples += [("stacks", PID, 101, 0, MS, MS, 0), ("gil", PID, PID, 0, MS, MS, 1)]
    frames = [(n, depth, *f) for n, s in enumerate(stacks) for depth, f in enumerate(s)]
    recording = made.recording(
        stacks=table("stacks", samples),
        frames=table("frames", frames),
        threads=threads((PID, "MainThread"), (101, "loader-0")),
    )
    found = analyse(recording)
    assert set(found.rows["row"]) == {"train.py:12-14", "train.py:61"}
    code = code_pass.code_of(recording)
    roles = {(PID, PID): "trainer", (PID, 101): "loader"}
    rows = RowNames.of(found.rows)
    table_of = code_pass.sampled(recording, code, found.segments, rows, roles)
    assert table_of["stage"].tolist() == [
        *("train.py:12-14", "train.py:61", "other", "load", "other", "train.py:61")
    ]
    assert train == 1


def test_a_marker_outweighs_the_time() -> None:
    """The two clocks are apart by some milliseconds; the stack itself is exact."""
    made = recording([(MAIN, marker("update"), SPIN)], [("stacks", PID, 2, 8, 6, 0)])
    assert sampled(made)[0]["stage"].tolist() == ["update"]


def test_samples_of_an_unlisted_thread_are_not_the_main_threads() -> None:
    """A thread that nobody listed is one of its own, and no trainer."""
    made = recording([(SPIN,)], [("stacks", 0, 2, 8, 6, 0)])
    table = sampled(made)[0]
    assert table[["tid", "thread", "role"]].values.tolist() == [
        [0, "thread ?", "other"]
    ]


def test_lines_share_their_stage() -> None:
    """Of each stage and role, biggest first, adding up to one."""
    stacks = [(MAIN, LOAD, NUMPY), (MAIN, LOAD), (MAIN, SPIN)]
    rows = [
        ("stacks", PID, 2, 4, 2, 0),
        ("stacks", PID, 4, 5, 1, 1),
        ("stacks", PID, 5, 6, 1, 2),
        ("stacks", 101, 2, 8, 6, 2),
        ("gil", PID, 0, 80, 50, 2),
    ]
    lines = code_pass.line_table(*sampled(recording(stacks, rows)))
    found = lines[["stage", "role", "function", "line", "share"]].values.tolist()
    assert found == [
        ["load", "trainer", "load_fn", 11, 0.75],
        ["load", "trainer", "spin", 40, 0.25],
        ["other", "loader", "spin", 40, 1.0],
    ]


def test_lines_of_other_threads_are_those_of_their_work() -> None:
    """Not where they wait for others; the trainer's are those of all its time."""
    stacks = [(MAIN, LOAD), (MAIN, SPIN)]
    rows = [("stacks", 101, 0, 30, 30, 0), ("stacks", 101, 30, 40, 10, 1)]
    rows += [("stacks", PID, 0, 30, 30, 0), ("stacks", PID, 30, 40, 10, 1)]
    seen = [wait(0, 30, "lock", tid=tid) for tid in (PID, 101)]
    seen += [running(30, 40, tid=tid) for tid in (PID, 101)]
    made = replace(recording(stacks, rows), waits=waits(seen))
    lines = code_pass.line_table(*sampled(made))
    assert set(lines.loc[lines["role"] == "loader", "function"]) == {"spin"}
    assert "load_fn" in set(lines.loc[lines["role"] == "trainer", "function"])


def test_shares_of_lines_do_not_depend_on_names_of_files() -> None:
    """Not by their last bit, and lines of equal shares keep their order."""
    rows = [("stacks", PID, 2, 8, ms, n) for n, ms in enumerate((0.1, 0.2, 0.3, 0.1))]

    def lines(names: str) -> list[list[object]]:
        stacks = [(("load_fn", f"/w/{name}.py", n),) for n, name in enumerate(names)]
        found = code_pass.line_table(*sampled(recording(stacks, rows)))
        return found[["line", "share"]].values.tolist()

    assert lines("abcd") == lines("dbca")


def test_the_holders_line_is_the_heaviest_of_its_heaviest_function() -> None:
    """A function spread over many lines still is what holds the GIL."""
    stacks = [(MAIN, SPIN), (MAIN, SPIN_LATER), (MAIN, LOAD)]
    rows = [("gil", 101, 0, 100, weight, n) for n, weight in enumerate([3, 4, 5])]
    rows += [("stacks", 101, 0, 100, 90, 2)]
    found = code_pass.holders(*sampled(recording(stacks, rows)))
    assert found == {101: SPIN_LATER}


def test_flame_nodes_are_the_sum_of_what_is_above() -> None:
    """Each node weighs at least its children; ids are unique, parents exist."""
    stacks = [(MAIN, LOAD, NUMPY), (MAIN, LOAD), (MAIN, SPIN)]
    rows = [
        ("stacks", PID, 2, 4, 2, 0),
        ("stacks", PID, 4, 5, 1, 1),
        ("stacks", PID, 5, 8, 3, 2),
        ("stacks", 101, 0, 40, 40, 2),
        ("gil", PID, 40, 50, 2, 2),
    ]
    made = recording([*stacks, (MAIN, marker("load"), SPIN)], rows)
    flame = code_pass.flame_table(*sampled(made))
    assert flame["id"].is_unique
    own = flame[(flame["stage"] == "load") & (flame["role"] == "trainer")]
    weights = own.set_index("function")["weight_ms"].to_dict()
    assert weights == {"<module>": 6, "load_fn": 3, "mean": 2, "spin": 3}
    for node in own.itertuples():
        children = own.loc[own["parent"] == node.id, "weight_ms"].sum()
        assert children <= node.weight_ms
        assert node.parent == 0 or node.parent in set(own["id"])
    assert own.loc[own["parent"] == 0, "weight_ms"].tolist() == [6]


def test_gil_time_is_scaled_to_the_stack_windows() -> None:
    """A quarter of the GIL window is a quarter of the stack window, never more."""
    rows = [
        ("stacks", PID, 0, 40, 40, 0),
        ("gil", PID, 50, 70, 5, 0),
        ("gil", PID, 50, 70, 1, 1),
    ]
    stacks = [(MAIN, marker("load"), SPIN), (MAIN, marker("load"), LOAD)]
    flame = code_pass.flame_table(*sampled(recording(stacks, rows)))
    found = flame.set_index("function")["gil_ms"].to_dict()
    assert found == {"<module>": pytest.approx(12), "spin": pytest.approx(10)}
    assert (flame["gil_ms"] <= flame["weight_ms"]).all()
