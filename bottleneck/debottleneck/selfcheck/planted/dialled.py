"""The causes that `dial.py` can plant, each as a piece of work of a given length.

No loop of its own. Standard library only: it runs under plain `python` in any folder.
"""

from __future__ import annotations

import ctypes
import gc as collector
import hashlib
import itertools
import mmap
import os
import queue
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

Work = Callable[[], object]

STEP_S = 0.02
BUFFER = bytes(1 << 18)
"""Hashing it takes some 0.2 to 0.8 ms and lets go of the GIL meanwhile."""

SETTLED_NS = 50_000
"""Counters read within this time of each other belong together."""

SWITCH_S = 0.002
"""Switch interval for `gil`: the default of 5 ms is a quarter of the step."""

MOST_GIL_STEPS = 4
"""Times the wanted wait after which `gil` gives up waiting in this step."""

READ_BYTES = 1 << 18
FILE_BYTES = 1 << 24
MOST_WITH_ONE_RIVAL = 0.45

COLLECTED = 20_000
FRESH_BYTES = 1 << 19
ONES = b"1" * (FRESH_BYTES // mmap.PAGESIZE)
GROUPS = "/sys/fs/cgroup"
PERIOD_US = 20_000

WORKER = """
import os, sys, time
while os.read(0, 1):
    time.sleep(float(sys.argv[1]))
    os.write(1, b"!")
"""

_schedstat = threading.local()
_pread = ctypes.PyDLL(None).pread  # os.pread would hand the GIL to a waiting thread


class Unavailable(Exception):
    """This machine cannot plant that cause; the message says why."""


def counters_ns() -> tuple[int, int, int, int]:
    """The calling thread's clocks, all at once.

    Wall, CPU, run-queue delay, and CPU time in the kernel.
    """
    while True:
        wall, cpu, delay = time.monotonic_ns(), time.thread_time_ns(), _run_delay_ns()
        system = resource.getrusage(resource.RUSAGE_THREAD).ru_stime
        if time.monotonic_ns() - wall < SETTLED_NS:
            return wall, cpu, delay, int(system * 1e9)


def _run_delay_ns() -> int:
    """Run-queue delay from /proc/thread-self/schedstat (proc_pid_schedstat(5))."""
    if not hasattr(_schedstat, "fd"):
        path = "/proc/thread-self/schedstat"
        _schedstat.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        _schedstat.text = ctypes.create_string_buffer(64)
    size = _pread(_schedstat.fd, _schedstat.text, 63, 0)
    return int(_schedstat.text.raw[:size].split()[1])


def hashed() -> object:
    """Native code that gives the GIL up."""
    return hashlib.sha256(BUFFER)


def counted() -> int:
    """Bytecode."""
    total = 0
    for number in range(400):
        total += number & 7
    return total


def _lasting(seconds: float, unit: Work, clock: Callable[[], int]) -> Work:
    """A piece of work, again and again for so long by that clock."""
    budget = int(seconds * 1e9)

    def work() -> None:
        end = clock() + budget
        while clock() < end:
            unit()

    return work


def python(seconds: float, _: ExitStack) -> Work:
    """Bytecode for so much CPU time."""
    return _lasting(seconds, counted, time.thread_time_ns)


def native(seconds: float, _: ExitStack) -> Work:
    """Hashing without the GIL for so much CPU time."""
    return _lasting(seconds, hashed, time.thread_time_ns)


def gil(seconds: float, stack: ExitStack) -> Work:
    """Ask for the GIL while a partner computes in Python, for so long."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise Unavailable("this interpreter runs without a GIL")
    sys.setswitchinterval(SWITCH_S)
    cores = sorted(getattr(os, "sched_getaffinity", lambda _: ())(0))
    go = _rivals(1, stack, counted, cores[1:2])
    if len(cores) > 1:  # on one core the wait would be for the core
        os.sched_setaffinity(0, cores[:1])
    budget, morsel = int(seconds * 1e9), BUFFER[: 1 << 16]

    def work() -> None:
        wall, cpu, delay, _ = counters_ns()
        started, waited = wall, 0
        go.set()
        while waited < budget and wall - started < MOST_GIL_STEPS * budget:
            hashlib.sha256(morsel)
            wall, now_cpu, now_delay, _ = counters_ns()
            waited = (wall - started) - (now_cpu - cpu) - (now_delay - delay)
        go.clear()

    return work


def _rivals(
    count: int, stack: ExitStack, unit: Work, cores: list[int]
) -> threading.Event:
    """Threads that work while the event returned is set, on these cores or any."""
    go, ended = threading.Event(), threading.Event()

    def contend() -> None:
        if cores:
            os.sched_setaffinity(0, cores)
        while go.wait() and not ended.is_set():
            while go.is_set() and not ended.is_set():
                unit()

    for number in range(count):
        thread = threading.Thread(target=contend, name=f"rival-{number}")
        thread.start()
        stack.callback(thread.join)
    stack.callback(go.set)
    stack.callback(ended.set)
    return go


def runqueue(seconds: float, stack: ExitStack) -> Work:
    """Work on one core that rivals want too, until so long has been queued for."""
    if not hasattr(os, "sched_setaffinity"):
        raise Unavailable("this system cannot pin threads to a core")
    rivals = 1 if seconds <= MOST_WITH_ONE_RIVAL * STEP_S else 4
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    go = _rivals(rivals, stack, hashed, [])
    own = native(seconds / rivals, stack)

    def work() -> None:
        go.set()
        own()
        go.clear()

    return work


def lock(seconds: float, stack: ExitStack) -> Work:
    """Wait for an event that another thread sets after so long."""
    asked: queue.SimpleQueue[threading.Event | None] = queue.SimpleQueue()

    def answer() -> None:
        for event in iter(asked.get, None):
            time.sleep(seconds)
            event.set()

    thread = threading.Thread(target=answer, name="answerer")
    thread.start()
    stack.callback(thread.join)
    stack.callback(asked.put, None)

    def work() -> None:
        event = threading.Event()
        asked.put(event)
        event.wait()

    return work


def disk(seconds: float, stack: ExitStack) -> Work:
    """Read a file around the page cache for so long."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="planted-"))
    path = Path(folder, "rows.bin")
    path.write_bytes(os.urandom(FILE_BYTES))
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
        os.fsync(fd)
        buffer = mmap.mmap(-1, READ_BYTES)
        os.preadv(fd, [buffer], 0)
    except OSError as error:
        refusal = f"{tempfile.gettempdir()} refuses O_DIRECT ({error.strerror})"
        raise Unavailable(f"{refusal}: set TMPDIR to a disk") from error
    stack.callback(os.close, fd)
    offsets = itertools.cycle(range(0, FILE_BYTES, READ_BYTES))

    def read() -> int:
        return os.preadv(fd, [buffer], next(offsets))

    return _lasting(seconds, read, time.monotonic_ns)


def network(seconds: float, stack: ExitStack) -> Work:
    """Ask a process on a loopback port that answers after so long."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with server:
        _worker(seconds, stack, server.fileno(), server.fileno())
    stack.callback(client.close)
    return _asking(client.fileno(), client.fileno())


def ipc(seconds: float, stack: ExitStack) -> Work:
    """Ask a child process on a pipe that answers after so long."""
    (asked, asks), (answer, answers) = os.pipe(), os.pipe()
    _worker(seconds, stack, asked, answers)
    os.close(asked)
    os.close(answers)
    stack.callback(os.close, answer)
    stack.callback(os.close, asks)
    return _asking(asks, answer)


def _worker(seconds: float, stack: ExitStack, asked: int, answers: int) -> None:
    """A process that answers each byte after so long, until there are no more."""
    command = [sys.executable, "-I", "-S", "-c", WORKER, str(seconds)]
    child = subprocess.Popen(
        command, stdin=asked, stdout=answers, start_new_session=True
    )
    stack.callback(child.wait)


def _asking(asks: int, answer: int) -> Work:
    def work() -> None:
        os.write(asks, b"?")
        os.read(answer, 1)

    return work


def sleep(seconds: float, _: ExitStack) -> Work:
    """Sleep for so long."""
    return lambda: time.sleep(seconds)


def gc(seconds: float, stack: ExitStack) -> Work:
    """Full collections of a few thousand objects for so much CPU time."""
    kept = [[number] for number in range(COLLECTED)]
    stack.callback(kept.clear)
    collector.disable()
    stack.callback(collector.enable)
    return _lasting(seconds, collector.collect, time.thread_time_ns)


def memory(seconds: float, _: ExitStack) -> Work:
    """Write to fresh memory, a page at a time, for so much CPU time."""

    def touch() -> None:
        with mmap.mmap(-1, FRESH_BYTES, mmap.MAP_PRIVATE) as fresh:
            if hasattr(mmap, "MADV_NOHUGEPAGE"):
                fresh.madvise(mmap.MADV_NOHUGEPAGE)
            fresh[:: mmap.PAGESIZE] = ONES

    return _lasting(seconds, touch, time.thread_time_ns)


def throttle(seconds: float, stack: ExitStack) -> Work:
    """Use up what a control group grants, until it has stopped us for so long.

    Waits are the group's: with a share of s of the step it grants 1 - s of a core.
    """
    top = Path(GROUPS) if Path(GROUPS, "cgroup.procs").exists() else Path(GROUPS, "cpu")
    group = top / f"planted-{os.getpid()}"
    granted = str(int(PERIOD_US * max(1 - seconds / STEP_S, 0.1)))
    try:
        group.mkdir()
        stack.callback(group.rmdir)
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{granted} {PERIOD_US}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(granted)
        (group / "cgroup.procs").write_text(str(os.getpid()))
    except OSError as error:
        refusal = f"no CPU quota can be set here ({error.strerror})"
        raise Unavailable(f"{refusal}: run as root, with control groups") from error
    stack.callback((top / "cgroup.procs").write_text, str(os.getpid()))
    return native(STEP_S - seconds, stack)


CAUSES = {
    "python": python,
    "native": native,
    "gil": gil,
    "lock": lock,
    "disk": disk,
    "network": network,
    "ipc": ipc,
    "sleep": sleep,
    "runqueue": runqueue,
    "throttle": throttle,
    "gc": gc,
    "memory": memory,
}
"""Name -> function of the seconds a step, and of what is to be undone at the end."""

TAKES = {"gil": 1.4, "runqueue": 2.0, "throttle": 1e9}
"""What a cause takes of the step beyond itself: others must be let run."""

WAITS = ("lock", "disk", "network", "ipc", "sleep")
