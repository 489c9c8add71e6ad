"""Which loop is the training loop: chosen by what happens in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from looping import Looped, run_loops

from debottleneck.recording import spool

HEAD = """
import numpy as np
rng = np.random.default_rng(0)
w = np.zeros(3)
def grad(x):
    wait(400_000)
    return 2 * x * (w @ x - 1)
def draw(n=3):
    wait(300_000)
    return rng.normal(size=n)
"""
LINES = HEAD.count("\n")

CASES = {
    "arrays that change": (
        "for k in range(900):\n    x = draw()\n    w -= 0.01 * grad(x)\n",
        1,
        "arrays that its iterations read and change",
    ),
    "an array that is replaced": (
        "for k in range(900):\n    x = draw()\n    w = w - 0.01 * grad(x)\n",
        1,
        "arrays that its iterations read and change",
    ),
    "iterations within epochs": (
        "for epoch in range(9):\n    for k in range(100):\n"
        "        w -= 0.01 * grad(draw())\n",
        2,
        "arrays that its iterations read and change",
    ),
    "parameters one after the other": (
        "ws = [np.zeros(3) for _ in range(40)]\n"
        "for k in range(9):\n    for p in ws:\n        p -= 0.01 * grad(draw())\n",
        2,
        "arrays that its iterations read and change",
    ),
    "samples of a mini-batch": (
        "for k in range(300):\n    g = np.zeros(3)\n    for x in [draw(), draw()]:\n"
        "        g += grad(x)\n    w -= 0.01 * g\n",
        1,
        "arrays that its iterations read and change",
    ),
    "a large batch's samples": (
        "for k in range(40):\n    g = np.zeros(3)\n    for i in range(30):\n"
        "        g = g + grad(draw())\n    w = w - 0.01 * g\n",
        1,
        "arrays that its iterations read and change",
    ),
    "a long recurrence within a step": (
        "def roll():\n    h = w\n    for i in range(900):\n"
        "        h = np.tanh(h + draw())\n    return h\n"
        "for k in range(9):\n    w -= 0.01 * roll()\n",
        6,
        "arrays that its iterations read and change",
    ),
    "parameters made anew for each fold": (
        "mean = np.zeros(3)\nfor fold in range(9):\n    v = np.zeros(3)\n"
        "    for k in range(100):\n        v = v - 0.01 * grad(draw() + v)\n"
        "    mean += v / 9\n",
        4,
        "arrays that its iterations read and change",
    ),
    "a shorter loop before it": (
        "v = np.ones(3)\nfor k in range(150):\n    v = 0.5 * v + draw() / v.sum()\n"
        "for k in range(200):\n    w = w - 0.01 * grad(draw())\n    wait(900_000)\n",
        4,
        "arrays that its iterations read and change",
    ),
    "many short ones before a few long ones": (
        "v = np.ones(3)\nfor k in range(2000):\n    v = 0.5 * v + draw() / v.sum()\n"
        "for k in range(50):\n    w = w - 0.01 * grad(w)\n    wait(90_000_000)\n",
        4,
        "arrays that its iterations read and change",
    ),
    "few steps for each file": (
        "for file in range(60):\n    wait(30_000_000)\n    xs = [draw(), draw()]\n"
        "    for x in xs:\n        w -= 0.01 * grad(x)\n",
        1,
        "arrays that its iterations read and change",
    ),
    "a few steps for each item, which takes no time": (
        "items = [np.ones(3)] * 200\n"
        "for k, x in enumerate(items):\n    for _ in range(3):\n"
        "        w -= 0.01 * grad(x)\n",
        2,
        "arrays that its iterations read and change",
    ),
    "a few steps for each batch, which takes little time": (
        "for k in range(200):\n    x = draw()\n    for _ in range(4):\n"
        "        w -= 0.01 * grad(x)\n",
        1,
        "arrays that its iterations read and change",
    ),
    "a few batches an epoch, which draws their order": (
        "X = np.ones((3, 3))\ndef shuffled():\n    wait(60_000)\n"
        "    return rng.permutation(3)\nfor epoch in range(200):\n"
        "    order = shuffled()\n"
        "    for k in range(3):\n        w -= 0.01 * grad(X[order[k]])\n",
        7,
        "arrays that its iterations read and change",
    ),
    "a few batches an epoch, counted by what the network has": (
        "class Net:\n    def bar(self, items):\n        self.shown = 1\n"
        "        return items\n    def batches(self):\n        for x in [draw()] * 4:\n"
        "            self.turn = 1\n            yield x\n"
        "    def fit(self):\n        self.w = np.ones(3)\n"
        "        for _ in self.bar(range(100)):\n            errors = []\n"
        "            for x in self.batches():\n"
        "                self.w -= 0.01 * grad(x)\n                errors.append(1)\n"
        "Net().fit()\n",
        13,
        "arrays that its iterations read and change",
    ),
    "a few steps an epoch": (
        "items = [np.ones(3)] * 3\n"
        "for epoch in range(200):\n    rate = 0.1 / (1 + epoch)\n"
        "    for x in items:\n        w -= rate * grad(x)\n",
        4,
        "arrays that its iterations read and change",
    ),
    "parameters made of sums over all data": (
        "a = np.ones(3)\ndef expect(x):\n    wait(300_000)\n    return a * x\n"
        "for k in range(60):\n    total = np.zeros(3)\n    for i in range(20):\n"
        "        total += expect(draw())\n    a = total / total.sum()\n",
        5,
        "arrays that its iterations read and change",
    ),
    "parameters changed after a long recurrence of each of many": (
        "def roll(v):\n    h = v\n    for i in range(33):\n"
        "        h = np.tanh(h + draw())\n    return h\n"
        "for k in range(60):\n    total = 0\n    for j in range(20):\n"
        "        total = total + roll(w).sum()\n"
        "    w = w + 0.01 * total * rng.random(3)\n",
        6,
        "arrays that its iterations read and change",
    ),
    "weights in a list, and what decides whether they change": (
        "v = [0.1] * 9\ndef score(v):\n    wait(300_000)\n    return v[0] - 9\n"
        "for k in range(400):\n    s = score(v)\n    if s < 0:\n"
        "        for j in range(9):\n            v[j] += 0.1 * abs(s)\n",
        5,
        "lists of numbers that its iterations read and change",
    ),
    "in a comprehension": (
        "def one(x):\n    global w\n    w -= 0.01 * grad(x)\n    return 1\n"
        "for epoch in range(100):\n"
        "    count = sum([one(x) for x in [draw()] * 20])\n",
        6,
        "arrays that its iterations read and change",
    ),
    "a name that says so": (
        "def update(): wait(500_000)\ndef go():\n    for k in range(5000):\n"
        "        update()\ngo()\n",
        3,
        "a call whose name says that it trains",
    ),
    "time alone": (
        "def go(): wait(2_000_000)\nfor k in range(900):\n    go()\n",
        2,
        "most of the run's time and repeats, though nothing in it is known to train",
    ),
}


def chosen(looped: Looped) -> dict[str, Any]:
    """The last choice."""
    return [event for event in looped.events if event["event"] == "loop"][-1]


@pytest.mark.parametrize("name", CASES)
def test_the_loop_that_trains(tmp_path: Path, name: str) -> None:
    """Its line, counted from the head's end, and the reason that is given."""
    body, line, why = CASES[name]
    looped = run_loops(tmp_path, HEAD + body)
    choice = chosen(looped)
    assert looped.lines[choice["site"]] - LINES == line
    assert choice["why"] == why


def test_no_loop_trains_where_a_call_around_it_does(tmp_path: Path) -> None:
    """There is no loop that makes the calls, and what they repeat is no step."""
    body = (
        "def go(k):\n    global w\n    for k in range(20):\n        draw()\n"
        "    w = w - 0.01 * grad(w)\nlist(map(go, range(300)))\n"
    )
    looped = run_loops(tmp_path, HEAD + body)
    assert not [event for event in looped.events if event["event"] == "loop"]


@pytest.mark.parametrize("why", ["", "an optimizer's step"])
def test_the_loop_that_is_asked_for(tmp_path: Path, why: str) -> None:
    """Whatever the evidence, and however short its entries are; trials are told why."""
    body = CASES["iterations within epochs"][0]
    looped = run_loops(tmp_path, HEAD + body, asked=LINES + 1, why=why)
    choice = chosen(looped)
    assert looped.lines[choice["site"]] == LINES + 1
    assert choice["why"] == (why or "the line that you gave")


def test_what_follows_a_change_in_short_steps_does_not_train(tmp_path: Path) -> None:
    """Of iterations without marks nobody knows in which statement they are."""
    body = (
        "def light(w):\n    wait(40_000)\n    return w + 1\ndef note(k): wait(20_000)\n"
        "for k in range(9000):\n    w -= 0.01 * light(w)\n    note(k)\n"
    )
    looped = run_loops(tmp_path, HEAD + body)
    sides = {looped.lines[site] - LINES: side for site, side in chosen(looped)["sides"]}
    assert sides == {5: "", 6: "train", 7: ""}


def test_what_is_done_now_and_then_and_binds_nothing_does_not_train(
    tmp_path: Path,
) -> None:
    """A method of what trains is called in it; what makes something may be used."""
    body = (
        "class Best:\n    def __init__(self): self.w = np.zeros(3)\n"
        "    def step(self, g): self.w -= g\n    def state(self): return self.w\n"
        "best = Best()\n"
        "for k in range(900):\n    x = draw()\n    best.step(0.01 * grad(x))\n"
        "    if k % 9 == 0:\n        print(sum(best.state()), file=sys.stderr)\n"
        "        x = draw()\n"
    )
    looped = run_loops(tmp_path, HEAD + "import sys\n" + body)
    sides = {looped.lines[site] - LINES: side for site, side in chosen(looped)["sides"]}
    assert (sides[9], sides[11], sides[12]) == ("train", "", "input")


def test_a_thread_that_only_loads_does_not_train(tmp_path: Path) -> None:
    """What tells most of training decides which thread's loops count."""
    body = (
        "import threading\n"
        "mean = np.zeros(3)\n"
        "def load():\n    for k in range(300):\n        fetch()\n"
        "def fetch(): wait(100_000)\n"
        "t = threading.Thread(target=load)\nt.start()\n"
        "for k in range(900):\n    w -= 0.01 * grad(draw())\nt.join()\n"
    )
    looped = run_loops(tmp_path, HEAD + body)
    assert looped.lines[chosen(looped)["site"]] - LINES == 9


def test_lists_that_a_thread_changes_are_outweighed(tmp_path: Path) -> None:
    """It may load: a name that says that a loop trains tells more."""
    body = (
        "import threading\n"
        "def update(): wait(500_000)\n"
        "def load():\n    row = [0.5] * 9\n    for k in range(900):\n"
        "        wait(100_000)\n        row = [x + 0.1 for x in row]\n"
        "t = threading.Thread(target=load)\nt.start()\nt.join()\n"
        "for k in range(900):\n    update()\n"
    )
    looped = run_loops(tmp_path, HEAD + body)
    assert looped.lines[chosen(looped)["site"]] - LINES == 11


@pytest.mark.parametrize(("cpu", "line"), [("10 * now[0]", 7), ("0", 9)])
def test_what_another_thread_makes_is_of_the_step(
    tmp_path: Path, cpu: str, line: int
) -> None:
    """An item that it computed is the author's batch; what only waits is not."""
    body = (
        "import queue, threading\nitems = queue.Queue(1)\n"
        "def run():\n    for k in range(120):\n        items.put([1, 2, 3, 4])\n"
        "threading.Thread(target=run, daemon=True).start()\nfor k in range(100):\n"
        "    xs = items.get()\n    for x in xs:\n        w -= 0.01 * grad(draw())\n"
    )
    clock = f"evidence.thread_time_ns = lambda: {cpu}\n"
    looped = run_loops(tmp_path, HEAD + body, before=clock)
    assert looped.lines[chosen(looped)["site"]] - LINES == line


def test_a_change_in_an_unmarked_iteration_counts(tmp_path: Path) -> None:
    """No more than one of an episode's short iterations is marked."""
    body = (
        "for e in range(4000):\n    k = 0\n    while k < 40:\n        k += 1\n"
        "        wait(9_000)\n        w[k % 3] += 0.01 * w.sum()\n    w /= w.sum()\n"
    )
    looped = run_loops(tmp_path, HEAD + body)
    assert looped.lines[chosen(looped)["site"]] - LINES == 3


def test_statements_of_short_iterations_within_a_step_are_told_apart(
    tmp_path: Path,
) -> None:
    """Of some entries, and some iterations, where the loop itself is long enough."""
    body = (
        "for k in range(2000):\n    x = draw()\n    for i in range(40):\n"
        "        wait(8_000)\n        x = x * 1.01\n    w -= 0.01 * grad(x)\n"
    )
    looped = run_loops(tmp_path, HEAD + body)
    assert looped.lines[chosen(looped)["site"]] - LINES == 1
    late = looped.marks[-1000:]
    assert (spool.ENTER, LINES + 5, 0) in late


@pytest.mark.parametrize("look_ns", [0, 200_000])
def test_how_long_it_is_looked_at_what_changes_is_no_time_of_a_loop(
    tmp_path: Path, look_ns: int
) -> None:
    """Many small changes: to look at one takes far longer than to make it."""
    body = (
        "for k in range(200):\n    x = draw()\n    for i in range(6):\n"
        "        w -= 0.01 * x * (w @ x - 1)\n        wait(5_000)\n"
    )
    slowly = (
        "look = changes.array_in\n"
        f"changes.array_in = lambda *a, **k: (wait({look_ns}), look(*a, **k))[1]\n"
    )
    looped = run_loops(tmp_path, HEAD + body, before=slowly)
    assert looped.lines[chosen(looped)["site"]] - LINES == 1


@pytest.mark.parametrize("begin", ["for k in range(9)", "while k < 9"])
@pytest.mark.parametrize(
    ("head", "run"),
    [
        ("def steps():", "for loss in steps():\n    wait(100_000)\n"),
        ("async def steps():", "import asyncio\nasyncio.run(steps())\n"),
    ],
    ids=["generator", "coroutine"],
)
def test_a_loop_that_pauses_is_followed_where_it_is_asked_for(
    tmp_path: Path, begin: str, head: str, run: str
) -> None:
    """Whoever runs meanwhile: what passes until the next iteration is of this one."""
    pause = "await asyncio.sleep(0)" if "async" in head else "yield k"
    body = (
        f"{head}\n    global w, k\n    k = 0\n    {begin}:\n"
        f"        w = w - 0.01 * grad(draw())\n        k += 1\n        {pause}\n{run}"
    )
    looped = run_loops(tmp_path, HEAD + body, asked=LINES + 4)
    assert looped.lines[chosen(looped)["site"]] == LINES + 4
    begun = [
        n
        for e, at, n in looped.marks
        if e in (spool.STEP_START, spool.STEP_END) and at == LINES + 4
    ]
    assert sum(begun) == 9


def test_an_error_of_ours_ends_the_search_only(tmp_path: Path) -> None:
    """The script trains on, and the report can say what failed."""
    body = "for k in range(900):\n    w -= 0.01 * grad(draw())\nprint('trained')\n"
    broken = "evidence.Search._choose = None\n"
    looped = run_loops(tmp_path, HEAD + body, before=broken)
    assert looped.output == "trained\n"
    failed = [e["what"] for e in looped.events if e["event"] == "failure"]
    assert len(failed) == 1
    assert "search for the training loop: TypeError" in failed[0]
