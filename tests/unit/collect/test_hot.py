"""The loop of a process that nobody prepared, from looks at its main thread."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from made_runs import MS, PID, table, wait, waits

from debottleneck.collect import hot
from debottleneck.recording import spool

SCRIPT = """\
import queue


def load(rows):
    for row in range(rows):
        yield row


for epoch in range(9):
    for batch in load(3):
        first = batch
        if first:
            second = [
                first,
            ]
        for part in range(2):
            third = part
    evaluate = 0


def fill(box):
    while True:
        box.put(1)


def spin():
    while True:
        pass
"""

Look = tuple[float, tuple[int, ...]]
"""Milliseconds, and the lines of its frames, the outermost first."""

STEP = ((10, 4), (10, 10), (11, 1), (13, 4), (15, 2), (16, 3))
"""A step of the inner loop: the line of the module's frame, milliseconds."""


def looks(folder: Path, seen: Sequence[Look]) -> str:
    """What the sampler would have written of them."""
    file = folder / "train.py"
    file.write_text(SCRIPT)
    stacks = sorted({lines for _, lines in seen})
    listed = [
        [number, [["f", "train.py", line] for line in lines]]
        for number, lines in enumerate(stacks)
    ]
    (folder / spool.LOOKED_FILE).write_text(
        "".join(f"{json.dumps(s)}\n" for s in listed)
    )
    at, data = 0.0, b""
    for ms, lines in seen:
        number = stacks.index(lines)
        data += spool.LOOK.pack(round(at * MS), round((at + ms) * MS), number)
        at += ms
    (folder / spool.LOOKS_FILE).write_bytes(data)
    return str(file)


def marked(folder: Path, seen: Sequence[Look]) -> dict[str, pd.DataFrame]:
    """The tables of these looks; half of the time on a core."""
    looks(folder, seen)
    total = sum(ms for ms, _ in seen)
    ticks = waits([wait(0, total, "running", oncpu=total / 2)])
    return hot.marked(folder, ticks, PID, str(folder))


def steps(count: int, length: float = 1.0) -> list[Look]:
    """So many steps, each look of so many milliseconds."""
    step = [(length, (line,)) for line, times in STEP for _ in range(times)]
    return step * count


def test_long_iterations_are_steps_of_their_statements(tmp_path: Path) -> None:
    """Blocks are opened, a loop within is one statement, and its lines are its own."""
    tables = marked(tmp_path, [(5.0, (18,)), *steps(8, 20.0), (5.0, (18,))])
    (loop,) = tables["loops"].to_dict("records")
    assert loop["why"] == spool.BY_STACKS
    sites = tables["sites"]
    assert sites["line"].tolist() == [10, 10, 11, 12, 13, 16]
    assert sites["end"].tolist() == [17, 10, 11, 12, 15, 17]
    assert sites["name"].tolist()[:2] == ["for batch in load(3)"] * 2
    marks = tables["marks"]
    begun = marks[marks["edge"] == spool.STEP_START]
    assert begun["t_ns"].diff().dropna().unique().tolist() == [480 * MS]
    assert marks["cpu_ns"].is_monotonic_increasing


def test_of_short_iterations_only_shares_are_told(tmp_path: Path) -> None:
    """What a look meets is chance: steps have a length that nobody takes for theirs."""
    import random

    draws = random.Random(1)
    lines = [line for line, times in STEP for _ in range(times)]
    seen = [(5.0, (draws.choice(lines),)) for _ in range(400)]
    tables = marked(tmp_path, seen)
    (loop,) = tables["loops"].to_dict("records")
    assert loop["why"] == spool.BY_SECONDS
    marks = tables["marks"]
    begun = marks.loc[marks["edge"] == spool.STEP_START, "t_ns"]
    assert begun.diff().dropna().min() >= spool.SLICE_NS


def test_a_loop_that_each_step_leaves_is_not_the_one(tmp_path: Path) -> None:
    """Nearly all time in a generator's own loop is a part of the step."""
    step = [(30.0, (10, 5)), (2.0, (11,)), (2.0, (13,))]
    tables = marked(tmp_path, step * 40)
    assert tables["sites"]["line"].iloc[0] == 10
    assert marked(tmp_path, [(2.0, (4,))] * 50) == {}


@pytest.mark.parametrize("junk", [b"", b"\0" * 23, b"\xff" * 48])
def test_what_was_cut_off_is_left(tmp_path: Path, junk: bytes) -> None:
    """A spool may end anywhere."""
    looks(tmp_path, [(1.0, (11,))])
    (tmp_path / spool.LOOKS_FILE).write_bytes(junk)
    assert hot.marked(tmp_path, waits([]), PID, str(tmp_path)) == {}


def test_lines_before_the_first_step(tmp_path: Path) -> None:
    """The user's innermost one, the longest first, until the steps begin."""
    looks(tmp_path, [(1.0, (9,)), (5.0, (10, 5)), (2.0, (9,)), (9.0, (13,))])
    assert hot.beginning(tmp_path, 8 * MS, str(tmp_path)) == (
        ("train.py", 5, "for row in range(rows):", 5),
        ("train.py", 9, "for epoch in range(9):", 3),
    )


def test_a_thread_in_a_loop_that_fills_a_queue_feeds(tmp_path: Path) -> None:
    """Whatever it is called, and wherever in that loop it is seen."""
    file = looks(tmp_path, [(1.0, (11,))])
    stacks = [("stacks", PID, tid, 0, 1, 1, n) for n, tid in enumerate((PID, 7, 8))]
    frames = [(0, 0, "m", file, 11), (1, 0, "fill", file, 22), (2, 0, "s", file, 28)]
    tables = {"stacks": table("stacks", stacks), "frames": table("frames", frames)}
    assert hot.feeders(tables, PID, str(tmp_path)) == {7}
