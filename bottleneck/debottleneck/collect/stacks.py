"""py-spy beside the target: attach it for a while.

Two kinds of window: "stacks", every thread's stack over time (`--idle`, because
sleeping threads vanish otherwise), and "gil", only the thread that holds the GIL.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

from debottleneck.collect import beside
from debottleneck.recording.pyspy import RATE_HZ, PySpyWindow

LATE_S = 15.0
"""py-spy that has not ended so long after it should have hangs, and is ended."""

WHERE_LIMIT_S = 5.0


@dataclass
class Attachment:
    """One run of py-spy beside the target.

    Attributes:
        kind: "stacks" or "gil".
        path: What it writes.
        start_ns: When it was started, monotonic.
        seconds: For how long it was asked.
        process: Just started; None if it could not be.
        end_ns: When it was seen to have ended.
    """

    kind: str
    path: Path
    start_ns: int
    seconds: float
    process: subprocess.Popen[bytes] | None
    end_ns: int = 0

    def ended(self) -> bool:
        """Whether py-spy is through, at the latest some seconds late; notes when."""
        if self.process is not None and self.process.poll() is None:
            if time.monotonic_ns() < self.start_ns + (self.seconds + LATE_S) * 1e9:
                return False
            beside.stop(self.process, signal.SIGINT)
        self.end_ns = self.end_ns or time.monotonic_ns()
        return True

    def stop(self) -> None:
        """End it early; py-spy writes what it has."""
        if not self.ended() and self.process is not None:
            beside.stop(self.process, signal.SIGINT)
        self.ended()

    @property
    def was_killed(self) -> bool:
        """Whether it may have left the target stopped."""
        code = 0 if self.process is None else self.process.returncode
        return code is not None and code < 0

    def window(self) -> PySpyWindow:
        """What it left, once it has ended."""
        times = (self.start_ns, self.end_ns)
        return PySpyWindow(self.kind, self.path, *times, self._failure())

    def _failure(self) -> str:
        if self.path.exists() and self.path.stat().st_size:
            return ""
        code = self.process.returncode if self.process is not None else None
        if code == -signal.SIGINT:
            return "the run ended before py-spy had begun"
        if code is not None and code < 0:
            return f"ended by signal {-code}"
        text = log_of(self.path).read_text(encoding="utf-8", errors="replace")
        if "Samples: 0" in text:
            return "py-spy saw no thread at work in one of its windows"
        return " ".join(text.split())[:200] or f"exit code {code}"


def log_of(path: Path) -> Path:
    """Where py-spy's messages go, beside the file that it writes."""
    return path.with_suffix(".log")


def find() -> str | None:
    """py-spy's program: beside this Python's scripts, or on the PATH."""
    for folder in (Path(sysconfig.get_path("scripts")), Path(sys.executable).parent):
        if os.access(folder / "py-spy", os.X_OK):
            return str(folder / "py-spy")
    return shutil.which("py-spy")


def attach(
    program: str,
    pid: int,
    kind: str,
    seconds: int,
    path: Path,
    *,
    children: bool,
) -> Attachment:
    """Start one window on a running process.

    Args:
        program: py-spy.
        pid: The target.
        kind: "stacks" or "gil".
        seconds: How long.
        path: Where py-spy writes; a log is kept beside it.
        children: Also the target's child processes.
    """
    command = [program, "record", "--pid", str(pid), "--rate", str(RATE_HZ)]
    command += ["--duration", str(seconds), "--output", str(path), "--full-filenames"]
    if kind == "stacks":
        command += ["--idle", "--format", "chrometrace"]
    else:
        command += ["--gil", "--threads", "--format", "raw"]
    if children:
        command.append("--subprocesses")
    start_ns = time.monotonic_ns()
    process = beside.start(command, log_of(path), signal.SIGINT)
    return Attachment(kind, path, start_ns, seconds, process)


def where(pid: int) -> str:
    """The line at which a process's main thread is, "" where py-spy cannot say."""
    program = find()
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, "dump", "--pid", str(pid)],
            capture_output=True,
            text=True,
            check=False,
            timeout=WHERE_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    _, _, frames = done.stdout.partition(f"Thread {pid} ")
    return next((line.strip() for line in frames.splitlines()[1:2]), "")
