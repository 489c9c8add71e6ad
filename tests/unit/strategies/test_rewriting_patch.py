"""The lines to keep: they apply, run, give the same numbers, and can be undone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import made_rewritten
import pytest
from made_rewritten import THREADS

from debottleneck.strategies.rewriting import patch

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
    "zip": """
def batches(n):
    for k in range(n):
        yield load_batch([k] * 8)
for x, y in zip(batches(20), range(5, 40)):  # loop
    fit(x, y)
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
    print(_patched(path, [plan["closed"] or plan]))
    assert os.environ.get("X") is None
