"""Read /proc's text: what a thread waits for. Pure functions, no file is opened.

Sources: proc(5) for `syscall`, `schedstat` (Documentation/scheduler/sched-stats),
`net/tcp`; the system call tables of x86-64 and arm64.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from debottleneck.errors import BottleneckError


class ProcFormatError(BottleneckError):
    """A text of /proc that is not of the form the kernel documents."""


_X86 = """read 0,write 1,open 2,stat 4,fstat 5,lstat 6,poll 7,pread64 17,pwrite64 18,
readv 19,writev 20,select 23,msync 26,pause 34,nanosleep 35,sendfile 40,connect 42,
accept 43,sendto 44,recvfrom 45,sendmsg 46,recvmsg 47,wait4 61,semop 65,fcntl 72,
flock 73,fsync 74,fdatasync 75,truncate 76,ftruncate 77,getdents 78,rename 82,
unlink 87,rt_sigtimedwait 128,rt_sigsuspend 130,sync 162,futex 202,io_getevents 208,
getdents64 217,semtimedop 220,clock_nanosleep 230,epoll_wait 232,waitid 247,
openat 257,newfstatat 262,unlinkat 263,renameat 264,pselect6 270,ppoll 271,
splice 275,sync_file_range 277,epoll_pwait 281,fallocate 285,accept4 288,
preadv 295,pwritev 296,recvmmsg 299,syncfs 306,sendmmsg 307,renameat2 316,
copy_file_range 326,preadv2 327,pwritev2 328,statx 332,io_uring_enter 426,
openat2 437,epoll_pwait2 441,futex_waitv 449"""
_ARM64 = """read 63,write 64,openat 56,newfstatat 79,fstat 80,pread64 67,pwrite64 68,
readv 65,writev 66,pselect6 72,ppoll 73,msync 227,nanosleep 101,sendfile 71,
connect 203,accept 202,sendto 206,recvfrom 207,sendmsg 211,recvmsg 212,wait4 260,
semop 193,fcntl 25,flock 32,fsync 82,fdatasync 83,truncate 45,ftruncate 46,
getdents64 61,renameat 38,unlinkat 35,rt_sigtimedwait 137,rt_sigsuspend 133,
sync 81,futex 98,io_getevents 4,semtimedop 192,clock_nanosleep 115,waitid 95,
splice 76,sync_file_range 84,epoll_pwait 22,fallocate 47,accept4 242,preadv 69,
pwritev 70,recvmmsg 243,syncfs 267,sendmmsg 269,renameat2 276,copy_file_range 285,
preadv2 286,pwritev2 287,statx 291,io_uring_enter 426,openat2 437,
epoll_pwait2 441,futex_waitv 449"""


def _table(text: str) -> dict[int, str]:
    pairs = (entry.split() for entry in text.replace("\n", "").split(","))
    return {int(number): name for name, number in pairs}


SYSCALLS = {"x86_64": _table(_X86), "aarch64": _table(_ARM64)}
"""Machine (as `platform.machine()` names it) -> number -> name."""

_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "fd": """read write pread64 pwrite64 readv writev preadv pwritev preadv2
            pwritev2 fsync fdatasync syncfs sync_file_range fallocate ftruncate
            getdents getdents64 fstat sendfile splice copy_file_range recvfrom sendto
            recvmsg sendmsg recvmmsg sendmmsg accept accept4 connect""",
        "files": """open openat openat2 stat lstat newfstatat statx truncate rename
            renameat renameat2 unlink unlinkat sync msync io_getevents
            io_uring_enter""",
        "lock": "futex futex_waitv wait4 waitid semop semtimedop flock fcntl",
        "sleep": "nanosleep clock_nanosleep pause rt_sigtimedwait rt_sigsuspend",
        "poll": "poll ppoll",
        "select": "select pselect6",
        "epoll": "epoll_wait epoll_pwait epoll_pwait2",
    }
)
_KIND_OF_CALL = {name: kind for kind, names in _KINDS.items() for name in names.split()}

PAGE_FAULT = -1
"""Blocked, but not in a system call: the kernel is bringing a page in."""

ENDED = -2
"""What is left of a thread that has exited: no call, no stack, no place in code."""


@dataclass(frozen=True)
class SystemCall:
    """A system call a thread is blocked in: its number and six arguments.

    `place` is the thread's stack pointer, and the address it called from.
    """

    number: int
    arguments: tuple[int, ...] = ()
    place: tuple[int, int] = (0, 0)


def parse_syscall(text: bytes) -> SystemCall | None:
    """`/proc/PID/task/TID/syscall`: the call blocked in, None while running.

    Raises:
        ProcFormatError: Not of the kernel's form.
    """
    if text.startswith(b"running"):
        return None
    fields = text.split()
    try:
        number = int(fields[0])
        values = tuple(int(field, 16) for field in fields[1:])
        if number < 0:
            return SystemCall(PAGE_FAULT if any(values) else ENDED)
        stack, at = values[6:8] if len(values) >= 8 else (0, 0)
        return SystemCall(number, values[:6], (stack, at))
    except (IndexError, ValueError) as error:
        raise ProcFormatError(
            f"unexpected text in a syscall file: {text[:80]!r}"
        ) from error


def parse_schedstat(text: bytes) -> tuple[int, int, int]:
    """`schedstat`: on-CPU ns, run-queue delay ns, time slices.

    Raises:
        ProcFormatError: Not three numbers.
    """
    try:
        oncpu, delay, slices = text.split()
        return int(oncpu), int(delay), int(slices)
    except ValueError as error:
        raise ProcFormatError(f"unexpected text in schedstat: {text[:80]!r}") from error


def parse_stat(text: bytes) -> tuple[int, int, int]:
    """`stat`: minor faults, major faults, clock ticks in the kernel.

    Raises:
        ProcFormatError: Not of the kernel's form.
    """
    fields = text.rpartition(b")")[2].split()
    try:
        return int(fields[7]), int(fields[9]), int(fields[12])
    except (IndexError, ValueError) as error:
        raise ProcFormatError(f"unexpected text in stat: {text[:80]!r}") from error


def parse_sockets(text: str, kind: str) -> dict[str, tuple[str, str]]:
    """`net/tcp`, `tcp6`, `udp`, `udp6` or `unix`: inode -> (cause, peer).

    Args:
        text: The file's text, header line included; lines that do not fit are left out.
        kind: The file's name.
    """
    sockets = {}
    for line in text.splitlines()[1:]:
        fields = line.split()
        if kind == "unix" and len(fields) >= 7:
            sockets[fields[6]] = (
                "ipc",
                fields[7] if len(fields) > 7 else "local socket",
            )
        elif kind != "unix" and len(fields) >= 10:
            sockets[fields[9]] = ("network", _peer(fields[2]))
    return sockets


def cause_of_socket(protocol: bytes) -> tuple[str, str]:
    """Cause and name for what the kernel calls the protocol of a socket."""
    if protocol.startswith(b"UNIX"):
        return "ipc", "local socket"
    if protocol.startswith(b"NETLINK"):
        return "unattributed", "netlink socket"
    return "network", "network socket"


def _peer(text: str) -> str:
    """`0100007F:1F90` -> `127.0.0.1:8080`; IPv6 by its four little-endian words."""
    address, _, port = text.partition(":")
    try:
        number = int(port, 16)
        raw = bytes.fromhex(address)
    except ValueError:
        return text
    if len(raw) == 4:
        return ".".join(str(b) for b in raw[::-1]) + f":{number}"
    words = [raw[i : i + 4][::-1] for i in range(0, len(raw), 4)]
    raw = b"".join(words)
    if raw[:12] == b"\0" * 10 + b"\xff\xff":
        return ".".join(str(b) for b in raw[12:]) + f":{number}"
    groups = ":".join(raw[i : i + 2].hex() for i in range(0, len(raw), 2))
    return f"[{groups}]:{number}"


def parse_polled(memory: bytes) -> list[int]:
    """The descriptors of an array of `struct pollfd` (negative ones are ignored)."""
    entries = memory[: len(memory) // 8 * 8]
    return [fd for fd, _, _ in struct.iter_unpack("<ihh", entries) if fd >= 0]


def parse_fd_set(memory: bytes, count: int) -> list[int]:
    """The descriptors below `count` that are set in an fd_set."""
    return [
        i for i in range(min(count, len(memory) * 8)) if memory[i // 8] >> i % 8 & 1
    ]


def parse_epoll(text: str) -> list[int]:
    """The descriptors watched, from `/proc/PID/fdinfo/EPOLLFD`."""
    lines = (line.split() for line in text.splitlines() if line.startswith("tfd:"))
    return [int(f[1]) for f in lines if len(f) > 1 and f[1].isdecimal()]


def cause_of_link(link: str, is_fifo: bool) -> tuple[str, str]:
    """Cause and name for what a descriptor's link says; sockets excepted."""
    if is_fifo or link.startswith("pipe:"):
        return "ipc", "pipe" if link.startswith("pipe:") else link
    if link.startswith("anon_inode:"):
        kind = link.removeprefix("anon_inode:").strip("[]")
        return {"eventfd": "lock", "timerfd": "sleep"}.get(kind, "ipc"), kind
    if link.startswith(("/dev/pts/", "/dev/tty", "/dev/nvidia", "/dev/null")):
        return "unattributed", link
    if link.startswith("/"):
        return "disk", link
    return "unattributed", link


def kind_of_call(name: str) -> str:
    """How a call is looked at: fd, files, lock, sleep, poll, select, epoll or ""."""
    return _KIND_OF_CALL.get(name, "")


def strongest(causes: list[tuple[str, str]]) -> tuple[str, str]:
    """Of several descriptors waited on at once, the one that names the wait."""
    for wanted in ("network", "ipc", "disk", "lock", "sleep"):
        for cause, what in causes:
            if cause == wanted:
                return cause, what
    return causes[0] if causes else ("sleep", "timeout")
