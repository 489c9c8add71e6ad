"""The script's process: started, signals passed on to it, its exit code said."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from debottleneck.collect.options import Options
from debottleneck.errors import UsageError
from debottleneck.recording import spool

if TYPE_CHECKING:
    from debottleneck.collect.progress import Seen

ENTRY = Path(__file__).resolve().parent.parent / "agent" / "entry.py"

SIGNALLED = 128
"""Added to a signal's number for the exit code, as shells do."""

POLL_S = 0.1
_PASSED_ON = {
    signal.Signals[f"SIG{name}"]
    for name in ("INT", "TERM", "HUP", "QUIT", "USR1", "USR2")
}
_HELD = {*_PASSED_ON, signal.SIGCHLD}


class TargetProcess:
    """The script under the agent, from its start to its exit code.

    Ctrl-C and its like belong to the script; the tool lives on to report. The
    terminal sends Ctrl-C to the whole process group, so the script has it already;
    what another process sent to the tool alone is passed on.

    Args:
        options: What to run; with a log, its output goes there and nothing comes in.
        folder: The spool folder, which exists.
        apart: In a session of its own: signals are the tool's, and the script heeds
            SIGINT even where the tool was started with it ignored.

    Attributes:
        pid: Its process.
        signalled: Whether a signal reached the tool since the start, and was passed
            on.

    Raises:
        UsageError: The interpreter cannot be run.
    """

    def __init__(self, options: Options, folder: Path, *, apart: bool = False) -> None:
        self.signalled = False
        self._calls = 0
        self._holds_signals = not apart
        config = folder / spool.CONFIG
        with open(config, "w", encoding="utf-8", opener=spool.private) as text:
            json.dump(options.configuration, text)
        page = folder / spool.CONTROL_FILE
        with open(page, "w+b", opener=spool.private) as file:
            file.write(bytes(spool.CONTROL_BYTES))
            file.flush()
            self._control = mmap.mmap(file.fileno(), spool.CONTROL_BYTES)
        command = [options.python, str(ENTRY), str(folder)]
        try:
            self._process = _start(command, options.log, apart)
        except OSError as error:
            raise UsageError(
                f"{options.python!r} cannot be run ({error.strerror})",
                "name an interpreter with --python",
            ) from error
        self.pid = self._process.pid
        if self._holds_signals:
            signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)

    @property
    def returncode(self) -> int | None:
        """None while it runs, negative for the signal that ended it."""
        return self._process.poll()

    def ask(self, mode: int, seen: Seen | None) -> None:
        """Ask the agent for a mode of `spool`; for the present one, to list threads.

        Args:
            mode: `spool.RECORD` and so on.
            seen: What is known of the loop, at a boundary of which it changes.
        """
        self._calls = (self._calls + 1) % 256
        boundary = seen.boundary if seen else spool.ANY_BOUNDARY
        trainer = seen.trainer_tid if seen else self.pid
        call = (self._calls, mode, boundary, 0, trainer, 0)
        spool.CONTROL.pack_into(self._control, 0, *call)

    def wait(self, seconds: float) -> bool:
        """Wait up to so long, passing signals on; False once it has ended."""
        if not self._holds_signals:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            return self.returncode is None
        until = time.monotonic() + seconds
        while self.returncode is None:
            remaining = until - time.monotonic()
            if remaining <= 0:
                return True
            info = signal.sigtimedwait(_HELD, remaining)
            if info is not None and info.si_signo in _PASSED_ON:
                self.signalled = True
                if info.si_code <= 0:  # not from the terminal, but by a process
                    self.send(info.si_signo)
        return False

    def send(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        self._process.send_signal(number)

    def finish(self) -> int:
        """Wait for its end; its return code. Signals are the tool's own again."""
        while self.wait(POLL_S):
            pass
        if self._holds_signals:
            while signal.sigtimedwait(_HELD, 0) is not None:
                pass
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
        return self._process.returncode

    def kill(self) -> None:
        """End one that is apart, and all of its session, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def exit_code(code: int, say: Callable[[str], None]) -> int:
    """A return code as shells have it: 128 + N after signal N, which is said."""
    if code >= 0:
        return code
    say(f"the script was ended by signal {-code}")
    return SIGNALLED - code


def _start(
    command: list[str], log: Path | None, apart: bool
) -> subprocess.Popen[bytes]:
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    output = None if log is None else spool.lines_file(log)
    with output or contextlib.nullcontext():
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if output else None,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            close_fds=False,
            start_new_session=apart,
            preexec_fn=_heed_interrupts if apart and ignored else None,
        )


def _heed_interrupts() -> None:
    """Python makes SIGINT a KeyboardInterrupt only where it is not ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
