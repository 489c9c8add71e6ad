"""Start the target, conduct the instruments, pass signals and the exit code on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from debottleneck.collect import schedule, stacks
from debottleneck.collect.options import Options
from debottleneck.collect.start import launch, make_control
from debottleneck.errors import UsageError
from debottleneck.recording import spool
from debottleneck.recording.environment import thread_pools

if TYPE_CHECKING:
    from debottleneck.collect.progress import Seen

ENTRY = Path(__file__).resolve().parent.parent / "agent" / "entry.py"

POLL_S = 0.1
NO_STEPS_AFTER_S = 8.0
"""Without steps by then, the run is measured as a whole until some appear."""

STOP_GRACE_S = 10.0
NAMES_EVERY_S = 1.0
_FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")


@dataclass
class Outcome:
    """What happened, for the recording's facts."""

    start_ns: int
    end_ns: int = 0
    pid: int = 0
    ended_by: str = "exit"
    exit_code: int | None = None
    windows: list[stacks.Window] = field(default_factory=list)
    stopped_by_signal: bool = False


class Run:
    """One target under measurement.

    Args:
        options: What to run and how.
        folder: The spool folder, which exists.
        say: Prints one line of progress for the user.
    """

    def __init__(
        self, options: Options, folder: Path, say: Callable[[str], None]
    ) -> None:
        self._options = options
        self._folder = folder
        self._say = say
        self._control = make_control(folder)
        self._sampler: subprocess.Popen[bytes] | None = None
        self._window: stacks.Window | None = None
        self._block: schedule.Block | None = None
        self._block_since = 0.0
        self._block_steps = 0
        self._blocks: Iterator[schedule.Block] = iter(())
        self._program = stacks.find() if options.stacks else None
        self._seen: Seen | None = None
        self._training_since: float | None = None
        self._mode = spool.RECORD
        self._calls = 0
        self._names_due = 0.0
        self._too_slow = False
        self._write_config()
        self.outcome = Outcome(time.monotonic_ns())
        self.pools: list[dict[str, object]] = []

    def start(self) -> None:
        """Launch the target, then the wait sampler beside it."""
        command = [self._options.python, str(ENTRY), str(self._folder)]
        self.outcome.start_ns = time.monotonic_ns()
        try:
            self._target = launch(command, self._options.log)
        except OSError as error:
            raise UsageError(
                f"{self._options.python!r} cannot be run ({error.strerror})",
                "name an interpreter with --python",
            ) from error
        self.outcome.pid = self._target.pid
        self._signals = Signals(self._target)
        self._signals.hold()
        if self._options.waits and os.path.exists("/proc/self/task"):
            self._start_sampler()
        # NumPy is imported while the script starts, not before.
        from debottleneck.collect.progress import Progress

        self._progress = Progress(self._folder, self._target.pid)
        self._begin_blocks()

    def has_begun(self) -> bool:
        """Wait until the agent hands over to the script; False if it refuses to."""
        stated = spool.agent_file(self._folder, self._target.pid)
        while not stated.exists():
            if not self._signals.wait(POLL_S / 10):
                self.outcome.exit_code = self._target.returncode
                self._end()
                return stated.exists()
        return True

    def measure(self) -> Outcome:
        """Conduct the blocks until the measurement is over or the target ends."""
        while self._signals.wait(POLL_S):
            self._seen = self._progress.look() or self._seen
            if self._bound_reached():
                break
            self._conduct()
            self._look_around()
        if self._target.poll() is not None:
            self.outcome.exit_code = self._target.returncode
        self._end()
        return self.outcome

    def wait(self) -> int:
        """Wait for the target to end; its return code, negative for a signal."""
        asked = time.monotonic()
        while self._signals.wait(POLL_S):
            late = time.monotonic() - asked > STOP_GRACE_S
            if self._options.stop and self._measured_enough and late:
                self._say(
                    "the script did not stop at a step; interrupting it as Ctrl-C would"
                )
                self._target.send_signal(signal.SIGINT)
                asked = float("inf")
        self._signals.release()
        return self._target.returncode

    @property
    def signalled(self) -> bool:
        """Whether a signal reached the tool since the launch, and was passed on."""
        return self._signals.passed_on

    @property
    def _measured_enough(self) -> bool:
        return self.outcome.ended_by in ("steps", "seconds")

    def _write_config(self) -> None:
        path = self._folder / spool.CONFIG
        path.write_text(json.dumps(self._options.configuration), encoding="utf-8")

    def _start_sampler(self) -> None:
        module = "debottleneck.collect.sampler"
        command = [sys.executable, "-P", "-m", module, str(self._folder)]
        command += [str(self._target.pid), str(self._options.rate)]
        with (self._folder / "sampler.log").open("wb") as log:
            self._sampler = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                preexec_fn=self._signals.child_setup,
            )

    def _begin_blocks(self) -> None:
        self._blocks = schedule.blocks(
            stacks=self._program is not None,
            functions=self._options.functions == "windows",
        )
        self._next_block()

    def _bound_reached(self) -> bool:
        """Whether --steps or --seconds end the measurement now."""
        now = time.monotonic()
        count = self._steps_measured()
        if count and self._training_since is None:
            self._training_since = now
            self._say(f"training recognised: {self._seen.steps.rule}")  # type: ignore[union-attr] # count > 0
        if self._options.steps is not None:
            return self._ended("steps", count >= self._options.steps)
        begun = self._training_since or self.outcome.start_ns / 1e9
        limit = self._options.seconds
        if self._training_since is None:
            limit += NO_STEPS_AFTER_S
        return self._ended("seconds", now - begun >= limit)

    def _look_around(self) -> None:
        """Thread names once a second; thread pools once, when they are mapped."""
        if time.monotonic() > self._names_due:
            self._names_due = time.monotonic() + NAMES_EVERY_S
            self._set_mode(self._mode)
        if not self.pools and self._steps_measured() > 2:
            self.pools = thread_pools(self._target.pid)

    def _ended(self, why: str, reached: bool) -> bool:
        if reached:
            self.outcome.ended_by = why
        return reached

    def _steps_measured(self) -> int:
        """Steps after the warm-up (one step, unless the user said otherwise)."""
        if self._seen is None:
            return 0
        warmup = 1 if self._options.warmup is None else self._options.warmup
        return max(len(self._seen.steps) - warmup, 0)

    def _conduct(self) -> None:
        """Go on to the next block when this one is over."""
        block = self._block
        if block is None or not self._may_begin():
            return
        if self._window is not None:
            if self._window.ended():
                self._window = None
                self._next_block()
            return
        if block.kind in ("stacks", "gil"):
            self._attach(block)
            return
        seconds = time.monotonic() - self._block_since
        steps = self._steps_measured() - self._block_steps
        has_steps = self._seen is not None
        if block.kind.startswith("functions") and not has_steps:
            self._next_block()
        elif schedule.is_over(block, seconds, steps, has_steps):
            if block.kind != "quiet":
                self._too_slow = self._too_slow or seconds > schedule.TOO_SLOW_S
                self._set_mode(spool.RECORD)
            self._next_block()

    def _may_begin(self) -> bool:
        """Blocks begin with training, or when none shows for a while."""
        if self._steps_measured() >= 1:
            return True
        since = time.monotonic() - self.outcome.start_ns / 1e9
        if since < NO_STEPS_AFTER_S and self._block_since:
            self._block_since = time.monotonic()
        return since >= NO_STEPS_AFTER_S

    def _next_block(self) -> None:
        self._block = next(self._blocks)
        while self._too_slow and self._block.kind.startswith("functions"):
            self._block = next(self._blocks)
        self._block_since = time.monotonic()
        self._block_steps = self._steps_measured()
        modes = {
            "functions-wall": spool.FUNCTIONS_WALL,
            "functions-cpu": spool.FUNCTIONS_CPU,
        }
        if self._block.kind in modes and self._seen is not None:
            self._set_mode(modes[self._block.kind])

    def _set_mode(self, mode: int) -> None:
        """Ask the agent for a mode; asking for the present one lists new threads."""
        self._mode = mode
        self._calls = (self._calls + 1) % 256
        seen = self._seen
        boundary = seen.boundary if seen else spool.ANY_BOUNDARY
        trainer = seen.trainer_tid if seen else self._target.pid
        call = (self._calls, mode, boundary, 0, trainer, 0)
        spool.CONTROL.pack_into(self._control, 0, *call)

    def _attach(self, block: schedule.Block) -> None:
        if self._program is None:
            return
        number = len(self.outcome.windows)
        ending = "json" if block.kind == "stacks" else "txt"
        path = self._folder / f"{block.kind}-{number}.{ending}"
        self._window = stacks.attach(
            self._program,
            self._target.pid,
            block.kind,
            int(block.seconds),
            path,
            children=_has_children(self._target.pid),
            child_setup=self._signals.child_setup,
        )
        self.outcome.windows.append(self._window)

    def _end(self) -> None:
        """Detach everything; the script goes on alone."""
        self.outcome.end_ns = time.monotonic_ns()
        self.pools = self.pools or thread_pools(self._target.pid)
        stopping = self._options.stop and self._measured_enough
        self._set_mode(spool.STOP if stopping else spool.FINISHED)
        for window in self.outcome.windows:
            window.stop()
        if self._sampler is not None:
            self._sampler.send_signal(signal.SIGTERM)
            try:
                self._sampler.wait(5)
            except subprocess.TimeoutExpired:
                self._sampler.kill()
                self._sampler.wait()
        self.outcome.stopped_by_signal = self._signals.passed_on


class Signals:
    """Ctrl-C and its like belong to the script; the tool lives on to report.

    The terminal sends Ctrl-C to the whole process group, so the script has it
    already; what another process sent to the tool alone is passed on.

    Args:
        target: The script's process.
    """

    def __init__(self, target: subprocess.Popen[bytes]) -> None:
        self._target = target
        names = (n for n in (*_FORWARDED, "SIGCHLD") if hasattr(signal, n))
        self._numbers = {getattr(signal, name) for name in names}
        self._exact = hasattr(signal, "sigtimedwait")
        self.passed_on = False
        self._before: dict[int, object] = {}

    def hold(self) -> None:
        """From now on signals wait for `wait`."""
        if self._exact:
            signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)
        else:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def release(self) -> None:
        """Back to how it was."""
        if self._exact:
            while signal.sigtimedwait(self._numbers, 0) is not None:
                pass
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._numbers)
        else:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @property
    def child_setup(self) -> Callable[[], None] | None:
        """What a process started from here runs first: it gets its signals itself."""
        return _clear_mask if self._exact else None

    def wait(self, seconds: float) -> bool:
        """Wait up to so long, passing signals on; False once the target has ended."""
        if not self._exact:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._target.wait(seconds)
            return self._target.poll() is None
        until = time.monotonic() + seconds
        while self._target.poll() is None:
            left = until - time.monotonic()
            if left <= 0:
                return True
            found = signal.sigtimedwait(self._numbers, left)
            if found is not None and found.si_signo != signal.SIGCHLD:
                self._pass_on(found.si_signo, from_terminal=found.si_code > 0)
        return False

    def _pass_on(self, number: int, *, from_terminal: bool) -> None:
        self.passed_on = True
        if not from_terminal and self._target.poll() is None:
            self._target.send_signal(number)


def _clear_mask() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _has_children(pid: int) -> bool:
    from debottleneck.collect.proc import children_of

    return bool(children_of(pid))
