"""Loops whose sides meet where it is hard to see: the numbers stay plain."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_rewritten import PROCESSES, THREADS, plainly, rewritten

HEAD = """
import functools, itertools, operator, os, random, threading, time, types, warnings
level, seen = 0, 0
def work(i):
    time.sleep(0.001)
    return i * 3
def load(i): return work(i) + level
class Net:
    w, k = 1, 0
    def forward(self, x):
        time.sleep(0.001)
        return x * self.w
    def update(self, y):
        self.k += 1
        self.w = (self.w * 31 + y) % 10007
class Data:
    level = 0
    def __init__(self): self.seen = 0
    def load(self, i): return work(i) + self.level
net, data = Net(), Data()
"""

LOOP = """
for i in {over}:  # loop
    x = {load}
    y = net.forward(x)
    net.update(y)
    {then}
"""

CASES = {
    "module": (
        "box = types.ModuleType('box'); box.level = 0",
        "work(i) + box.level", "box.level = net.w % 5", "range(24)",
    ),
    "attributes by __dict__": (
        "told = types.SimpleNamespace(level=0)\n"
        "def later(i):\n    if i == 15: told.__dict__.update(level=5)",
        "work(i) + told.level", "later(i)", "range(24)",
    ),
    "working directory": (
        "import pathlib\n"
        "for k in '01':\n"
        "    os.mkdir(k)\n"
        "    pathlib.Path(k, 'level').write_text(k)\n"
        "os.chdir('0')\n"
        "def read(i): return work(i) + int(pathlib.Path('level').read_text())",
        "read(i)", "(os.chdir('../1') if i == 15 else None)", "range(24)",
    ),
    "columns by a star": (
        "levels = [[0], [0]]\n"
        "def later(i, y):\n"
        "    columns = levels, [y, y]\n"
        "    for held, new in zip(*columns, strict=True):\n"
        "        if i == 15: held[0] = new",
        "work(i) + levels[0][0]", "later(i, y)", "range(24)",
    ),
    "rows by a star": (
        "levels = [[0], [0]]\n"
        "def later(i, rows):\n"
        "    for held, new in zip(*rows, strict=True):\n"
        "        if i == 15: held[0] = new",
        "work(i) + levels[0][0]", "later(i, [levels, [y, y]])", "range(24)",
    ),
    "lists that map goes over": (
        "levels = [[0], [0]]\n"
        "def put(i, held, new):\n    if i == 15: held[0] = new",
        "work(i) + levels[0][0]", "[*map(put, [i, i], levels, [y, y])]", "range(24)",
    ),
    "class attribute": ("", "data.load(i)", "Data.level = net.w % 5", "range(24)"),
    "function attribute": (
        "def told(i): told.n += 1; return work(i)\ntold.n = 0",
        "told(i)", "net.w += told.n", "range(24)",
    ),
    "closure": (
        "def pair():\n"
        "    n = 0\n"
        "    def count():\n"
        "        nonlocal n\n"
        "        n += 1\n"
        "        return work(n)\n"
        "    return count, lambda: n\n"
        "count, told = pair()",
        "count()", "net.w += told()", "range(24)",
    ),
    "generator expression": (
        "def told(i):\n    global seen\n    seen += 1\n    return work(i)",
        "i", "net.w += seen", "(told(k) for k in range(24))",
    ),
    "slice of a generator": (
        "def told():\n"
        "    global seen\n"
        "    for seen in itertools.count(): yield work(seen)",
        "i", "net.w += seen", "itertools.islice(told(), 24)",
    ),
    "wrapper": (
        "def counted(f):\n"
        "    @functools.wraps(f)\n"
        "    def inner(*given):\n"
        "        data.seen += 1\n"
        "        return f(*given)\n"
        "    return inner\n"
        "told = counted(work)",
        "told(i)", "net.w += data.seen", "range(24)",
    ),
    "cache": (
        "calls = []\n"
        "@functools.lru_cache\n"
        "def told(i): calls.append(i); return work(i)",
        "told(i % 16)", "net.w += len(calls)", "range(24)",
    ),
    "second of two callbacks": (
        "class Quiet:\n    def after(self): pass\n"
        "class Harder:\n    def after(self): data.level = net.w % 5",
        "data.load(i)", "for c in calls: c.after()", "range(24)",
    ),
    "table of functions": (
        "def easy(): pass\n"
        "def hard():\n    global level\n    level = net.w % 5\n"
        "table = {0: easy, 1: hard}",
        "load(i)", "table[int(i > 16)]()", "range(24)",
    ),
    "another function from a step on": (
        "def harder(y):\n    global level\n    level = net.w % 5\n"
        "after = print if False else (lambda y: None)",
        "load(i)", "after = harder if i > 16 else after; after(y)", "range(24)",
    ),
    "globals()": (
        "", "load(i)", "globals()['level'] = net.w % 5", "range(24)",
    ),
    "exec": ("", "load(i)", "exec('level = net.w % 5')", "range(24)"),
    "an operator of the user's": (
        "class Count:\n"
        "    n = 0\n"
        "    def __add__(self, k): self.n += k; return work(k)\n"
        "count = Count()",
        "count + i", "net.w += count.n", "range(24)",
    ),
    "descriptor": (
        "held = {}\n"
        "class Field:\n"
        "    def __get__(self, owner, kind): return held.get('v', 0)\n"
        "    def __set__(self, owner, value): held['v'] = value\n"
        "class Other:\n    level = Field()\n"
        "other = Other()",
        "work(i) + held.get('v', 0)", "other.level = net.w % 5", "range(24)",
    ),
    "ring of buffers": (
        "ring = [[0], [0], [0]]\n"
        "def fill(b, i): b[0] = work(i); return b\n"
        "net.forward = lambda b: b[0] * net.w",
        "fill(ring[i % 3], i)", "pass", "range(24)",
    ),
    "what belongs to a thread": (
        "held = threading.local(); held.level = 3",
        "work(i) + held.level", "pass", "range(24)",
    ),
}  # fmt: skip

LATE = {
    "an attribute": ("net.buf = [0]", "net.buf = data.scale", "net.buf[0] += 1"),
    "an object's attribute": (
        "box = types.SimpleNamespace(of=types.SimpleNamespace(scale=[0]))",
        "box.of = data", "box.of.scale[0] += 1",
    ),
    "an element": ("bufs = [[0], [0]]", "bufs[0] = data.scale", "bufs[0][0] += 1"),
    "any element": (
        "bufs = [[0], [0]]", "bufs[i % 2] = data.scale", "bufs[0][0] += 1",
    ),
    "one more element": (
        "bufs = [[0]]", "bufs.append(data.scale)", "for b in bufs: b[0] += 1",
    ),
    "all elements": ("bufs = [[0]]", "bufs[:] = [data.scale]", "bufs[0][0] += 1"),
    "a sum of lists": ("bufs = [[0]]", "bufs += [data.scale]", "bufs[-1][0] += 1"),
    "a dictionary's value": (
        "bufs = {'a': [0]}", "bufs['a'] = data.scale",
        "for b in bufs.values(): b[0] += 1",
    ),
    "a dictionary updated": (
        "bufs = {'a': [0]}", "bufs.update(a=data.scale)", "bufs['a'][0] += 1",
    ),
    "what vars gives": (
        "net.buf = [0]", "vars(net)['buf'] = data.scale", "net.buf[0] += 1",
    ),
    "a global": ("buf = [0]", "global buf; buf = data.scale", "buf[0] += 1"),
    "a class attribute": ("Net.buf = [0]", "Net.buf = data.scale", "Net.buf[0] += 1"),
    "an attribute of a part": (
        "net.parts = [types.SimpleNamespace(w=[0]), types.SimpleNamespace(w=[0])]",
        "for part in net.parts: part.w = data.scale", "net.parts[1].w[0] += 1",
    ),
    "one of another": (
        "net.a, net.b, net.c = [0], [0], [0]",
        "net.c = data.scale",
        "net.a[0] += 1; net.a = net.b; net.b = net.c",
    ),
}  # fmt: skip
CASES |= {
    f"{name} bound late": (
        f"data.scale = [0]\n{setup}\n"
        "def later(i):\n"
        f"    {'global buf' if bind.startswith('global') else 'global bufs'}\n"
        f"    if i == 10:\n        {bind.removeprefix('global buf; ')}\n"
        f"    {change}",
        "work(i) + data.scale[0]", "later(i)", "range(24)",
    )
    for name, (setup, bind, change) in LATE.items()
}  # fmt: skip
CASES["the cell of a closure bound late"] = (
    "data.scale = [0]\n"
    "def make():\n"
    "    buf = [0]\n"
    "    def later(i):\n"
    "        nonlocal buf\n"
    "        if i == 10: buf = data.scale\n"
    "        buf[0] += 1\n"
    "    return later\n"
    "later = make()",
    "work(i) + data.scale[0]",
    "later(i)",
    "range(24)",
)
PICKED = "def pick(i): return data.scale if i > 9 else net.buf\n"
CASES["another object returned late"] = (
    f"data.scale, net.buf = [0], [0]\n{PICKED}def add(b): b[0] += 1",
    "work(i) + data.scale[0]",
    "add(pick(i))",
    "range(24)",
)
CASES["a name of the loop's bound late"] = (
    "data.scale, buf = [0], [0]\ndef add(b): b[0] += 1",
    "work(i) + data.scale[0]",
    "add(buf)\n    if i == 10: buf = data.scale",
    "range(24)",
)


@pytest.mark.parametrize("wanted", [THREADS, PROCESSES], ids=["threads", "processes"])
@pytest.mark.parametrize("name", CASES)
def test_what_both_sides_meet_in_is_seen(
    name: str, wanted: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever way leads there, the weights are those of the plain script."""
    setup, load, then, over = CASES[name]
    monkeypatch.chdir(tmp_path)
    calls = "calls = [Quiet(), Harder()]\n" if "Quiet" in setup else ""
    source = HEAD + setup + "\n" + calls + LOOP.format(load=load, then=then, over=over)
    ran = rewritten(tmp_path / "s.py", source, wanted)
    plain = plainly(tmp_path / "p.py", source)
    assert (ran.space["net"].w, ran.space["net"].k) == (plain["net"].w, 24)
