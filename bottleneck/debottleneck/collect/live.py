"""Beside a process that somebody else has started: its instruments, and its recording.

`python -m debottleneck.collect.live FOLDER PID` is the process that conducts them for
`debottleneck.profile()`. It is no child of that one, so that nobody takes it, and what
it starts, for a part of what is measured; it ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from debottleneck.collect.conduct import Conductor
from debottleneck.collect.options import Options
from debottleneck.collect.target import Control
from debottleneck.errors import UsageError
from debottleneck.recording import spool

if TYPE_CHECKING:
    from debottleneck.collect.progress import Seen


def no_process(pid: int) -> UsageError:
    """What is said where there is none of that number."""
    remedy = "take its number from `pgrep -af python`"
    return UsageError(f"there is no process {pid} to look at", remedy)


class RunningProcess:
    """A process that runs already, watched until it ends or enough is known.

    Args:
        pid: The process.
        folder: The spool folder.
        options: What is measured.
        until: A file descriptor: with its end, measuring ends; None for none.

    Raises:
        UsageError: There is no such process.
    """

    returncode: int | None = None
    """It is not ours, so nobody tells us."""

    def __init__(
        self, pid: int, folder: Path, options: Options, until: int | None = None
    ) -> None:
        self.pid = pid
        self.start_ns = time.monotonic_ns()
        try:
            self._watched = os.pidfd_open(pid)
        except OSError as error:
            raise no_process(pid) from error
        self._ends = [self._watched, *([] if until is None else [until])]
        self._control = Control(options, folder)

    def ask(self, mode: int, seen: Seen | None) -> None:
        """Ask the agent for a mode of `spool`; for the present one, to list threads."""
        self._control.ask(mode, seen, self.pid)

    def wait(self, seconds: float) -> bool:
        """Wait up to so long; False once it has ended, or enough is known."""
        return not select.select(self._ends, [], [], seconds)[0]

    def send(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        signal.pidfd_send_signal(self._watched, number)

    def close(self) -> None:
        """Watch it no more."""
        os.close(self._watched)


def conduct(options: Options, pid: int, until: int, say: Callable[[str], None]) -> None:
    """Measure a process with an agent in it until `until` ends, and save that.

    Args:
        options: What to measure; the output's folder is there.
        pid: The process.
        until: A file descriptor.
        say: Prints a line.
    """
    from debottleneck.collect.saving import save

    raw, began = options.output / spool.RAW_FOLDER, datetime.now(UTC)
    target = RunningProcess(pid, raw, options, until)
    print(os.getpid(), flush=True)
    with Conductor(options, raw, target, say) as conductor:
        conductor.start_sampler()
        if not conductor.has_begun():
            return
        outcome = conductor.measure()
    save(options, raw, outcome, began)
    shutil.rmtree(raw, ignore_errors=True)


def main(folder: str, pid: str) -> None:
    """Leave the caller's family, tell it this process's number, and conduct."""
    if os.fork():
        os._exit(0)
    os.setsid()
    asked = json.loads(sys.stdin.readline())
    asked = {"python": sys.executable, **asked}
    options = Options(**asked, module=False, output=Path(folder))
    conduct(options, int(pid), sys.stdin.fileno(), lambda line: None)


if __name__ == "__main__":
    main(*sys.argv[1:])
