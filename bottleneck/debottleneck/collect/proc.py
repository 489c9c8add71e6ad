"""Thin readers of one process's /proc files, with every descriptor kept open."""

from __future__ import annotations

import bisect
import contextlib
import itertools
import os
import re
import stat
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from debottleneck.collect import waits
from debottleneck.recording import spool

_GIL = struct.Struct("<QQiiQ")
_LOCKED, _HELD = 16, (1).to_bytes(4, sys.byteorder)
GIL_STATE_BYTES = 0xD0
"""Interval, holder, locked, switch number, then two conditions and two mutexes."""

UNKNOWN_HOLDER = -1


@dataclass(frozen=True)
class GilPlace:
    """Where a process keeps its GIL; see agent.gil."""

    gil: int
    native_id_offset: int


@dataclass
class ThreadFiles:
    """One thread: its open files, and what it showed when it was looked at last.

    Attributes:
        looked: When that was, in monotonic nanoseconds.
        moved: When it had last run since the look before.
        due: When it is looked at again.
    """

    tid: int
    syscall: int
    schedstat: int
    stat: int
    last_text: bytes = b""
    counts: tuple[int, int, int] = (0, 0, 0)
    kernel: tuple[int, int, int] | None = None
    throttled_ns: int = 0
    state: int = 0
    detail: int = 0
    row: list[int] = field(default_factory=list)
    looked: int = 0
    moved: int = 0
    due: int = 0

    def close(self) -> None:
        """Close its files."""
        for file in (self.syscall, self.schedstat, self.stat):
            os.close(file)


def open_thread(pid: int, tid: int) -> ThreadFiles | None:
    """Open a thread's files, None when it is gone already."""
    files: list[int] = []
    try:
        for name in ("syscall", "schedstat", "stat"):
            files.append(os.open(f"/proc/{pid}/task/{tid}/{name}", os.O_RDONLY))
    except (FileNotFoundError, ProcessLookupError):
        for file in files:
            os.close(file)
        return None
    return ThreadFiles(tid, files[0], files[1], files[2])


class GilReader:
    """Reads who holds one process's GIL, from its memory."""

    def __init__(self, pid: int, place: GilPlace) -> None:
        self.place = place
        self.switches = 0
        self._memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
        self._tids: dict[int, int] = {}

    def covers(self, address: int) -> bool:
        """Whether a futex at that address is a wait for this GIL."""
        return 0 <= address - self.place.gil < GIL_STATE_BYTES

    def holder(self) -> int:
        """The kernel's thread id of the holder, 0 when free, -1 when unreadable."""
        try:
            text = os.pread(self._memory, _GIL.size, self.place.gil)
            _, state, locked, _, self.switches = _GIL.unpack(text)
        except (OSError, struct.error):
            return UNKNOWN_HOLDER
        if locked != 1 or not state:
            return 0
        tid = self._tids.get(state)
        return self._learn(state) if tid is None else tid

    def burst(self) -> tuple[int, int, int] | None:
        """Read in quick succession whether it is held.

        Returns:
            (span in ns, readings in which it was held, times it was given up
            meanwhile), None when unreadable.
        """
        memory, place = self._memory, self.place.gil + _LOCKED
        begun = time.monotonic_ns()
        try:
            read = [os.pread(memory, 4, place) for _ in range(spool.BURST_READS)]
        except OSError:
            return None
        span = time.monotonic_ns() - begun
        pairs = itertools.pairwise(read)
        released = sum(before == _HELD != after for before, after in pairs)
        return span, read.count(_HELD), released

    def _learn(self, state: int) -> int:
        raw = self.read(state + self.place.native_id_offset, 8)
        if not raw:
            return UNKNOWN_HOLDER
        tid = int.from_bytes(raw, "little")
        if tid:
            self._tids[state] = tid
        return tid

    def forget(self) -> None:
        """Threads came or went: thread states may have been reused."""
        self._tids.clear()

    def read(self, address: int, size: int) -> bytes:
        """Some of the process's memory, b"" when it cannot be read."""
        try:
            return os.pread(self._memory, size, address)
        except (OSError, OverflowError):  # what was read there was no address
            return b""

    def close(self) -> None:
        """Close the memory file."""
        os.close(self._memory)


class Libraries:
    """In which library a thread waits that no lock of Python's keeps waiting.

    Args:
        pid: The process.
        read: (address, size) -> its memory.
    """

    def __init__(self, pid: int, read: Callable[[int, int], bytes]) -> None:
        self._pid = pid
        self._read = read
        self.forget()

    def forget(self) -> None:
        """Threads came or went, and libraries may have, too."""
        self._code: list[tuple[int, int, str]] = []
        self._known: dict[tuple[int, int], str] = {}

    def waiting_in(self, stack: int, at: int) -> str:
        """The innermost caller's file that is no part of the system: "libgomp.so".

        Told by the addresses on the stack that lie in code; "" for none.
        """
        if (stack, at) not in self._known:
            self._code = self._code or _maps(self._pid, "x")
            raw = self._read(stack, STACK_BYTES)
            words = struct.unpack(f"<{len(raw) // 8}Q", raw[: len(raw) // 8 * 8])
            files = map(self._file, (at, *words))
            first = next((f for f in files if f and not _SYSTEM.match(f)), "")
            library = _LIBRARY.match(first)
            self._known[stack, at] = f"{library[1]}.so" if library else ""
        return self._known[stack, at]

    def _file(self, address: int) -> str:
        number = bisect.bisect(self._code, address, key=lambda part: part[0]) - 1
        low, high, path = self._code[number] if number >= 0 else (0, 0, "")
        return path.rpartition("/")[2] if low <= address < high else ""


PAGE = os.sysconf("SC_PAGE_SIZE")
STACK_BYTES = 1024

_SYSTEM = re.compile(r"libc\b|libpthread\b|ld-|\[")
_LIBRARY = re.compile(r"(?!libpython)(lib.*?)(-[0-9a-f]{8,})?\.so")
"""What every wait goes through; and another library's name, without its version."""


class Descriptors:
    """What a process's file descriptors lead to, asked when a thread blocks."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._sockets: dict[str, tuple[str, str]] = {}

    def cause(self, fd: int) -> tuple[str, str]:
        """Cause of waiting on `fd`, and the path or peer."""
        path = f"/proc/{self._pid}/fd/{fd}"
        try:
            link = os.readlink(path)
            if link.startswith("socket:"):
                return self._socket(path, link.removeprefix("socket:").strip("[]"))
            is_fifo = link.startswith("/") and stat.S_ISFIFO(os.stat(path).st_mode)
        except OSError:
            return "unattributed", "closed descriptor"
        return waits.cause_of_link(link, is_fifo)

    def watched(self, epoll_fd: int) -> list[int]:
        """The descriptors that an epoll watches."""
        try:
            with open(f"/proc/{self._pid}/fdinfo/{epoll_fd}") as file:
                return waits.parse_epoll(file.read())
        except OSError:
            return []

    def _socket(self, path: str, inode: str) -> tuple[str, str]:
        """By its protocol, and its peer if it is there long enough to be listed."""
        if inode not in self._sockets:
            with contextlib.suppress(OSError):
                protocol = os.getxattr(path, "system.sockprotoname")
                self._sockets[inode] = waits.cause_of_socket(protocol)
            self._read_sockets()
        return self._sockets.setdefault(inode, ("unattributed", "unknown socket"))

    def _read_sockets(self) -> None:
        for kind in ("tcp", "tcp6", "udp", "udp6", "unix"):
            path = f"/proc/{self._pid}/net/{kind}"
            with contextlib.suppress(OSError), open(path) as file:
                self._sockets.update(waits.parse_sockets(file.read(), kind))


def has_swapped(pid: int) -> bool:
    """Whether some of a process's memory was swapped out."""
    try:
        with open(f"/proc/{pid}/status", errors="replace") as file:
            return any(int(s.split()[1]) > 0 for s in file if s.startswith("VmSwap:"))
    except (OSError, ValueError, IndexError):
        return False


def sizes(pid: int) -> tuple[int, int]:
    """A process's resident memory in MB, and its open files; 0 where not told."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            pages = int(file.read().split()[1])
        return pages * PAGE >> 20, len(os.listdir(f"/proc/{pid}/fd"))
    except (OSError, ValueError, IndexError):
        return 0, 0


def children_of(pid: int) -> list[int]:
    """Direct children of a process, of all its threads."""
    pids: list[int] = []
    try:
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/children") as file:
                pids += [int(word) for word in file.read().split()]
    except FileNotFoundError:
        return _children_by_scan(pid) if os.path.exists(f"/proc/{pid}") else []
    except OSError:
        return []
    return pids


def _children_by_scan(pid: int) -> list[int]:
    """Kernels without CONFIG_PROC_CHILDREN: read every process's parent."""
    pids = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{name}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
                if parent == pid:
                    pids.append(int(name))
    return pids


def place_in_child(pid: int, child: int, place: GilPlace) -> GilPlace | None:
    """The GIL of a child that runs the same interpreter, forked or spawned."""
    image = _image_of(pid, place.gil)
    if image is None:
        return None
    path, base = image
    bases = (low for low, _, mapped in _maps(child) if mapped == path)
    child_base = next(bases, None)
    if child_base is None:
        return None
    return GilPlace(place.gil - base + child_base, place.native_id_offset)


def _maps(pid: int, kind: str = "") -> list[tuple[int, int, str]]:
    try:
        with open(f"/proc/{pid}/maps", errors="replace") as file:
            lines = [line.split(None, 5) for line in file]
    except OSError:
        return []
    lines = [line for line in lines if kind in line[1]]
    ranges = ((line[0].partition("-"), line) for line in lines)
    return [
        (int(r[0], 16), int(r[2], 16), line[5].strip() if len(line) > 5 else "")
        for r, line in ranges
    ]


def _image_of(pid: int, address: int) -> tuple[str, int] | None:
    """The file whose mappings hold `address` or end just before it, and its base."""
    base: dict[str, int] = {}
    last = ""
    for low, high, path in _maps(pid):
        if path.startswith("/"):
            base.setdefault(path, low)
            last = path
        if low <= address < high:
            return (last, base[last]) if last else None
    return None


def busy_seconds() -> float | None:
    """CPU time that all cores have spent working so far, None without /proc/stat."""
    try:
        with open("/proc/stat") as file:
            text = file.readline()
    except OSError:
        return None
    fields = [int(word) for word in text.split()[1:]]
    user, nice, system, _, _, irq, softirq, *_ = fields
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
