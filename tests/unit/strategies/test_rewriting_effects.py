"""What code changes of what was there before, however it comes to it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from made_rewritten import plainly, rewritten

from debottleneck.agent import discover
from debottleneck.strategies.rewriting.callees import Callees
from debottleneck.strategies.rewriting.locations import owner_of

HEAD = """
import copy, functools, heapq, operator, time
from contextlib import contextmanager, suppress
import numpy as np
data = np.arange(320.0).reshape(40, 8)
rows, table = [*data], {"none": None, "1.0": data[3:9], "all": data}
i, x = 0, np.ones(8)
first = operator.itemgetter("all")
class View:
    def __init__(self, k): self.x, self.rows = data[k], []
    def damp(self): self.x *= 0.9
    @functools.cached_property
    def whole(self): return data[self.rows and 1 or 0]
class Run:
    def __init__(self): self.sum = data[7]
    def __iadd__(self, x):
        self.sum += x
        return self
    def __matmul__(self, x):
        self.sum += x
        return 1.0
    def __contains__(self, x): return self.sum.fill(0) is None
    def __len__(self):
        self.sum[0] = 1
        return 3
run, other = Run(), Run()
other.sum = np.ones(8)
@contextmanager
def lent(k): yield data[k]
def touch(a, b, c=None):
    b *= 0.9
    return 0
def named(p=0, *, row=None): row[0] += 0.1
def maybe(k): return (None, 0) if k % 3 else (data[k], 1)
def total(k):
    acc = None
    for r in data[k : k + 3]:
        if acc is None: acc = r
        else: acc += r
    return float(acc.sum())
"""

CHANGES = {
    "an attribute of what is made": "v = View(i); v.x[0] += 1",
    "a method of what is made": "View(i).damp()",
    "a list in what is made": "v = View(i); v.rows.append(rows[i]); v.rows[0] += 1",
    "a list within a list": "a = []; b = [a]; a.append(data[i]); b[0][0] *= 2",
    "a function defined here": "def row(k): return data[k]\n    r = row(i); r += 1",
    "what it is given": "def damp(a): a *= 0.9; return 0\n    s = damp(data[i])",
    "a lambda": "pick = lambda k: data[k]\n    pick(i)[:] = 0",
    "a name around it": "cur = None\n    def seek(k):\n        nonlocal cur\n"
    "        cur = data[k]\n    seek(i); cur *= 2",
    "what was none before": "t = total(i)",
    "none or an array": "r = None if i % 3 else data[i]\n    if i % 3 == 0: r += 1",
    "one of several kinds": "e = table[str(x[0])]\n    if e is not None: e *= 2",
    "one of two tuples": "r, ok = maybe(i)\n    if ok: r += 1",
    "what is sorted": "for r in sorted(rows, key=len): r += 1",
    "a copy of a list": "r = copy.copy(rows); r[i][...] = 1",
    "lists end to end": "r = sum([rows[:2], rows[3:]], []); r[i] += 1",
    "a view by NumPy": "v = np.flip(data[i]); v[0] = 3",
    "a copy where it need be": "v = data[i].astype(float, copy=False); v *= 2",
    "from a heap": "h = [(0, data[i])]; k, r = heapq.heappop(h); r += 1",
    "an item by a getter": "first(table)[i] *= 2",
    "given by a star": "p = (x, data[i]); z = touch(*p)",
    "given by two stars": "o = {'row': data[i]}; named(**{'p': 1}, **o)",
    "after many turns": "a = b = c = d = x\n    for k in range(5):\n"
    "        d = c; c = b; b = a; a = data[k]\n    d += 1",
    "lent": "with lent(i) as r: r *= 2",
    "kept by a property": "View(i).whole[:] = 0",
    "an operator": "y = run @ x",
    "a sum in place": "t = run; t += x",
    "a look whether it is in it": "y = 3 in run",
    "its length": "y = len(run)",
    "its truth": "if run: pass",
    "one of two alike": "t = other if i % 3 else run; t.sum *= 2",
}


def _changes_data(path: Path, body: str) -> bool:
    """Whether a call of a function with that body is seen to change the data."""
    source = f"{HEAD}def step(i, x):\n    {body}\n"
    path.write_text(source)
    space = plainly(path, source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(discover, "_installed", [discover.UserCode((), {})])
        callees = Callees(space, {})
        callees.statement(ast.parse("step(i, x)").body[0])
    found = owner_of(space["data"]) in {owner for owner, _ in callees.effects.writes}
    before = space["data"].copy()
    space["step"](0, space["x"])
    assert (space["data"] != before).any() == (body in CHANGES.values())
    return found


@pytest.mark.parametrize("body", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_of_what_was_there_is_seen(tmp_path: Path, body: str) -> None:
    """By whatever way the code comes to it."""
    assert _changes_data(tmp_path / "s.py", body)


KEEPS = {
    "new arrays": "h = np.einsum('ij,j->i', data, x); h += 1",
    "a copy": "r = data[i].copy(); r *= 2; s = copy.copy(data); s += 1",
    "a list of them": "r = sorted(rows, key=len); r.reverse(); r.append(x)",
    "an attribute of what holds them": "v = View(i); v.x = x; v.name = 'a'",
    "a sum": "s = sum(rows); s += 1; t = 0.0; t += s[0]",
    "a comprehension": "r = [row * 2 for row in rows]; r[0] += 1",
    "a function defined here": "def twice(a): return a * 2\n    twice(data)[0] += 1",
}


@pytest.mark.parametrize("body", KEEPS.values(), ids=KEEPS.keys())
def test_what_is_only_used_is_not_changed(tmp_path: Path, body: str) -> None:
    """Nothing is refused for it."""
    assert not _changes_data(tmp_path / "s.py", body)


LOOP = """
import contextlib, time
import numpy as np
data = [np.full(4, float(k)) for k in range(700)]
shared = np.ones(4)
w = np.zeros(4)
def load(k):
    time.sleep(0.001)
    if k % 7 == 5: raise KeyError(k)
    return data[k % 700] * shared
def prep(x): return x * 2
def update(x):
    global w
    time.sleep(0.001)
    w = w * 0.9 + x
def fetch(k):
    time.sleep(0.001)
    if k < 0: return shared  # so that it runs as a whole
    return data[k % 700] * shared
x = np.ones(4)
for i in range(400, 460):  # loop
    {}
"""

MEETS = {
    "a name of a comprehension": """x = fetch(i)
    y = [abs(shared) for shared in x]
    update(x)
    if i in (424, 437): np.add(shared, y[0], out=shared)""",
    "a branch within a line": """x = fetch(i)
    update(x)
    for j in range(3):
        if j == 1 and i == 424: r = shared
        else: r = np.zeros(4)
        r += 1""",
    "an element of a long list": """x = fetch(i)
    update(x)
    r = data[(i + 2) % 700]
    if i in (424, 437): r *= 3""",
}


@pytest.mark.parametrize("body", MEETS.values(), ids=MEETS.keys())
def test_what_meets_seldom_keeps_its_order(tmp_path: Path, body: str) -> None:
    """The code shows it, although the first iterations do not."""
    source = LOOP.format(body)
    ran = rewritten(tmp_path / "s.py", source)
    assert not ran.plan.heavy
    plain = plainly(tmp_path / "plain.py", source)
    assert ran.space["w"].tolist() == plain["w"].tolist()


def test_what_a_block_may_swallow_leaves_the_name(tmp_path: Path) -> None:
    """The name holds what it held before; what uses it still runs ahead."""
    body = """with contextlib.suppress(KeyError): x = load(i)
    y = prep(x)
    update(y)"""
    source = LOOP.format(body)
    ran = rewritten(tmp_path / "s.py", source)
    plain = plainly(tmp_path / "plain.py", source)
    assert ran.space["w"].tolist() == plain["w"].tolist()
    assert ran.space["x"].tolist() == plain["x"].tolist()
