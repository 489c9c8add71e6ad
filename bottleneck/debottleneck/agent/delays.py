"""Virtual speed-ups: for each pass of a row all other threads of the loop are held back.

Curtsinger and Berger, "Coz: Finding Code that Counts with Causal Profiling" (2015): what
a row's being `d` faster would bring shows when everything else is made `d` slower at
each of its passes and that is taken off the time. Here threads are held back at their
next mark, in blocks of steps alone. To each thread its delays are credited: those that
it slept, those of its own passes (it is the one that would be faster), and the time that
it waited for other threads meanwhile, which were held back in its place. A thread's time
less its credit is what the time would be.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic_ns, sleep
from typing import TypedDict

from debottleneck.agent import marks
from debottleneck.agent.handlers import of_a_handler
from debottleneck.agent.spool_writer import SpoolWriter
from debottleneck.agent.track import MarkTrack
from debottleneck.recording import spool

LEAST_NS = 50_000
"""Less is owed on: a sleep takes some 60 us longer than it was asked for, which is
credited as well."""


@dataclass
class _Thread:
    """What a thread's last mark was, and what was credited to it."""

    credit: int
    t: int
    cpu: int
    code: int
    inside: bool = False


class Trial(TypedDict):
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


class Asked(TypedDict):
    """A series of them, and code of a mark -> how much of the rest after it waits."""

    trainer: int
    waits: dict[str, float]
    trials: list[Trial]


@dataclass
class _Running:
    """A trial and what came of it so far.

    Attributes:
        due: What every thread is to be credited by now, nanoseconds.
        credits: Of the trainer: times of marks, and its credit then.
    """

    trial: Trial
    start: int
    due: int = 0
    threads: dict[int, _Thread] = field(default_factory=dict)
    credits: list[tuple[int, int]] = field(default_factory=list)


class Experiments:
    """Follows the tool's wishes: a series of trials, or none.

    Args:
        writer: Where to write.
        first: Is told of the mode before.
    """

    def __init__(self, writer: SpoolWriter, first: Callable[[int], None]) -> None:
        self._writer, self._first = writer, first
        self._trainer = 0
        self._waits: dict[int, float] = {}
        self._trials: list[Trial] = []
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
        asked: Asked = json.loads(path.read_text(encoding="utf-8"))
        self._waits = {int(code): part for code, part in asked["waits"].items()}
        self._trainer, self._trials = asked["trainer"], asked["trials"]
        self._next()
        marks.follow_with(self._marked)

    def _next(self) -> None:
        """Go on to the next trial; without one, tell nobody of marks any more."""
        if (running := self._running) is not None:
            trial = running.trial
            times = {"start_ns": running.start, "end_ns": monotonic_ns()}
            asked = {name: trial[name] for name in ("site", "percent", "delay_ns")}
            event = {"event": spool.DELAYED, **asked, **times}
            self._writer.write_event({**event, "credits": running.credits})
        self._running = None
        if self._trials and self._writer.is_read():
            self._running = _Running(self._trials.pop(0), monotonic_ns())
        else:
            marks.follow_with(None)

    def _end(self) -> None:
        """The last trial may be too short, and counts as far as it went."""
        self._trials = []
        if self._running is not None:
            self._next()

    def _marked(self, track: MarkTrack) -> None:
        """A thread has written a mark."""
        running = self._running
        if running is None:
            return
        try:
            time = self._credited(running, track)
            if track.tid == self._trainer:
                if time - running.start > running.trial["length_ns"]:
                    self._next()
        except Exception as error:  # the script is not to know of it
            if of_a_handler(error):
                raise
            self._end()

    def _credited(self, running: _Running, track: MarkTrack) -> int:
        """Credit the thread what it waited or passed, or hold it back; when it goes on.

        Within the row nobody is held back: a pass of its own credits as much.
        """
        place = track.pos - spool.MARK.size
        t, cpu, code, _ = spool.MARK.unpack_from(track.buffer, place)
        own = running.threads.get(track.tid)
        if own is None:
            own = running.threads[track.tid] = _Thread(running.due, t, cpu, code)
        before = own.credit
        waited = (t - own.t - cpu + own.cpu) * self._waits.get(own.code, 0.0)
        own.credit += max(min(running.due - own.credit, round(waited)), 0)
        trial = running.trial
        if own.inside and code in trial["ends"]:
            own.inside = False
            own.credit += trial["delay_ns"]
            running.due = max(running.due, own.credit)
        own.inside = own.inside or code == trial["enter"]
        own.t, own.cpu, own.code = t, cpu, code
        owed = running.due - own.credit
        if owed > LEAST_NS and not own.inside:
            sleep(owed / 1e9)
            own.t = monotonic_ns()
            own.credit += own.t - t
        if track.tid == self._trainer and own.credit != before:
            running.credits.append((own.t, own.credit))
        return int(own.t)
