"""The trace for Perfetto: its tracks, its times, its bound."""

from __future__ import annotations

import json
from typing import Any

import examples
import made_exports
import pytest
from made_exports import CHILD, HOSTILE, LOADER, PEER, STEP_MS, STEPS
from made_runs import EMPTY, PID

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis
from debottleneck.report.exports import perfetto

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


def test_rows_follow_each_other() -> None:
    """The loss within the forward pass cuts it in two; each names its function."""
    found = lines(made_exports.analysis())["MainThread (trainer)"]
    assert shown(found, 5) == [
        ("load", 0, 50),
        ("forward", 52, 8),
        ("loss", 60, 10),
        ("forward", 70, 10),
        ("update", 82, 13),
    ]
    assert found[1]["args"] == {"at": "load_batch train.py:40"}


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
def test_slices_of_a_line_follow_each_other(name: str) -> None:
    """Also in recordings without marks, waits or steps: nothing overlaps in part."""
    found = lines(examples.EXAMPLES[name]())
    assert any(e["ph"] == "X" for e in found.events) or name == "killed"
    for line in found.names:
        ends = [0, *(e["ts"] + e["dur"] for e in found[line])]
        assert all(e["ts"] >= end for e, end in zip(found[line], ends, strict=False))


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
    """Steps stay; what is gone is told in the data."""
    made = made_exports.analysis()
    whole = Lines(perfetto.render(made))
    every = sum(e["ph"] == "X" for e in whole.events)
    found = Lines(perfetto.render(made, most=every - 1))
    assert len(found["steps"]) == STEPS - 1
    assert sum(e["ph"] == "X" for e in found.events) < every
    assert found.whole["otherData"]["left_out"].startswith(f"{STEPS} of ")
