"""`bottleneck run` with rewriting: whole scripts, and what is said of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SHUFFLED = """
import hashlib, time
import numpy as np
class Batches:
    def __init__(self):
        self.x = np.random.default_rng(1).standard_normal((640, 16))
        self.rng = np.random.default_rng(7)
        self.shuffle()
    def shuffle(self): self.order = self.rng.permutation(len(self.x))
    def load_batch(self, i):
        time.sleep(0.004)
        return self.x[self.order[i * 16 : i * 16 + 16]]
w, seen, batches = np.zeros(16), hashlib.md5(), Batches()
for epoch in range(2):
    for i in range(40):  # loop
        x = batches.load_batch(i)
        seen.update(x.tobytes())
        g = 2 * x.T @ (x @ w - x[:, 0])
        w = w - 0.001 * g
        time.sleep(0.002)
    batches.shuffle()
print(seen.hexdigest(), hashlib.md5(w.tobytes()).hexdigest())
"""

SHARED = """
import time
import numpy as np
x, seen = np.random.default_rng(0).standard_normal((99, 8, 16)), 0
def batches(n):
    global seen
    for i in range(n):
        seen += 8
        time.sleep(0.003)
        yield x[i] + 0
w = np.zeros(16)
def update(g):
    global w
    w = w - (0.01 if seen < 300 else 0.001) * g
for b in batches(60):  # loop
    update(b.T @ (b @ w - b[:, 0]))
    time.sleep(0.002)
print(w.tobytes().hex(), seen)
"""

AVERAGED = """
import time
import numpy as np
rng = np.random.default_rng(0)
params = [rng.standard_normal((32, 32)) for _ in range(4)]
ema = [p.copy() for p in params]
grads = [rng.standard_normal((32, 32)) for _ in range(4)]
def update(p, g):
    time.sleep(0.003)
    p -= 0.1 * g
for step in range(30):  # loop
    for p, e, g in zip(params, ema, grads):
        update(p, g)
        e *= 0.99
        e += 0.01 * p
print(b"".join(a.tobytes() for a in [*params, *ema]).hex()[:4000])
"""


def _run(path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command, str(path)],
        capture_output=True, text=True, cwd=path.parent, check=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "strategy", "said"),
    [
        (SHUFFLED, "prefetch:workers=3", "items of the loop"),
        (SHUFFLED, "prefetch:workers=2,where=process", "items of the loop"),
        (SHARED, "prefetch", "changes seen, which line"),
        (SHARED, "prefetch:where=process", "changes seen, which line"),
        (AVERAGED, "parallel-update", "the turns of the loop at script.py:12 run"),
    ],
)
def test_a_run_prints_what_the_plain_script_does(
    source: str, strategy: str, said: str, tmp_path: Path
) -> None:
    """The same numbers, and a true sentence."""
    path = tmp_path / "script.py"
    path.write_text(source)
    line = next(n for n, t in enumerate(source.splitlines(), 1) if "# loop" in t)
    step = f"{path}:{line}"  # so that it is known however slow the machine is
    command = ("-m", "debottleneck", "run", "--strategy", strategy, "--step", step)
    done = _run(path, *command)
    assert done.stdout == _run(path).stdout
    assert said in done.stderr


FAILING = """
import time
class Reader:
    pos = 0
    def pull(self):
        self.pos += 1
        time.sleep(0.003)
        return self.read(self.pos)
    def read(self, k):
        if k == 30: raise ValueError(f"bad sample {k}")
        return k
def told(n):
    for k in range(n):
        time.sleep(0.003)
        yield reader.read(k)
def update(x):
    time.sleep(0.002)
    print(x)
reader = Reader()
for i in SOURCE:
    update(LOAD)
"""


@pytest.mark.parametrize("where", ["thread", "process"])
@pytest.mark.parametrize(
    ("over", "load"),
    [
        ("range(60)", "reader.pull()"),
        ("range(60)", "reader.read(i)"),
        ("told(60)", "i"),
    ],
)
def test_an_error_looks_as_it_does_plainly(
    over: str, load: str, where: str, tmp_path: Path
) -> None:
    """What was printed before it, its traceback, and the exit code."""
    path = tmp_path / "script.py"
    source = FAILING.replace("SOURCE", over).replace("LOAD", load)
    path.write_text(
        source.replace("(self, k):", "(self, k):\n        time.sleep(0.002)")
    )
    strategy = f"prefetch:workers=2,where={where}"
    words = [[], ["-m", "debottleneck", "run", "--strategy", strategy]]
    plain, done = (
        subprocess.run(
            [sys.executable, *more, str(path)],
            capture_output=True, text=True, cwd=tmp_path, check=False,
        )
        for more in words
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if line[:11] != "bottleneck:"]
    assert said == plain.stderr.splitlines()
    assert (done.stdout, done.returncode) == (plain.stdout, plain.returncode)
    assert "items of the loop" in done.stderr
