"""The causes that `dial.py` can plant, each as a piece of work of a given length.

No loop of its own. Standard library only.
"""

from __future__ import annotations

import hashlib
import itertools
import mmap
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from truth import counters_ns  # type: ignore[import-not-found]

Work = Callable[[], object]

STEP_S = 0.02
BUFFER = bytes(1 << 18)
"""Hashing it takes some 0.2 to 0.8 ms and lets go of the GIL meanwhile."""

SWITCH_S = 0.002
"""Switch interval for `gil`: the default of 5 ms is a quarter of the step."""

MOST_GIL_STEPS = 4
"""Times the wanted wait after which `gil` gives up waiting in this step."""

READ_BYTES = 1 << 18
FILE_BYTES = 1 << 24
MOST_WITH_ONE_RIVAL = 0.45

SERVER = """
import socket, sys, time
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
with connection:
    while connection.recv(1):
        time.sleep(float(sys.argv[1]))
        connection.sendall(b"!")
"""
WORKER = """
import os, sys, time
while os.read(0, 1):
    time.sleep(float(sys.argv[1]))
    os.write(1, b"!")
"""


class Unavailable(Exception):
    """This machine cannot plant that cause; the message says why."""


def python(seconds: float, _: ExitStack) -> Work:
    """Bytecode for so much CPU time."""
    budget = int(seconds * 1e9)

    def work() -> int:
        end, total = time.thread_time_ns() + budget, 0
        while time.thread_time_ns() < end:
            for number in range(400):
                total += number & 7
        return total

    return work


def native(seconds: float, _: ExitStack) -> Work:
    """Hashing without the GIL for so much CPU time."""
    budget = int(seconds * 1e9)

    def work() -> None:
        end = time.thread_time_ns() + budget
        while time.thread_time_ns() < end:
            hashlib.sha256(BUFFER)

    return work


def gil(seconds: float, stack: ExitStack) -> Work:
    """Ask for the GIL while a partner computes in Python, for so long."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise Unavailable("this interpreter runs without a GIL")
    sys.setswitchinterval(SWITCH_S)
    cores = sorted(getattr(os, "sched_getaffinity", lambda _: ())(0))
    go = _rivals(1, stack, lambda: sum(range(400)), cores[1:2])
    if len(cores) > 1:  # on one core the wait would be for the core
        os.sched_setaffinity(0, cores[:1])
    budget, morsel = int(seconds * 1e9), BUFFER[: 1 << 16]

    def work() -> None:
        wall, cpu, delay = counters_ns()
        started, waited = wall, 0
        go.set()
        while waited < budget and wall - started < MOST_GIL_STEPS * budget:
            hashlib.sha256(morsel)
            wall, now_cpu, now_delay = counters_ns()
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

    threads = [
        threading.Thread(target=contend, name=f"rival-{n}") for n in range(count)
    ]
    for thread in threads:
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
    go = _rivals(rivals, stack, lambda: hashlib.sha256(BUFFER), [])
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
    with path.open("wb") as file:
        file.write(os.urandom(FILE_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
        buffer = mmap.mmap(-1, READ_BYTES)
        os.preadv(fd, [buffer], 0)
    except OSError as error:
        refusal = f"{tempfile.gettempdir()} refuses O_DIRECT ({error.strerror})"
        raise Unavailable(f"{refusal}: set TMPDIR to a disk") from error
    stack.callback(os.close, fd)
    budget = int(seconds * 1e9)
    offsets = itertools.cycle(range(0, FILE_BYTES, READ_BYTES))

    def work() -> None:
        end = time.monotonic_ns() + budget
        while time.monotonic_ns() < end:
            os.preadv(fd, [buffer], next(offsets))

    return work


def network(seconds: float, stack: ExitStack) -> Work:
    """Ask a process on a loopback port that answers after so long."""
    server = _child(SERVER, seconds, stack)
    assert server.stdout is not None
    port = int(server.stdout.readline())
    client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def work() -> None:
        client.sendall(b"?")
        client.recv(1)

    return work


def ipc(seconds: float, stack: ExitStack) -> Work:
    """Ask a child process on a pipe that answers after so long."""
    child = _child(WORKER, seconds, stack)
    assert child.stdin is not None
    assert child.stdout is not None
    asking, answers = child.stdin.fileno(), child.stdout.fileno()

    def work() -> None:
        os.write(asking, b"?")
        os.read(answers, 1)

    return work


def _child(code: str, seconds: float, stack: ExitStack) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", "-c", code, str(seconds)]
    pipe = subprocess.PIPE
    child = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, bufsize=0, start_new_session=True
    )
    return stack.enter_context(child)


def sleep(seconds: float, _: ExitStack) -> Work:
    """Sleep for so long."""
    return lambda: time.sleep(seconds)


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
}
"""Name -> function of the seconds a step, and of what is to be undone at the end."""

TAKES = {"gil": 1.4, "runqueue": 2.0}
"""What a cause takes of the step beyond itself: others must be let run."""

WAITS = ("lock", "disk", "network", "ipc", "sleep")
