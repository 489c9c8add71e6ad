"""Laws of rewritten loops: whatever the body, the trace and the state are plain's."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from depth import cases
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from made_rewritten import THREADS, eager, plainly, rewritten

HEAD = """
import random
trace, log = [], []
rng = random.Random(7)
table = [3 * i % 17 for i in range(64)]
state = {"n": 0, "w": 1}
level = 0
class Reader:
    def __init__(self):
        self.k = 0
    def next(self):
        self.k += 1
        return table[self.k % 64] + self.k
    def peek(self, i):
        return table[(self.k + i) % 64]
    def read(self, i):
        return [table[i % 64], i]
class Net:
    def __init__(self):
        self.w = 1
    def forward(self, x):
        return x * self.w % 1009
    def update(self, y):
        self.w = (self.w + y) % 1009
reader, net = Reader(), Net()
def load(i):
    return table[i % 64] * 2
def crop(x):
    return x + rng.randrange(5)
def leveled(x):
    return x + level
def count(x):
    state["n"] += 1
    return x + state["n"]
def total(xs):
    return sum(xs)
def loads(n):
    for k in range(n):
        yield load(k)
def drawn(n):
    for k in range(n):
        j = rng.randrange(9) + k
        yield load(j) % 60
def summed(n):
    s = 0
    for k in range(n):
        s = (s + load(k)) % 61
        yield s
def told(n):
    for k in range(n):
        state["n"] += 1
        yield (k + state["n"]) % 60
class Loader:
    def __init__(self, n):
        self.n = n
    def __iter__(self):
        for k in range(self.n):
            yield sum([load(k + j) for j in range(3)]) % 60
"""

LINES = (
    "a = load(i)",
    "b = crop(i)",
    "a = crop(load(i + b))",
    "b = reader.next()",
    "a = reader.peek(i)",
    "c = total(reader.read(i + a))",
    "b = rng.randrange(9)",
    "a += b",
    "c = a * 2 + b",
    "a, b = b, a",
    "if a % 3 == 0: b = load(a)",
    "if i == 9: level = 5",
    "level = i // 7",
    "b = leveled(load(i))",
    "c = count(a)",
    "log.append(a)",
    "table[i % 64] = a",
    "y = net.forward(a + b)",
    "net.update(y)",
    "y = y + net.forward(c)",
    "trace.append((i, a, b, c, y))",
    "state['w'] = state['w'] * 3 % 101 + y",
    "b = state['w']",
    "if y % 7 == 1: continue",
    "if y % 31 == 5 and i > 12: break",
    "c = sum([load(k) for k in range(a % 4)]) + c",
    "try: c = table[a % 80]\n{indent}except IndexError: c = 1",
    "for k in range(2): c = c + load(k)",
    "a = b = load(c)",
    "a, c = load(a), crop(b)",
    "xs = reader.read(a)",
    "xs = [a, b]; xs.append(c)",
    "xs[0] += 1",
    "c = xs[0]",
    "ys = xs",
    "ys.append(load(i))",
    "b = len(ys) + len(xs)",
    "reader.k += a % 2",
    "with open(__file__) as f: b = len(f.readline())",
    "for q in xs: b = (b + q) % 997",
    "b = max(load(k) for k in range(1 + a % 3))",
    "b = (lambda z: z + c)(load(a))",
    "b = crop(a) if a % 2 else load(a)",
    "while c > 50: c = c // 2 - load(c) % 3",
    "table.sort()",
    "b = sorted(table)[a % 64]",
    "import math; b = math.floor(b)",
)

TAILS = ("net.update(net.forward(a + b + c))", "net.update(a)", "trace.append((a, c))")


@st.composite
def bodies(draw: Any) -> tuple[list[str], str, bool]:
    """Lines of a body, its last one, and whether it is in a function."""
    lines = draw(st.lists(st.sampled_from(LINES), min_size=1, max_size=7))
    return lines, draw(st.sampled_from(TAILS)), draw(st.booleans())


def script(lines: list[str], tail: str, within: bool, head: str) -> str:
    """A script with that loop."""
    indent = "        " if within else "    "
    body = "".join(f"{indent}{ln}\n" for ln in [*lines, tail]).replace(
        "{indent}", indent
    )
    start = "xs, ys = [1], [2]\na = b = c = 1\ny = 0\n"
    if not within:
        return f"{HEAD}{start}{head}  # loop\n{body}"
    start = "".join(f"    {ln}\n" for ln in start.splitlines())
    end = "    return a, b, c, y, i\n"
    loop = f"    {head}  # loop\n{body}"
    return f"{HEAD}def main():\n    global level\n{start}{loop}{end}out = main()\n"


def seen(space: dict[str, Any]) -> dict[str, Any]:
    """What a script computed, in values that compare."""
    names = ("trace", "log", "state", "level", "table", "a", "b", "c", "y", "i", "out")
    found = {name: space.get(name) for name in names}
    objects = {"k": space["reader"].k, "w": space["net"].w}
    return found | objects | {"rng": space["rng"].getstate()}


HEADS = (
    "for i in range(24):",
    "for i in iter(table[:20]):",
    "for i, _ in enumerate(table[:21]):",
    "for i in loads(22):",
    "for i in drawn(22):",
    "for i in summed(22):",
    "for i in told(22):",
    "for i in Loader(22):",
    "for i, _ in zip(drawn(20), summed(21)):",
    "for i, _ in zip(loads(21), loads(20)):",
    "for j, (i, _) in enumerate(zip(loads(20), table), 3):",
    "for j, i in enumerate(drawn(20)):",
)


CARRIED = [
    "for q in xs: b = (b + q) % 997",
    "ys.append(load(i))",
    "b = state['w']",
    "xs = [a, b]; xs.append(c)",
    "level = i // 7",
]
"""The list that a line reads is the one of the iteration before."""

DECLARED = ["b = load(i)", "if i == 9: level = 5", "b = leveled(load(i))"]
"""The function that holds the loop declares a name global."""


SWAPPED = [
    "b = reader.next()",
    "xs = reader.read(a)",
    "net.update(y)",
    "a, b = b, a",
    "if a % 3 == 0: b = load(a)",
    "net.update(net.forward(a + b + c))",
]
"""A name that one line binds always, another one sometimes."""


@given(bodies(), st.sampled_from(HEADS))
@example((["b = leveled(load(i))", *CARRIED], TAILS[1], False), HEADS[5])
@example((DECLARED, TAILS[2], True), HEADS[8])
@example((SWAPPED, TAILS[0], True), HEADS[0])
@settings(
    max_examples=cases(150), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
def test_rewritten_loops_compute_what_plain_ones_do(
    body: tuple[list[str], str, bool], head: str
) -> None:
    """Trace, variables, objects and random generators are those of a plain run."""
    source = script(*body, head)
    with tempfile.TemporaryDirectory() as folder, eager():
        path = Path(folder) / "script.py"
        path.write_text(source)
        expected = seen(plainly(path, source))
        ran = rewritten(path, source, THREADS)
        assert seen(ran.space) == expected, ran.said


@pytest.mark.parametrize("head", HEADS)
def test_the_usual_loop_is_rewritten(head: str, tmp_path: Path) -> None:
    """The laws are not kept by doing nothing."""
    source = script(
        ["a = load(i)", "c = total(reader.read(i + a))"], TAILS[0], True, head
    )
    with eager():
        ran = rewritten(tmp_path / "script.py", source)
    assert ran.plan.reason == ""
    assert ran.rewriting.fetched > 0
