from __future__ import annotations

import gc
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_acting import Noted

from debottleneck.strategies import child
from debottleneck.strategies.automatic.notes import (
    ENGAGED,
    FAILED,
    REFUSED,
    SUMMARY,
)
from debottleneck.strategies.automatic.producers import Producers
from debottleneck.strategies.automatic.thread_work import examine
from debottleneck.strategies.spec import parse

pytestmark = pytest.mark.each_python

WORKLOADS = Path(__file__).parents[2] / "workloads"
ROWS = np.arange(10_000.0)
LOCK = threading.Lock()
COUNT = 0


class Session(Noted):
    """Producers at work, and what they noted."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.producers = Producers(parse("prefetch:where=process")[0], self.notes)
        self.failures: list[Any] = []


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Every thread started in the test is looked at; all is undone afterwards."""
    plain = threading.Thread.start
    session = Session(tmp_path)
    monkeypatch.setattr(threading, "excepthook", session.failures.append)
    session.producers.install()
    yield session
    session.producers.close()
    assert threading.Thread.start is plain
    while threading.active_count() > 1:
        time.sleep(0.01)
    gc.collect()
    assert not child._alive


def produce(batches: queue.Queue[Any], count: int) -> None:
    """A loader thread as scripts have them."""
    for number in range(count):
        batches.put((number, os.getpid(), ROWS + number))


def start(target: Any, *args: Any, **how: Any) -> threading.Thread:
    """A started daemon thread."""
    thread = threading.Thread(target=target, args=args, daemon=True, **how)
    thread.start()
    return thread


def test_a_loader_thread_works_in_a_process(session: Session) -> None:
    """Its items come in order, from elsewhere; the thread ends when it is done."""
    batches: queue.Queue[Any] = queue.Queue(2)
    thread = start(produce, batches, 20, name="loader")
    for number in range(20):
        found, pid, rows = batches.get()
        assert found == number
        assert pid != os.getpid()
        assert (rows == ROWS + number).all()
    thread.join()
    assert not thread.is_alive()
    assert batches.empty()
    assert session.said(ENGAGED) == ["thread 'loader' loads in a process of its own"]
    session.producers.close()
    assert session.said(SUMMARY) == ["20 items came from loader threads' processes"]


def test_the_thread_is_the_one_that_was_started(session: Session) -> None:
    """Name, daemon flag and being alive are the thread's own."""
    batches: queue.Queue[Any] = queue.Queue(1)
    thread = threading.Thread(target=produce, args=(batches, 3), name="mine")
    thread.start()
    assert thread in threading.enumerate()
    assert (thread.name, thread.daemon, thread.is_alive()) == ("mine", False, True)
    assert thread.ident is not None
    with pytest.raises(RuntimeError, match="once"):
        thread.start()
    for _ in range(3):
        batches.get()
    thread.join()


def test_it_runs_ahead_by_the_queue_and_its_ring_only(session: Session) -> None:
    """A full queue stops the process, too."""
    batches: queue.Queue[Any] = queue.Queue(3)
    clock: queue.Queue[Any] = queue.Queue()

    def count() -> None:
        for number in range(20):
            clock.put_nowait(number)
            batches.put(number)

    thread = start(count)
    for taken in range(1, 8):
        batches.get()
        time.sleep(0.02)
        # taken, the queue's 3, one being put, the ring's 3, one made
        assert clock.qsize() <= taken + 3 + 1 + 3 + 1
    for _ in range(20 - 7):
        batches.get()
    thread.join()


def test_what_it_asks_of_a_queue_is_asked_of_the_script(session: Session) -> None:
    """Tasks in, results out, an event to stop: as in the thread."""
    tasks: queue.Queue[int] = queue.Queue()
    results: queue.Queue[Any] = queue.Queue()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                task = tasks.get(timeout=0.05)
            except queue.Empty:
                continue
            results.put((task * task, os.getpid()))
            tasks.task_done()

    threads = [start(work) for _ in range(2)]
    for number in range(10):
        tasks.put(number)
    found = [results.get() for _ in range(10)]
    assert sorted(square for square, _ in found) == [n * n for n in range(10)]
    assert os.getpid() not in {pid for _, pid in found}
    tasks.join()
    stop.set()
    for thread in threads:
        thread.join()
    assert session.said(ENGAGED)


def test_an_exception_is_the_threads(session: Session) -> None:
    """It comes after the items before it, with its type, to `threading.excepthook`."""

    def work() -> None:
        batches.put(1)
        raise KeyError("row")

    batches: queue.Queue[Any] = queue.Queue()
    thread = start(work)
    thread.join()
    assert batches.get() == 1
    (failure,) = session.failures
    assert failure.exc_type is KeyError
    assert failure.thread is thread
    assert "in work" in str(failure.exc_value.__cause__)


def test_an_exception_before_the_first_item_is_raised_plainly(
    session: Session,
) -> None:
    """The thread runs its work itself then, and fails as it would have."""

    def work() -> None:
        raise KeyError(os.getpid())
        batches.put(1)

    batches: queue.Queue[Any] = queue.Queue()
    start(work, name="loader").join()
    assert session.failures[0].exc_value.args == (os.getpid(),)
    assert session.said(REFUSED)[0].startswith(
        "thread 'loader' fails in a process: KeyError"
    )


def with_lock(batches: queue.Queue[Any]) -> None:
    """Shares a lock."""
    with LOCK:
        batches.put(os.getpid())


def with_global(batches: queue.Queue[Any]) -> None:
    """Assigns what others may read."""
    global COUNT
    COUNT += 1
    batches.put(os.getpid())


def with_iterator(batches: queue.Queue[Any], source: Iterator[int]) -> None:
    """Takes from what others may take from."""
    batches.put((next(source), os.getpid())[1])


def with_array(batches: queue.Queue[Any], buffer: np.ndarray) -> None:
    """Fills memory that the script reads."""
    buffer[0] = 1
    batches.put(os.getpid())


def with_list(batches: queue.Queue[Any], found: list[int]) -> None:
    """Results go into a list, the queue tells that they are there."""
    found.append(1)
    batches.put(os.getpid())


def with_insides(batches: queue.Queue[Any]) -> None:
    """Looks into the queue itself."""
    batches.put((len(batches.queue), os.getpid())[1])


def with_threads(batches: queue.Queue[Any]) -> None:
    """Has threads of its own that ask."""
    inner = threading.Thread(target=lambda: batches.put(os.getpid(), timeout=9))
    inner.start()
    inner.join()


@pytest.mark.parametrize(
    ("target", "more", "why"),
    [
        (with_lock, (), "shares a lock with other threads"),
        (with_global, (), "assigns 'COUNT', which the script may read"),
        (with_iterator, (iter([1]),), "takes from an iterator or file"),
        (with_array, (np.zeros(3),), "fails in a process: ValueError"),
        (with_list, ([],), "changes a list that the script may read"),
        (with_insides, (), "fails in a process: AttributeError"),
    ],
)
def test_what_cannot_move_stays(
    session: Session, target: Any, more: tuple[Any, ...], why: str
) -> None:
    """The thread runs here, and one sentence says why."""
    batches: queue.Queue[Any] = queue.Queue()
    start(target, batches, *more, name="loader").join()
    assert batches.get() == os.getpid()
    assert batches.empty()
    (said,) = session.said(REFUSED)
    assert said.startswith(f"thread 'loader' {why}")
    assert not session.said(ENGAGED)
    assert not session.failures


def test_a_thread_whose_threads_ask_stays(session: Session) -> None:
    """It runs here; the thread that it starts is looked at on its own."""
    batches: queue.Queue[Any] = queue.Queue()
    start(with_threads, batches, name="loader").join()
    batches.get()
    assert batches.empty()
    why = "uses threads of its own that call 'put'"
    assert session.said(REFUSED) == [f"thread 'loader' {why}"]


def test_threads_of_others_are_left_alone(session: Session) -> None:
    """A timer and a thread without a queue run as ever; only the second is noted."""
    done: list[int] = []
    timer = threading.Timer(0, done.append, [1])
    timer.start()
    timer.join()
    start(lambda: done.append(2), name="logger").join()
    assert done == [1, 2]
    assert examine(threading.Thread(target=subprocess.run, args=(["true"],))) is None
    assert session.said(REFUSED) == ["thread 'logger' fills no queue"]


class Loader(threading.Thread):
    """A loader as a class, with a flag that the script waits for."""

    def __init__(self, count: int) -> None:
        super().__init__(daemon=True)
        self.batches: queue.Queue[Any] = queue.Queue(2)
        self.count = count
        self.pid = os.getpid()
        self.done = False

    def run(self) -> None:
        """Loads."""
        for number in range(self.count):
            self.batches.put(number)
        self.pid = os.getpid()
        self.done = True


def test_a_class_of_threads_is_moved_too(session: Session) -> None:
    """Its flags are what they would be when it has ended."""
    loader = Loader(5)
    loader.start()
    assert [loader.batches.get() for _ in range(5)] == list(range(5))
    loader.join()
    assert loader.done
    assert loader.pid != os.getpid()


def test_random_numbers_are_those_of_the_thread(session: Session) -> None:
    """One thread draws on from the state that the script has seeded."""
    batches: queue.Queue[Any] = queue.Queue()

    def work() -> None:
        batches.put((random.random(), np.random.random()))

    states = random.getstate(), np.random.get_state()
    random.seed(1)
    np.random.seed(1)
    start(work).join()
    random.seed(1)
    np.random.seed(1)
    assert batches.get() == (random.random(), np.random.random())
    random.setstate(states[0])
    np.random.set_state(states[1])
    assert session.said(ENGAGED)


def test_a_process_that_dies_fails_its_thread(session: Session) -> None:
    """After an item was passed on it cannot begin anew: an exception says so."""

    def work() -> None:
        batches.put(1)
        os.kill(os.getpid(), signal.SIGKILL)

    batches: queue.Queue[Any] = queue.Queue()
    start(work, name="loader").join()
    assert batches.get() == 1
    assert "killed by SIGKILL" in str(session.failures[0].exc_value)
    assert session.said(FAILED)[0].startswith("thread 'loader' lost its process")


def test_closing_ends_threads_that_wait(session: Session) -> None:
    """A thread that waits for its process ends with it, silently."""

    def work() -> None:
        batches.put(1)
        time.sleep(1000)

    batches: queue.Queue[Any] = queue.Queue()
    thread = start(work)
    assert batches.get() == 1
    session.producers.close()
    thread.join()
    assert not session.failures


DRIVER = """
import runpy, sys
from pathlib import Path
from debottleneck.strategies.automatic.notes import Notes
from debottleneck.strategies.automatic.producers import Producers
from debottleneck.strategies.spec import parse

notes, script, *_ = sys.argv[1:]
sys.argv = sys.argv[2:]
sys.path.insert(0, str(Path(script).parent))
Producers(parse("prefetch:where=process")[0], Notes(Path(notes))).install()
runpy.run_path(script, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("name", "threads"), [("python_augment", 2), ("slow_producer", 1)]
)
def test_workloads_compute_the_same(
    name: str, threads: int, tmp_path: Path, environment: dict[str, str]
) -> None:
    """The same loss and accuracy with the loader threads in processes."""
    script = [str(WORKLOADS / f"{name}.py"), "--steps", "12"]
    notes = tmp_path / "notes.jsonl"
    ways = ([], ["-c", DRIVER, str(notes)])
    told = [
        subprocess.run(
            [sys.executable, *way, *script],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for way in ways
    ]
    assert told[0].startswith("loss")
    assert told[0] == told[1]
    assert notes.read_text().count(ENGAGED) == threads
