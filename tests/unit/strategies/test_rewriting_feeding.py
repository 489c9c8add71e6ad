"""Loops in threads of the script's own: what leads to their `put` runs ahead."""

from __future__ import annotations

import ast
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from made_rewritten import THREADS, Ran, eager, rewritten

from debottleneck.strategies.rewriting import decide, feeding, known, tracing
from debottleneck.strategies.rewriting.feeding import Feeding
from debottleneck.strategies.rewriting.plan import Plan, Wanted

PROCESS = Wanted(workers=1, depth=None, process=True)

HEAD = """
import os, queue, random, threading, time
pids, main = set(), os.getpid()
"""


@pytest.fixture(autouse=True)
def _only_these(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "_made", [])
    monkeypatch.setattr(feeding, "_closing", threading.Event())


def _fed(path: Path, source: str, settings: Wanted = THREADS) -> Ran:
    with eager():
        return rewritten(path, HEAD + source, settings, kind=Feeding)


def _plans() -> list[Plan]:
    return [decision.plan for decision, _ in feeding.made()]


TWO = """
def load(rng):
    time.sleep(0.001)
    return rng.random(), os.getpid()
def produce(q, seed):
    rng = random.Random(seed)
    for _ in range(30):  # loop
        q.put(load(rng))
queues = [queue.Queue(2) for _ in range(2)]
threads = [threading.Thread(target=produce, args=each) for each in zip(queues, (0, 1))]
for thread in threads: thread.start()
got = [[], []]
for step in range(60):
    value, pid = queues[step % 2].get()
    got[step % 2].append(value)
    pids.add(pid)
for thread in threads: thread.join()
"""


def _drawn(seed: int) -> list[float]:
    import random

    rng = random.Random(seed)
    return [rng.random() for _ in range(30)]


@pytest.mark.parametrize("settings", [THREADS, PROCESS])
def test_each_thread_keeps_its_items_in_order(tmp_path: Path, settings: Wanted) -> None:
    """Two threads in one loop have a plan each, and a process each if asked for."""
    ran = _fed(tmp_path / "s.py", TWO, settings)
    assert ran.space["got"] == [_drawn(0), _drawn(1)]
    assert [(p.reason, p.feeds) for p in _plans()] == [("", True)] * 2
    assert len(ran.space["pids"]) == (3 if settings.process else 1)


@pytest.mark.parametrize("settings", [THREADS, PROCESS])
def test_a_thread_goes_on_at_the_end(tmp_path: Path, settings: Wanted) -> None:
    """What the script does at its exit may wait for it: it is given all it asks for."""
    before = "    pids.add(pid)\n"
    after = "    if step == 30: feeding.close(), child.end_all(), pools.close_all(0)\n"
    script = TWO.replace(before, before + after).replace("get()", "get(timeout=30)")
    script = script.replace("args=each", "args=each, daemon=True")
    room = "from debottleneck.strategies"
    head = f"{room} import child, pools\n{room}.rewriting import feeding\n"
    ran = _fed(tmp_path / "s.py", head + script, settings)
    assert ran.space["got"] == [_drawn(0), _drawn(1)]


def test_a_thread_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """What tells it stays where it is asked: nothing more is put than without us."""
    ran = _fed(
        tmp_path / "s.py",
        """
stop, q, done = threading.Event(), queue.Queue(2), []
def load(i):
    time.sleep(0.001)
    return i * i
def produce():
    i = 0
    while not stop.is_set():  # loop
        i += 1
        q.put(load(i))
    done.append(i)
thread = threading.Thread(target=produce)
thread.start()
got = [q.get() for _ in range(30)]
stop.set()
while thread.is_alive():
    thread.join(0.01)
    while not q.empty(): got.append(q.get())
""",
    )
    got = ran.space["got"]
    assert got == [n * n for n in range(1, len(got) + 1)]
    assert 30 <= len(got) <= 34


def test_what_another_thread_changes_is_read_when_it_is_due(tmp_path: Path) -> None:
    """A load that uses what the trainer sets stays where it is, and says why."""
    rewritten(
        tmp_path / "s.py",
        HEAD
        + """
class Loader:
    level = 0
    def __init__(self): self.level = 1
    def load(self, i):
        time.sleep(0.001)
        return i * self.level
q, loader = queue.Queue(1), Loader()
def produce():
    for i in range(40):  # loop
        q.put(loader.load(i))
threading.Thread(target=produce).start()
got = []
for step in range(40):
    got.append(q.get())
    loader.level = step
""",
        kind=Feeding,
    )
    (plan,) = _plans()
    assert plan.reason == "another thread may change loader.level"


def test_what_a_load_raises_is_raised_in_its_thread(tmp_path: Path) -> None:
    """At its place: all that came before it was put, nothing after it."""
    ran = _fed(
        tmp_path / "s.py",
        """
q, raised = queue.Queue(4), []
def load(i):
    time.sleep(0.001)
    return 100 // (20 - i)
def produce():
    try:
        for i in range(40):  # loop
            q.put(load(i))
    except ZeroDivisionError as error:
        raised.append(threading.current_thread().name)
    q.put(None)
threading.Thread(target=produce, name="mine").start()
got = list(iter(q.get, None))
""",
    )
    assert ran.space["got"] == [100 // (20 - i) for i in range(20)]
    assert ran.space["raised"] == ["mine"]
    assert _plans()[0].reason == ""


def test_a_thread_that_watches_is_left_alone(tmp_path: Path) -> None:
    """Nothing bounds how far it may be ahead: it may go by the clock."""
    _fed(
        tmp_path / "s.py",
        """
q, over = queue.Queue(), threading.Event()
def look():
    time.sleep(0.002)
    return time.monotonic()
def watch():
    while True:  # loop
        q.put(look())
        if over.is_set(): break
thread = threading.Thread(target=watch)
thread.start()
for _ in range(20): q.get()
over.set()
thread.join()
""",
    )
    (plan,) = _plans()
    assert plan.reason == feeding.UNBOUNDED


def test_a_generator_is_made_in_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A background generator: its items come from elsewhere, then its end."""
    monkeypatch.setattr(decide, "HEAVY", 1.0)  # all of it goes, draws too
    ran = _fed(
        tmp_path / "s.py",
        """
class Background(threading.Thread):
    def __init__(self, items):
        super().__init__(daemon=True)
        self.items, self.q = items, queue.Queue(2)
        self.start()
    def run(self):
        for item in self.items:  # loop
            self.q.put(item)
        self.q.put(None)
    def __iter__(self): return iter(self.q.get, None)
def items(n):
    rng = random.Random(5)
    for _ in range(n):
        drawn = [rng.random() for _ in range(500)]
        yield drawn, os.getpid()
got = []
for drawn, pid in Background(items(30)):
    got.append(drawn)
    pids.add(pid)
""",
        PROCESS,
    )
    import random

    rng = random.Random(5)
    assert ran.space["got"] == [[rng.random() for _ in range(500)] for _ in range(30)]
    assert len(ran.space["pids"]) == 2


DRAWS = """
q = queue.Queue(2)
def load(i, rng):
    time.sleep(0.002)
    return i + rng.random()
def produce(rng):
    for i in range(40):  # loop
        q.put(load(i, rng))
thread = threading.Thread(target=produce, args=(RNG,))
thread.start()
for step in range(40):
    q.get()
    random.random()
thread.join()
"""


@pytest.mark.parametrize("own", [True, False])
def test_only_draws_of_the_thread_itself_run_ahead(tmp_path: Path, own: bool) -> None:
    """What the trainer draws meanwhile is its own; a shared generator is left."""
    generator = "random.Random(1)" if own else "random._inst"
    _fed(tmp_path / "s.py", DRAWS.replace("RNG", generator), PROCESS)
    (plan,) = _plans()
    assert (7 in plan.places) is own


def test_threads_that_begin_to_look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python refuses one of them a profile function, which must not end it."""
    main, looked = threading.get_ident(), Future[None]()

    def look() -> None:
        one = tracing.Tracing()
        one.start()
        one.stop()

    def meanwhile(event: str, *_: object) -> None:
        if event == "sys.setprofile" and threading.get_ident() == main:
            other = threading.Thread(target=lambda: looked.set_result(look()))
            other.start()
            other.join()

    monkeypatch.setattr(tracing, "_listeners", [meanwhile])
    tracing._listen()
    sys.setprofile(sys.getprofile())
    assert looked.result(0) is None


def test_a_parse_that_another_thread_disturbs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python up to 3.11.7 gives it up: it is made again."""
    path, plain = tmp_path / "s.py", ast.parse
    errors = iter([SystemError("AST constructor recursion depth mismatch")])

    def parse(text: Any) -> Any:
        for error in errors:
            raise error
        return plain(text)

    path.write_text("x = 1")
    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", parse)
        body = known.body_of(compile("x = 1", str(path), "exec"))
    assert len(body) == 1
