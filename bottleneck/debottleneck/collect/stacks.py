"""py-spy: attach for a while, and read what it wrote.

Two kinds of window: "stacks", every thread's stack over time (`--idle`, because
sleeping threads vanish otherwise), and "gil", only the thread that holds the GIL.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable, Iterator
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


class ParseError(BottleneckError):
    """py-spy wrote something this version cannot read."""


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


@dataclass
class Window:
    """One run of py-spy beside the target."""

    kind: str
    path: Path
    start_ns: int
    process: subprocess.Popen[bytes]
    log: Path
    end_ns: int = 0

    def ended(self) -> bool:
        """Whether py-spy is through; notes when."""
        if self.process.poll() is None:
            return False
        self.end_ns = self.end_ns or time.monotonic_ns()
        return True

    def stop(self) -> None:
        """End the window early; py-spy writes what it has."""
        if not self.ended():
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.ended()

    def failure(self) -> str:
        """Why there is nothing to read, or ""."""
        if self.path.exists() and self.path.stat().st_size:
            return ""
        if self.process.returncode == -signal.SIGINT:
            return "the run ended before py-spy had begun"
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return " ".join(text.split())[:200] or f"exit code {self.process.returncode}"


def find() -> str | None:
    """py-spy's program: beside this Python's scripts, or on the PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "py-spy"
    near = Path(sys.executable).parent / "py-spy"
    for path in (beside, near):
        if path.exists():
            return str(path)
    return shutil.which("py-spy")


def attach(
    program: str,
    pid: int,
    kind: str,
    seconds: int,
    path: Path,
    *,
    children: bool,
    child_setup: Callable[[], None] | None = None,
) -> Window:
    """Start one window on a running process.

    Args:
        program: py-spy.
        pid: The target.
        kind: "stacks" or "gil".
        seconds: How long.
        path: Where py-spy writes; a log is kept beside it.
        children: Also the target's child processes.
        child_setup: Run in the new process first.
    """
    command = [program, "record", "--pid", str(pid), "--rate", str(RATE_HZ)]
    command += ["--duration", str(seconds), "--output", str(path), "--full-filenames"]
    if kind == "stacks":
        command += ["--idle", "--format", "chrometrace"]
    else:
        command += ["--gil", "--threads", "--format", "raw"]
    if children:
        command.append("--subprocesses")
    log = path.with_suffix(".log")
    start = time.monotonic_ns()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=child_setup,
        )
    return Window(kind, path, start, process, log)


def parse_chrometrace(text: str, origin_ns: int) -> list[Sample]:
    """Begin and end events -> the stack of each thread between two changes.

    Args:
        text: The file's text, a JSON list.
        origin_ns: Monotonic time of py-spy's own zero.

    Raises:
        ParseError: Not such a list.
    """
    try:
        events = json.loads(text)
        rows = [row for row in map(_event, events) if not _names_process(row[1][2])]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ParseError(f"py-spy's trace is not readable ({error})") from error
    threads: dict[tuple[int, int], list[tuple[str, int, Frame]]] = {}
    for key, row in rows:
        threads.setdefault(key, []).append(row)
    return [
        sample
        for (pid, tid), changes in threads.items()
        for sample in _between_changes(pid, tid, changes, origin_ns)
    ]


def _event(event: dict[str, Any]) -> tuple[tuple[int, int], tuple[str, int, Frame]]:
    place = event["args"]
    frame = (str(event["name"]), str(place["filename"]), int(place["line"] or 0))
    key = (int(event["pid"]), int(event["tid"]))
    return key, (str(event["ph"]), int(event["ts"]), frame)


def _names_process(frame: Frame) -> bool:
    """With child processes, py-spy puts each one's command line below its stacks."""
    return not frame[1] and _PROCESS.match(frame[0]) is not None


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

    Args:
        lines: The file's lines.
        pid: The process of lines that name none.
    """
    found = []
    for line in lines:
        body, _, count = line.rstrip("\n").rpartition(" ")
        entry = _stack_of(body.split(";"), pid)
        if entry is not None and count.isdecimal():
            found.append((entry, int(count)))
    return found


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
