"""Parallel forward and update beside a pool by hand: scripts as users write them.

Each case is a script in three forms: plain; the same under `bottleneck run`; and with
a `ThreadPoolExecutor` by hand. Rounds are interleaved, and the medians of a step are
compared within a round, so that other work on the machine meets all three.

    python tests/benchmarks/by_hand.py [ROUNDS] [CASE ...]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

FORMS = ("plain", "run", "hand")

SCRIPT = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
{setup}
pool = ThreadPoolExecutor({threads})
times = []
for step in range({steps}):
    began = time.perf_counter()
{body}
    times.append(time.perf_counter() - began)
late = sorted(times[len(times) // 4 :])
print(1e3 * late[len(late) // 2], {told})
"""


@dataclass(frozen=True)
class Case:
    """One loop.

    Attributes:
        strategy: What is asked for.
        setup: What comes before the loop.
        plain: The statements of a step.
        hand: The same with `pool`.
        told: An expression that tells the numbers.
        steps: Of one run.
        threads: Of the pool by hand.
        environment: Of the process.
    """

    strategy: str
    setup: str
    plain: str
    hand: str
    told: str
    steps: int = 60
    threads: int = 2
    environment: dict[str, str] = field(default_factory=dict)


BLAS = """
import numpy as np
rng = np.random.default_rng(0)
x = rng.standard_normal((256, 512))
weights = [rng.standard_normal((512, 512)) for _ in range(4)]
def forward(w):
    return np.tanh(x @ w) @ w
"""

WAITS = """
def forward(k):
    time.sleep(0.004)
    return k
"""

TORCH = """
import torch
torch.manual_seed(0)
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = (
            torch.nn.Sequential(torch.nn.Linear(384, 384), torch.nn.Tanh(),
                                torch.nn.Linear(384, 384))
            for _ in range(4))
    def forward(self, x):
        return self.a(x) + self.b(x) + self.c(x) + self.d(x)
class Pooled(Net):
    def forward(self, x):
        graded = torch.is_grad_enabled()
        def one(part):
            with torch.set_grad_enabled(graded):
                return part(x)
        a, b, c, d = pool.map(one, (self.a, self.b, self.c, self.d))
        return a + b + c + d
torch.set_num_threads(1)
x = torch.randn(256, 384)
net, pooled = Net(), Pooled()
pooled.load_state_dict(net.state_dict())
"""

ARRAYS = """
import numpy as np
rng = np.random.default_rng(0)
params = [rng.standard_normal({size}) for _ in range({count})]
grads = [rng.standard_normal({size}) for _ in range({count})]
def update(p, g):
    p -= 0.01 * g
"""

UPDATE = "for p, g in zip(params, grads):\n    update(p, g)"
UPDATED = "list(pool.map(update, params, grads))"
SUM = "sum(float(p.sum()) for p in params)"
FORWARD = "y = [forward(w) for w in weights]"
FORWARDED = "y = list(pool.map(forward, weights))"
TOLD = "float(sum(part.sum() for part in y))"


def _blas(threads: int) -> Case:
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return Case(
        "parallel-forward", BLAS, FORWARD, FORWARDED, TOLD,
        environment=dict.fromkeys(names, str(threads)),
    )  # fmt: skip


def _arrays(size: int, count: int, steps: int) -> Case:
    setup = ARRAYS.format(size=size, count=count)
    return Case("parallel-update", setup, UPDATE, UPDATED, SUM, steps)


def _torch(call: str) -> Case:
    plain, hand = call.format(net="net"), call.format(net="pooled")
    return Case("parallel-forward", TORCH, plain, hand, "float(y.sum())")


CASES = {
    "4 BLAS branches": Case("parallel-forward", BLAS, FORWARD, FORWARDED, TOLD),
    "BLAS at 1 thread": _blas(1),
    "BLAS at 2 threads": _blas(2),
    "4 waits": Case(
        "parallel-forward", WAITS, "y = [forward(k) for k in range(4)]",
        "y = list(pool.map(forward, range(4)))", "sum(y)", threads=4,
    ),
    "torch branches": _torch("y = {net}(x); y.sum().backward()"),
    "torch branches, no grad": _torch("with torch.no_grad(): y = {net}(x)"),
    "300 small arrays": _arrays(64, 300, 1500),
    "8 arrays of 4 MB": _arrays(1 << 19, 8, 150),
}  # fmt: skip


def written(case: Case, folder: Path) -> dict[str, list[str]]:
    """The scripts of a case; form -> its command."""
    command = {}
    for form in FORMS:
        lines = (case.hand if form == "hand" else case.plain).splitlines()
        body = "\n".join(f"    {line}" for line in lines)
        path = folder / f"{form}.py"
        path.write_text(
            SCRIPT.format(
                setup=case.setup, body=body, steps=case.steps, threads=case.threads,
                told=case.told,
            )
        )  # fmt: skip
        command[form] = [sys.executable, str(path)]
    run = ["-m", "debottleneck", "run", "--strategy", case.strategy]
    command["run"][1:1] = run
    return command


def once(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """Milliseconds of a step, and the numbers."""
    given = {**os.environ, **environment}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=given
    )
    ms, told = done.stdout.split()
    return float(ms), told


def measure(name: str, case: Case, rounds: int) -> None:
    """Print one line of the table."""
    found: dict[str, list[float]] = {form: [] for form in FORMS}
    numbers = set[str]()
    with tempfile.TemporaryDirectory() as folder:
        commands = written(case, Path(folder))
        for number in range(rounds):
            for shift in range(len(FORMS)):
                form = FORMS[(number + shift) % len(FORMS)]
                ms, told = once(commands[form], case.environment)
                found[form].append(ms)
                if form != "hand":
                    numbers.add(told)
    best = [min(p, h) / r for p, r, h in zip(*found.values(), strict=True)]
    shown = "  ".join(f"{median(found[form]):8.3f}" for form in FORMS)
    same = "same" if len(numbers) == 1 else "OTHER NUMBERS"
    print(f"{name:26}{shown}  {median(best):6.2f}  {same}", flush=True)


def main() -> None:
    """All cases, or those that are named."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    print(f"{'ms a step':26}{'plain':>8}  {'run':>8}  {'hand':>8}  best/run")
    for name in sys.argv[2:] or CASES:
        measure(name, CASES[name], rounds)


if __name__ == "__main__":
    main()
