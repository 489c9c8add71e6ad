"""Virtual speed-ups: for each pass of a row all other threads are held back.

Curtsinger and Berger, "Coz: Finding Code that Counts with Causal Profiling" (2015):
what a row's being `d` faster would bring shows when everything else is made `d` slower
at each of its passes, and that is taken off the time. Here threads are held back at
their next mark, in blocks of steps of their own. To each thread its delays are
credited: those that it slept, those of its own passes (it is the one that would be
faster), and the time that it waited for other threads meanwhile, which were held back
in its place. A thread's time less its credit is what the time would be.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from os import O_RDONLY, close, read
from os import open as open_file
from time import monotonic_ns, sleep
from typing import TypedDict

from debottleneck.agent.handlers import of_a_handler
from debottleneck.agent.spool_writer import SpoolWriter
from debottleneck.agent.track import MarkTrack, follow_with
from debottleneck.recording import spool

LEAST_NS = 50_000
"""Less is owed on: a sleep takes some 60 us longer than it was asked for, which is
credited as well."""

STILL, WAITED, MOST_STEPS = 1.25, 0.1, 8
"""Steps: the trainer waits when it marks nothing for so long, or was seen to wait for
so much; queues that hold more than the last are not emptied before a trial."""

SLICE_S = 0.001


@dataclass
class _Thread:
    """What a thread's last mark was, and what was credited to it.

    Attributes:
        ran: Nanoseconds that it had run or waited for a core, where its next mark comes
            after a wait for others; -1 elsewhere.
    """

    t: int
    code: int
    ran: int = -1
    credit: int = 0
    inside: bool = False


class Experiment(TypedDict):
    """One experiment as the tool asks for it: which row, and how much faster.

    `enter` and `ends` are the codes of marks that begin a pass and end it; a trial of 0
    percent is what the one before and the one after are held against.
    """

    site: int
    percent: int
    delay_ns: int
    enter: int
    ends: list[int]
    length_ns: int


@dataclass
class _Running:
    """A trial and what came of it so far.

    Attributes:
        begun: When queues began to be emptied.
        start: When that was done, 0 before.
        last: When the trainer marked last.
        waited: How long it was seen to wait before the start.
        due: What every thread is to be credited by now, nanoseconds.
        credits: Of the trainer: times of marks, and its credit then.
    """

    trial: Experiment
    begun: int
    start: int = 0
    last: int = 0
    waited: int = 0
    due: int = 0
    threads: dict[int, _Thread] = field(default_factory=dict)
    credits: list[tuple[int, int]] = field(default_factory=list)


class Delays:
    """Follows the tool's wishes: trials as `collect.causal` asks for them, or none."""

    def __init__(self, writer: SpoolWriter, first: Callable[[int], None]) -> None:
        self._writer, self._first = writer, first
        self._trainer = self._step_ns = 0
        self._waits: dict[int, float] = {}
        self._trials: list[Experiment] = []
        self._running: _Running | None = None

    def attend(self, mode: int) -> None:
        """Called by the trainer between two steps when the mode has changed."""
        self._end()
        self._first(mode)
        if mode == spool.DELAYS:
            with suppress(OSError, ValueError, KeyError):  # the tool has gone
                self._begin()

    def _begin(self) -> None:
        path = self._writer.folder / spool.DELAYS_FILE
        asked = json.loads(path.read_text(encoding="utf-8"))
        self._waits = {int(code): part for code, part in asked["waits"].items()}
        self._trainer, self._step_ns = asked["trainer"], asked["step_ns"]
        self._trials = asked["trials"]
        follow_with(self._marked)
        self._next()

    def _next(self) -> None:
        """Go on to the next trial; without one, tell nobody of marks any more."""
        running = self._running
        if running is not None and running.start:
            trial = running.trial
            times = {"start_ns": running.start, "end_ns": monotonic_ns()}
            asked = {name: trial[name] for name in ("site", "percent", "delay_ns")}
            event = {"event": spool.DELAYED, **asked, **times}
            self._writer.write_event({**event, "credits": running.credits})
        self._running = None
        if self._trials and self._writer.is_read():
            now = monotonic_ns()
            self._running = _Running(self._trials.pop(0), now, last=now)
        else:
            follow_with(None)

    def _end(self) -> None:
        """The last trial may be too short, and counts as far as it went."""
        self._trials = []
        if self._running is not None:
            self._next()

    def _marked(self, track: MarkTrack) -> None:
        """A thread has written a mark."""
        if (running := self._running) is None:
            return
        try:
            self._follow(running, track)
        except Exception as error:  # the script is not to know of it
            if of_a_handler(error):
                raise
            self._end()

    def _follow(self, running: _Running, track: MarkTrack) -> None:
        place = track.pos - spool.MARK.size
        t, _, code, _ = spool.MARK.unpack_from(track.buffer, place)
        own = running.threads.setdefault(
            track.tid, _Thread(t, code, credit=running.due)
        )
        trains, waited = track.tid == self._trainer, 0
        if own.ran >= 0:
            rest = t - own.t - _ran_ns() + own.ran
            waited = max(round(rest * self._waits[own.code]), 0)
        if not running.start:
            self._empty(running, t, waited, trains)
        else:
            before = own.credit
            _credit(running, own, t, code, waited)
            if trains and own.credit != before:
                running.credits.append((monotonic_ns(), own.credit))
        own.t, own.code = monotonic_ns(), code
        own.ran = _ran_ns() if code in self._waits else -1
        is_over = running.start and t - running.start > running.trial["length_ns"]
        if trains and is_over and running is self._running:
            self._next()

    def _empty(self, running: _Running, t: int, waited: int, trains: bool) -> None:
        """Let others stand still until the trainer waits: it has emptied its queues.

        What waits in them would let it go on as if its own rows were the limit.
        """
        if trains:
            running.last, running.waited = t, running.waited + waited
        while not running.start and self._running is running:
            now = monotonic_ns()
            still = now - running.last > STILL * self._step_ns
            waits = running.waited > WAITED * self._step_ns
            if still or waits or now - running.begun > MOST_STEPS * self._step_ns:
                running.start = now
                running.threads.clear()
            elif trains:
                return
            else:
                sleep(SLICE_S)


def _credit(running: _Running, own: _Thread, t: int, code: int, waited: int) -> None:
    """Credit a thread what it waited or passed, or hold it back.

    Within the row nobody is held back: a pass of its own credits as much.

    Args:
        running: The trial.
        own: The thread.
        t: Its mark's time.
        code: What it marks.
        waited: Nanoseconds that it waited for others before.
    """
    own.credit += max(min(running.due - own.credit, waited), 0)
    if own.inside and code in running.trial["ends"]:
        own.inside = False
        own.credit += running.trial["delay_ns"]
        running.due = max(running.due, own.credit)
    own.inside = own.inside or code == running.trial["enter"]
    owed = running.due - own.credit
    if owed > LEAST_NS and not own.inside:
        sleep(owed / 1e9)
        own.credit += monotonic_ns() - t


def _ran_ns() -> int:
    """How long this thread ran or waited for a core since it began."""
    file = open_file("/proc/thread-self/schedstat", O_RDONLY)
    try:
        ran, delayed, _ = read(file, 100).split()
    finally:
        close(file)
    return int(ran) + int(delayed)
