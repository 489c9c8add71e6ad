"""py-spy's stacks as folded lines."""

from __future__ import annotations

import re
from dataclasses import replace

import examples
import made_exports
import pytest
from made_exports import CHILD, HOSTILE, LOADER
from made_runs import FILE, PID, table

from debottleneck.analysis import frames
from debottleneck.analysis.analyse import analyse
from debottleneck.errors import UsageError
from debottleneck.report.exports import collapsed
from debottleneck.report.exports.threads import labels

LINE = re.compile(r"(?P<path>[^;]+(;[^;]+)+) (?P<number>\d+)")


def test_folded_lines_are_thread_stage_and_frames() -> None:
    """Equal stacks are added up, in microseconds; the GIL's windows do not count."""
    assert collapsed.render(made_exports.analysis()).splitlines() == [
        "MainThread (trainer);[other];<module> train.py:9;load_batch train.py:41 50000",
        "MainThread (trainer);[other];<module> train.py:9 3000",
        "loader-0 (loader);[other];<module> train.py:9;load_batch train.py:41 80000",
    ]


def test_the_stage_is_the_marker_in_the_stack() -> None:
    """The wrapper's frame becomes the stage, and is not shown as a frame."""
    made = made_exports.recording()
    frames = [
        (0, 0, "<module>", FILE, 9),
        (0, 1, "[stage load]", "<debottleneck stage>", 1),
        (0, 2, "load_batch", FILE, 41),
    ]
    stacks = made.stacks.assign(stack=0)
    made = replace(made, frames=table("frames", frames), stacks=stacks)
    line = "MainThread (trainer);[load];<module> train.py:9;load_batch train.py:41 "
    assert collapsed.render(analyse(made)).startswith(line)


def test_no_hostile_name_breaks_a_folded_line() -> None:
    """Each line still is names between semicolons, a space, and a whole number."""
    lines = collapsed.render(made_exports.analysis(HOSTILE)).split("\n")
    assert lines.pop() == ""
    found = [LINE.fullmatch(line) for line in lines]
    assert [each["path"].count(";") for each in found if each] == [3, 2, 3]
    assert all(line.isprintable() for line in lines)


def test_a_recording_without_stacks_says_what_to_do() -> None:
    """What is missing, why, and what measures it."""
    with pytest.raises(UsageError, match="no stacks of py-spy: the run was too short"):
        collapsed.render(replace(examples.killed(), segments=frames.empty("segments")))
    with pytest.raises(UsageError, match="profile a longer run without --no-stacks"):
        collapsed.render(made_exports.without("stacks", "marks"))


def test_threads_of_the_same_name_are_told_apart() -> None:
    """By their number, where name and role are the same."""
    made = made_exports.recording()
    twins = made.threads.assign(name="x", pid=PID)
    named = labels(analyse(replace(made, threads=twins)))
    assert named[PID, LOADER] == "x (loader)"
    assert named[CHILD, CHILD] == f"thread {CHILD} (other)"
    made = replace(made, marks=made.marks[made.marks.tid == PID], threads=twins)
    named = labels(analyse(made))
    assert named[PID, LOADER] == f"x (other) {LOADER}"
