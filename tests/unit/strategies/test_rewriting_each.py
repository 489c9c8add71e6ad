"""Turns of loops side by side: which are independent, and that nothing else changes."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from debottleneck.agent import discover
from debottleneck.agent.inline import fill
from debottleneck.errors import StrategyError
from debottleneck.strategies import pools
from debottleneck.strategies.rewriting import each
from debottleneck.strategies.rewriting.each import EachPoint, Sharing
from debottleneck.strategies.rewriting.notes import Notes
from debottleneck.strategies.rewriting.plan import Plan
from debottleneck.strategies.spec import FORWARD, UPDATE

HEAD = """
import time
import numpy as np
rng = np.random.default_rng(0)
def step(p, g):
    time.sleep(0.002)
    p -= 0.1 * g
params = [rng.standard_normal((8, 8)) for _ in range(4)]
grads = [rng.standard_normal((8, 8)) for _ in range(4)]
"""


@dataclass(frozen=True)
class _Came:
    taken: list[Plan]
    refused: list[Plan]


def _run(
    path: Path, source: str, monkeypatch: pytest.MonkeyPatch, workers: int = 3
) -> tuple[dict[str, Any], dict[int, EachPoint], _Came]:
    """The script's globals, points by line, and what was taken and refused."""
    path.write_text(source)
    user = discover.UserCode((), {})
    monkeypatch.setattr(discover, "_installed", [user])
    monkeypatch.setattr(each, "ITEM_NS", 0)
    monkeypatch.setattr(each, "JUDGED", 10**9)
    notes = Notes(None)
    asked = Sharing({FORWARD: workers, UPDATE: workers}, notes, [])
    tree = ast.parse(source)
    points = each.prepare(tree, str(path), asked)
    space: dict[str, Any] = {"__name__": "script"}
    exec(fill(compile(tree, str(path), "exec"), points), space)
    pools.close_all()
    found = [point for point in points.values() if isinstance(point, EachPoint)]
    plans = [point.plan for point in found if point.plan is not None]
    came = _Came([plan for plan in plans if not plan.reason], asked.refused)
    return space, {point._turns.line: point for point in found}, came


def _plain(source: str) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "script"}
    exec(source, space)
    return space


def _same(one: list[Any], other: list[Any]) -> bool:
    return all((a == b).all() for a, b in zip(one, other, strict=True))


def test_updates_of_distinct_arrays_run_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several threads, to the same bits; names are bound as by the last turn."""
    source = (
        HEAD
        + """
for _ in range(6):
    for p, g in zip(params, grads):
        step(p, g)
"""
    )
    space, points, asked = _run(tmp_path / "s.py", source, monkeypatch)
    assert [plan.strategy for plan in asked.taken] == [UPDATE]
    assert _same(space["params"], _plain(source)["params"])
    assert space["p"] is space["params"][-1]
    assert points[12].done > 0


def test_a_body_of_several_statements_goes_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The average reads the weight after its update."""
    source = (
        HEAD
        + """
ema = [p.copy() for p in params]
def main():
    for _ in range(6):
        for p, e, g in zip(params, ema, grads):
            step(p, g)
            e *= 0.9
            e += 0.1 * p
main()
"""
    )
    space, _, asked = _run(tmp_path / "s.py", source, monkeypatch)
    plain = _plain(source)
    assert asked.taken
    assert _same(space["ema"], plain["ema"])
    assert _same(space["params"], plain["params"])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("count[0] += 1; step(p, g)", "share count"),
        ("total = total + float(p[0, 0]); step(p, g)", "total"),
        ("step(params[0], g)", "ndarray"),
        ("p += rng.standard_normal((8, 8)); time.sleep(0.001)", "share rng"),
    ],
)
def test_turns_that_share_something_keep_their_order(
    body: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they share is named."""
    source = (
        HEAD
        + f"""
count, total = [0], 0.0
for _ in range(4):
    for p, g in zip(params, grads):
        {body}
"""
    )
    space, _, asked = _run(tmp_path / "s.py", source, monkeypatch)
    assert not asked.taken
    reasons = [plan.reason for plan in asked.refused]
    assert any(why in reason for reason in reasons), reasons
    assert _same(space["params"], _plain(source)["params"])


def test_what_is_shared_only_later_is_seen_in_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A branch that is not yet taken counts."""
    source = (
        HEAD
        + """
state = {"t": 0}
def late(p, g):
    step(p, g)
    if epoch > 4:
        state["t"] += 1
        p *= state["t"]
for epoch in range(8):
    for p, g in zip(params, grads):
        late(p, g)
"""
    )
    space, _, asked = _run(tmp_path / "s.py", source, monkeypatch)
    assert not asked.taken
    assert _same(space["params"], _plain(source)["params"])


def test_branches_of_a_comprehension_run_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their results are in order, inside a function too."""
    source = (
        HEAD
        + """
class Branch:
    def __init__(self, w): self.w = w
    def forward(self, x):
        time.sleep(0.002)
        self.x = x  # each its own
        return x @ self.w
branches = [Branch(w) for w in params]
def model(x):
    return [b.forward(x) for b in branches]
outs = [model(grads[0] * k) for k in range(6)]
"""
    )
    space, _, asked = _run(tmp_path / "s.py", source, monkeypatch)
    assert FORWARD in [plan.strategy for plan in asked.taken]
    for one, other in zip(space["outs"], _plain(source)["outs"], strict=True):
        assert _same(one, other)


def test_functions_of_libraries_are_branches_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their results are taken, so that they need not change what they are given."""
    loop = "x = grads[0]\nfor _ in range(4): outs = [np.kron(x, w) for w in params]"
    space, _, asked = _run(tmp_path / "s.py", HEAD + loop, monkeypatch)
    assert FORWARD in [plan.strategy for plan in asked.taken]
    assert _same(space["outs"], _plain(HEAD + loop)["outs"])


@pytest.mark.parametrize(("workers", "taken"), [(2, 2), (0, 4)])
def test_as_many_threads_as_asked_for(
    workers: int, taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody says how many, each turn that waits has its own."""
    source = HEAD + "for _ in range(4):\n for p, g in zip(params, grads): step(p, g)"
    _, _, asked = _run(tmp_path / "s.py", source, monkeypatch, workers)
    assert [plan.workers for plan in asked.taken] == [taken]


NETWORKS = """
import torch
from torch import nn
class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 8), LAYER)
        self.requires_grad_(TRAINED)
    def forward(self, x):
        return self.layers(x) * 2
torch.manual_seed(0)
branches = [Branch() for _ in range(3)]
x = torch.ones(4, 8, requires_grad=RECORDED)
for _ in range(4):
    outs = [branch(x) for branch in branches]
outs = [out.detach().numpy() for out in outs]
"""


@pytest.mark.torch
@pytest.mark.parametrize(
    ("layer", "trained", "recorded", "taken"),
    [
        ("nn.ReLU()", False, False, True),
        ("nn.ReLU()", True, False, False),
        ("nn.ReLU()", False, True, False),
        ("nn.Dropout()", False, False, False),
        ("nn.Dropout().eval()", False, False, True),
        ("nn.BatchNorm1d(8)", False, False, False),
    ],
)
def test_networks_that_are_not_trained_run_side_by_side(
    layer: str, trained: bool, recorded: bool, taken: bool,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """None that draws, counts, or whose gradients are summed in the order of calls."""
    pytest.importorskip("torch")
    words = {"LAYER": layer, "TRAINED": str(trained), "RECORDED": str(recorded)}
    source = NETWORKS
    for word, text in words.items():
        source = source.replace(word, text)
    space, _, asked = _run(tmp_path / "s.py", source, monkeypatch)
    assert (FORWARD in [plan.strategy for plan in asked.taken]) == taken, [
        plan.reason for plan in asked.refused
    ]
    assert _same(space["outs"], _plain(source)["outs"])


def test_what_a_turn_raises_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first exception in the order of the turns."""
    source = (
        HEAD
        + """
def maybe(p, g):
    step(p, g)
    if len(caught) < 1 and round_ == 4: raise ValueError(p.shape)
caught = []
for round_ in range(6):
    try:
        for p, g in zip(params, grads):
            maybe(p, g)
    except ValueError as error:
        caught.append(error)
"""
    )
    space, _, _ = _run(tmp_path / "s.py", source, monkeypatch)
    assert len(space["caught"]) == 1


def test_loops_that_leave_or_pause_are_left_alone() -> None:
    """They are not handed to a point."""
    source = """
def f(xs):
    for x in xs:
        yield g(x)
def h(xs):
    for x in xs:
        if g(x): break
    for x in xs:
        return g(x)
"""
    tree = ast.parse(source)
    sharing = Sharing({}, Notes(None), [])
    assert each.prepare(tree, "s.py", sharing) == {}


@pytest.mark.parametrize(("later_ns", "stays"), [(600_000, True), (1_100_000, False)])
def test_what_is_done_once_is_no_loss(later_ns: int, stays: bool) -> None:
    """Entries are judged by the shortest: the first ones look at the code, too."""
    tree = ast.parse("for p in parts:\n    step(p)\n")
    asked = Sharing({UPDATE: 2}, Notes(None), [])
    (point,) = each.prepare(tree, "script.py", asked).values()
    assert isinstance(point, EachPoint)
    for plain_ns in (9_000_000, 1_000_000):
        point._book(plain_ns, plain_ns, 4)
    point.plan = Plan(UPDATE, "script.py", 1, workers=2)
    for ns in (80_000_000, *[later_ns] * (each.JUDGED - 1)):
        point._judge(ns)
    assert (point.plan.reason == "") is stays


def test_to_look_at_every_entry_is_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns over arrays that are new each time are looked at each time."""
    now = [0]
    monkeypatch.setattr(each, "perf_counter_ns", lambda: now[0])
    asked = Sharing({UPDATE: 2}, Notes(None), [])
    tree = ast.parse("for p in parts:\n    step(p)\n")
    (point,) = each.prepare(tree, "script.py", asked).values()
    assert isinstance(point, EachPoint)
    for _ in range(each.TIMED):
        point._book(1_000_000, 1_000_000, 2)
    point.plan = Plan(UPDATE, "script.py", 1, workers=2)

    def looked(items: object, frame: object) -> bool:
        now[0] += 5_000_000
        return True

    monkeypatch.setattr(point, "_may", looked)
    done: list[int] = []
    step = done.append
    for _ in range(each.JUDGED):
        assert point.plan.reason == ""
        for p in point.each([1, 2]):
            step(p)
    pools.close_all()
    assert sorted(done) == [1] * each.JUDGED + [2] * each.JUDGED
    assert point.plan.reason == "it took 5.00 ms, 1.00 without"


LATE = {
    "an attribute": ("p.m[:] = p.m * 0.9; p.w -= p.m", "params[1].m = params[3].m"),
    "an element": (
        "p.parts[0] *= 0.9; p.w -= p.parts[0]",
        "params[1].parts[0] = params[3].parts[0]",
    ),
    "a dictionary's value": (
        "p.state['m'] *= 0.9; p.w -= p.state['m']",
        "params[1].state['m'] = params[3].state['m']",
    ),
    "a global": ("p.w -= p.m + shift", "shift = params[2].w"),
    "a class attribute": ("p.w -= p.m + P.shift", "P.shift = params[2].w"),
    "a cell": ("p.w -= p.m + told()", "put(params[2].w)"),
    "a slot": ("p.slots.a *= 0.9; p.w -= p.slots.a", "params[1].slots.a = params[3].w"),
}


@pytest.mark.parametrize("name", LATE)
def test_what_turns_come_to_share_later_is_seen(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that two turns share from some entry on: the loop is plain again."""
    change, bind = LATE[name]
    source = f"""
import time
import numpy as np
class Slots:
    __slots__ = ("a",)
    def __init__(self): self.a = np.ones(4)
class P:
    shift = np.zeros(4)
    def __init__(self, k):
        self.w, self.m = np.full(4, float(k)), np.full(4, k + 1.0)
        self.parts, self.state, self.slots = [self.m + 1], {{"m": self.m + 2}}, Slots()
def cell():
    held = np.zeros(4)
    def put(x):
        nonlocal held
        held = x
    return put, lambda: held
put, told = cell()
shift = np.zeros(4)
params = [P(k) for k in range(5)]
def update(p):
    {change}
    time.sleep(0.001)
for step in range(12):
    if step == 6: {bind}
    for p in params:
        update(p)
"""
    line = 1 + source.splitlines().index("    for p in params:")
    space, points, _ = _run(tmp_path / "s.py", source, monkeypatch)
    plan = points[line].plan
    assert plan is not None
    assert "share" in plan.reason
    plain: dict[str, Any] = {"__name__": "script"}
    exec(compile(source, "plain", "exec"), plain)
    for one, other in zip(space["params"], plain["params"], strict=True):
        assert one.w.tolist() == other.w.tolist()


def test_turns_given_new_arrays_each_time_are_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients made anew, and a dictionary of them, are what there was before."""
    source = """
import time
import numpy as np
weights = {name: np.ones(4) for name in "abcd"}
def step(name, grads, lr):
    time.sleep(0.001)
    weights[name] -= lr * grads[name]
for k in range(9):
    grads, lr = {name: np.full(4, k) for name in weights}, 1 / (k + 1)
    for name in ["a", "b", "c", "d"]:
        weights[name] -= lr * grads[name]
        time.sleep(0.001)
"""
    looked: list[int] = []
    effects = EachPoint._effects
    monkeypatch.setattr(
        EachPoint, "_effects", lambda *given: (looked.append(1), effects(*given))[1]
    )
    _, _, came = _run(tmp_path / "s.py", source, monkeypatch)
    assert len(looked) % 4 == 0
    assert len(looked) <= 8, came


@pytest.mark.parametrize("error", [KeyError("ours"), StrategyError("it is too much")])
def test_turns_that_cannot_be_followed_run_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whatever fails while they are looked at, the script gets its values."""

    def fails(*given: object) -> None:
        raise error

    source = HEAD + "for k in range(9):\n for p, g in zip(params, grads): step(p, g)\n"
    monkeypatch.setattr(EachPoint, "_effects", fails)
    space, points, _ = _run(tmp_path / "s.py", source, monkeypatch)
    plans = [point.plan for point in points.values() if point.plan is not None]
    assert [str(error).strip("'") in plan.reason for plan in plans] == [True]
    assert _same(space["params"], _plain(source)["params"])
