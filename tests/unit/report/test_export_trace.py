"""The trace for Perfetto: its tracks, its times, its bound."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import examples
import made_exports
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_exports import CHILD, HOSTILE, LOADER, PEER, STEP_MS, STEPS
from made_runs import EMPTY, PID, marks, sites, threads

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.timeline import marks_by_thread, raw_segments
from debottleneck.recording.recording import Recording
from debottleneck.report.exports import perfetto
from debottleneck.report.exports.nesting import calls_by_thread

US = 1000


class Lines:
    """A trace read back: its lines by name."""

    def __init__(self, text: str) -> None:
        self.whole: dict[str, Any] = json.loads(text)
        self.events: list[dict[str, Any]] = self.whole["traceEvents"]
        names = [e for e in self.events if e["name"] == "thread_name"]
        self.names = {named(e): (e["pid"], e["tid"]) for e in names}

    def __getitem__(self, name: str) -> list[dict[str, Any]]:
        key = self.names[name]
        slices = [e for e in self.events if e["ph"] == "X"]
        return [e for e in slices if (e["pid"], e["tid"]) == key]


def named(event: dict[str, Any]) -> str:
    """A line's name, with the child process before it."""
    name: str = event["args"]["name"]
    return f"child: {name}" if event["pid"] == CHILD else name


def lines(analysis: Analysis) -> Lines:
    """The rendered trace, read back."""
    return Lines(perfetto.render(analysis))


def shown(events: list[dict[str, Any]], most: int) -> list[tuple[Any, ...]]:
    """Name, begin and length in milliseconds of the first of them."""
    return [(e["name"], e["ts"] / US, e["dur"] / US) for e in events[:most]]


def test_every_line_is_there_in_order() -> None:
    """Steps, blocks, instruments and GIL above the threads, the trainer first."""
    trace = lines(made_exports.analysis())
    assert trace.whole["otherData"]["command"] == "python train.py"
    assert trace.whole["otherData"]["left_out"] == "nothing"
    assert list(trace.names) == [
        "steps",
        "blocks of steps",
        "instruments",
        "GIL held by",
        "child: GIL held by",
        "MainThread (trainer)",
        "MainThread (trainer): waits",
        "loader-0 (loader)",
        "loader-0 (loader): waits",
        "child: loader-0 (worker): waits",
    ]


def test_threads_keep_their_process_and_number() -> None:
    """Stages lie on the thread itself; other lines have numbers no thread can have."""
    found = lines(made_exports.analysis()).names
    assert found["MainThread (trainer)"] == (PID, PID)
    assert found["loader-0 (loader)"] == (PID, LOADER)
    assert found["child: loader-0 (worker): waits"][0] == CHILD
    others = [tid for name, (_, tid) in found.items() if tid not in (PID, LOADER)]
    assert len(set(others)) == len(others) == 8
    assert min(others) > 2**22


def test_stages_nest_as_they_were_called() -> None:
    """The loss lies within the forward pass; joined calls are counted."""
    found = lines(made_exports.analysis())["MainThread (trainer)"]
    assert shown(found, 4) == [
        ("load", 0, 50),
        ("forward", 52, 28),
        ("loss", 60, 10),
        ("update", 82, 13),
    ]
    assert len(found) == 4 * STEPS
    assert found[1]["args"] == {"at": "load_batch train.py:40"}
    assert found[2]["args"] == {"at": "load_batch train.py:50", "calls": 3}


def test_steps_are_numbered_and_their_blocks_named() -> None:
    """Steps follow each other; runs of steps of one kind are one slice."""
    found = lines(made_exports.analysis())
    assert shown(found["steps"], 2) == [("step 0", 0, 100), ("step 1", 100, 100)]
    blocks = shown(found["blocks of steps"], 9)
    assert [name for name, _, _ in blocks] == [
        "warmup steps",
        "quiet steps",
        "stacks steps",
        "quiet steps",
    ]
    assert sum(length for _, _, length in blocks) == STEP_MS * (STEPS - 1)
    assert shown(found["instruments"], 9) == [("stacks", 1000, 190)]


def test_like_samples_are_joined_and_say_what_they_wait_for() -> None:
    """Two samples on the same peer are one slice; the GIL's holder is named."""
    found = lines(made_exports.analysis())["MainThread (trainer): waits"]
    assert shown(found, 3) == [("network", 0, 50), ("gil", 50, 25), ("python", 75, 25)]
    assert found[0]["args"] == {"call": "recvfrom", "on": PEER}
    assert found[1]["args"] == {"held by": "loader-0 (loader)"}
    assert "args" not in found[2]


def test_the_gil_has_a_line_and_a_counter() -> None:
    """Who held it when; how often it changed hands from one count to the next."""
    found = lines(made_exports.analysis())
    names = [name.split()[0] for name, _, _ in shown(found["GIL held by"], 4)]
    assert names == ["loader-0", "MainThread", "loader-0", "MainThread"]
    assert shown(found["GIL held by"], 1)[0][1:] == (0, 75)
    counts = [e for e in found.events if e["ph"] == "C"]
    assert [(e["ts"], e["args"]) for e in counts] == [
        (0, {"per second": 500.0}),
        (500 * US, {"per second": 500.0}),
    ]


@pytest.mark.parametrize("name", list(examples.EXAMPLES))
def test_slices_of_a_line_nest_or_follow(name: str) -> None:
    """Also in recordings without marks, waits or steps: nothing overlaps in part."""
    found = lines(examples.EXAMPLES[name]())
    assert any(e["ph"] == "X" for e in found.events) or name == "killed"
    for line in found.names:
        assert_nested([(e["ts"], e["ts"] + e["dur"]) for e in found[line]])


def assert_nested(slices: list[tuple[int, int]]) -> None:
    """Each begins in order, and ends before what it began in."""
    opened: list[int] = []
    before = 0
    for start, end in slices:
        assert before <= start <= end
        before = start
        while opened and opened[-1] <= start:
            opened.pop()
        assert not opened or end <= opened[-1]
        opened.append(end)


def test_hostile_names_are_text() -> None:
    """They arrive as strings on one line; the text is JSON in ASCII."""
    text = perfetto.render(made_exports.analysis(HOSTILE))
    assert text.isascii()
    found = Lines(text)
    assert any("onerror" in name for name in found.names)
    assert all(name.isprintable() for name in found.names)
    peers = {e["args"].get("on") for e in found.events if "args" in e} - {None}
    assert len(peers) == 1
    assert "<img" in peers.pop()
    assert lines(examples.hostile()).whole["otherData"]["command"].isprintable()


def test_an_empty_recording_is_an_empty_trace() -> None:
    """Valid, with the process's name and no slices."""
    assert {event["ph"] for event in lines(analyse(EMPTY)).events} == {"M"}


def test_the_shortest_slices_go_first_and_the_trace_says_so() -> None:
    """Steps stay; what is gone is told in the data and on a line."""
    made = made_exports.analysis()
    whole = Lines(perfetto.render(made))
    every = sum(e["ph"] == "X" for e in whole.events)
    found = Lines(perfetto.render(made, most=every - 1))
    assert len(found["steps"]) == STEPS - 1
    assert {e["name"] for e in found["MainThread (trainer)"]} == {
        "load",
        "forward",
        "update",
    }
    (notice,) = found["left out"]
    assert notice["name"].startswith(f"{STEPS} of ")
    assert notice["name"].endswith("left out, those of at most 10,000.0 us")
    assert found.whole["otherData"]["left_out"] == notice["name"]
    assert sum(e["ph"] == "X" for e in found.events) == every - STEPS + 1


WORDS = st.lists(
    st.tuples(st.sampled_from("+-"), st.sampled_from(["load", "forward", "loss"])),
    min_size=2,
    max_size=40,
)


def of_words(words: list[tuple[str, str]], gaps: list[int]) -> Recording:
    """A thread that enters and leaves stages in any order, times in microseconds."""
    times = np.cumsum(gaps) / 1000
    rows = [(float(t), e + s) for t, (e, s) in zip(times, words, strict=False)]
    tables = {"sites": sites(), "threads": threads((PID, "MainThread"))}
    return replace(EMPTY, **tables, marks=marks({PID: rows}))


@given(WORDS, st.lists(st.integers(0, 9), min_size=40, max_size=40))
def test_calls_nest_and_cover_what_segments_cover(
    words: list[tuple[str, str]], gaps: list[int]
) -> None:
    """Whatever the marks: calls never overlap in part, and no stage's time is lost."""
    made = of_words(words, gaps)
    calls = calls_by_thread(made)[PID, PID]
    slices = list(zip(calls.start.tolist(), calls.end.tolist(), strict=True))
    assert_nested(slices)
    segments = raw_segments(marks_by_thread(made), {})
    staged = segments[segments.stage != "other"]
    assert covered(slices) == int((staged.end_ns - staged.start_ns).sum())


def covered(slices: list[tuple[int, int]]) -> int:
    """Length of the union."""
    whole, until = 0, 0
    for start, end in slices:
        whole += max(0, end - max(start, until))
        until = max(until, end)
    return whole


def test_coroutines_need_not_nest() -> None:
    """A call that goes on after the one around it ended is cut there."""
    words = [("+", "load"), ("+", "forward"), ("-", "load"), ("-", "forward")]
    calls = calls_by_thread(of_words(words, [1, 2, 3, 4]))[PID, PID]
    parts = pd.DataFrame({"start": calls.start, "end": calls.end}) // 1000
    assert parts.to_numpy().tolist() == [[1, 6], [3, 6], [6, 10]]
