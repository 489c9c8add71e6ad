"""Conduct the instruments: blocks of steps, one after the other, beside the target."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from debottleneck.collect import beside, ranks, schedule, stacks
from debottleneck.collect.options import Options
from debottleneck.collect.proc import children_of
from debottleneck.collect.target import POLL_S, Target
from debottleneck.errors import RecordingError
from debottleneck.recording import spool
from debottleneck.recording.environment import thread_pools

if TYPE_CHECKING:
    from types import TracebackType

    from debottleneck.collect.causal import Experiments
    from debottleneck.collect.progress import Progress, Seen

NO_STEPS_AFTER_S = 8.0
"""Without steps by then, the run is measured as a whole until some appear."""

PREPARING = 10
"""As many times --seconds the script may import, load and compile before it trains;
a run in which no training shows by then is told as a whole."""

SURE_S = 1.5
"""A loop is announced when it has been taken for the training loop for so long."""

STOP_GRACE_S = 10.0
INTERRUPT_GRACE_S = 5.0
TERMINATE_GRACE_S = 30.0
"""As a trial has for what it does at its end: it may write a checkpoint."""

NAMES_EVERY_S = 1.0
WATCH_EVERY_S = 1.0

_MODES = {
    "functions-wall": spool.FUNCTIONS_WALL,
    "functions-cpu": spool.FUNCTIONS_CPU,
    spool.DELAYED: spool.DELAYS,
}
"""Kind of a block -> what the agent does meanwhile, if not `spool.RECORD`."""


@dataclass
class Outcome:
    """What happened, for the recording's facts."""

    start_ns: int = 0
    end_ns: int = 0
    pid: int = 0
    ended_by: str = "exit"
    exit_code: int | None = None
    sampler_code: int | None = None
    attached: list[stacks.Attachment] = field(default_factory=list)
    pools: list[dict[str, object]] = field(default_factory=list)


class Conductor:
    """One target under measurement; leaving the context detaches all from it.

    Args:
        options: What to run and how.
        folder: The spool folder, which exists.
        target: The script's process.
        say: Prints one line of progress for the user.
        watch: Told once a second how far it has come.
    """

    def __init__(
        self,
        options: Options,
        folder: Path,
        target: Target,
        say: Callable[[str], None],
        watch: Callable[[Progress], None] | None = None,
    ) -> None:
        self._options = options
        self._folder = folder
        self._target = target
        self._say = say
        self._watch, self._watch_due = watch, 0.0
        self._instruments = contextlib.ExitStack()
        self._attachment: stacks.Attachment | None = None
        self._block: schedule.Block | None = None
        self._block_since = 0.0
        self._block_steps = 0
        self._program = stacks.find() if options.stacks else None
        self._blocks = self._schedule()
        self._experiments: Experiments | None = None
        self._sampler: subprocess.Popen[bytes] | None = None
        self._is_failed = False
        self._seen: Seen | None = None
        self._training_since: float | None = None
        self._rule, self._is_said = "", False
        self._mode = spool.RECORD
        self._names_due = 0.0
        self._too_slow = False
        self.outcome = Outcome(start_ns=target.start_ns, pid=target.pid)

    def __enter__(self) -> Conductor:
        """From now on all is detached at the end, each whatever becomes of the rest."""
        self._instruments.callback(self._stop_sampler)
        self._instruments.callback(self._stop_attachments)
        self._instruments.callback(self._note_pools)
        self._instruments.callback(self._tell_agent)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Detach what still measures; with --stop, see the script end."""
        self._is_failed = kind is not None
        self._instruments.close()
        if self._stops:
            self._see_it_stop()

    def start_sampler(self) -> None:
        """Start the wait sampler beside the target."""
        if self._options.waits and os.path.exists("/proc/self/task"):
            command = [sys.executable, "-P", "-m", "debottleneck.collect.sampler"]
            command += [str(self._folder), str(self._target.pid)]
            command += [str(self._options.rate)]
            log = self._folder / "sampler.log"
            self._sampler = beside.start(command, log, signal.SIGTERM)

    def has_begun(self) -> bool:
        """Wait until the agent hands over to the script; False if it never does."""
        stated = spool.agent_file(self._folder, self._target.pid)
        while not stated.exists():
            self._check_folder()
            if not self._target.wait(POLL_S / 10):
                self._instruments.close()
                return stated.exists()
        return True

    def measure(self) -> Outcome:
        """Conduct the blocks until the measurement is over or the target ends."""
        # NumPy is imported while the script starts, not before.
        from debottleneck.collect.progress import StepCounter

        known = self._options.loop is not None
        counter = StepCounter(self._folder, self._target.pid, known=known)
        self._next_block()
        while self._target.wait(POLL_S):
            self._check_folder()
            self._seen = counter.look() or self._seen
            bound = ranks.launched(self._options) or self._bound_reached()
            if bound:
                self.outcome.ended_by = bound
                break
            self._conduct()
            self._look_around()
            self._show_pace()
        self._instruments.close()
        return self.outcome

    @property
    def trained(self) -> bool:
        """Whether steps were seen."""
        return self._seen is not None

    def _check_folder(self) -> None:
        """Nothing more can be measured without it."""
        if not self._folder.is_dir():
            raise RecordingError(f"{self._folder} has been removed")

    def _see_it_stop(self) -> None:
        """At a step, as by Ctrl-C, as by `kill`, by force: each is given its time."""
        if self._ends_within(STOP_GRACE_S):
            return
        self._say("the script did not stop at a step; interrupting it as Ctrl-C would")
        self._target.send(signal.SIGINT)
        if self._ends_within(INTERRUPT_GRACE_S):
            return
        place = stacks.where(self._target.pid)
        where = f" in {place}" if place else ""
        self._say(
            f"the script has not ended on SIGINT{where}; ending it with SIGTERM, and "
            f"with SIGKILL if it is there {TERMINATE_GRACE_S:.0f} s later"
        )
        self._target.send(signal.SIGTERM)
        if not self._ends_within(TERMINATE_GRACE_S):
            self._say("the script has not ended on SIGTERM either; killing it")
            self._target.send(signal.SIGKILL)

    def _ends_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self._target.wait(POLL_S):
            if time.monotonic() > until:
                return False
        return True

    @property
    def _stops(self) -> bool:
        """Whether the script is to end now that nothing more is measured."""
        enough = self.outcome.ended_by in ("steps", "seconds")
        return self._options.stop and (enough or self._is_failed)

    def _bound_reached(self) -> str:
        """What ends the measurement now: "steps", "seconds", or "" for nothing."""
        now = time.monotonic()
        count = self._steps_measured()
        if count and self._seen is not None:
            if self._seen.steps.rule != self._rule:  # another loop, as more was seen
                if self._rule:
                    self._block_steps, self._blocks = count, self._schedule()
                self._rule, self._is_said = self._seen.steps.rule, False
                self._training_since = now
            sure = SURE_S if self._seen.trains else NO_STEPS_AFTER_S
            if not self._is_said and now - (self._training_since or now) > sure:
                self._is_said = True
                (self._folder / spool.TRAINS_FILE).touch(spool.FILE_MODE)
                self._say(f"training recognised: {self._rule}")
        if self._options.steps is not None:
            return "steps" if count >= self._options.steps else ""
        if self._training_since is None:
            self._say_of_preparing(now - self.outcome.start_ns / 1e9)
        return "seconds" if self._seconds_left(now) <= 0 else ""

    def _seconds_left(self, now: float) -> float:
        """Until the measurement is over, if it is bounded by time."""
        limit = self._options.seconds
        if self._training_since is None:
            limit = limit * PREPARING + NO_STEPS_AFTER_S
            return limit - (now - self.outcome.start_ns / 1e9)
        if self._seen is not None and not self._seen.trains:
            limit *= 2  # it may be a preparation, and the training is still to come
        return limit - (now - self._training_since)

    def _say_of_preparing(self, seconds: float) -> None:
        """That nothing has trained so far, once it takes long."""
        limit = self._options.seconds
        if not self._is_said and seconds >= limit + NO_STEPS_AFTER_S:
            self._is_said = True
            self._say(
                f"no training yet after {seconds:.0f} s; waiting for it, for up to "
                f"{limit * PREPARING:.0f} s in all (Ctrl-C: report now)"
            )

    def _show_pace(self) -> None:
        """Tell whoever watches, once a second."""
        now = time.monotonic()
        if self._watch is None or now < self._watch_due:
            return
        from debottleneck.collect.progress import pace

        self._watch_due = now + WATCH_EVERY_S
        left = f"{max(self._seconds_left(now), 0):.0f} s"
        if self._options.steps is not None:
            left = f"{self._options.steps - self._steps_measured():,} steps"
        self._watch(pace(self._seen, left, self._folder, self._target.pid))

    def _look_around(self) -> None:
        """Thread names once a second; thread pools once, when they are mapped."""
        if time.monotonic() > self._names_due:
            self._names_due = time.monotonic() + NAMES_EVERY_S
            self._set_mode(self._mode)
        if not self.outcome.pools and self._steps_measured() > 2:
            self.outcome.pools = thread_pools(self._target.pid)

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
        if self._attachment is not None:
            if self._attachment.ended():
                self._wake_after(self._attachment)
                self._attachment = None
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
        elif self._is_in_series(block, seconds):
            return
        elif schedule.is_over(block, seconds, steps, has_steps):
            if block.kind != "quiet":
                slow = block.kind != spool.DELAYED and seconds > schedule.TOO_SLOW_S
                self._too_slow = self._too_slow or slow
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

    def _schedule(self) -> Iterator[schedule.Block]:
        """From its beginning, as for every loop that is taken to train."""
        functions = self._options.functions == "windows"
        return schedule.blocks(
            stacks=self._program is not None,
            functions=functions,
            delays=self._options.causal,
        )

    def _next_block(self) -> None:
        self._block = next(self._blocks)
        while self._is_skipped(self._block):
            self._block = next(self._blocks)
        self._block_since = time.monotonic()
        self._block_steps = self._steps_measured()
        if self._block.kind in _MODES and self._seen is not None:
            self._set_mode(_MODES[self._block.kind])

    def _is_in_series(self, block: schedule.Block, seconds: float) -> bool:
        """Whether trials of virtual speed-ups are still under way."""
        tried = self._experiments if block.kind == spool.DELAYED else None
        return tried is not None and seconds < tried.seconds

    def _is_skipped(self, block: schedule.Block) -> bool:
        if block.kind != spool.DELAYED:
            return self._too_slow and block.kind.startswith("functions")
        if self._experiments is None:  # imports pandas, which the script need not await
            from debottleneck.collect.causal import Experiments

            self._experiments = Experiments(self._folder, self._target.pid)
        trained = time.monotonic() - (self._training_since or time.monotonic())
        return not self._experiments.begin(self._seen, trained)

    def _set_mode(self, mode: int) -> None:
        """Ask the agent for a mode; asking for the present one lists new threads."""
        self._mode = mode
        self._target.ask(mode, self._seen)

    def _attach(self, block: schedule.Block) -> None:
        if self._program is None:
            return
        number = len(self.outcome.attached)
        ending = "json" if block.kind == "stacks" else "txt"
        path = self._folder / f"{block.kind}-{number}.{ending}"
        self._attachment = stacks.attach(
            self._program,
            self._target.pid,
            block.kind,
            int(block.seconds),
            path,
            children=bool(children_of(self._target.pid)),
        )
        self.outcome.attached.append(self._attachment)

    def _tell_agent(self) -> None:
        """The script goes on alone, or stops."""
        self.outcome.exit_code = self._target.returncode
        self.outcome.end_ns = time.monotonic_ns()
        self._set_mode(spool.STOP if self._stops else spool.FINISHED)

    def _note_pools(self) -> None:
        self.outcome.pools = self.outcome.pools or thread_pools(self._target.pid)

    def _stop_attachments(self) -> None:
        for attachment in self.outcome.attached:
            attachment.stop()
            self._wake_after(attachment)

    def _stop_sampler(self) -> None:
        if self._sampler is not None:
            beside.stop(self._sampler, signal.SIGTERM)
            self.outcome.sampler_code = self._sampler.returncode

    def _wake_after(self, attachment: stacks.Attachment) -> None:
        """py-spy stops threads to read them; one that was killed does not go on."""
        if attachment.was_killed:
            self._target.send(signal.SIGCONT)
