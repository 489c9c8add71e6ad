"""One timed run of the script: marks only, stopped after so many steps."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from debottleneck.agent.guard import Changes, restore
from debottleneck.agent.state import Extent
from debottleneck.analysis.thresholds import THRESHOLDS
from debottleneck.collect import temporary
from debottleneck.collect.options import Options
from debottleneck.collect.progress import Seen, StepCounter
from debottleneck.collect.target import POLL_S, TargetProcess
from debottleneck.recording import spool
from debottleneck.recording.loop import NONE, Steps
from debottleneck.recording.reading import read_lines
from debottleneck.strategies.rewriting.notes import ENGAGED
from debottleneck.trials import state, written
from debottleneck.trials.usage import Usage, tree_of, work_of

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

STOP_GRACE_S = 30.0
"""A script that was told to end at a step, or interrupted, gets so long for what it
does at its end: write a checkpoint, for one."""

IDLE_S = 3.0
"""Ended sooner if its main thread neither computed nor anything was written for so
long: it waits for a thread that nobody ends."""

STUCK_SHARE = 0.3
"""A script out of time that ended no step in this part of it hangs; else it is slow."""


@dataclass(frozen=True)
class Measured:
    """What one trial showed.

    Attributes:
        step_ns: Length of every step, shape (steps,).
        start_ns: Its beginning, monotonic, likewise.
        rule: How steps are bounded, a sentence.
        engaged: The first step after every strategy had begun to act.
        memory_mb: Peak of the process tree, None without /proc.
        cpu_s: CPU time of the processes that have ended with it.
        cpu: Rows of monotonic ns, CPU seconds of the tree so far and of others, (n, 3).
        seconds: From launch to end.
        exit_code: The script's, negative for a signal, None if it had to be killed.
        failure: "" or why it cannot be counted, a sentence with the log's path.
        notes: The strategies' lines.
        states: What its variables held, if that was asked for.
        changes: What it did to files, all put back.
    """

    step_ns: Ints
    start_ns: Ints
    rule: str = ""
    engaged: int = 0
    memory_mb: float | None = None
    cpu_s: float = 0.0
    cpu: Floats | None = None
    seconds: float = 0.0
    exit_code: int | None = None
    failure: str = ""
    notes: tuple[Mapping[str, Any], ...] = ()
    states: state.States | None = None
    changes: Changes = field(default_factory=Changes)

    def cpu_ms(self, first: int) -> float | None:
        """CPU time of the tree a step from step `first` on, None if not known."""
        count = len(self.step_ns) - first
        spent = self._spent(first, 1) if count > 0 else None
        return None if spent is None else spent * 1e3 / count

    @property
    def disturbed(self) -> bool:
        """Whether other work took enough cores meanwhile to tell in the steps."""
        spent = self._spent(0, 2) if len(self.step_ns) else None
        wall_s = float(self.step_ns.sum()) / 1e9
        return spent is not None and spent > THRESHOLDS.foreign_cores * wall_s

    def _spent(self, first: int, column: int) -> float | None:
        """CPU seconds from step `first` on, by a column of `cpu`; None if not known."""
        if self.cpu is None or len(self.cpu) < 2:
            return None
        ends = [self.start_ns[first], self.start_ns[-1] + self.step_ns[-1]]
        begin, end = np.interp(ends, self.cpu[:, 0], self.cpu[:, column])
        return float(end - begin)


def run_trial(
    target: Options,
    strategies: str,
    *,
    steps: int,
    gate: Extent | None,
    limit_s: float,
    log: Path,
) -> Measured:
    """Run the script once.

    Args:
        target: The script, as it is to be profiled.
        strategies: What is applied, "" for the plain script.
        steps: The script is stopped after so many, unless it ends before.
        gate: How far what its variables hold is written down, None for not at all.
        limit_s: It is ended after so long.
        log: File for the script's own output, which is appended.

    Raises:
        UsageError: The interpreter cannot be run.
        KeyboardInterrupt: Ctrl-C; the script is ended.
    """
    kept = log.with_suffix(".kept")
    kept.mkdir()
    options = replace(
        target,
        strategies=strategies,
        gate=asdict(gate) if gate else None,
        guard=kept,
        waits=False,
        stacks=False,
        functions="",
        log=log,
    )
    with temporary.folder("trial") as folder:
        script = _Script(options, folder, log)
        try:
            failure = script.run(steps, limit_s)
        finally:
            script.end()
        return script.measured(failure)


class _Script:
    """The running script, in a session of its own: Ctrl-C is the tool's alone."""

    def __init__(self, options: Options, folder: Path, log: Path) -> None:
        self._options = options
        self._folder = folder
        self._log = log
        self._cpu_before = _children_cpu_s()
        self._begun = time.monotonic()
        self._target = TargetProcess(options, folder, apart=True)
        known = options.loop is not None
        self._counter = StepCounter(folder, self._target.pid, known=known)
        self._usage = Usage(self._target.pid)
        self._seen: Seen | None = None
        self._grew = self._begun
        self._seconds = 0.0
        self._files: written.Files = ()
        self._changes = Changes()

    def run(self, steps: int, limit_s: float) -> str:
        """Follow it until it has done its steps or ends; why it failed, or ""."""
        while self._target.wait(POLL_S):
            self._look()
            if self._count >= steps:
                return self._stop()
            if time.monotonic() - self._begun > limit_s:
                return self._out_of_time(limit_s)
        return self._verdict_on_exit()

    @property
    def _count(self) -> int:
        return len(self._seen.steps) if self._seen else 0

    def _look(self) -> None:
        before = self._count
        self._usage.look()
        if not spool.agent_file(self._folder, self._target.pid).exists():
            return  # the agent still times its own marks, which look like steps
        self._seen = self._counter.look() or self._seen
        if self._count > before:
            self._grew = time.monotonic()

    def _stop(self) -> str:
        """End it at its next step; how fast it is after that is of no account."""
        self._target.ask(spool.STOP, self._seen)
        self._wind_down()
        return ""

    def _wind_down(self) -> bool:
        """Let it do what it does at its end, if it does anything; whether it ended."""
        begun = moved = time.monotonic()
        work: tuple[int, ...] = ()
        while self._target.wait(POLL_S) and time.monotonic() - begun < STOP_GRACE_S:
            before, work = work, work_of(self._target.pid)
            if work != before:
                moved = time.monotonic()
            elif time.monotonic() - moved > IDLE_S:
                break
        return self._target.returncode is not None

    def _out_of_time(self, limit_s: float) -> str:
        idle = time.monotonic() - self._grew
        if self._count and idle < STUCK_SHARE * limit_s:
            return self._stop()
        # The traceback of an interruption shows where it hangs.
        for number in (signal.SIGINT, signal.SIGTERM):
            self._target.send(number)
            if self._wind_down():
                break
        after = f"after step {self._count}" if self._count else "before its first step"
        return f"hung {after}, ended after {limit_s:.0f} s; its output: {self._log}"

    def _verdict_on_exit(self) -> str:
        code = self._target.returncode
        if not code:
            return ""
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        lines = last_lines(self._log, 1)
        said = f" ({lines[0][:120]})" if lines else ""
        return f"ended with {how}{said}; its output: {self._log}"

    def end(self) -> None:
        """Leave nothing of it running; Ctrl-C once more ends it at once."""
        try:
            if self._target.returncode is None and sys.exception() is not None:
                self._target.send(signal.SIGINT)
                self._wind_down()
        finally:
            self._kill()

    def _kill(self) -> None:
        pids = {*tree_of(self._target.pid)[1:], *self._usage.left()}
        self._target.kill()
        for pid in pids - {self._target.pid}:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        self._seconds = time.monotonic() - self._begun
        kept = self._options.guard
        if kept is not None:
            self._files = written.read(kept)
            self._changes = put_back(kept)

    def measured(self, failure: str) -> Measured:
        """What the ended script left in the spool."""
        self._seen = self._counter.look(last=True) or self._seen
        steps = self._seen.steps if self._seen else NONE
        if not failure and not len(steps):
            failure = f"showed no steps; its output: {self._log}"
        notes = tuple(read_lines(self._folder / spool.STRATEGIES_FILE))
        left = self._folder, self._target.pid, self._files
        states = state.read(*left) if self._options.gate else None
        return Measured(
            step_ns=steps.end - steps.start,
            start_ns=steps.start,
            rule=steps.rule,
            engaged=engaged_at(notes, steps),
            memory_mb=self._usage.peak_mb,
            cpu_s=_children_cpu_s() - self._cpu_before,
            cpu=self._usage.cpu,
            seconds=self._seconds,
            exit_code=self._target.returncode,
            failure=failure,
            notes=notes,
            states=states,
            changes=self._changes,
        )


def put_back(kept: Path) -> Changes:
    """Put a run's files back, and remove the copies if all went well."""
    changes = restore(kept)
    if not changes.lost:
        shutil.rmtree(kept, ignore_errors=True)
    return changes


def engaged_at(notes: Iterable[Mapping[str, Any]], steps: Steps) -> int:
    """The first step that begins after every strategy has begun to act."""
    moment = engaged_ns(notes)
    return int(np.searchsorted(steps.start, moment)) if moment else 0


def engaged_ns(notes: Iterable[Mapping[str, Any]]) -> int:
    """When the last of the strategies began to act, monotonic; 0 if none did.

    One that acts at several places counts from its first: an evaluation after the
    training is no reason to leave the training out.
    """
    first: dict[str, int] = {}
    for note in notes:
        if note.get("state") == ENGAGED:
            first.setdefault(str(note["strategy"]), int(note["t_ns"]))
    return max(first.values(), default=0)


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines with text of a script's output."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-count:]


def _children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system
