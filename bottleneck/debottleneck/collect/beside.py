"""The tool's own processes beside the target: py-spy and the wait sampler.

One that cannot be started or is killed costs what it would have measured, nothing
else. Each ends with the tool, however that ends.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from pathlib import Path

from debottleneck.recording import spool

GRACE_S = 5.0
"""One that was told to end gets so long for it."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def start(command: list[str], log: Path, end: int) -> subprocess.Popen[bytes] | None:
    """Start one in a session of its own.

    Args:
        command: What to run.
        log: What it says goes there; also why it could not be started.
        end: The signal that ends it; it gets that one too if the tool dies.

    Returns:
        None if it could not be started.
    """
    tool = os.getpid()

    def prepare() -> None:
        """The tool holds signals for the target; a process of its own gets them."""
        _libc.prctl(_PR_SET_PDEATHSIG, end, 0, 0, 0)
        if os.getppid() != tool:  # it died before it could be asked to tell
            os._exit(0)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    with open(log, "wb", opener=spool.private) as output:
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o777 & ~spool.FILE_MODE,
                preexec_fn=prepare,
            )
        except OSError as error:
            output.write(f"it could not be started: {error.strerror}\n".encode())
            return None


def stop(process: subprocess.Popen[bytes], number: int) -> None:
    """End one by a signal, at last by force."""
    process.send_signal(number)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
