"""The tool's own processes beside the target: py-spy and the wait sampler."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from debottleneck.recording import spool

GRACE_S = 5.0
"""One that was told to end gets so long for it."""


def start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start one in a session of its own; what it says goes to `log`."""
    with open(log, "wb", opener=spool.private) as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o777 & ~spool.FILE_MODE,
            preexec_fn=_unblock_signals,
        )


def stop(process: subprocess.Popen[bytes], number: int) -> None:
    """End one by a signal, at last by force."""
    process.send_signal(number)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _unblock_signals() -> None:
    """The tool holds signals for the target; a process of its own gets them."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
