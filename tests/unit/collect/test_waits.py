"""Texts of /proc, as the kernel writes them, and what they say of a wait."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Callable

import pytest

from debottleneck.collect import waits
from debottleneck.collect.proc import Descriptors
from debottleneck.collect.waits import ProcFormatError, SystemCall
from debottleneck.recording import spool
from debottleneck.words import CAUSES

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31337 1 0000000000000000 100 0 0 10 0
   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 02:0000051E 00000000  1000        0 31338 2 0000000000000000 20 4 30 10 -1
   2: torn line
"""  # noqa: E501 - as the kernel writes it
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1F90 B80D0120000000000000000001000000:01BB 01 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 100 0 0 10 0
"""  # noqa: E501 - as the kernel writes it
UNIX = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 22222 /run/feeder.sock
0000000000000000: 00000003 00000000 00000000 0001 03 22223
"""


@pytest.mark.parametrize(
    ("text", "call"),
    [
        (b"running\n", None),
        (
            b"202 0x7f2d3c0 0x189 0x0 0x7ffc 0x0 0xffffffff 0x7ffd10 0x7f2d8a\n",
            SystemCall(
                202,
                (0x7F2D3C0, 0x189, 0, 0x7FFC, 0, 0xFFFFFFFF),
                (0x7FFD10, 0x7F2D8A),
            ),
        ),
        (
            b"0 0x3 0x7f00 0x20000 0x0 0x0 0x0 0x7ffe 0x7f11\n",
            SystemCall(0, (3, 0x7F00, 0x20000, 0, 0, 0), (0x7FFE, 0x7F11)),
        ),
        (b"-1 0x7ffd9a2b0c38 0x7f8c5d0a1b2c\n", SystemCall(waits.PAGE_FAULT)),
        (b"-1 0x0 0x0\n", SystemCall(waits.ENDED)),
        (b"35 0x7ffc\n", SystemCall(35, (0x7FFC,))),
    ],
)
def test_a_system_call_and_its_arguments(text: bytes, call: SystemCall | None) -> None:
    """Running, blocked in a call, bringing a page in, or at its end."""
    assert waits.parse_syscall(text) == call


def test_schedstat() -> None:
    """On-CPU time, run-queue delay, time slices."""
    assert waits.parse_schedstat(b"123456789 42 7\n") == (123456789, 42, 7)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((waits.parse_syscall, text) for text in (b"", b"\n", b"blocked", b"0 zero")),
        *((waits.parse_syscall, text) for text in (b"0x1 0x2", b"\xff\x00")),
        *(
            (waits.parse_schedstat, text)
            for text in (b"", b"1 2", b"1 2 3 4", b"1 2 x")
        ),
    ],
)
def test_other_text_is_our_error(parse: Callable[[bytes], object], text: bytes) -> None:
    """What the kernel would not write is refused, with the text."""
    with pytest.raises(ProcFormatError, match="unexpected text"):
        parse(text)


def test_internet_sockets_have_peers() -> None:
    """IPv4, IPv6 and mapped addresses are written as people do."""
    assert waits.parse_sockets(TCP, "tcp") == {
        "31337": ("network", "0.0.0.0:0"),
        "31338": ("network", "127.0.0.1:8080"),
    }
    assert waits.parse_sockets(TCP6, "tcp6") == {
        "4711": ("network", "[2001:0db8:0000:0000:0000:0000:0000:0001]:443"),
        "4712": ("network", "127.0.0.1:50000"),
    }


def test_local_sockets_are_between_processes() -> None:
    """Their path is kept when they have one."""
    assert waits.parse_sockets(UNIX, "unix") == {
        "22222": ("ipc", "/run/feeder.sock"),
        "22223": ("ipc", "local socket"),
    }


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_running_kernels_own_text() -> None:
    """A real connection is found in this machine's table, with its real peer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            inode = str(os.fstat(client.fileno()).st_ino)
            with open("/proc/self/net/tcp") as file:
                found = waits.parse_sockets(file.read(), "tcp")
            assert found[inode] == ("network", f"127.0.0.1:{port}")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_socket_that_no_table_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its peer is gone before the tables are read: its protocol tells the cause."""
    monkeypatch.setattr(waits, "parse_sockets", lambda text, kind: {})
    descriptors = Descriptors(os.getpid())
    here, there = socket.socketpair()
    with here, there, socket.create_server(("127.0.0.1", 0)) as server:
        assert descriptors.cause(here.fileno()) == ("ipc", "local socket")
        assert descriptors.cause(server.fileno()) == ("network", "network socket")


def test_descriptors_waited_on() -> None:
    """Of pollfds, an fd_set below the count, and an epoll; torn ends are left out."""
    memory = struct.pack("<ihh", 5, 1, 0) + struct.pack("<ihh", -1, 1, 0)
    memory += struct.pack("<ihh", 9, 4, 0) + b"\x07\0\0"
    assert waits.parse_polled(memory) == [5, 9]
    assert waits.parse_polled(b"") == []
    assert waits.parse_fd_set(bytes([0b1001, 0b1]), 64) == [0, 3, 8]
    assert waits.parse_fd_set(bytes([0b1001, 0b1]), 4) == [0, 3]
    assert waits.parse_fd_set(b"", 1024) == []
    text = (
        "pos:\t0\nflags:\t02\nmnt_id:\t15\n"
        "tfd:        5 events:       19 data:                5  pos:0 ino:1 sdev:e\n"
        "tfd:       11 events: 8000001d data: ffffffffffffffff  pos:0 ino:2 sdev:e\n"
        "tfd:\n"
    )
    assert waits.parse_epoll(text) == [5, 11]


@pytest.mark.parametrize(
    ("link", "fifo", "cause", "what"),
    [
        ("/data/train.bin", False, "disk", "/data/train.bin"),
        ("/data/train.bin (deleted)", False, "disk", "/data/train.bin (deleted)"),
        ("/tmp/feed.fifo", True, "ipc", "/tmp/feed.fifo"),
        ("pipe:[12345]", True, "ipc", "pipe"),
        ("pipe:[12345]", False, "ipc", "pipe"),
        ("anon_inode:[eventfd]", False, "lock", "eventfd"),
        ("anon_inode:[timerfd]", False, "sleep", "timerfd"),
        ("anon_inode:inotify", False, "ipc", "inotify"),
        ("/dev/pts/3", False, "unattributed", "/dev/pts/3"),
        ("/dev/nvidia0", False, "unattributed", "/dev/nvidia0"),
        ("/dev/shm/batch", False, "disk", "/dev/shm/batch"),
        ("", False, "unattributed", ""),
    ],
)
def test_what_a_descriptor_says(link: str, fifo: bool, cause: str, what: str) -> None:
    """Files are disk, pipes and FIFOs another process, terminals nothing of ours."""
    assert waits.cause_of_link(link, fifo) == (cause, what)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("futex", "lock"),
        ("wait4", "lock"),
        ("read", "fd"),
        ("recvfrom", "fd"),
        ("fsync", "fd"),
        ("openat", "files"),
        ("clock_nanosleep", "sleep"),
        ("poll", "poll"),
        ("pselect6", "select"),
        ("epoll_wait", "epoll"),
        ("getpid", ""),
        ("", ""),
    ],
)
def test_how_a_call_is_looked_at(name: str, kind: str) -> None:
    """Each kind of call tells its wait in another place."""
    assert waits.kind_of_call(name) == kind


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_call_of_the_tables_has_a_kind(machine: str) -> None:
    """A name in a table that nothing looks at would be lost time."""
    table = waits.SYSCALLS[machine]
    assert {name for name in table.values() if not waits.kind_of_call(name)} == set()
    assert len(set(table.values())) == len(table)


def test_known_numbers() -> None:
    """Spot checks against the kernel's tables."""
    names = ["read", "futex", "clock_nanosleep", "epoll_pwait"]
    x86, arm = waits.SYSCALLS["x86_64"], waits.SYSCALLS["aarch64"]
    assert [x86[number] for number in (0, 202, 230, 281)] == names
    assert [arm[number] for number in (63, 98, 115, 22)] == names


@pytest.mark.parametrize(
    ("causes", "named"),
    [
        ([("lock", "eventfd"), ("network", "10.0.0.1:9")], ("network", "10.0.0.1:9")),
        ([("sleep", "timerfd"), ("ipc", "pipe")], ("ipc", "pipe")),
        ([("disk", "/a"), ("disk", "/b")], ("disk", "/a")),
        ([("unattributed", "/dev/null")], ("unattributed", "/dev/null")),
        ([], ("sleep", "timeout")),
    ],
)
def test_of_several_descriptors_one_names_the_wait(
    causes: list[tuple[str, str]], named: tuple[str, str]
) -> None:
    """A poll on a wake-up pipe and a socket waits for the network."""
    assert waits.strongest(causes) == named


def test_every_state_but_running_is_a_cause() -> None:
    """What a sample says can be told as the cause of a wait."""
    assert set(spool.STATES) - {"running"} <= set(CAUSES)


def test_faults_and_time_in_the_kernel() -> None:
    """The name of a thread may hold anything, brackets and blanks too."""
    text = b"9 (a) b ) R 1 2 3 4 -1 4194304 11 0 22 0 5 33 0 0 20 0 1 0 99 1 2 3\n"
    assert waits.parse_stat(text) == (11, 22, 33)
    for torn in (b"", b"9 (a) R 1 2", b"9 (a) R " + b"x " * 20):
        with pytest.raises(ProcFormatError):
            waits.parse_stat(torn)
