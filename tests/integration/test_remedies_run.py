"""Settings and saves of a whole script, by `run` and by `compare`, nothing edited."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from running import Profile

from debottleneck import load_recording
from debottleneck.analysis.analyse import analyse
from debottleneck.prediction.verdict import judged
from debottleneck.strategies.spec import written
from debottleneck.trials.shortlist import supported

CYCLES = """
kept, weights = [[i] for i in range(20_000)], [1.0]
class Node:
    def __init__(self): self.itself = self
def forward(rows):
    return sum(len(row) for row in rows) * 1e-6 * weights[0]
def update(gradient):
    weights[0] -= 0.1 * gradient
for step in range(150):
    rows = [[Node() for _ in range(20)] for _ in range(100)]
    update(forward(rows))
print(repr(weights[0]))
"""

SAVES = """
import os, pickle, time
import numpy as np
weights, rng = np.zeros((64, 64)), np.random.default_rng(0)
def update(gradient):
    global weights
    weights = weights - 0.1 * gradient
for step in range(60):
    update(rng.standard_normal((64, 64)) + weights)
    time.sleep(0.002)
    if step % 10 == 0:
        np.save("state", weights)
        with open("state.tmp", "wb") as file:
            pickle.dump([step, weights], file)
            file.flush()
            os.fsync(file.fileno())
        os.replace("state.tmp", "state.pkl")
_, pickled = pickle.load(open("state.pkl", "rb"))
print(pickled.tobytes() == np.load("state.npy").tobytes())
print(repr(float(weights.sum())), sorted(os.listdir()))
"""

PRODUCTS = """
import os, time
import numpy as np
weights, rng = np.eye(300), np.random.default_rng(0)
def update(gradient):
    global weights
    weights = weights - 1e-6 * gradient
for step in range(30):
    x = rng.standard_normal((300, 300))
    update(x @ x.T @ weights)
print(round(float(weights.sum()), 6))
"""

LOADED = """
import time, torch
class Rows(torch.utils.data.Dataset):
    def __len__(self): return 160
    def __getitem__(self, i):
        time.sleep(0.001)
        return torch.full((4,), float(i))
torch.manual_seed(0)
torch.set_num_threads(1)
net = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=1e-5)
loader = torch.utils.data.DataLoader(Rows(), batch_size=8, shuffle=True)
for epoch in range(3):
    for batch in loader:
        optimizer.zero_grad()
        net(batch).mean().backward()
        optimizer.step()
print(net.weight.tolist())
"""


def ran(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """The command with the script, in a folder of its own."""
    folder.mkdir()
    script = folder / "train.py"
    script.write_text((folder.parent / "train.py").read_text())
    return subprocess.run(
        [sys.executable, *command, "train.py"],
        capture_output=True, text=True, cwd=folder, check=True,
    )  # fmt: skip


RUN = ("-m", "debottleneck", "run", "--strategy")


@pytest.mark.parametrize(
    ("script", "strategy", "did"),
    [
        (CYCLES, "gc:freeze", ("collections between steps took",)),
        (
            SAVES, "background:checkpoint+gc:off",
            ("writes, syncs and renames", "garbage is not collected while it trains"),
        ),
        (PRODUCTS, "blas:threads=3", ("BLAS and OpenMP use 3 threads",)),
        pytest.param(
            LOADED, "dataloader:workers=2,persistent+parallel-update",
            ("num_workers=2, persistent_workers=True", "were made with foreach=True"),
            marks=pytest.mark.torch,
        ),
    ],
)  # fmt: skip
def test_the_script_says_the_same(
    script: str, strategy: str, did: tuple[str, ...], tmp_path: Path
) -> None:
    """It prints what plain python does, and the strategies say what they did."""
    (tmp_path / "train.py").write_text(script)
    plain = ran(tmp_path / "plain")
    applied = ran(tmp_path / "applied", *RUN, strategy)
    assert applied.stdout == plain.stdout
    assert [one for one in did if one not in applied.stderr] == []


def test_collections_are_found_and_taken_out_of_the_steps(
    profile: Profile, tmp_path: Path
) -> None:
    """A profile names what `compare` then tries of itself; the numbers are the same."""
    script = tmp_path / "train.py"
    script.write_text(CYCLES)
    done, folder = profile(script, "--no-stacks", "--no-functions")
    assert done.returncode == 0, done.stderr
    named = supported(judged(analyse(load_recording(folder))))
    assert {"gc:freeze", "gc:off"} <= {written(strategies) for strategies in named}
    tool = ("-m", "debottleneck", "compare", "--rounds", "3", "--steps", "30")
    output = ("--strategy", "gc:freeze", "--output", "compared", "--format", "json")
    done = ran(tmp_path / "run", *tool, *output)
    (row,) = json.loads(done.stdout)["trials"]
    assert (row["spec"], row["numbers"]) == ("gc:freeze", "same")
    assert row["did"]
