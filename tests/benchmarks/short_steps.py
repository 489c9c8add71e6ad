"""Print what a profile costs scripts of short steps: `python .../short_steps.py`.

`python tests/benchmarks/short_steps.py [-n PAIRS] [CASE ...] [-- OPTIONS]`: each script
runs plainly and under `bottleneck profile OPTIONS` in turn, and prints the CPU time of
its own thread, and the wall time, from before its loop to after. Printed are the plain
medians and, of each pair, the median ratio less one; in brackets the quartiles.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

BEGIN = """
import time
import numpy as np

X, W, lr = np.ones((8, 16)), np.zeros(16), 0.001
ones = [0] * {n}

began = time.thread_time(), time.monotonic()
"""
END = """
print("took", time.thread_time() - began[0], time.monotonic() - began[1])
"""
FLAT = """
for i in range(60_000):
    x = X[i % 8]
    a = sum(ones)
    g = (W - x) * 0.1
    b = sum(ones)
    W -= lr * g
"""
STAGES = """
def load_batch(i):
    return X[i % 8] + sum(ones)

def forward(x):
    return x - sum(ones) + W

def backward(y):
    return (y + sum(ones)) * 0.1

def update(g):
    global W
    W = W - lr * g + sum(ones)

def NAME(i):
    update(backward(forward(load_batch(i))))

for i in range(60_000):
    NAME(i)
"""
SIX = """
def load_batch(i):
    return X[i % 8] + sum(ones)

def augment(x):
    return x * 0.5 + sum(ones)

def forward(x):
    return x - W + sum(ones)

def loss(y):
    return y + sum(ones)

def backward(y):
    return y * 0.1 + sum(ones)

def update(g):
    global W
    W = W - lr * g + sum(ones)

for i in range(STEPS):
    x = augment(load_batch(i))
    y = forward(x)
    update(backward(loss(y)))
"""
IDLE = """
import threading

gate = threading.Event()
for _ in range(64):
    threading.Thread(target=gate.wait, daemon=True).start()
"""
INNER = """
def f(x):
    return x

total = 0
for i in range({rounds}):
    for j in range({inner}):
        total += f(j)
"""
ENTRIES = """
def f(x):
    return x

def short(total):
    for j in range(10):
        total += f(j)
    return total

total = 0
for i in range(100_000):
    total = short(total)
"""
CASES = {
    "flat": (8_000, FLAT),
    "stages": (3_800, STAGES.replace("NAME", "train")),
    "step": (3_800, STAGES.replace("NAME", "train_step")),
    "inner": (1, INNER.format(rounds=1, inner=10_000_000)),
    "inners": (1, INNER.format(rounds=100, inner=100_000)),
    "entries": (1, ENTRIES),
    "1ms": (35_000, SIX.replace("STEPS", "5_000")),
    "5ms": (175_000, SIX.replace("STEPS", "1_200")),
    "idle": (175_000, IDLE + SIX.replace("STEPS", "1_200")),
}
"""Name of each -> how much it sums at a time, its loop."""


def source(name: str) -> str:
    """The script of a case."""
    count, loop = CASES[name]
    return BEGIN.format(n=count) + loop + END


def run(command: list[str]) -> tuple[float, float]:
    """Seconds of CPU and of wall time that the script says."""
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    line = next(line for line in made.stdout.splitlines() if line.startswith("took"))
    _, cpu, wall = line.split()
    return float(cpu), float(wall)


def main() -> None:
    """Measure each case and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--pairs", type=int, default=5)
    parser.add_argument("cases", nargs="*", default=[*CASES])
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)
    options = parser.parse_args(given[:cut])
    for name in options.cases:
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / f"{name}.py"
            script.write_text(source(name), encoding="utf-8")
            plain = [sys.executable, str(script)]
            profile = [sys.executable, "-m", "debottleneck", "profile"]
            profile += ["--output", f"{folder}/run", *given[cut + 1 :], str(script)]
            pairs = []
            for _ in range(options.pairs):
                pairs.append((run(plain), run(profile)))
                subprocess.run(["rm", "-r", f"{folder}/run"], check=True)
        parts = [f"{name:8}"]
        for which, unit in enumerate(("CPU", "wall")):
            ratios = [100 * (b[which] / a[which] - 1) for a, b in pairs]
            low, middle, high = statistics.quantiles(ratios, n=4)
            seconds = statistics.median(a[which] for a, _ in pairs)
            parts.append(f"{unit} {seconds:6.2f} s {middle:+6.1f} % ")
            parts.append(f"[{low:+.1f} .. {high:+.1f}]")
        print(*parts, flush=True)


if __name__ == "__main__":
    main()
