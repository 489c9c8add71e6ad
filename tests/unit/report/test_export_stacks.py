"""py-spy's stacks as folded lines and as speedscope's document."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import examples
import made_exports
import pytest
from made_exports import CHILD, HOSTILE, LOADER, STEPS
from made_runs import FILE, MS, PID, table

from debottleneck.analysis import frames
from debottleneck.analysis.analyse import analyse
from debottleneck.errors import UsageError
from debottleneck.report.exports import collapsed, speedscope
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


def document(analysis: Any) -> dict[str, Any]:
    """Speedscope's document, read back."""
    found: dict[str, Any] = json.loads(speedscope.render(analysis))
    return found


def test_each_thread_is_a_sampled_profile() -> None:
    """In nanoseconds, the trainer first, frames shared, the stage outermost."""
    whole = document(made_exports.analysis())
    trainer, loader = whole["profiles"][:2]
    assert trainer["name"] == "MainThread (trainer)"
    assert loader["name"] == "loader-0 (loader)"
    assert trainer["weights"] == [40 * MS, 3 * MS, 10 * MS]
    assert (trainer["unit"], trainer["endValue"]) == ("nanoseconds", 53 * MS)
    frames = whole["shared"]["frames"]
    first = [frames[index] for index in trainer["samples"][0]]
    assert first == [
        {"name": "[other]"},
        {"name": "<module>", "file": FILE, "line": 9},
        {"name": "load_batch", "file": FILE, "line": 41},
    ]


def nested(events: list[dict[str, Any]]) -> list[int]:
    """How many frames are open after each event; asserts that they nest in time."""
    opened: list[int] = []
    depths, before = [], 0
    for event in events:
        assert event["at"] >= before
        before = event["at"]
        if event["type"] == "O":
            opened.append(event["frame"])
        else:
            assert opened.pop() == event["frame"]
        depths.append(len(opened))
    return depths


def test_the_trainers_stages_are_an_evented_profile() -> None:
    """Stages open and close one after the other."""
    whole = document(made_exports.analysis())
    stages = whole["profiles"][-1]
    assert stages["name"] == "rows of MainThread (trainer)"
    depths = nested(stages["events"])
    assert depths == [1, 0] * (STEPS * 5)
    names = [f["name"] for f in whole["shared"]["frames"]]
    assert names[stages["events"][4]["frame"]] == "[loss]"
    assert stages["events"][4]["at"] == 60 * MS


def test_too_many_slices_are_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The profile's name says how many it shows."""
    monkeypatch.setattr(speedscope, "MOST_ROWS", 25)
    stages = document(made_exports.analysis())["profiles"][-1]
    assert ", only the first 25 of " in stages["name"]
    assert len(stages["events"]) == 2 * 25
    assert nested(stages["events"])[-1] == 0


def test_without_stacks_speedscope_shows_stages_and_says_so() -> None:
    """The document's name says what is missing."""
    whole = document(made_exports.without("stacks"))
    assert [p["type"] for p in whole["profiles"]] == ["evented"]
    assert whole["name"] == "train.py; this recording has no stacks of py-spy"


@pytest.mark.parametrize("render", [collapsed.render, speedscope.render])
def test_a_recording_without_stacks_says_what_to_do(render: Any) -> None:
    """What is missing, why, and what measures it."""
    with pytest.raises(UsageError, match="no stacks of py-spy: the run was too short"):
        render(replace(examples.killed(), segments=frames.empty("segments")))
    with pytest.raises(UsageError, match="profile a longer run without --no-stacks"):
        render(made_exports.without("stacks", "marks"))


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
