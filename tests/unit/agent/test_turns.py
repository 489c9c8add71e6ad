"""Iterations and statements of loops: what is marked, how often, and when no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from looping import Looped, run_loops

from debottleneck.recording import spool

SLOW = "def f(x):\n    wait(2_000_000)\n    return x\n"


def kinds(looped: Looped) -> str:
    """Its marks in short: `<` begins an iteration, `>` ends the loop, digits rows."""
    return " ".join(looped.texts)


def test_each_statement_is_marked_in_order(tmp_path: Path) -> None:
    """An iteration begins, takes its item, and then goes from line to line."""
    source = SLOW + "for i in [1, 2]:\n    a = f(i)\n    b = f(a)\n"
    assert kinds(run_loops(tmp_path, source)) == "<0 4 5 6 <1 4 5 6 <1 4 >0"


def test_a_loop_within_gives_its_line_back(tmp_path: Path) -> None:
    """After an inner loop the outer one is in the statement that holds it."""
    source = SLOW + "for i in [1]:\n    for j in [1]:\n        f(j)\n    f(i)\n"
    marks = kinds(run_loops(tmp_path, source))
    assert marks == "<0 4 5 <0 5 6 <1 5 >0 5 7 <1 4 >0"


def test_a_loop_left_early_has_begun_its_iteration(tmp_path: Path) -> None:
    """`break` counts the iteration that it leaves."""
    source = SLOW + "for i in [1, 2, 3]:\n    if f(i) == 2: break\n"
    assert kinds(run_loops(tmp_path, source)).endswith(">1")


def test_a_false_condition_is_no_iteration(tmp_path: Path) -> None:
    """A `while` loop's condition is its first row, and may be its last."""
    source = SLOW + "n = 0\nwhile n < 2:\n    n = f(n + 1)\n"
    assert kinds(run_loops(tmp_path, source)) == "<0 5 6 <1 5 6 <1 5 >0"


@pytest.mark.parametrize(
    "head", ["for n in range(200):", "n = 0\nwhile (n := n + 1) <= 200:"]
)
def test_short_iterations_go_unmarked_in_stretches(tmp_path: Path, head: str) -> None:
    """Stretches stand between starts of their own, and no iteration is lost."""
    source = f"def f(x):\n    wait(100_000)\n{head}\n    f(n)\n"
    looped = run_loops(tmp_path, source)
    counts = [calls for edge, _, calls in looped.marks if edge == spool.STEP_START]
    assert sum(calls for _, _, calls in looped.marks) == 200
    assert max(counts) >= 10
    assert counts.count(1) >= 10
    assert len(looped.texts) < 200 * 3
    after = [
        looped.marks[i - 1][:2]
        for i, (edge, _, calls) in enumerate(looped.marks)
        if edge == spool.STEP_START and calls > 1
    ]
    loop = next(site for edge, site, _ in looped.marks if edge == spool.STEP_START)
    assert set(after) == {(spool.ENTER, loop)}  # where the agent's own work is over


def test_a_loop_of_tiny_iterations_falls_silent(tmp_path: Path) -> None:
    """After its first iterations nothing of it is marked, then or later."""
    source = "def f(x): wait(500)\nfor k in [1, 2]:\n"
    source += "    for i in range(500):\n        f(i)\n"
    looped = run_loops(tmp_path, source)
    assert 0 < kinds(looped).count(" 4") < 20


def test_other_processes_on_the_core_make_no_iteration_longer(tmp_path: Path) -> None:
    """A loop of tiny iterations falls silent where each entry is held up once."""
    source = (
        "def f(i): wait(80 + 4_000_000 * (i == 5))\n"
        "for k in range(500):\n    for i in range(10):\n        f(i)\n"
    )
    assert 0 < kinds(run_loops(tmp_path, source)).count(" 4") < 90


def test_the_longer_a_mark_delays_the_more_iterations_go_unmarked(
    tmp_path: Path,
) -> None:
    """What marks cost is measured by the CPU time of iterations with and without."""
    source = (
        "def f(n): wait({0}, {0})\nfor n in range(4_000):\n"
        "    f(n)\n    wait({1} * marks.is_loud(), {1} * marks.is_loud())\n"
    )
    before = (
        "from debottleneck.agent.track import hushed\n"
        "marks.is_loud = lambda: not hushed()\n"
    )
    rows = []
    for delay in (20_000, 80_000):
        (folder := tmp_path / str(delay)).mkdir()
        looped = run_loops(folder, source.format(100_000, delay), 0, before)
        rows.append(kinds(looped))
    often, seldom = (row.count(" 4") for row in rows)
    assert often > 2 * seldom > 0


def test_a_loop_that_is_over_at_once_falls_silent(tmp_path: Path) -> None:
    """However often it is entered, it is marked for a few entries."""
    source = (
        "def f(x): wait(9_000)\n"
        "for k in range(200):\n    wait(900_000)\n    for i in [1, 2]:\n        f(i)\n"
    )
    looped = run_loops(tmp_path, source)
    assert 0 < kinds(looped).count(" 5") < 40


def test_what_is_not_marked_of_a_loop_is_of_the_line_that_holds_it(
    tmp_path: Path,
) -> None:
    """Of short iterations in a stretch, not of the last statement marked."""
    source = (
        "def f(x): wait(20_000)\nfor k in [1, 2]:\n    wait(900_000)\n"
        "    for i in range(60):\n        f(i)\n        f(k)\n"
    )
    texts = run_loops(tmp_path, source).texts
    stretches = [i for i, text in enumerate(texts) if text[0] == "<" and text > "<1"]
    assert stretches
    assert {texts[i - 1] for i in stretches} == {"4"}


def test_loops_within_a_stage_are_marked_no_more_once_the_loop_is_known(
    tmp_path: Path,
) -> None:
    """A stage is one row: what its lines are is no question, and its marks cost."""
    stages = "def update():\n    for i in [1, 2]:\n        wait(1_000_000)\n"
    own = "def more():\n    for i in [1, 2]:\n        wait(1_000_000)\n"
    source = stages + own + "for k in range(900):\n    update()\n    more()\n"
    texts = run_loops(tmp_path, source).texts
    known = texts[-1000:]
    assert texts.count("3") > 100
    assert known.count("3") == 0
    assert known.count("6") > 50


def test_a_loop_within_itself_is_marked_once(tmp_path: Path) -> None:
    """Recursion adds no marks: a tree's depth is no depth of loops."""
    source = (
        "def tree(n):\n    for i in [1, 2]:\n        wait(1_000_000)\n"
        "        if n: tree(n - 1)\n"
        "tree(4)\n"
    )
    assert kinds(run_loops(tmp_path, source)).count("<") == 3


def test_threads_take_turns_in_a_loop(tmp_path: Path) -> None:
    """The same loop of two threads is marked for one, and right for both."""
    source = (
        "import threading\nhere = threading.Barrier(2)\ntotals = []\n"
        "def go():\n    total = 0\n    for i in range(50):\n"
        "        if i == 20: here.wait()\n        total += f(i)\n"
        "    totals.append(total)\n"
        "def f(x): return x\n"
        "a, b = threading.Thread(target=go), threading.Thread(target=go)\n"
        "a.start(); b.start(); a.join(); b.join()\nprint(totals)\n"
    )
    looped = run_loops(tmp_path, source)
    assert looped.output.strip() == "[1225, 1225]"
    assert looped.threads == 1


def test_nothing_is_marked_after_the_end(tmp_path: Path) -> None:
    """When recording ends within a loop, the plain copy goes on with its items."""
    source = SLOW + (
        "seen = []\nfor i in range(30):\n    seen.append(f(i))\n"
        "    if i == 5: marks.finish()\nprint(seen == list(range(30)))\n"
    )
    looped = run_loops(tmp_path, source)
    assert looped.output.strip() == "True"
    assert kinds(looped).count("<") == 6


def test_steps_that_the_script_marks_are_marked_whole(tmp_path: Path) -> None:
    """No iteration of a loop over `step()` goes unmarked, however short."""
    source = (
        "from debottleneck import step\ndef f(x):\n    wait(40_000)\n"
        "for n in step(range(300)):\n    f(n)\n"
    )
    looped = run_loops(tmp_path, source)
    assert sum(line == 5 for _, line, _ in looped.marks) == 300


@pytest.mark.parametrize("head", ["for i in [1, 2, 3]:", "i = 0\n    while i < 3:"])
def test_short_entries_pass_as_a_whole_once_the_loop_is_known(
    tmp_path: Path, head: str
) -> None:
    """Most of them go through the plain copy, and are marked as of their loop."""
    source = (
        "import numpy as np\nw, seen = np.zeros(3), 0\ndef f(x):\n"
        "    global seen\n    seen += 1\n    wait(60_000)\n    return x + 1\n"
        f"for k in range(3000):\n    w -= 0.01 * w + 1\n    wait(200_000)\n    {head}\n"
        "        i = f(i)\nprint(seen, i)\n"
    )
    looped = run_loops(tmp_path, source)
    assert looped.output.split() == ["9000", "4" if "for" in head else "3"]
    loop = source[: source.index("i = f(i)")].count("\n")
    known = looped.marks[-400:]
    begun, own = (
        sum(mark[:2] == (edge, line) for mark in known)
        for edge, line in ((spool.STEP_START, 8), (spool.ENTER, loop + 1))
    )
    assert 2 * own < begun
