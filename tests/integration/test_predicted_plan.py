"""What a profile predicts of a strategy, and what running with it measures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys, time
import numpy as np
data = np.random.default_rng(1).standard_normal((1280, 16))
perm = np.random.default_rng(2).permutation(len(data))
w = np.zeros(16)
def gather(rows):
    time.sleep(0.03)
    return data[rows]
def digest(x):
    global w
    time.sleep(0.015)
    w = w - 0.01 * x.mean(0)
begun = 0.0
for s in range(0, 960, 8):
    if s == 320: begun = time.perf_counter()
    digest(gather(perm[s : s + 8]))
print((time.perf_counter() - begun) / 80 * 1e3, w.tobytes().hex())
"""

TURNS = """
import time
import numpy as np
weights = [np.zeros(8) for _ in range(4)]
def settle(p, g):
    time.sleep(0.01)
    p -= 0.1 * g
begun = 0.0
for step in range(60):
    if step == 20: begun = time.perf_counter()
    g = np.ones(8)
    for p in weights:
        settle(p, g)
print((time.perf_counter() - begun) / 40 * 1e3, np.stack(weights).tobytes().hex())
"""

THREAD = """
import queue, threading, time
import numpy as np
ready, w = queue.Queue(2), np.zeros(16)
def stock(n):
    for i in range(n):
        time.sleep(0.03)
        ready.put(np.full((8, 16), float(i % 7)))
threading.Thread(target=stock, args=(120,)).start()
def digest(x):
    global w
    time.sleep(0.015)
    w = w - 0.01 * x.mean(0)
for s in range(120):
    if s == 40: begun = time.perf_counter()
    digest(ready.get())
print((time.perf_counter() - begun) / 80 * 1e3, w.tobytes().hex())
"""
"""A thread of the script's own makes what is digested, one after the other."""


def command(*words: str, folder: Path) -> str:
    """What it prints; both streams."""
    made = subprocess.run(
        [sys.executable, "-m", "debottleneck", *words],
        capture_output=True, text=True, cwd=folder, check=True,
    )  # fmt: skip
    return made.stdout + made.stderr


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(
    ("source", "name", "least"),
    [
        (SCRIPT, "prefetch", 1.8),
        (TURNS, "parallel-", 2.0),
        (THREAD, "prefetch", 1.6),
    ],
)
def test_what_is_predicted_is_what_the_strategy_does(
    tmp_path: Path, source: str, name: str, least: float
) -> None:
    """Names mean nothing, all time is waits: within 15 % of the step it has then."""
    (tmp_path / "a.py").write_text(source)
    profiled = command("profile", "--output", "out", "a.py", folder=tmp_path)
    text = command("predict", "out", "--format", "json", folder=tmp_path)
    rows = json.loads(text[text.index("{") :])["rows"]
    row = next(row for row in rows if row["spec"].startswith(name))
    assert row["why_not"] == ""
    assert row["speedup"] > least
    run = command("run", "--strategy", row["spec"], "a.py", folder=tmp_path)
    result = re.compile(r"^([\d.]+) ([0-9a-f]+)$", re.MULTILINE)
    (plain_ms, plain), (step_ms, same) = result.findall(profiled + run)
    assert same == plain
    assert float(step_ms) == pytest.approx(row["step_ms"], rel=0.15)
    assert float(step_ms) < float(plain_ms)
