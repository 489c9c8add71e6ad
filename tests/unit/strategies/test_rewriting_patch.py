"""The lines to keep: they apply, run, give the same numbers, and can be undone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import made_rewritten
import pytest
from made_rewritten import PROCESSES, THREADS

from debottleneck.strategies.rewriting import patch
from debottleneck.strategies.rewriting.patch import NoLines
from debottleneck.strategies.rewriting.plan import Plan
from debottleneck.strategies.spec import FORWARD, UPDATE

HEAD = """
import time
import numpy as np
seen, weights = [], np.zeros(8)
def forward(batch, more):
    global weights
    weights = weights * 0.9 + batch + more
    return float(weights.sum())
def fit(batch, more=0.0):
    loss = forward(batch, more)
    seen.append(loss)
    return loss
def load_batch(indices):
    time.sleep(0.003)
    return np.asarray(indices) * 1.0
"""

TAIL = "\nprint(seen)\n"

LOOPS = {
    "slices": """
order = np.random.default_rng(0).permutation(160)
for s in range(0, 160, 8):  # loop
    loss = fit(load_batch(order[s:s + 8]))
    # what it comes to
    seen.append(loss)
""",
    "statements": """
rng = np.random.default_rng(0)
def main(n):
    for step in range(n):  # loop
        # which ones
        idx = rng.integers(0, 99, 8)
        batch = load_batch(
            idx,
        )

        # and train
        loss = fit(batch, step)
main(20)
""",
    "pointer": """
def main(order):
    at, loss = 8, 0.0
    for _ in range(18):  # loop
        batch = load_batch(order[at:at + 8])
        at += 8
        loss += fit(batch)
    return at, loss
seen.append(main(np.arange(160)))
""",
    "while": """
def main(order):
    step = 0
    while step < 20:  # loop
        x = load_batch(order[step:step + 8])
        fit(x)
        step += 1
main(np.arange(160))
""",
    "a test that binds": """
def main(order):
    it = iter([order[k:k + 8] for k in range(0, 160, 8)])
    while (rows := next(it, None)) is not None:  # loop
        x = load_batch(rows)
        fit(x)
main(np.arange(160))
""",
    "rows": """
files = [(k, k * 8) for k in range(20)]
def main():
    for i, (k, start) in enumerate(files):  # loop
        x = load_batch(range(start, start + 8)); y = x / 2
        fit(x + y, i)
    print(i, x.sum())
main()
main()
""",
    "one line": """
for k in range(20): x = load_batch([k] * 8); fit(x)  # loop
""",
    "generator": """
def batches(n):
    for k in range(n):
        yield load_batch([k] * 8)
        time.sleep(0.001)
for x in batches(20):  # loop
    fit(x)
""",
    "method": """
class Trainer:
    def __init__(self): self.rng = np.random.default_rng(1)
    def load(self, k):
        time.sleep(0.003)
        return np.full(8, k * 1.0)
    def train(self):
        for k in range(20):  # loop
            noise = self.rng.random()
            x = self.load(k) + 1.0
            fit(x, noise)
Trainer().train()
""",
    "lines": '''
for k in range(20):  # loop
    text = f"""
  {k}"""
    x = load_batch([int(text)] * 8)
    fit(
        x,
        len(text),
    )
''',
    "next": """
source = iter([load_batch([k] * 8) for k in range(3)])
class Source:
    def __init__(self): self.k = 0
    def __next__(self):
        self.k += 1
        time.sleep(0.003)
        if self.k > 20: raise StopIteration
        return np.full(8, self.k * 1.0)
it = Source()
while True:  # loop
    try:
        x = next(it)
    except StopIteration:
        break
    fit(x)
""",
    "skips": """
rng = np.random.default_rng(0)
for k in range(30):  # loop
    p = rng.random()
    if p > 0.9:
        continue
    x = load_batch([p] * 8)
    fit(x)
""",
}


def _git(folder: Path, *words: str) -> None:
    done = subprocess.run(
        ["git", "apply", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _python(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, path.name],
        cwd=path.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def _patched(path: Path, plans: list[dict[str, Any]]) -> str:
    """The file after its patch; which was tried, and can be undone."""
    before, plain = path.read_bytes(), _python(path)
    kept = path.parent / "keep.patch"
    kept.write_bytes(patch.diff(plans, path.parent))
    _git(path.parent, "keep.patch")
    after = path.read_bytes().decode()
    assert "from debottleneck import " in after
    assert _python(path) == plain, after
    _git(path.parent, "-R", "keep.patch")
    assert path.read_bytes() == before
    return after


def _plan(path: Path, source: str, settings: Any = THREADS) -> dict[str, Any]:
    with made_rewritten.eager():
        return made_rewritten.rewritten(path, source, settings).plan.as_json()


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_whose_items_are_made_ahead(name: str, tmp_path: Path) -> None:
    """It prints the same numbers, and without the patch it is the same file."""
    path = tmp_path / "train.py"
    plan = _plan(path, HEAD + LOOPS[name] + TAIL)
    assert not plan["reason"]
    _patched(path, [plan["closed"] or plan])


def test_the_lines_are_those_that_a_person_would_write(tmp_path: Path) -> None:
    """The user's own, with their comments; only what takes time is moved."""
    path = tmp_path / "train.py"
    plan = _plan(path, HEAD + LOOPS["statements"] + TAIL)
    written = """
    def to_load():
        for step in range(n):
            # which ones
            idx = rng.integers(0, 99, 8)
            yield step, idx
    def load(item):
        step, idx = item
        batch = load_batch(
            idx,
        )
        return step, batch
    for step, batch in prefetch(to_load(), load, workers=3, depth=3):  # loop

        # and train
        loss = fit(batch, step)
"""
    assert written in _patched(path, [plan])


def test_processes(tmp_path: Path) -> None:
    """What draws stays in this one, so that the next epoch draws anew."""
    path = tmp_path / "train.py"
    source = LOOPS["statements"].replace("main(20)", "main(20); main(20)")
    plan = _plan(path, HEAD + source + TAIL, PROCESSES)
    assert plan["where"] == "process"
    assert 'workers=2, depth=2, where="process")' in _patched(path, [plan])


def test_draws_in_a_process(tmp_path: Path) -> None:
    """The library finds no generator of the module's: there are no lines."""
    loop = """
rng = np.random.default_rng(0)
def get_batch():
    return load_batch(rng.integers(0, 9, 8)) + rng.random()
for k in range(20):  # loop
    fit(get_batch())
"""
    plan = _plan(tmp_path / "train.py", HEAD + loop + TAIL, PROCESSES)
    plan = plan["closed"] or plan
    assert (plan["where"], plan["reason"]) == ("process", "")
    with pytest.raises(NoLines, match="drawn in the process"):
        patch.diff([plan], tmp_path)


ODD = '''#!/usr/bin/env python
# -*- coding: latin-1 -*-
"""Trains \xe9."""
from __future__ import annotations
import time; import numpy as np

def prefetch(x): return x
@prefetch
def load(k):
\ttime.sleep(0.003)
\treturn np.full(8, k * 1.0)
def forward(x): return float(x.sum())
def main():
\t"""D\xe9j\xe0."""
\tfor k in range(20):  # loop
\t\ts = """\xe9
 """; x = load(k) + len(s)  # \xe9t\xe9
\t\t# \xe9
\t\tprint(forward(x +
\t\t\t1))
main()'''


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_of_any_kind(tmp_path: Path, newline: str) -> None:
    """Tabs, line ends, encoding, what must come first, names that are taken."""
    path = tmp_path / "a folder" / "tr\xe4in.py"
    path.parent.mkdir()
    made_of = tmp_path / "made.py"
    plan = {**_plan(made_of, ODD), "file": str(path)}
    path.write_bytes(ODD.replace("\n", newline).encode("latin-1"))
    kept = tmp_path / "keep.patch"
    before, plain = path.read_bytes(), _python(path)
    kept.write_bytes(patch.diff([plan], tmp_path))
    _git(tmp_path, "keep.patch")
    after = path.read_bytes()
    assert _python(path) == plain
    rows = after.decode("latin-1").split("\n")
    assert all(row.endswith("\r") for row in rows[:-1]) == (newline == "\r\n")
    imported = "from debottleneck import prefetch as debottleneck_prefetch"
    assert rows[5].strip() == imported
    assert "\tdef load_ahead(k):" in [row.rstrip() for row in rows]
    _git(tmp_path, "-R", "keep.patch")
    assert path.read_bytes() == before
    command = ["patch", "--binary", "-p1", "-i", str(kept)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert path.read_bytes() == after


REFUSED = {
    "twice": """
rng = np.random.default_rng(0)
x = np.zeros(8)
for k in range(20):  # loop
    fit(x)
    x = load_batch([rng.random()] * 8)
    fit(x)
    x = load_batch([rng.random()] * 8)
""",
    "other values": """
rng = np.random.default_rng(0)
for k in range(20):  # loop
    n = rng.random()
    fit(load_batch([n] * 8), n)
    n = rng.random()
    fit(load_batch([n] * 8), n)
""",
    "leaves": """
rng = np.random.default_rng(0)
for k in range(40):  # loop
    x = load_batch([rng.random()] * 8)
    if fit(x) > 400: break
seen.append(rng.random())
""",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_written(name: str, tmp_path: Path) -> None:
    """It says so, or the loop was not rewritten."""
    plan = _plan(tmp_path / "train.py", HEAD + REFUSED[name] + TAIL)
    with pytest.raises(NoLines):
        patch.diff([plan], tmp_path)


TURNS = {
    "pairs": ("""
for p, g in zip(params, grads, strict=True):  # turns
    step(p, g)
""", "parallel_update(update, zip(params, grads, strict=True), workers=2)"),
    "body": ("""
for p, g in zip(params, grads):  # turns
    # down
    g = g * 2
    p -= 0.1 * g  # a little
""", "parallel_update(update, zip(params, grads), workers=2)\n"),
    "three": ("""
for p, g, e in zip(params, grads, means):  # turns
    step(p, g); e += p
""", "    p, g, e = item\n    step(p, g); e += p\nparallel_update("),
    "items": ("""
def main():
    for k, p in enumerate(params): step(p, grads[k])  # turns
main()
""", "    parallel_update(update, enumerate(params), workers=2)\n"),
    "alone": ("""
for layer in layers:  # turns
    layer.update()
""", "    layer.update()\nparallel_update(update, layers, workers=2)"),
}  # fmt: skip

FORWARDS = {
    "outs = [layer.forward(x) for layer in layers]":
        "outs = parallel_forward(lambda layer: layer.forward(x), layers, workers=2)",
    "outs = [layer(x) for layer in layers]":
        "outs = parallel_forward(lambda layer: layer(x), layers, workers=2)",
    "outs = sum([scaled(x, p, by=3.0) for p in params])":
        "parallel_forward(lambda p: scaled(x, p, by=3.0), params, workers=2)",
}  # fmt: skip

TURNS_HEAD = """import numpy as np
params = [np.full((4, 4), k + 1.0) for k in range(3)]
grads = [np.full((4, 4), k + 0.5) for k in range(3)]
means, x = [p.copy() for p in params], np.ones(4)
def step(p, g): p -= 0.1 * g
def scaled(x, p, by): return p @ x * by
class Layer:
    def __init__(self, p): self.p = p
    def update(self): self.p -= 1
    def forward(self, x): return self.p @ x
    __call__ = forward
layers, outs = [Layer(p) for p in params], []
"""
TURNS_TAIL = "\nprint([a.tolist() for a in [*params, *means]], np.sum(outs))\n"


@pytest.mark.parametrize("name", TURNS)
def test_turns_side_by_side(name: str, tmp_path: Path) -> None:
    """One call of the library in place of the loop."""
    loop, call = TURNS[name]
    path = tmp_path / "train.py"
    path.write_text(TURNS_HEAD + loop + TURNS_TAIL)
    assert call in _patched(path, [_turns(path, "# turns", UPDATE)])


@pytest.mark.parametrize("loop", FORWARDS)
def test_a_comprehension_side_by_side(loop: str, tmp_path: Path) -> None:
    """One call of the library in its place, the rest of the statement around it."""
    path = tmp_path / "train.py"
    path.write_text(f"{TURNS_HEAD}{loop}{TURNS_TAIL}")
    assert FORWARDS[loop] in _patched(path, [_turns(path, "outs = ", FORWARD)])


def test_what_turns_leave_is_needed(tmp_path: Path) -> None:
    """A name of the last turn is not that of a function."""
    path = tmp_path / "train.py"
    path.write_text(f"{TURNS_HEAD}for p in params:  # turns\n    p += 1\nprint(p)\n")
    with pytest.raises(NoLines, match="p, which its turns set, is used after it"):
        patch.diff([_turns(path, "# turns", UPDATE)], tmp_path)


def _turns(path: Path, mark: str, strategy: str) -> dict[str, Any]:
    rows = path.read_text().splitlines()
    line = next(n for n, row in enumerate(rows, 1) if mark in row and "[]" not in row)
    return Plan(strategy, str(path), line, workers=2, places=(line,)).as_json()
