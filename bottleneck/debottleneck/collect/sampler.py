"""The wait sampler: its own process, reading /proc beside the running script.

Each tick reads who holds the GIL and, for every thread that has run since the last
tick, what it does now. A thread whose scheduling statistics have not moved is in
the same wait still, so idle threads cost one read. The period is random by a
quarter around its mean, so that it cannot beat with the loop.
"""

from __future__ import annotations

import json
import os
import platform
import random
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from debottleneck import spool
from debottleneck.collect import waits
from debottleneck.collect.proc import (
    UNKNOWN_HOLDER,
    Descriptors,
    Gil,
    GilPlace,
    ThreadFiles,
    busy_seconds,
    children_of,
    open_thread,
    place_in_child,
)

STATE = {name: number for number, name in enumerate(waits.STATES)}
RUNNING = STATE["running"]

MOST_CPU = 0.05
"""Share of one core above which the sampler lowers its own rate."""

LONGEST_ROW_NS = 250_000_000
"""An unchanged wait is written at least this often."""

FLUSH_EVERY_NS = 500_000_000
CHILDREN_EVERY_NS = 300_000_000
MOST_DETAILS = 5_000


class Details:
    """Numbers what waits were on, and lists them in the spool."""

    def __init__(self, path: Path) -> None:
        self._numbers: dict[tuple[str, str], int] = {("", ""): 0}
        self._file = path.open("w", encoding="utf-8")

    def number(self, call: str, what: str) -> int:
        """The number of a (system call, file or peer); bounded in count."""
        known = self._numbers.get((call, what))
        if known is not None:
            return known
        if len(self._numbers) >= MOST_DETAILS:
            what = "(more)"
        number = self._numbers.setdefault((call, what), len(self._numbers))
        self._file.write(json.dumps([number, call, what]) + "\n")
        return number

    def flush(self) -> None:
        """Let the tool see them."""
        self._file.flush()


class Watched:
    """One process under observation."""

    def __init__(self, pid: int, place: GilPlace | None, details: Details) -> None:
        self.pid = pid
        self.gil = Gil(pid, place) if place else None
        self.threads: dict[int, ThreadFiles] = {}
        self.gone = False
        self.oncpu = 0
        self._descriptors = Descriptors(pid)
        self._details = details
        self._names = waits.SYSCALLS.get(platform.machine(), {})
        self._links = -1
        self.last_ns = 0

    def refresh(self) -> None:
        """Open threads that have appeared, when their number has changed."""
        try:
            links = os.stat(f"/proc/{self.pid}/task").st_nlink
            if links == self._links:
                return
            self._links = links
            present = {int(name) for name in os.listdir(f"/proc/{self.pid}/task")}
        except OSError:
            self.gone = True
            return
        for tid in present - self.threads.keys():
            files = open_thread(self.pid, tid)
            if files is not None:
                self.threads[tid] = files
        if self.gil is not None:
            self.gil.forget()

    def tick(self, now: int, out: bytearray) -> None:
        """Sample every thread once, appending finished rows to `out`."""
        self.refresh()
        holder = self.gil.holder() if self.gil is not None else UNKNOWN_HOLDER
        since = self.last_ns or now
        for files in list(self.threads.values()):
            try:
                self._sample(files, since, now, holder, out)
            except (OSError, waits.ParseError):
                self._forget(files, out)
        self.last_ns = now

    def _sample(
        self, files: ThreadFiles, since: int, now: int, holder: int, out: bytearray
    ) -> None:
        text = os.pread(files.schedstat, 64, 0)
        row = files.row
        if text == files.last_text and files.state != RUNNING:
            if row and row[6] == holder and now - row[2] < LONGEST_ROW_NS:
                row[3] = now
                return
            self._write(files, out)
            files.row = self._row(files, since, now, 0, 0, holder)
            return
        oncpu, delay, _ = waits.parse_schedstat(text)
        first = not files.last_text
        files.state, files.detail = self._state(files)
        self._write(files, out)
        ran, queued = oncpu - files.oncpu, delay - files.delay
        files.last_text, files.oncpu, files.delay = text, oncpu, delay
        if not first:
            self.oncpu += ran
            files.row = self._row(files, since, now, ran, queued, holder)

    def _row(
        self, files: ThreadFiles, since: int, now: int, ran: int, queued: int, by: int
    ) -> list[int]:
        place = (self.pid, files.tid, since, now, ran, queued)
        return [*place, by, files.state, files.detail, 0]

    def _write(self, files: ThreadFiles, out: bytearray) -> None:
        if files.row:
            out += spool.WAIT.pack(*files.row)
            files.row = []

    def _forget(self, files: ThreadFiles, out: bytearray) -> None:
        self._write(files, out)
        files.close()
        del self.threads[files.tid]

    def _state(self, files: ThreadFiles) -> tuple[int, int]:
        call = waits.parse_syscall(os.pread(files.syscall, 256, 0))
        if call is None:
            return RUNNING, 0
        if call.number == waits.PAGE_FAULT:
            return STATE["disk"], self._details.number("page fault", "")
        name = self._names.get(call.number, f"system call {call.number}")
        if name == "futex" and self.gil and self.gil.covers(call.arguments[0]):
            return STATE["gil"], 0
        cause, what = self._cause(waits.kind_of_call(name), call)
        return STATE[cause], self._details.number(name, what)

    def _cause(self, kind: str, call: waits.Call) -> tuple[str, str]:
        """Cause of a blocked call, and the file or peer it is about."""
        arguments = call.arguments or (0,) * 6
        if kind == "fd":
            return self._descriptors.cause(arguments[0])
        if kind in ("lock", "sleep"):
            return kind, ""
        if kind == "files":
            return "disk", ""
        if kind in ("poll", "select", "epoll"):
            return self._polled(kind, arguments)
        return "unattributed", ""

    def _polled(self, kind: str, arguments: tuple[int, ...]) -> tuple[str, str]:
        """Of all descriptors waited on, the one that says most."""
        if kind == "epoll":
            watched = self._descriptors.watched(arguments[0])
            causes = [self._descriptors.cause(fd) for fd in watched[:16]]
            only_local = all(cause in ("ipc", "lock") for cause, _ in causes)
            timed = arguments[3] not in (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
            if only_local and timed and len(causes) <= 1:
                return "sleep", "timeout of an event loop"
            return waits.strongest(causes)
        if self.gil is None:
            return "unattributed", ""
        if kind == "poll":
            memory = self.gil.read(arguments[0], 8 * min(arguments[1], 16))
            fds = waits.parse_polled(memory)
        else:
            memory = self.gil.read(arguments[1], 128) if arguments[1] else b""
            fds = waits.parse_fd_set(memory, min(arguments[0], 1024))
        return waits.strongest([self._descriptors.cause(fd) for fd in fds[:16]])

    def close(self, out: bytearray) -> None:
        """Write what is pending and close every file."""
        for files in list(self.threads.values()):
            self._forget(files, out)
        if self.gil is not None:
            self.gil.close()


class Sampler:
    """The loop over ticks.

    Args:
        folder: The spool folder.
        pid: The target.
        rate: Asked ticks per second.
    """

    def __init__(self, folder: Path, pid: int, rate: float) -> None:
        self._folder = folder
        self._details = Details(folder / spool.DETAILS_FILE)
        self._place: GilPlace | None = None
        self._pid = pid
        self._asked_ns = 1e9 / rate
        self._period_ns = self._asked_ns
        self._watched: dict[int, Watched] = {}
        self._children_due = 0
        self.stopping = False
        self._ticks = 0
        self._late = 0
        self._random = random.Random(pid)
        self._own_s = 0.0
        self._cpu_before = 0
        self._comms: dict[tuple[int, int], str] = {}

    def run(self) -> None:
        """Sample until told to stop or until the target is gone."""
        self._wait_for_agent()
        self._watch(self._pid, self._place)
        out, switches = bytearray(), bytearray()
        begun = time.monotonic_ns()
        self._cpu_before = time.process_time_ns()
        due, flush, tuned = float(begun), begun, (begun, time.process_time_ns())
        path = self._folder / spool.WAITS_FILE
        with path.open("wb") as rows, self._handovers().open("wb") as counts:
            while not self.stopping and not self._main_gone():
                now = time.monotonic_ns()
                self._tick(now, out)
                if now >= flush:
                    flush = now + FLUSH_EVERY_NS
                    self._count_switches(now, switches)
                    _drain(rows, out)
                    _drain(counts, switches)
                    self._details.flush()
                    self._note_surroundings(now)
                    tuned = self._tune(now, tuned)
                due = self._sleep(due)
            self._count_switches(time.monotonic_ns(), switches)
            for watched in self._watched.values():
                watched.close(out)
            _drain(rows, out)
            _drain(counts, switches)
        self._details.flush()
        self._report(begun)

    def _handovers(self) -> Path:
        return self._folder / spool.HANDOVERS_FILE

    def _wait_for_agent(self) -> None:
        """The agent states the GIL's place before the script's first line."""
        path = spool.agent_file(self._folder, self._pid)
        while not path.exists() and not self.stopping:
            if not os.path.exists(f"/proc/{self._pid}"):
                return
            time.sleep(0.005)
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))["gil"]
            if found:
                self._place = GilPlace(found["gil"], found["native_id_offset"])

    def _main_gone(self) -> bool:
        return self._watched[self._pid].gone

    def _watch(self, pid: int, place: GilPlace | None) -> None:
        try:
            self._watched[pid] = Watched(pid, place, self._details)
        except OSError as error:
            if pid == self._pid:
                self._fail(f"/proc/{pid} cannot be read ({error.strerror})")

    def _fail(self, why: str) -> None:
        path = self._folder / spool.SAMPLER_FILE
        path.write_text(json.dumps({"failed": why}), encoding="utf-8")
        raise SystemExit(3)

    def _tick(self, now: int, out: bytearray) -> None:
        if now >= self._children_due:
            self._children_due = now + CHILDREN_EVERY_NS
            self._find_children(out)
        for watched in self._watched.values():
            try:
                watched.tick(now, out)
            except PermissionError as error:
                self._fail(f"/proc/{watched.pid} cannot be read ({error.strerror})")
        self._ticks += 1

    def _find_children(self, out: bytearray) -> None:
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
            self._watched.pop(pid).close(out)

    def _count_switches(self, now: int, out: bytearray) -> None:
        for watched in self._watched.values():
            if watched.gil is not None:
                out += spool.HANDOVER.pack(watched.pid, now, watched.gil.switches)

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
        cpu = time.process_time_ns()
        if now == before[0]:
            return before
        share = (cpu - before[1]) / (now - before[0])
        if share > MOST_CPU:
            self._period_ns = min(self._period_ns * 1.4, 50e6)
        elif share < MOST_CPU / 2 and self._period_ns > self._asked_ns:
            self._period_ns = max(self._period_ns / 1.2, self._asked_ns)
        return now, cpu

    def _note_surroundings(self, now: int) -> None:
        """The machine's load beside the target's, and threads' kernel names."""
        for watched in self._watched.values():
            self._own_s += watched.oncpu / 1e9
            watched.oncpu = 0
        busy = busy_seconds()
        if busy is not None:
            own = self._own_s + time.process_time()
            self._append(spool.LOAD_FILE, [now, busy, own])
        for watched in self._watched.values():
            for tid in watched.threads:
                self._note_comm(watched.pid, tid)

    def _note_comm(self, pid: int, tid: int) -> None:
        try:
            comm = Path(f"/proc/{pid}/task/{tid}/comm").read_text().strip()
        except OSError:
            return
        if self._comms.get((pid, tid)) != comm:
            self._comms[pid, tid] = comm
            self._append(spool.COMMS_FILE, [pid, tid, comm])

    def _append(self, name: str, line: list[object]) -> None:
        with (self._folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _report(self, begun: int) -> None:
        wall = max(time.monotonic_ns() - begun, 1)
        facts = {
            "asked_hz": 1e9 / self._asked_ns,
            "achieved_hz": self._ticks / wall * 1e9,
            "cpu_share": (time.process_time_ns() - self._cpu_before) / wall,
            "late_ticks": self._late,
            "ticks": self._ticks,
        }
        path = self._folder / spool.SAMPLER_FILE
        path.write_text(json.dumps(facts), encoding="utf-8")


def _drain(file: object, out: bytearray) -> None:
    file.write(out)  # type: ignore[attr-defined] # an open binary file
    file.flush()  # type: ignore[attr-defined] # likewise
    out.clear()


def main(folder: str, pid: str, rate: str) -> None:
    """Run as a process of its own: `python -m debottleneck.collect.sampler`."""
    sampler = Sampler(Path(folder), int(pid), float(rate))

    def stop(number: int, frame: FrameType | None) -> None:
        sampler.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sampler.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
