"""Loads in processes: results, what cannot go there, and processes that are lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_rewritten import PROCESSES, plainly, rewritten

from debottleneck.strategies.rewriting import decide

HEAD = """
import os, signal, sys, threading, time
class Net:
    w = 0
    def update(self, x): self.w = self.w * 3 % 1009 + int(x)
net, main = Net(), os.getpid()
"""


def _expected(values: list[int]) -> int:
    w = 0
    for value in values:
        w = w * 3 % 1009 + value
    return w


def test_a_pure_load_is_made_elsewhere(tmp_path: Path) -> None:
    """The numbers are plain's, and another process made most."""
    source = (
        HEAD
        + """
pids = []
def load(i):
    time.sleep(0.001)
    return i, os.getpid()
for i in range(30):  # loop
    x, pid = load(i)
    pids.append(pid)
    net.update(x)
"""
    )
    ran = rewritten(tmp_path / "s.py", source, PROCESSES)
    assert ran.space["net"].w == _expected(list(range(30)))
    assert len(set(ran.space["pids"])) == 3


def test_what_only_a_process_sees_need_not_be_the_script_s_own(tmp_path: Path) -> None:
    """Objects of the script are taken and left there; those that come back are not."""
    source = (
        HEAD
        + """
class Record:
    def __init__(self, x): self.x = x
    def __reduce__(self): raise TypeError("stays here")
records = [Record(i) for i in range(40)]
def load(some):
    time.sleep(0.001)
    return some[0].x + some[1].x
for i in range(30):  # loop
    net.update(load([records[n] for n in (i, i + 1)]))
"""
    )
    ran = rewritten(tmp_path / "s.py", source, PROCESSES)
    assert ran.plan.where == "process"
    assert ran.space["net"].w == _expected([2 * i + 1 for i in range(30)])
    assert not ran.plan.reason
    named = source.replace("net.update(load(", "some = (").replace("1)]))", "1)])")
    named += "    net.update(load(some))\n"
    ran = rewritten(tmp_path / "n.py", named, PROCESSES)
    assert ran.plan.where == "thread"
    assert ran.space["some"][0] is ran.space["records"][29]


def test_a_killed_process_is_made_up_for(tmp_path: Path) -> None:
    """The item whose process died is made here, and the rest too."""
    source = (
        HEAD
        + """
def load(i):
    if i == 15 and os.getpid() != main: getattr(os, "ki" "ll")(os.getpid(), 9)
    time.sleep(0.001)
    return i
for i in range(30):  # loop
    net.update(load(i))
"""
    )
    ran = rewritten(tmp_path / "s.py", source, PROCESSES)
    assert ran.space["net"].w == _expected(list(range(30)))
    assert "killed" in ran.plan.reason


def test_a_generator_whose_process_dies_goes_on_here(tmp_path: Path) -> None:
    """It is at the right item, as it has not moved in this process."""
    source = (
        HEAD
        + """
def items(n):
    total = 0
    for i in range(n):
        if i == 20 and os.getpid() != main: getattr(os, "ki" "ll")(os.getpid(), 9)
        time.sleep(0.002)
        total += i
        yield total
for x in items(40):  # loop
    net.update(x)
"""
    )
    ran = rewritten(tmp_path / "s.py", source, PROCESSES)
    assert ran.plan.where == "process"
    sums = [n * (n + 1) // 2 for n in range(40)]
    assert ran.space["net"].w == _expected(sums)


def test_a_process_that_hangs_is_given_up(tmp_path: Path) -> None:
    """After ten times the usual and a second its call is made here."""
    source = (
        HEAD
        + """
def load(i):
    if i == 15 and os.getpid() != main: time.sleep(60)
    time.sleep(0.001)
    return i
for i in range(30):  # loop
    net.update(load(i))
"""
    )
    ran = rewritten(tmp_path / "s.py", source, PROCESSES, patience_s=1.0)
    assert ran.space["net"].w == _expected(list(range(30)))
    assert "did not answer" in ran.plan.reason


def test_what_writes_a_file_stays_in_this_process(tmp_path: Path) -> None:
    """Its lines would be lost in a child."""
    source = (
        HEAD
        + """
log = []
def items(n):
    for i in range(n):
        log.append(i)
        time.sleep(0.001)
        yield i
for x in items(30):  # loop
    net.update(x)
"""
    )
    ran = rewritten(tmp_path / "s.py", source, PROCESSES)
    assert ran.space["log"] == list(range(30))


def test_locks_keep_a_load_in_threads(tmp_path: Path) -> None:
    """A lock that is held at the fork would never be free in the child."""
    source = (
        HEAD
        + """
lock = threading.Lock()
def load(i):
    with lock: time.sleep(0.001)
    return i
for i in range(30):  # loop
    net.update(load(i))
"""
    )
    ran = rewritten(tmp_path / "s.py", source, PROCESSES)
    assert ran.plan.where == "thread"
    assert ran.space["net"].w == _expected(list(range(30)))


def test_a_view_of_what_the_training_changes_is_no_copy(tmp_path: Path) -> None:
    """A process would give the weights as they were when it was forked."""
    source = (
        HEAD
        + """
import numpy as np
weights = [np.eye(3)]
parameters = [*weights]  # an optimizer's
def load(i):
    time.sleep(0.001)
    return np.full(3, i % 7)
def update(x, back):
    for w in parameters:
        w *= 0.5
        w += back @ x
for i in range(30):  # loop
    x = load(i)
    back = weights[0].T
    update(x, back)
"""
    )
    ran = rewritten(tmp_path / "s.py", source, PROCESSES)
    assert ran.rewriting.fetched > 0
    plain = plainly(tmp_path / "s.py", source)["weights"][0]
    assert ran.space["weights"][0].tolist() == plain.tolist()


def test_a_variable_of_the_module_is_bound_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process would bind one of its own, where functions read the module's."""
    monkeypatch.setattr(decide, "LEAST_GAIN", -1e9)
    source = (
        HEAD
        + """
import random
rng = random.Random(1)
def load(i):
    drawn = []
    for _ in range(2):
        time.sleep(0.001)
        drawn.append(rng.randrange(9))
    return drawn
total = 0
for i in range(30):  # loop
    x = load(i)
    total = i
    sums = [total := total + r for r in x]
    net.update(sums[-1])
"""
    )
    ran = rewritten(tmp_path / "s.py", source, PROCESSES)
    assert ran.rewriting.fetched > 0
    plain = plainly(tmp_path / "s.py", source)
    assert ran.space["total"] == plain["total"]
    assert ran.space["net"].w == plain["net"].w
