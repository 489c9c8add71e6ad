"""Virtual speed-ups: who is held back for a row's passes, and what is credited."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from debottleneck.agent import delays
from debottleneck.agent.spool_writer import SpoolWriter
from debottleneck.agent.track import MarkTrack
from debottleneck.recording import spool

MS = 1_000_000
TRAINER, LOADER = 1, 2
FORWARD, LOAD, GET = (site << 2 for site in (5, 6, 7))
LEAVE = spool.LEAVE
BEGUN_MS = 1000
TRIAL = {"site": 5, "percent": 50, "delay_ns": 4 * MS, "length_ns": 1000 * MS}


class Rig:
    """Experiments that are told of marks on a clock of their own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.late = 0, 0
        self.slept: list[int] = []
        self.events: list[dict[str, Any]] = []
        self.follower: Callable[[Any], None] | None = None
        self.tool_runs = True
        self.folder = folder
        self._tracks = {
            tid: SimpleNamespace(tid=tid, buffer=bytearray(99), pos=spool.MARK.size)
            for tid in (TRAINER, LOADER, 3)
        }
        self._cpu, self._ran = dict.fromkeys(self._tracks, 0), 0
        monkeypatch.setattr(delays, "monotonic_ns", lambda: self.now)
        monkeypatch.setattr(delays, "sleep", self._sleep)
        monkeypatch.setattr(delays, "_ran_ns", lambda: self._ran)
        monkeypatch.setattr(delays, "follow_with", self._follow)
        self.experiments = delays.Delays(cast(SpoolWriter, self), lambda _: None)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds * 1e9))
        self.now += self.slept[-1] + self.late

    def _follow(self, follower: Callable[[MarkTrack], None] | None) -> None:
        self.follower = follower

    def write_event(self, event: dict[str, Any]) -> None:
        """As a writer's."""
        self.events.append(event)

    def is_read(self) -> bool:
        """As a writer's."""
        return self.tool_runs

    def begin(
        self,
        *trials: dict[str, Any],
        waits: dict[int, float] | None = None,
        step_ns: int = 0,
    ) -> None:
        """The tool asks for these trials of `forward`."""
        asked = [
            {**TRIAL, "enter": FORWARD, "ends": [FORWARD | LEAVE], **trial}
            for trial in trials or ({},)
        ]
        told = {str(code): part for code, part in (waits or {}).items()}
        document = {"trainer": TRAINER, "waits": told, "trials": asked}
        document["step_ns"] = step_ns
        (self.folder / spool.DELAYS_FILE).write_text(json.dumps(document))
        self.now = max(self.now, (BEGUN_MS - 2) * MS)
        self.experiments.attend(spool.DELAYS)
        if not step_ns:
            self.mark(TRAINER, -1, GET)

    def mark(self, tid: int, ms: float, code: int, cpu: float | None = None) -> None:
        """A thread marks at that time, or later if it was held back; on a core since.

        Args:
            tid: The thread.
            ms: When.
            code: Which mark.
            cpu: Its CPU time since the last mark, if not all of that.
        """
        self.now = max(self.now, round((BEGUN_MS + ms) * MS))
        track = self._tracks[tid]
        used = self.now if cpu is None else self._cpu[tid] + round(cpu * MS)
        self._cpu[tid] = self._ran = used
        spool.MARK.pack_into(track.buffer, 0, self.now, used, code, 0)
        if self.follower is not None:
            self.follower(track)

    def end(self) -> list[tuple[float, float]]:
        """The series is over: milliseconds and credits of the trainer."""
        self.experiments.attend(spool.RECORD)
        credits = self.events[-1]["credits"]
        return [(t / MS - BEGUN_MS, credit / MS) for t, credit in credits]


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Nothing is asked for yet."""
    return Rig(tmp_path, monkeypatch)


def test_other_threads_are_held_back_for_each_pass(rig: Rig) -> None:
    """At their next mark, once; the one that passes is credited as much."""
    rig.begin()
    rig.mark(LOADER, 0, LOAD)
    rig.mark(TRAINER, 1, FORWARD)
    rig.mark(TRAINER, 9, FORWARD | LEAVE)
    assert rig.slept == []
    rig.mark(LOADER, 10, LOAD | LEAVE)
    rig.mark(LOADER, 15, LOAD)
    assert rig.slept == [4 * MS]
    assert rig.end() == [(9, 4)]


def test_waiting_for_another_thread_pays(rig: Rig) -> None:
    """The one it waited for was held back in its place; a sleep of its own is none."""
    rig.begin(waits={GET: 1.0})
    for tid, before in ((LOADER, GET), (3, LOAD)):
        rig.mark(tid, 0, before)
    rig.mark(TRAINER, 1, FORWARD)
    rig.mark(TRAINER, 9, FORWARD | LEAVE)
    rig.mark(LOADER, 12, LOAD, cpu=9)  # 3 of 12 ms waited
    assert rig.slept == [1 * MS]
    rig.mark(3, 14, GET, cpu=0)
    assert rig.slept == [1 * MS, 4 * MS]


def test_threads_that_pass_at_the_same_time_delay_nobody(rig: Rig) -> None:
    """Both would be faster together: what is due is once the delay, not twice."""
    rig.begin()
    for tid in (LOADER, 3):
        rig.mark(tid, 0, FORWARD)
    for tid in (LOADER, 3):
        rig.mark(tid, 8, FORWARD | LEAVE)
    assert rig.slept == []
    rig.mark(TRAINER, 8, GET)
    rig.mark(TRAINER, 9, GET)
    assert rig.slept == []  # it came when both had passed
    rig.mark(3, 20, FORWARD)
    rig.mark(3, 28, FORWARD | LEAVE)
    rig.mark(TRAINER, 29, GET)
    assert rig.slept == [4 * MS]


def test_nobody_is_held_back_within_the_row(rig: Rig) -> None:
    """Its own pass will be credited; marks within it are none of its ends."""
    rig.begin()
    rig.mark(LOADER, 0, FORWARD)
    rig.mark(TRAINER, 1, FORWARD)
    rig.mark(TRAINER, 5, FORWARD | LEAVE)
    rig.mark(LOADER, 6, GET)
    rig.mark(LOADER, 8, FORWARD | LEAVE)
    assert rig.slept == []


def test_a_sleep_that_took_longer_is_credited(rig: Rig) -> None:
    """What it was late is owed less the next time; a trifle is owed on."""
    rig.late = 1 * MS
    rig.begin({"delay_ns": 2 * MS}, waits={})
    rig.mark(LOADER, 0, LOAD)
    for ms in (10, 20, 30):
        rig.mark(TRAINER, ms, FORWARD)
        rig.mark(TRAINER, ms + 5, FORWARD | LEAVE)
        rig.mark(LOADER, ms + 6, LOAD)
    assert rig.slept == [2 * MS, 1 * MS, 1 * MS]


def test_a_trainer_that_is_held_back_is_credited_its_sleep(rig: Rig) -> None:
    """Where the loader's row is faster and the trainer never waits, nothing is won."""
    rig.begin()
    rig.mark(TRAINER, 0, GET)
    rig.mark(LOADER, 1, FORWARD)
    rig.mark(LOADER, 9, FORWARD | LEAVE)
    rig.mark(TRAINER, 10, GET)
    assert rig.end() == [(14, 4)]


def test_queues_are_emptied_before_a_trial(rig: Rig) -> None:
    """Others stand still until the trainer marks no more, or is seen to wait."""
    rig.begin(waits={GET: 1.0}, step_ns=10 * MS)
    rig.mark(TRAINER, 0, GET)
    rig.mark(LOADER, 1, LOAD)
    assert sum(rig.slept) == pytest.approx(12 * MS, abs=MS)  # it marked no more
    rig.end()
    rig.begin(waits={GET: 1.0}, step_ns=10 * MS)
    rig.mark(TRAINER, 30, GET)
    rig.mark(TRAINER, 33, FORWARD, cpu=0)  # it waited for 3 ms
    rig.slept.clear()
    rig.mark(LOADER, 34, LOAD)
    assert rig.slept == []
    assert rig.end() == []
    assert [event["start_ns"] / MS - BEGUN_MS for event in rig.events][-1] == 33


def test_trials_follow_one_another_and_end(rig: Rig) -> None:
    """Each is written down; after the last nobody is told of marks any more."""
    lengths = {"length_ns": 10 * MS}
    rig.begin({"percent": 0, "delay_ns": 0, **lengths}, lengths)
    for ms in (0, 5, 12, 20, 25, 40):
        rig.mark(TRAINER, ms, GET)
    assert [event["percent"] for event in rig.events] == [0, 50]
    spans = [
        [event[edge] / MS - BEGUN_MS for edge in ("start_ns", "end_ns")]
        for event in rig.events
    ]
    assert spans == [[-1, 12], [20, 40]]
    assert rig.follower is None


def test_nobody_is_held_back_when_the_tool_is_gone(rig: Rig) -> None:
    """The series ends with the trial: a tool that was killed asks for nothing more."""
    rig.begin({"length_ns": 10 * MS}, {"length_ns": 10 * MS})
    rig.tool_runs = False
    for ms in (0, 12):
        rig.mark(TRAINER, ms, GET)
    assert rig.follower is None
    rig.begin()
    assert rig.follower is None


def test_a_fault_of_ours_ends_the_series_alone(rig: Rig) -> None:
    """The script is not to know of it."""
    rig.begin()
    rig.experiments._waits = cast(dict[int, float], None)
    rig.mark(TRAINER, 0, GET)
    rig.mark(TRAINER, 1, GET)
    assert rig.follower is None
