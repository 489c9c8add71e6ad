"""What py-spy wrote, read back: its traces over time and its counts of samples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debottleneck.errors import BottleneckError

RATE_HZ = 100
"""Blocking samples a second; FACTS: 0 to 6 % slower at this rate."""

STARTUP_NS = 3_500_000
"""py-spy's clock begins this long after it is started (2 to 5 ms seen)."""

Frame = tuple[str, str, int]
"""Function, file, line."""

_FRAME = re.compile(r"(?P<function>.*) \((?P<file>.*):(?P<line>\d+)\)$")
_THREAD = re.compile(r"thread \((?P<tid>0x[0-9A-Fa-f]+|0|[1-9][0-9]*)\)(: .*)?$")
_PROCESS = re.compile(r"process (?P<pid>\d+):")


class PySpyFormatError(BottleneckError):
    """py-spy wrote something this version cannot read."""


@dataclass(frozen=True)
class PySpyWindow:
    """A time for which py-spy was attached, and what it wrote.

    Attributes:
        kind: "stacks" (every thread over time) or "gil" (the GIL's holder, counted).
        path: Its file.
        start_ns: Monotonic time of its start.
        end_ns: Of its end.
        failure: Why there is nothing to read, or "".
    """

    kind: str
    path: Path
    start_ns: int
    end_ns: int
    failure: str = ""


@dataclass(frozen=True)
class Sample:
    """A stack of one thread over some time.

    `thread` is the thread's `get_ident()` in a "stacks" window, the kernel's id in a
    "gil" window; `frames` begin with the outermost.
    """

    pid: int
    thread: int
    start_ns: int
    end_ns: int
    frames: tuple[Frame, ...]


def parse_chrometrace(text: str, origin_ns: int) -> list[Sample]:
    """Begin and end events -> the stack of each thread between two changes.

    Args:
        text: The file's text, a JSON list.
        origin_ns: Monotonic time of py-spy's own zero.

    Raises:
        PySpyFormatError: Not such a list.
    """
    try:
        events = json.loads(text)
        rows = [row for row in map(_event, events) if row is not None]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise PySpyFormatError(f"py-spy's trace is not readable ({error})") from error
    threads: dict[tuple[int, int], list[tuple[str, int, Frame]]] = {}
    for key, row in rows:
        threads.setdefault(key, []).append(row)
    return [
        sample
        for (pid, tid), changes in threads.items()
        for sample in _between_changes(pid, tid, changes, origin_ns)
    ]


def _event(
    event: dict[str, Any],
) -> tuple[tuple[int, int], tuple[str, int, Frame]] | None:
    """Process and thread; phase, time and frame; None for a process's own name.

    With child processes, py-spy puts each one's command line below its stacks.
    """
    place = event["args"]
    frame = (str(event["name"]), str(place["filename"]), int(place["line"] or 0))
    key = (int(event["pid"]), int(event["tid"]))
    change = (str(event["ph"]), int(event["ts"]), frame)
    is_name = not frame[1] and _PROCESS.match(frame[0])
    return None if is_name else (key, change)


def _between_changes(
    pid: int, tid: int, changes: list[tuple[str, int, Frame]], origin_ns: int
) -> Iterator[Sample]:
    stack: list[Frame] = []
    since = changes[0][1]
    for phase, at, frame in changes:
        if at > since and stack:
            begin, end = origin_ns + since * 1000, origin_ns + at * 1000
            yield Sample(pid, tid, begin, end, tuple(stack))
        since = at
        if phase == "B":
            stack.append(frame)
        elif stack:
            stack.pop()


def parse_raw(lines: Iterable[str], pid: int) -> list[tuple[Sample, int]]:
    """`--format raw --threads`: (stack, number of samples) a line.

    Lines of another form are left out: a command line of a child process may hold
    the separator. Times are zero; the window's own bounds hold.
    """
    counts = []
    for line in lines:
        body, _, count = line.rstrip("\n").rpartition(" ")
        sample = _stack_of(body.split(";"), pid)
        if sample is not None and count.isdecimal():
            counts.append((sample, int(count)))
    return counts


def _stack_of(parts: list[str], pid: int) -> Sample | None:
    thread = None
    frames: list[Frame] = []
    for part in parts:
        process = _PROCESS.match(part)
        named = _THREAD.match(part)
        frame = _FRAME.match(part)
        if process and thread is None:
            pid = int(process["pid"])
        elif named:
            thread = int(named["tid"], 0)
        elif frame and thread is not None:
            frames.append((frame["function"], frame["file"], int(frame["line"])))
    if thread is None or not frames:
        return None
    return Sample(pid, thread, 0, 0, tuple(frames))
