"""Start the target's process, and make the page by which the tool calls it."""

from __future__ import annotations

import mmap
import subprocess
from pathlib import Path

from debottleneck.recording import spool


def launch(
    command: list[str], log: Path | None, *, own_session: bool = False
) -> subprocess.Popen[bytes]:
    """Start the target; with a log its output goes there, and nothing comes in.

    Args:
        command: Interpreter and arguments.
        log: File that its output is appended to, None for the tool's own.
        own_session: With a log: whether the terminal's signals do not reach it.
    """
    if log is None:
        return subprocess.Popen(command, close_fds=False)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            close_fds=False,
            start_new_session=own_session,
        )


def make_control(folder: Path) -> mmap.mmap:
    """The control page, by which the tool calls the agent."""
    path = folder / spool.CONTROL_FILE
    path.write_bytes(bytes(spool.CONTROL_BYTES))
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), spool.CONTROL_BYTES)
