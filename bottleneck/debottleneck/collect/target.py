"""The script's process: started, outlived by whatever fails, its exit code said."""

from __future__ import annotations

import contextlib
import functools
import json
import mmap
import os
import signal
import subprocess
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from debottleneck.collect.options import Options
from debottleneck.errors import BottleneckError, UsageError
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


class Control:
    """The page by which the agent is asked for something.

    Args:
        options: What the agent is told, which is written beside it.
        folder: The spool folder, which exists.

    Raises:
        UsageError: Nothing can be written there.
    """

    def __init__(self, options: Options, folder: Path) -> None:
        self._calls = 0
        try:
            self._page = _prepared(options, folder)
        except OSError as error:
            raise UsageError(
                f"{folder} cannot be written ({error.strerror})",
                "make room there, or choose another place with --output or TMPDIR",
            ) from error

    def ask(self, mode: int, seen: Seen | None, main: int) -> None:
        """Ask for a mode of `spool`; for the present one, to list threads.

        Args:
            mode: `spool.RECORD` and so on.
            seen: What is known of the loop, at a boundary of which it changes.
            main: The thread that trains, as long as none is known.
        """
        self._calls = (self._calls + 1) % 256
        boundary = seen.boundary if seen else spool.ANY_BOUNDARY
        call = (self._calls, mode, boundary, 0, seen.trainer_tid if seen else main, 0)
        spool.CONTROL.pack_into(self._page, 0, *call)


class Target(Protocol):
    """A process that is measured: started by us, or running already."""

    pid: int
    start_ns: int

    @property
    def returncode(self) -> int | None:
        """None while it runs, and where nobody tells."""

    def ask(self, mode: int, seen: Seen | None) -> None:
        """Ask the agent for a mode of `spool`."""

    def wait(self, seconds: float) -> bool:
        """Wait up to so long; False once it has ended, or enough is known."""

    def send(self, number: int) -> None:
        """Send it a signal, unless it has ended."""


class TargetProcess:
    """The script under the agent, from its start to its exit code.

    Ctrl-C and its like belong to the script; the tool lives on to report. The
    terminal sends Ctrl-C to the whole process group, so the script has it already;
    what another process sent to the tool alone is passed on.

    Args:
        options: What to run; with a log, its output goes there and nothing comes in.
        folder: The spool folder, which exists.
        apart: In a session of its own: signals are the tool's. Such a script, and one
            whose files are guarded, heeds SIGINT even where the tool was started with
            it ignored: it is asked to end by that, also when the tool dies.

    Attributes:
        pid: Its process.
        start_ns: When it was started, monotonic.
        signalled: Whether a signal reached the tool since the start, and was passed
            on.

    Raises:
        UsageError: The interpreter cannot be run.
    """

    def __init__(self, options: Options, folder: Path, *, apart: bool = False) -> None:
        self.signalled = False
        self.start_ns = time.monotonic_ns()
        self._holds_signals = not apart
        self._control = Control(options, folder)
        # The script may change its directory: what it is told is an absolute path.
        command = [options.python, str(ENTRY), str(folder.absolute())]
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
        held = self._holds_signals
        try:
            heeds = apart or options.guard is not None
            self._process = _start(command, options.log, apart, heeds, before)
        except OSError as error:
            held = False
            raise UsageError(
                f"{options.python!r} cannot be run ({error.strerror})",
                "name an interpreter with --python",
            ) from error
        finally:
            if not held:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs, negative for the signal that ended it."""
        return self._process.poll()

    def ask(self, mode: int, seen: Seen | None) -> None:
        """Ask the agent for a mode, see `Control`."""
        self._control.ask(mode, seen, self.pid)

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
        """Wait for its end; its return code."""
        while self.wait(POLL_S):
            pass
        return self._process.returncode

    def release(self) -> None:
        """Signals are the tool's own again, once the script has ended."""
        if self._holds_signals:
            while signal.sigtimedwait(_HELD, 0) is not None:
                pass
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)

    def kill(self) -> None:
        """End one that is apart, and all of its session, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def outlive(
    target: TargetProcess,
    work: Callable[[], None],
    failed: Callable[[BaseException], None],
) -> int:
    """Work beside a running script; whatever becomes of that, the script ends first.

    This is the one place that keeps the promise: once a script is started, nothing of
    ours ends before it does, and its exit code is returned.

    Args:
        target: The script, just started.
        work: What is done meanwhile and afterwards.
        failed: Told what ended the work early; may itself fail.

    Returns:
        The script's return code, negative for a signal.
    """
    attempts, told = [work], False
    while True:
        try:
            while attempts:
                attempts.pop()()
            return target.finish()
        except BaseException as error:  # noqa: BLE001 - the script outlives it all
            if not told:
                attempts.append(functools.partial(failed, error))
            told = True


def exit_code(code: int, say: Callable[[str], None]) -> int:
    """A return code as shells have it: 128 + N after signal N, which is said."""
    if code >= 0:
        return code
    say(f"the script was ended by signal {-code}")
    return SIGNALLED - code


def described(error: BaseException) -> str:
    """A failure in a sentence: ours as it is, any other with its place."""
    if isinstance(error, BottleneckError):
        return str(error)
    text = " ".join(str(error).split())[:200]
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{': ' if text else ''}{text}{place}"


def _prepared(options: Options, folder: Path) -> mmap.mmap:
    """The agent's configuration and the control page, written to the spool."""
    spool.write_private(folder / spool.CONFIG, json.dumps(options.configuration))
    page = folder / spool.CONTROL_FILE
    with open(page, "w+b", opener=spool.private) as file:
        file.write(bytes(spool.CONTROL_BYTES))
        file.flush()
        return mmap.mmap(file.fileno(), spool.CONTROL_BYTES)


def _start(
    command: list[str], log: Path | None, apart: bool, heeds: bool, mask: set[int]
) -> subprocess.Popen[bytes]:
    """Start it as a shell would: with the signals' mask that the tool was given.

    One that `heeds` SIGINT does so even where the tool was started with it ignored.
    The tool itself must hear of its child's end, even if told to ignore that.
    """
    interrupts = signal.getsignal(signal.SIGINT)
    heeds = heeds or interrupts is not signal.SIG_IGN
    is_deaf = signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
    if is_deaf:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def as_plain() -> None:
        if heeds:  # Python makes it a KeyboardInterrupt where it is not ignored
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        if is_deaf:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    output = None if log is None else spool.lines_file(log)
    with output or contextlib.nullcontext():
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if output else None,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            close_fds=False,
            start_new_session=apart,
            preexec_fn=as_plain,
        )
