"""Loops that are planned while they run as they are written."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from made_rewritten import asked, plainly, rewritten

from debottleneck.agent import copies
from debottleneck.strategies.rewriting import decide, entries, locations, notes
from debottleneck.strategies.rewriting.plan import HEAVY, ORDER, STAYS

FIRST = """
import time
import numpy as np
data, w, seen = np.arange(400.0).reshape(100, 4), np.zeros(4), []
def gather(rows):
    time.sleep(0.002)
    return data[rows]
def fit(x):
    global w
    w = w + x.sum(0)
"""

SHAPES = {
    "for": """
for s in range(0, 60, 4):  # loop
    fit(gather(slice(s, s + 4)))
""",
    "for with else": """
for s in range(0, 60, 4):  # loop
    fit(gather(slice(s, s + 4)))
else:
    seen.append("else")
""",
    "left early": """
for s in range(0, 60, 4):  # loop
    if s == 36:
        break
    if s == 8:
        continue
    fit(gather(slice(s, s + 4)))
else:
    seen.append("else")
""",
    "while": """
s = 0
while s < 60:  # loop
    fit(gather(slice(s, s + 4)))
    s += 4
else:
    seen.append("else")
""",
    "entered again": """
def once(epoch):
    for s in range(0, 4 * (epoch + 1), 4):  # loop
        fit(gather(slice(s, s + 4)))
        seen.append((epoch, s))
once(0); once(1); once(2)
""",
    "generator": """
def batches():
    for s in range(0, 60, 4):
        rows = slice(s, s + 4)
        yield gather(rows)
for x in batches():  # loop
    fit(x)
""",
    "iterator of the user's": """
class Batches:
    def __init__(self): self.at = 0
    def __iter__(self): return self
    def __next__(self):
        if self.at >= 60: raise StopIteration
        self.at += 4
        return gather(slice(self.at - 4, self.at))
for x in Batches():  # loop
    fit(x)
""",
    "raised": """
def rows(s):
    return slice(s, s + 4) if s < 40 else 1 / 0
try:
    for s in range(0, 60, 4):  # loop
        fit(gather(rows(s)))
except ZeroDivisionError as error:
    seen.append(str(error))
""",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_asked_computes_what_it_would(tmp_path: Path, shape: str) -> None:
    """Every iteration once, in order, with what comes after the loop; and one plan."""
    source = FIRST + SHAPES[shape]
    plain, found = plainly(tmp_path / "a.py", source), asked(tmp_path / "b.py", source)
    assert (found.space["w"] == plain["w"]).all()
    assert found.space["seen"] == plain["seen"]
    assert found.space.get("s") == plain.get("s")
    (plan,) = found.plans
    assert plan.strategy == "prefetch"
    waits = [piece for piece in plan.pieces if piece.ns > 1e6]
    assert {piece.side for piece in waits} <= {ORDER, HEAVY}
    assert all(piece.cpu_ns < piece.ns / 2 for piece in waits)


def test_a_plan_says_what_each_call_takes_and_where_it_runs(tmp_path: Path) -> None:
    """Two calls of one line on different sides, and what goes from one to the other."""
    (plan,) = asked(tmp_path / "a.py", FIRST + SHAPES["for"]).plans
    sides = {piece.name: piece.side for piece in plan.pieces if piece.name}
    assert sides == {"slice": HEAVY, "gather": HEAVY, "fit": STAYS}
    assert plan.size == 4 * 4 * 8
    assert plan.reason == ""
    assert plan.apart


def test_an_error_of_ours_ends_the_asking_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop goes on as it is written, and nothing is planned."""

    def broken(*given: object) -> decide.Decision:
        raise KeyError("ours")

    monkeypatch.setattr(entries, "decide", broken)
    source = FIRST + SHAPES["for with else"]
    plain, found = plainly(tmp_path / "a.py", source), asked(tmp_path / "b.py", source)
    assert found.plans == []
    assert (found.space["w"] == plain["w"]).all()
    assert found.space["seen"] == ["else"]


def test_a_loop_whose_end_leaves_another_is_left_alone() -> None:
    """Its `else` would leave a loop of ours instead."""
    copies.copy_with(lambda loop, name, source: (None, loop), returning=True)
    try:
        text = "for x in a:\n  for y in b:\n    f(y)\n  else:\n    break"
        outer = ast.parse(text).body[0]
        assert isinstance(outer, ast.For)
        inner = outer.body[0]
        assert isinstance(inner, ast.For)
        assert copies.returns(outer)
        assert not copies.returns(inner)
    finally:
        copies._copies.clear()
        copies._returning.clear()


GRAPH = """
import time
class Node:
    def __init__(self, value, held=()): self.value, self.held = value, held
    def __add__(self, other): return Node(self.value + other.value, (self, other))
def gather(rows):
    time.sleep(0.002)
    return [Node(row) for row in rows]
def graph(nodes, made=Node(0)):
    for _ in range(30):
        for node in nodes:
            made = made + node
    return made
total = 0
for s in range(30):  # loop
    total += graph(gather(range(40))).value
"""


def test_a_loop_that_touches_too_many_objects_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph of small objects: it is not followed for minutes, and this is said."""
    monkeypatch.setattr(locations, "MOST_LOOKED_AT", 2000)
    plain = plainly(tmp_path / "a.py", GRAPH)
    found = asked(tmp_path / "b.py", GRAPH)
    (plan,) = found.plans
    assert "more objects than can be followed" in plan.reason
    ran = rewritten(tmp_path / "c.py", GRAPH)
    assert [state for state, _ in ran.said] == [notes.REFUSED], ran.said
    assert found.space["total"] == ran.space["total"] == plain["total"]
