"""What py-spy writes, as it really writes it, and what is read from it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from debottleneck.recording import pyspy
from debottleneck.recording.pyspy import Frame, PySpyFormatError, Sample

THREADING = "/usr/lib/python3.11/threading.py"
RAW = """\
thread (28085): MainThread;<module> (/w/train me.py:8);<lambda> (/w/train me.py:7) 23
thread (28087): a;b (ü);Thread.run (/usr/lib/python3.11/threading.py:982);naïve (/w/t.py:5) 26
thread (0x6D70): w;[stage load] (<debottleneck stage, passed over like importlib._bootstrap>:99);load (/w/t.py:3) 1
"""  # noqa: E501 - as py-spy writes it
RAW_WITH_CHILDREN = """\
process 28085:"python t.py";thread (28085): MainThread;<module> (/w/t.py:8) 5
process 28085:"python t.py";process 28090:"python -c import a; b()";thread (28090): MainThread;spin (/w/t.py:4) 7
"""  # noqa: E501 - as py-spy writes it


def test_holders_of_the_gil() -> None:
    """Native ids, counts, and frames from the outermost on; any name of a thread."""
    found = pyspy.parse_raw(RAW.splitlines(), 28085)
    assert [(s.pid, s.thread, n) for s, n in found] == [
        (28085, 28085, 23),
        (28085, 28087, 26),
        (28085, 28016, 1),
    ]
    assert found[0][0].frames == (
        ("<module>", "/w/train me.py", 8),
        ("<lambda>", "/w/train me.py", 7),
    )
    assert found[1][0].frames == (
        ("Thread.run", THREADING, 982),
        ("naïve", "/w/t.py", 5),
    )
    assert found[2][0].frames[0][0] == "[stage load]"


def test_child_processes_are_told_apart() -> None:
    """The innermost process counts; its command line may hold the separator."""
    found = pyspy.parse_raw(RAW_WITH_CHILDREN.splitlines(), 1)
    assert [(s.pid, s.thread, n) for s, n in found] == [
        (28085, 28085, 5),
        (28090, 28090, 7),
    ]
    assert found[1][0].frames == (("spin", "/w/t.py", 4),)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "23",
        "spin (/w/t.py:4) 23",
        "thread (5): MainThread 23",
        "thread (5): MainThread;spin (/w/t.py:4)",
        "thread (5): MainThread;spin (/w/t.py:4) many",
        "thread (x): MainThread;spin (/w/t.py:4) 3",
        "py-spy> Sampling process 100 times a second",
    ],
)
def test_lines_of_another_form_are_left_out(line: str) -> None:
    """A line without thread, frame or count says nothing."""
    assert pyspy.parse_raw([line], 1) == []


def event(
    phase: str, at: int, name: str, line: int = 1, file: str = "/w/t.py", **ids: int
) -> dict[str, Any]:
    """One event of a chrome trace, as py-spy writes it."""
    where = {"args": {"filename": file, "line": line}, "cat": "py-spy", "name": name}
    return {**where, "ph": phase, "pid": 7, "tid": 140695887460032, "ts": at, **ids}


def frame(name: str, line: int = 1) -> Frame:
    """A frame of the events above."""
    return (name, "/w/t.py", line)


def parse(*events: dict[str, Any], origin: int = 0) -> list[Sample]:
    """The samples of these events."""
    return pyspy.parse_chrometrace(json.dumps(events), origin)


def test_a_stack_lasts_until_it_changes() -> None:
    """Microseconds become nanoseconds from the origin on; idle time has no sample."""
    found = parse(
        event("B", 100, "<module>", 8),
        event("B", 100, "load", 5),
        event("E", 300, "load", 5),
        event("B", 300, "füllen", 6),
        event("E", 350, "füllen", 6),
        event("E", 350, "<module>", 8),
        event("B", 900, "<module>", 8),
        event("E", 910, "<module>", 8),
        origin=1_000_000,
    )
    module = frame("<module>", 8)
    assert [(s.start_ns, s.end_ns, s.frames) for s in found] == [
        (1_100_000, 1_300_000, (module, frame("load", 5))),
        (1_300_000, 1_350_000, (module, frame("füllen", 6))),
        (1_900_000, 1_910_000, (module,)),
    ]
    assert {(s.pid, s.thread) for s in found} == {(7, 140695887460032)}


def test_threads_are_told_apart() -> None:
    """Interleaved events of several threads and processes do not mix."""
    found = parse(
        event("B", 0, "a", tid=1),
        event("B", 5, "b", tid=2),
        event("B", 6, "c", pid=8, tid=1),
        event("E", 10, "a", tid=1),
        event("E", 20, "b", tid=2),
        event("E", 30, "c", pid=8, tid=1),
    )
    assert [(s.pid, s.thread, s.end_ns, s.frames[0][0]) for s in found] == [
        (7, 1, 10_000, "a"),
        (7, 2, 20_000, "b"),
        (8, 1, 30_000, "c"),
    ]


def test_command_lines_are_no_frames() -> None:
    """With child processes py-spy puts each one's command below its pyspy."""
    command = 'process 28085:"python t.py; x"'
    found = parse(
        event("B", 0, command, 0, ""),
        event("B", 0, "a"),
        event("E", 9, "a"),
        event("E", 9, command, 0, ""),
    )
    assert [s.frames for s in found] == [(frame("a"),)]


def test_an_empty_trace_and_an_unfinished_one() -> None:
    """No events, no samples; a stack that never ends has no known length."""
    assert parse() == []
    assert parse(event("B", 0, "a")) == []
    assert parse(event("E", 5, "a"), event("E", 9, "b")) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[{",
        "null",
        "7",
        "[7]",
        '["event"]',
        "[{}]",
        '[{"args": null}]',
        '[{"args": {"filename": "a", "line": "many"}, "name": "f"}]',
    ],
)
def test_other_text_is_no_trace(text: str) -> None:
    """A trace that is cut off or of another form is our error."""
    with pytest.raises(PySpyFormatError, match="py-spy's trace is not readable"):
        pyspy.parse_chrometrace(text, 0)
