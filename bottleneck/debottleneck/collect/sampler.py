"""The wait sampler: its own process, reading /proc beside the running script.

Each tick reads who holds the GIL and, for every thread that has run since the last
tick, what it does now. A thread whose scheduling statistics have not moved is in
the same wait still; the longer it sleeps the more rarely it is looked at. The period
is random by a quarter around its mean, so that it cannot beat with the loop.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from debottleneck.collect import faults
from debottleneck.collect.holders import Layout
from debottleneck.collect.proc import (
    GilPlace,
    busy_seconds,
    children_of,
    place_in_child,
    sizes,
)
from debottleneck.collect.prompt import Aside, ask_for_short_slice
from debottleneck.collect.watched import Details, Looks, Watched, line_of
from debottleneck.recording import spool

MOST_CPU = 0.05
"""Share of one core above which the sampler lowers its own rate."""

SLOWEST_NS = 250e6
"""Longest period between ticks: with fewer samples there is nothing to say."""

FASTER = 1.2
"""Factor by which a rate that was lowered is tried higher again."""

TUNE_EVERY_NS = 250_000_000
FLUSH_EVERY_NS = 500_000_000
CHILDREN_EVERY_NS = 300_000_000
ASIDE_EVERY_NS = 20_000_000


class Sampler:
    """The loop over ticks.

    Args:
        folder: The spool folder.
        pid: The target.
        rate: Asked ticks per second.
    """

    def __init__(self, folder: Path, pid: int, rate: float) -> None:
        self._folder = folder
        self._details = Details()
        self._place: GilPlace | None = None
        self._layout: Layout | None = None
        self._looks: Looks | None = None
        self._outside = False
        self._pid = pid
        self._asked_ns = 1e9 / rate
        self._period_ns = self._asked_ns
        self._watched: dict[int, Watched] = {}
        self._children_due = self._told = 0
        self._aside = Aside(pid)
        self._aside_due = 0
        self.stopping = False
        self._ticks = 0
        self._late = 0
        self._random = random.Random(pid)
        self._own_s = 0.0
        self._cpu_before = 0
        self._noted = 0
        self._comms: dict[tuple[int, int], str] = {}
        self._waits = bytearray()
        self._bursts = bytearray()
        self._huge = faults.huge_faults()

    def run(self) -> None:
        """Sample until told to stop or until the target is gone."""
        self._wait_for_agent()
        self._watch(self._pid, self._place, self._layout)
        begun = time.monotonic_ns()
        self._cpu_before = time.process_time_ns()
        due, flush, tuned = float(begun), begun, (begun, time.process_time_ns())
        while not self.stopping and not self._watched[self._pid].gone:
            now = time.monotonic_ns()
            self._tick(now)
            if now >= flush:
                flush = now + FLUSH_EVERY_NS
                self._flush(now)
                self._note_surroundings(now)
            tuned = self._tune(now, tuned)
            due = self._sleep(due)
        for watched in self._watched.values():
            watched.close(self._waits)
        self._flush(time.monotonic_ns())
        self._report(begun)

    def _flush(self, now: int) -> None:
        """Let the tool see what has been gathered, and the GIL's hand-overs so far."""
        handovers, counters = bytearray(), bytearray()
        for pid, watched in self._watched.items():
            counters += watched.counters
            watched.counters.clear()
            if watched.gil is not None:
                handovers += spool.HANDOVER.pack(pid, now, watched.gil.switches)
        huge = faults.huge_faults()
        counters += spool.COUNTER.pack(
            self._pid, spool.EVERY_THREAD, now, 0, 0, huge - self._huge, 0
        )
        self._huge = huge
        for name, rows in (
            (spool.DETAILS_FILE, self._details.lines),
            (spool.HOLDERS_FILE, self._details.holders),
            *self._looked(),
            (spool.WAITS_FILE, self._waits),
            (spool.COUNTERS_FILE, counters),
            (spool.HANDOVERS_FILE, handovers),
            (spool.BURSTS_FILE, self._bursts),
        ):
            self._append(name, rows)
            rows.clear()
        if not self._outside and (self._folder / spool.TRAINS_FILE).exists():
            self._looks = self._watched[self._pid].looks = None

    def _looked(self) -> list[tuple[str, bytearray]]:
        looks = self._looks
        if looks is None:
            return []
        return [(spool.LOOKED_FILE, looks.stacks), (spool.LOOKS_FILE, looks.rows)]

    def _wait_for_agent(self) -> None:
        """The agent states the GIL's place before the script's first line."""
        path = spool.agent_file(self._folder, self._pid)
        while not path.exists() and not self.stopping:
            if not os.path.exists(f"/proc/{self._pid}"):
                return
            time.sleep(0.005)
        if path.exists():
            told = json.loads(path.read_text(encoding="utf-8"))
            self._place = GilPlace(**told["gil"]) if told["gil"] else None
            self._layout = Layout(**told["frames"]) if told.get("frames") else None
            self._looks, self._outside = Looks(), bool(told.get("outside"))

    def _watch(
        self, pid: int, place: GilPlace | None, layout: Layout | None = None
    ) -> None:
        try:
            looks = self._looks if pid == self._pid else None
            self._watched[pid] = Watched(pid, place, self._details, layout, looks)
        except OSError as error:
            if pid == self._pid:
                self._fail(f"/proc/{pid} cannot be read ({error.strerror})")

    def _fail(self, reason: str) -> None:
        self._append(spool.SAMPLER_FILE, line_of({"failed": reason}))
        raise SystemExit(3)

    def _tick(self, now: int) -> None:
        if now >= self._children_due or self._is_told():
            self._children_due = now + CHILDREN_EVERY_NS
            self._find_children()
        if now >= self._aside_due:
            self._aside_due = now + ASIDE_EVERY_NS
            self._aside.step()
        for watched in self._watched.values():
            try:
                watched.tick(now, self._waits)
            except PermissionError as error:
                self._fail(f"/proc/{watched.pid} cannot be read ({error.strerror})")
        self._read_burst(now)
        self._ticks += 1

    def _read_burst(self, now: int) -> None:
        """How often the target gives its GIL up, from readings in a row."""
        gil = self._watched[self._pid].gil
        burst = gil.burst() if gil is not None else None
        if burst is not None:
            self._bursts += spool.BURST.pack(self._pid, now, *burst)

    def _is_told(self) -> bool:
        """Whether the agent has told something new, as that workers have come."""
        before = self._told
        with contextlib.suppress(OSError):
            self._told = os.stat(spool.events_file(self._folder, self._pid)).st_size
        return self._told != before

    def _find_children(self) -> None:
        """Begin with new descendants of the target, end with those gone."""
        waiting, seen = [self._pid], {self._pid}
        while waiting:
            for child in children_of(waiting.pop()):
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
        for pid in seen - self._watched.keys():
            place = self._place and place_in_child(self._pid, pid, self._place)
            self._watch(pid, place)
        for pid in [p for p in self._watched if p not in seen and p != self._pid]:
            self._watched.pop(pid).close(self._waits)

    def _sleep(self, due: float) -> float:
        """Wait for the next tick; one that is late is not made up for."""
        due += self._period_ns * self._random.uniform(0.75, 1.25)
        now = time.monotonic_ns()
        if due > now:
            time.sleep((due - now) / 1e9)
            return due
        self._late += 1
        return now

    def _tune(self, now: int, before: tuple[int, int]) -> tuple[int, int]:
        """Keep the sampler's own CPU use below its bound by lowering the rate."""
        if now - before[0] < TUNE_EVERY_NS:
            return before
        cpu = time.process_time_ns()
        share = (cpu - before[1]) / (now - before[0])
        self._period_ns = tuned_period(self._period_ns, self._asked_ns, share)
        return now, cpu

    def _note_surroundings(self, now: int) -> None:
        """The machine's load beside the target's, and threads' kernel names."""
        for watched in self._watched.values():
            self._own_s += watched.oncpu / 1e9
            watched.oncpu = 0
        busy = busy_seconds()
        if busy is not None:
            own = self._own_s + time.process_time()
            line = [now, busy, own, *sizes(self._pid)]
            self._append(spool.LOAD_FILE, line_of(line))
        for watched in self._watched.values():
            for tid, files in watched.threads.items():
                if files.moved >= self._noted:  # else it has no new name
                    self._note_comm(watched.pid, tid)
        self._noted = now

    def _note_comm(self, pid: int, tid: int) -> None:
        try:
            comm = Path(f"/proc/{pid}/task/{tid}/comm").read_text().strip()
        except OSError:
            return
        if self._comms.get((pid, tid)) != comm:
            self._comms[pid, tid] = comm
            self._append(spool.COMMS_FILE, line_of([pid, tid, comm]))

    def _append(self, name: str, content: bytes | bytearray) -> None:
        with (self._folder / name).open("ab") as file:
            file.write(content)

    def _report(self, begun: int) -> None:
        wall = max(time.monotonic_ns() - begun, 1)
        facts = {
            "asked_hz": 1e9 / self._asked_ns,
            "achieved_hz": self._ticks / wall * 1e9,
            "cpu_share": (time.process_time_ns() - self._cpu_before) / wall,
            "late_ticks": self._late,
            "ticks": self._ticks,
            **faults.prices(),
        }
        self._append(spool.SAMPLER_FILE, line_of(facts))


def tuned_period(period_ns: float, asked_ns: float, share: float) -> float:
    """The next period, by the share of one core used at the present one.

    Beyond the bound the rate falls at once to where the bound will hold; it rises
    again in small steps, and only as far as the bound allows.
    """
    if share > MOST_CPU:
        return min(period_ns * max(share / MOST_CPU, 1.1), SLOWEST_NS)
    if share * FASTER < MOST_CPU:
        return max(period_ns / FASTER, asked_ns)
    return period_ns


def main(folder: str, pid: str, rate: str) -> None:
    """Run as a process of its own: `python -m debottleneck.collect.sampler`."""
    sampler = Sampler(Path(folder), int(pid), float(rate))

    def stop(number: int, frame: FrameType | None) -> None:
        sampler.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ask_for_short_slice()
    sampler.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
