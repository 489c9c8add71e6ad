"""One process under the wait sampler's observation: its threads, tick by tick."""

from __future__ import annotations

import json
import os
import platform
from operator import sub

from debottleneck.collect import waits
from debottleneck.collect.holders import Held, Holders, Layout
from debottleneck.collect.proc import (
    UNKNOWN_HOLDER,
    Descriptors,
    GilPlace,
    GilReader,
    Libraries,
    ThreadFiles,
    has_swapped,
    open_thread,
)
from debottleneck.recording import spool
from debottleneck.recording.cores import cpu_groups, granted, throttled_ns

STATE = {name: number for number, name in enumerate(spool.STATES)}
RUNNING, GIL = STATE["running"], STATE["gil"]

LONGEST_ROW_NS = 250_000_000
"""An unchanged wait is written at least this often."""

IDLE_PART, LONGEST_IDLE_NS = 64, 100_000_000
"""A thread that sleeps is looked at again after this part of its sleep, or so long."""

MOST_DETAILS = 5_000

Stack = tuple[tuple[str, str, int], ...]
"""Function, file and line of frames, the outermost first."""

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Details:
    """Numbers what waits were on; `lines` are those not yet in the spool."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str, Held | None], int] = {("", "", None): 0}
        self.lines = bytearray()
        self.holders = bytearray()

    def number(self, call: str, what: str, held: Held | None = None) -> int:
        """The number of a (system call, file or peer, holder); bounded in count."""
        held = held if held and held.tid else None
        number = self._numbers.get((call, what, held))
        if number is not None:
            return number
        if len(self._numbers) >= MOST_DETAILS:
            what, held = "(more)", None
        number = self._numbers.setdefault((call, what, held), len(self._numbers))
        self.lines += line_of([number, call, what])
        if held is not None:
            place = held.tid, held.function, held.file, held.line
            self.holders += line_of([number, *place])
        return number


class Looks:
    """Where the main thread was over time, by numbered stacks, not yet in the spool."""

    def __init__(self) -> None:
        self._numbers: dict[Stack, int] = {}
        self._last = 0
        self.rows = bytearray()
        self.stacks = bytearray()

    def note(self, since: int, now: int, stack: Stack | None) -> None:
        """It was there from then until now; None is where it was before."""
        if stack is not None:
            self._last = self._numbers.setdefault(stack, len(self._numbers))
            if self._last == len(self._numbers) - 1:
                self.stacks += line_of([self._last, stack])
        self.rows += spool.LOOK.pack(since, now, self._last)


def line_of(values: object) -> bytes:
    """A line of JSON for the spool."""
    return json.dumps(values).encode() + b"\n"


class Watched:
    """One process under observation."""

    def __init__(
        self,
        pid: int,
        place: GilPlace | None,
        details: Details,
        layout: Layout | None = None,
        looks: Looks | None = None,
    ) -> None:
        self.pid = pid
        self.gil = GilReader(pid, place) if place else None
        self._holders = Holders(self.gil.read, layout) if self.gil and layout else None
        self.looks = looks
        self.threads: dict[int, ThreadFiles] = {}
        self.gone = False
        self.oncpu = 0
        self._descriptors = Descriptors(pid)
        self._libraries = Libraries(pid, self.gil.read) if self.gil else None
        self._details = details
        self._names = waits.SYSCALLS.get(platform.machine(), {})
        self._links = -1
        self.counters = bytearray()
        self._groups = [group for group in cpu_groups(pid) if granted(group)]
        self._throttled_ns = 0

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
        if self._libraries is not None:
            self._libraries.forget()

    def tick(self, now: int, out: bytearray) -> None:
        """Sample every thread once, appending finished rows to `out`."""
        self.refresh()
        if self._holders is not None:
            self._holders.look_anew()
        holder = self.gil.holder() if self.gil is not None else UNKNOWN_HOLDER
        if self._groups:
            self._throttled_ns = sum(map(throttled_ns, self._groups))
        for files in list(self.threads.values()):
            try:
                if now >= files.due:
                    self._sample(files, now, holder, out)
            except (OSError, waits.ProcFormatError):
                self._forget(files, out)

    def _sample(
        self, files: ThreadFiles, now: int, holder: int, out: bytearray
    ) -> None:
        since, files.looked = files.looked or now, now
        text = os.pread(files.schedstat, 64, 0)
        first, row = not files.last_text, files.row
        passed: tuple[int, ...] = (0, 0, 0)
        if text != files.last_text or files.state == RUNNING:
            counts = waits.parse_schedstat(text)
            files.state, files.detail = self._state(files)
            passed = tuple(map(sub, counts, files.counts))
            files.last_text, files.counts = text, counts
            files.moved = now
            self._look(files.tid, since, now, anew=True)
        else:
            self._look(files.tid, since, now, anew=False)
            idle = now - files.moved
            same = row and (row[6] == holder or files.state != GIL)
            if files.state != GIL:  # whose holder is asked for at each tick
                files.due = now + min(idle // IDLE_PART, LONGEST_IDLE_NS)
            if same and now - row[2] < LONGEST_ROW_NS:
                row[3] = now
                return
        self._write(files, out)
        if not first:
            ran, queued, slices = passed
            self.oncpu += ran
            files.row = [self.pid, files.tid, since, now, ran, queued]
            files.row += [holder, files.state, files.detail, slices]
        self._count(files, now, 0 if first else passed[1])

    def _look(self, tid: int, since: int, now: int, *, anew: bool) -> None:
        """Note where the main thread was, where no agent does."""
        if self.looks is not None and self._holders is not None and tid == self.pid:
            stack = self._holders.main_stack() if anew else None
            self.looks.note(since, now, stack)

    def _count(self, files: ThreadFiles, now: int, queued: int) -> None:
        """What else the kernel counts of the thread: faults, and how it was stopped.

        The quota's time is told of all threads; of one it is at most the time that it
        was kept waiting, which the kernel books when the thread is back on a core.
        """
        before = files.kernel
        files.kernel = counts = waits.parse_stat(os.pread(files.stat, 512, 0))
        stopped = min(queued, self._throttled_ns - files.throttled_ns)
        if queued:
            files.throttled_ns = self._throttled_ns
        if before is not None and (stopped > 0 or counts != before):
            minor, major, ticks = map(sub, counts, before)
            times = max(ticks, 0) * TICK_NS, max(stopped, 0)
            row = self.pid, files.tid, now, *times, max(minor, 0), max(major, 0)
            self.counters += spool.COUNTER.pack(*row)

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
        if call.number == waits.ENDED:
            raise ProcessLookupError(files.tid)
        if call.number == waits.PAGE_FAULT:
            cause = "memory" if has_swapped(self.pid) else "disk"
            return STATE[cause], self._details.number("page fault", "")
        name = self._names.get(call.number, f"system call {call.number}")
        if name == "futex" and self.gil and self.gil.covers(call.arguments[0]):
            return STATE["gil"], 0
        if name == "futex" and self._holders is not None:
            held = self._holders.holder(files.tid, call.arguments[0])
            if held is not None:
                return STATE["lock"], self._details.number(name, held.kind, held)
        if name == "futex" and self._libraries is not None:
            library = self._libraries.waiting_in(*call.place)
            return STATE["lock"], self._details.number(name, library)
        cause, what = self._cause(waits.kind_of_call(name), call)
        return STATE[cause], self._details.number(name, what)

    def _cause(self, kind: str, call: waits.SystemCall) -> tuple[str, str]:
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
