from __future__ import annotations

import contextlib
import gc
import mmap
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from debottleneck.errors import StrategyError
from debottleneck.strategies import child, pools
from debottleneck.strategies.process import Calls, Items, Remote

pytestmark = pytest.mark.each_python

ROWS = np.arange(20_000.0)


def children() -> set[int]:
    """Processes that this one has started and not yet waited for."""
    pids = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            pids |= set(map(int, (task / "children").read_text().split()))
    return pids


def held() -> tuple[set[int], set[str], int]:
    """Processes, open files and threads of this process."""
    return children(), set(os.listdir("/proc/self/fd")), threading.active_count()


@pytest.fixture(autouse=True)
def nothing_of_the_child_stays() -> Iterator[None]:
    """No process, thread, descriptor or named shared memory is left."""
    before = held()
    named = set(os.listdir("/dev/shm"))
    yield
    gc.collect()
    assert held() == before
    assert not {n for n in set(os.listdir("/dev/shm")) - named if "debottle" in n}


def numbers(count: int) -> Iterator[tuple[int, np.ndarray]]:
    """Items small and large."""
    for number in range(count):
        yield number, ROWS + number


def until_gone(pid: int) -> None:
    """Return when a process has ended; it may still wait to be reaped by another."""
    state = Path(f"/proc/{pid}/stat")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while not state.read_text().rpartition(")")[2].startswith(" Z"):
            time.sleep(0.01)


class Strange(Exception):
    """Pickles, but cannot be loaded again."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"strange {one} {two}")


class Told(Exception):
    """An exception as users write them."""


def test_items_come_in_order_from_another_process() -> None:
    """The sequence is the plain one."""
    found = list(Items(lambda: numbers(30), depth=3))
    assert [number for number, _ in found] == list(range(30))
    assert all((rows == ROWS + number).all() for number, rows in found)
    assert next(iter(Items(lambda: [os.getpid()], depth=1))) != os.getpid()


def test_it_is_bounded() -> None:
    """At most `depth` items wait, and one more is made."""
    made = mmap.mmap(-1, 8)

    def source() -> Iterator[int]:
        for number in range(50):
            made[0] = number + 1
            yield number

    items = Items(source, depth=3)
    for taken in range(1, 20):
        next(items)
        time.sleep(0.005)
        assert made[0] <= taken + 3 + 1
    items.close()
    made.close()


def test_an_exception_comes_at_its_place_once() -> None:
    """Its type and arguments are kept, its traceback there is its cause here."""

    def source() -> Iterator[int]:
        yield 1
        raise Told("row", 7)

    items = Items(source, depth=4)
    assert next(items) == 1
    with pytest.raises(Told) as caught:
        next(items)
    assert caught.value.args == ("row", 7)
    assert isinstance(caught.value.__cause__, Remote)
    assert 'raise Told("row", 7)' in str(caught.value.__cause__)
    assert list(items) == []


def test_what_cannot_travel() -> None:
    """An exception is told in words, its traceback as ever; an item is refused."""

    def source() -> Iterator[int]:
        raise Strange(1, 2)
        yield

    with pytest.raises(RuntimeError, match="Strange: strange 1 2") as caught:
        next(Items(source, depth=1))
    assert "raise Strange" in str(caught.value.__cause__)
    items = Items(lambda: iter([1, lambda: 2]), depth=1)
    assert next(items) == 1
    with pytest.raises(StrategyError, match=r"cannot go to another process"):
        next(items)


def test_a_source_that_ends_at_once_and_one_that_fails_to_begin() -> None:
    """No items, or the exception of what should have made them."""

    def fails() -> Iterator[int]:
        raise Told("no file")

    assert list(Items(lambda: iter(()), depth=1)) == []
    with pytest.raises(Told):
        next(Items(fails, depth=1))


@pytest.mark.parametrize(
    ("leave", "how"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was killed by SIGKILL"),
        (lambda: os._exit(3), "ended with exit code 3"),
    ],
)
def test_a_child_that_goes_is_told_of(leave: Callable[[], None], how: str) -> None:
    """The signal or the code is named; it is no end of the data, and nothing hangs."""

    def source() -> Iterator[int]:
        yield 1
        leave()

    items = Items(source, depth=1, name="loader")
    assert next(items) == 1
    with pytest.raises(StrategyError, match=f"process of loader {how}"):
        next(items)
    assert list(items) == []


def test_finally_runs_in_a_child_that_waits(tmp_path: Path) -> None:
    """A generator is closed as in a plain loop that is left."""
    place = tmp_path / "closed"

    def source() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            place.write_text("yes")

    items = Items(source, depth=1)
    next(items)
    next(items)
    items.close()
    assert place.read_text() == "yes"


def test_closing_from_another_thread_ends_the_loop() -> None:
    """Whoever waits for an item finds the end."""
    items = Items(lambda: iter(lambda: time.sleep(100), 1), depth=1)
    threading.Timer(0.1, items.close).start()
    assert list(items) == []
    while threading.active_count() > 1:
        time.sleep(0.01)


def test_several_at_once_do_not_hold_each_other() -> None:
    """Each ends when it is closed though the others were forked beside it."""
    many = [Items(lambda: numbers(1000), depth=1) for _ in range(4)]
    for items in many:
        next(items)
    for items in many:
        pid = items._child.pid
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(StrategyError, match="SIGKILL"):
            list(items)


def test_forking_warns_nobody_of_our_fork() -> None:
    """Python 3.12 and later warn of threads at a fork; not at this one."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(Items(lambda: range(3), depth=1)) == [0, 1, 2]
    stop.set()
    thread.join()


def test_the_child_is_no_interactive_twin() -> None:
    """Handlers are the system's, Ctrl-C is the parent's, stdin is empty."""

    def source() -> Iterator[Any]:
        yield signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        yield signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        yield os.read(0, 1) == b""
        yield pools.is_worker()

    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        assert list(Items(source, depth=1)) == [True] * 4
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("kind", ["global", "numpy", "own"])
def test_epochs_draw_on(kind: str) -> None:
    """A second epoch shuffles otherwise than the first, as in a plain loop."""
    own = np.random.default_rng(5)
    draw = {"global": random.random, "numpy": np.random.random, "own": own.random}

    def epoch() -> Iterator[float]:
        for _ in range(4):
            yield draw[kind]()

    def loops(run: Callable[[], Any]) -> list[float]:
        random.seed(1)
        np.random.seed(1)
        own.bit_generator.state = np.random.default_rng(5).bit_generator.state
        return [value for _ in range(3) for value in run()] + [draw[kind]()]

    states = random.getstate(), np.random.get_state()
    plain = loops(epoch)
    assert loops(lambda: Items(epoch, depth=2)) == plain
    random.setstate(states[0])
    np.random.set_state(states[1])


def test_an_epoch_that_is_left_draws_no_further() -> None:
    """The stream goes on after the last item that was taken."""
    rng = np.random.default_rng(5)

    def epoch() -> Iterator[float]:
        while True:
            yield rng.random()

    items = Items(epoch, depth=3)
    found = [next(items), next(items)]
    items.close()
    plain = np.random.default_rng(5)
    assert [*found, rng.random()] == [plain.random() for _ in range(3)]


@pytest.mark.torch
def test_tensors_and_openmp_work_in_the_child() -> None:
    """A parent that has computed in parallel does not hang its child's first sum."""
    import torch

    rows = torch.ones(2_000_000)
    total = (rows + rows).sum()

    def source() -> Iterator[Any]:
        yield (rows + rows).sum(), rows[:100], torch.get_num_threads()

    (found, part, threads), *_ = list(Items(source, depth=1))
    assert found == total
    assert torch.equal(part, rows[:100])
    assert threads == torch.get_num_threads()


def test_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says what it needs, and what to do."""
    monkeypatch.setattr(child.sys, "platform", "darwin")
    with pytest.raises(StrategyError, match="needs Linux; use where='thread'"):
        Items(lambda: numbers(3), depth=1)


PARENT = """
import os, sys, time
from debottleneck.strategies.process import Calls, Items

def source():
    yield os.getpid()
    while True:
        time.sleep(100)

items = Items(source, depth=1)
calls = Calls(os.getpid, 2)
print(next(items), *(calls() for _ in range(4)), flush=True)
"""


def script(
    text: str, environment: dict[str, str], **more: Any
) -> subprocess.Popen[str]:
    """A script of its own, with its output piped."""
    command, pipe = [sys.executable, "-c", text], subprocess.PIPE
    return subprocess.Popen(
        command, env=environment, text=True, stdout=pipe, stderr=pipe, **more
    )


@pytest.mark.parametrize("end", ["kill", "exit", "end", "raise"])
def test_no_child_outlives_its_parent(end: str, environment: dict[str, str]) -> None:
    """However the script ends, killed or not, with everything left open."""
    ends = {
        "kill": "os.kill(os.getpid(), 9)",
        "exit": "os._exit(0)",
        "end": "",
        "raise": "raise SystemExit('gone')",
    }
    parent = script(PARENT + ends[end], environment)
    out, error = parent.communicate(timeout=60)
    assert "Traceback" not in error
    for pid in set(map(int, out.split())):
        until_gone(pid)


def test_ctrl_c_is_the_parents(environment: dict[str, str]) -> None:
    """The child prints nothing and goes on; the parent's own traceback ends both."""
    text = PARENT + "import signal; os.killpg(0, signal.SIGINT); time.sleep(100)"
    parent = script(text, environment, start_new_session=True)
    out, error = parent.communicate(timeout=60)
    assert error.count("KeyboardInterrupt") == 1
    for pid in set(map(int, out.split())):
        until_gone(pid)


def test_output_of_parent_and_child_is_printed_once(
    environment: dict[str, str],
) -> None:
    """What waits in a buffer at the fork is not printed by both."""
    text = """
from debottleneck.strategies.process import Items
def source():
    print("child")
    yield 1
print("parent")
for item in Items(source, depth=1):
    print(item)
"""
    out, error = script(text, environment).communicate(timeout=60)
    assert sorted(out.split()) == ["1", "child", "parent"]
    assert not error


def test_calls_are_made_in_other_processes() -> None:
    """Results and keywords; what was true at the fork is true there."""
    offset = 3
    calls = Calls(lambda x, *, by=1: (os.getpid(), x * by + offset, ROWS), 2)
    with ThreadPoolExecutor(2) as pool:
        results = [*pool.map(lambda n: calls(n, by=2), range(12))]
    assert [value for _, value, _ in results] == [2 * n + 3 for n in range(12)]
    assert os.getpid() not in {pid for pid, _, _ in results}
    assert all((rows == ROWS).all() for _, _, rows in results)
    calls.close()


def test_calls_are_made_at_once() -> None:
    """Two workers meet each other: neither waits for the other one's end."""
    here, there = os.pipe(), os.pipe()

    def meet(number: int) -> bytes:
        os.write((here, there)[number][1], b"x")
        return os.read((there, here)[number][0], 1)

    calls = Calls(meet, 2)
    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(calls, (0, 1), timeout=60)] == [b"x", b"x"]
    calls.close()
    for each in (*here, *there):
        os.close(each)


def test_a_call_that_raises_harms_no_other() -> None:
    """The exception is raised here, with the other traceback as its cause."""
    calls = Calls(lambda x: 1 // x, 1)
    with pytest.raises(ZeroDivisionError) as caught:
        calls(0)
    assert isinstance(caught.value.__cause__, Remote)
    assert calls(1) == 1
    with pytest.raises(StrategyError, match="arguments cannot go"):
        calls(lambda: 1)
    calls.close()


def test_calls_of_a_process_that_died_fail() -> None:
    """Each of them says how it died, and closing works."""
    calls = Calls(lambda: os.kill(os.getpid(), signal.SIGKILL), 1)
    for _ in range(2):
        with pytest.raises(StrategyError, match="killed by SIGKILL"):
            calls()
    calls.close()


def test_closing_waits_for_no_call() -> None:
    """One that sleeps for ever fails, so do one that waits and all later ones."""
    calls = Calls(time.sleep, 1)
    with ThreadPoolExecutor(2) as pool:
        under_way = [pool.submit(calls, 100) for _ in range(2)]
        while not all(future.running() for future in under_way):
            time.sleep(0.01)
        calls.close()
    assert all(isinstance(one.exception(60), StrategyError) for one in under_way)
    with pytest.raises(StrategyError):
        calls(0)


def test_workers_draw_different_numbers() -> None:
    """They were forked from one random state, and do not all go on from it."""
    calls = Calls(lambda: (os.getpid(), np.random.random(), random.random()), 3)
    found = {calls() for _ in range(12)}
    firsts = {pid: (one, two) for pid, one, two in found}
    assert len({one for one, _ in firsts.values()}) == len(firsts)
    calls.close()


def test_dropped_calls_end_their_processes() -> None:
    """No close is needed."""
    calls = Calls(os.getpid, 2)
    pid = calls()
    del calls
    gc.collect()
    until_gone(pid)


class _Odd(UserWarning):
    """A warning of the script's own."""


def _warns(number: int) -> int:
    warnings.warn("of every call", UserWarning, stacklevel=1)
    if number == 3:
        warnings.warn("of one", _Odd, stacklevel=1)
    return number


def test_warnings_of_children_are_shown_once_and_here() -> None:
    """What two processes warn of at one place is one warning, as in one process."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        _warns(0)
        calls = Calls(_warns, 2)
        for number in range(6):
            calls(number)
        calls.close()
        assert [*Items(lambda: map(_warns, range(6)), depth=2)] == [*range(6)]
    assert [one.category for one in shown] == [UserWarning, _Odd]
    assert {one.filename for one in shown} == {__file__}


def test_a_warning_that_is_an_error_is_raised_by_the_call() -> None:
    """The script's filters decide in the child, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calls = Calls(_warns, 1)
        with pytest.raises(UserWarning, match="of every call"):
            calls(1)
        calls.close()
