"""py-spy beside the target: attach it for a while.

Two kinds of window: "stacks", every thread's stack over time (`--idle`, because
sleeping threads vanish otherwise), and "gil", only the thread that holds the GIL.
"""

from __future__ import annotations

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


@dataclass
class Attachment:
    """One run of py-spy beside the target; `process` is py-spy, just started."""

    kind: str
    path: Path
    start_ns: int
    process: subprocess.Popen[bytes]
    end_ns: int = 0

    def ended(self) -> bool:
        """Whether py-spy is through; notes when."""
        if self.process.poll() is None:
            return False
        self.end_ns = self.end_ns or time.monotonic_ns()
        return True

    def stop(self) -> None:
        """End it early; py-spy writes what it has."""
        if not self.ended():
            beside.stop(self.process, signal.SIGINT)
        self.ended()

    def window(self) -> PySpyWindow:
        """What it left, once it has ended."""
        times = (self.start_ns, self.end_ns)
        return PySpyWindow(self.kind, self.path, *times, self._failure())

    def _failure(self) -> str:
        if self.path.exists() and self.path.stat().st_size:
            return ""
        code = self.process.returncode
        if code == -signal.SIGINT:
            return "the run ended before py-spy had begun"
        text = log_of(self.path).read_text(encoding="utf-8", errors="replace")
        return " ".join(text.split())[:200] or f"exit code {code}"


def log_of(path: Path) -> Path:
    """Where py-spy's messages go, beside the file that it writes."""
    return path.with_suffix(".log")


def find() -> str | None:
    """py-spy's program: beside this Python's scripts, or on the PATH."""
    for folder in (Path(sysconfig.get_path("scripts")), Path(sys.executable).parent):
        if (folder / "py-spy").exists():
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
    process = beside.start(command, log_of(path))
    return Attachment(kind, path, start_ns, process)
