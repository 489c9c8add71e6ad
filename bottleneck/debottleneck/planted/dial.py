"""One loop whose cause, strength and place are dialled: what `selfcheck` runs.

Planted: `load_batch` passes `--share` of each step of some 20 ms for `--cause`, or for
each of `--mix` in turn; the rest is work of another kind. With `--place loader` a
thread "loader-0" does both, and the trainer waits for it. `--cause none` is a healthy
loop of fixed work. Standard library only, so that any interpreter runs it.

Truth: besides `stages`, `parts` has for each round of the thread concerned and each
cause the exact [wall, CPU, run-queue delay] nanoseconds, `start_ns` and `end_ns` the
round's bounds.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import mmap
import os
import queue
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from truth import Watch, arguments, counters_ns  # type: ignore[import-not-found]

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
        why = f"{tempfile.gettempdir()} refuses O_DIRECT ({error.strerror})"
        raise Unavailable(f"{why}: set TMPDIR to a disk") from error
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
    child = subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0)
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


class Rounds:
    """What one thread did, round after round, in exact counters."""

    def __init__(self, works: list[Work]) -> None:
        self._works = works
        self.start_ns: list[int] = []
        self.parts: list[list[list[int]]] = []

    def __call__(self) -> None:
        """One round: every planted cause in turn."""
        self.start_ns.append(time.monotonic_ns())
        parts, before = [], counters_ns()
        for work in self._works:
            work()
            after = counters_ns()
            parts.append([b - a for a, b in zip(before, after, strict=True)])
            before = after
        self.parts.append(parts)

    def told(self) -> dict[str, object]:
        """The truth of all whole rounds."""
        starts = self.start_ns
        whole = max(len(starts) - 1, 0)
        steps = [b - a for a, b in itertools.pairwise(starts)]
        return {
            "start_ns": starts[:whole],
            "end_ns": starts[1:],
            "parts": self.parts[:whole],
            "median_step_ms": statistics.median(steps) / 1e6 if steps else None,
        }


class Pace:
    """When the loop ends: after so many steps, or so many seconds."""

    def __init__(self, options: Namespace) -> None:
        self._left = options.steps
        self._end = time.monotonic() + options.seconds
        self._by_steps = options.steps > 0

    def goes_on(self) -> bool:
        """Whether there is another step."""
        self._left -= 1
        return self._left >= 0 if self._by_steps else time.monotonic() < self._end


def load_batch(rounds: Rounds) -> None:
    rounds()


def next_batch(batches: queue.Queue[bool]) -> bool:
    return batches.get()


def forward(work: Work) -> None:
    work()


def backward(work: Work) -> None:
    work()


def update(work: Work) -> None:
    work()


def train(rounds: Rounds, filler: Work, pace: Pace, watch: Watch) -> None:
    """The trainer itself does what is planted."""
    while pace.goes_on():
        with watch("load"):
            load_batch(rounds)
        with watch("forward"):
            forward(filler)


def train_fed(rounds: Rounds, filler: Work, pace: Pace, watch: Watch) -> None:
    """A thread does what is planted, the trainer waits for its batches."""
    batches: queue.Queue[bool] = queue.Queue(maxsize=2)

    def feed() -> None:
        while pace.goes_on():
            load_batch(rounds)
            filler()
            batches.put(True)
        batches.put(False)

    thread = threading.Thread(target=feed, name="loader-0")
    thread.start()
    own = native(STEP_S / 20, ExitStack())
    more = True
    while more:
        with watch("load"):
            more = next_batch(batches)
        with watch("forward"):
            forward(own)
    thread.join()


def train_healthy(rounds: Rounds, filler: Work, pace: Pace, watch: Watch) -> None:
    """Three stages of like size and a quick load: nothing is wrong."""
    while pace.goes_on():
        with watch("load"):
            load_batch(rounds)
        for name, stage in (("forward", forward), ("backward", backward)):
            with watch(name):
                stage(filler)
        with watch("update"):
            update(filler)


def fixed(units: int) -> Work:
    """So many buffers hashed, whatever it takes."""

    def work() -> None:
        for _ in range(units):
            hashlib.sha256(BUFFER)

    return work


def units_for(seconds: float) -> int:
    """Buffers hashed in so much time, from the best of a few tries."""
    times = []
    for _ in range(20):
        begun = time.thread_time_ns()
        hashlib.sha256(BUFFER)
        times.append(time.thread_time_ns() - begun)
    return max(round(seconds * 1e9 / min(times)), 1)


def nap_beside(count: int, stack: ExitStack) -> None:
    """Threads that wake a hundred times a second and do next to nothing."""
    ended = threading.Event()

    def nap() -> None:
        while not ended.is_set():
            time.sleep(0.01)

    threads = [threading.Thread(target=nap, name=f"napper-{n}") for n in range(count)]
    for thread in threads:
        thread.start()
        stack.callback(thread.join)
    stack.callback(ended.set)


def filler_for(cause: str, in_loader: bool, seconds: float) -> Work:
    """The rest of the step: work that no sample can take for what is planted."""
    if in_loader and cause not in WAITS:
        return sleep(seconds, ExitStack())
    kind = python if cause == "native" else native
    return kind(seconds, ExitStack())


def run(options: Namespace, stack: ExitStack) -> dict[str, object]:
    """The whole loop; its truth."""
    watch, facts = Watch(), {"place": options.place, "share": options.share}
    nap_beside(options.nappers, stack)
    healthy = options.cause == "none" and not options.mix
    names = [] if healthy else (options.mix or options.cause).split(",")
    seconds = STEP_S * options.share / max(len(names), 1)
    works = [CAUSES[name](seconds, stack) for name in names]
    rounds = Rounds(works)
    if healthy:
        units = options.units or units_for(STEP_S / 3)
        facts["units"] = units
        train_healthy(rounds, fixed(units), Pace(options), watch)
    else:
        in_loader = options.place == "loader"
        used = options.share * TAKES.get(names[0], 1.0)
        rest = STEP_S * max(1 - used, 0.05)
        filler = filler_for(names[0], in_loader, rest)
        loop = train_fed if in_loader else train
        loop(rounds, filler, Pace(options), watch)
    facts |= {"causes": names, **rounds.told()}
    return {**facts, "steps": len(rounds.start_ns), "stages": watch.seconds()}


def main() -> None:
    """Run the loop and tell its truth, or why it cannot be had."""
    parser = arguments(__doc__, steps=0)
    parser.add_argument("--seconds", type=float, default=1.5, help="without --steps")
    parser.add_argument("--cause", choices=(*CAUSES, "none"), default="sleep")
    parser.add_argument("--mix", default="", help="several causes, by commas")
    parser.add_argument("--share", type=float, default=0.4, help="of the step")
    parser.add_argument("--place", choices=("trainer", "loader"), default="trainer")
    parser.add_argument("--units", type=int, default=0, help="fixed work a stage")
    parser.add_argument("--nappers", type=int, default=0, help="threads beside it")
    parser.add_argument("--truth", type=Path, help="write the truth to this file")
    options = parser.parse_args()
    with ExitStack() as stack:
        try:
            told = run(options, stack)
        except Unavailable as error:
            told = {"unavailable": str(error)}
    if options.truth:
        options.truth.write_text(json.dumps(told), encoding="utf-8")
    else:
        print("truth " + json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
