"""`with profile():` and `%%bottleneck`: rows as of a script, and nothing stays."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from debottleneck import load_recording

TRAINING = """
import time

import numpy as np


def load_batch(number):
    time.sleep(0.004)
    return np.full((64, 64), number % 7.0)


def train(steps):
    weights = np.zeros((64, 64))
    for number in range(steps):
        batch = load_batch(number)
        spent = sum(range(60_000))
        weights = 0.9 * weights + 0.1 * batch
    return float(weights.sum())
"""

STATE = """
import gc, sys, threading
from importlib.machinery import SourceFileLoader
from debottleneck.agent import marks

def state():
    found = [*gc.callbacks, *sys.meta_path, *threading.enumerate(), sys.getprofile()]
    found += [SourceFileLoader.get_code, threading.excepthook, marks.recording()]
    return found
"""

SCRIPT = """
import os, subprocess
import debottleneck, training
from state import state

code, before = training.train.__code__, state()
plain = training.train(30)
with debottleneck.profile("first") as first:
    assert training.train.__code__ is not code
    again = training.train(400)
try:
    with debottleneck.profile("second") as second:
        try:
            with debottleneck.profile():
                print("never")
        except debottleneck.errors.UsageError as error:
            print(error)
        training.train(400)
        raise KeyError("the block's own")
except KeyError as error:
    print(error)
assert training.train.__code__ is code
assert state() == before, (state(), before)
children = ["pgrep", "-P", str(os.getpid()), "-f", "debottleneck"]
assert subprocess.run(children).returncode == 1
assert training.train(30) == plain
"""


def ran(code: str, folder: Path, environment: dict[str, str]) -> tuple[str, str]:
    """Both streams of a script beside `training.py` and `state.py`."""
    (folder / "training.py").write_text(TRAINING)
    (folder / "state.py").write_text(STATE)
    (folder / "script.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.slow
def test_a_block_is_profiled_as_a_script_is(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Loops of functions that it calls have rows; one at a time, without trace."""
    out, errors = ran(SCRIPT, tmp_path, environment)
    lines = out.splitlines()
    assert lines[0].startswith("a profile runs in this process already; leave")
    assert lines[1:] == ['"the block\'s own"']
    assert errors.startswith("\nWhat ")
    for name in ("first", "second"):
        analysis = load_recording(tmp_path / name).analysis
        assert (analysis.loop.line, analysis.loop.found) == (14, True)
        shares = analysis.stages.set_index("stage")["share"]
        assert shares["load"] > 0.3, shares
        assert shares["training.py:16"] > 0.05, shares
        files = {Path(f).name for f in analysis.recording.sources["file"]}
        assert "training.py" in files
        assert not (tmp_path / name / "raw").exists()
    assert len(errors.splitlines()) <= 26


def test_a_profiled_script_keeps_its_profile(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Of a script that profiles itself `bottleneck profile` makes the recording."""
    (tmp_path / "training.py").write_text(TRAINING)
    (tmp_path / "script.py").write_text(
        "import debottleneck, training\n"
        "with debottleneck.profile() as run:\n    training.train(300)\n"
        "print(run.recording)\n"
    )
    command = [sys.executable, "-m", "debottleneck", "profile", "--output", "out"]
    done = subprocess.run(
        [*command, "script.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "None\n"
    assert "profile() leaves it to that" in done.stderr
    assert load_recording(tmp_path / "out").analysis.loop.line == 14


TORCH = """
import debottleneck, torch
from torch import nn
from state import state

net = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 1))
early = torch.optim.SGD(net.parameters(), lr=0.01)


def train(optimizer, steps):
    for _ in range(steps):
        x = torch.randn(512, 256)
        loss = nn.functional.mse_loss(net(x), torch.zeros(512, 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def patched():
    places = [torch.Tensor, nn.Module, torch.optim.Optimizer, torch.optim.SGD]
    return [dict(vars(place)) for place in [*places, nn.functional, torch]]


before, found = state(), patched()
with debottleneck.profile("torch") as run:
    train(early, 200)
    late = torch.optim.AdamW(net.parameters())
    train(late, 200)
assert state() == before
for one, other in zip(patched(), found):
    assert {n for n in one if one[n] is not other.get(n)} == set()
assert "debottleneck" not in torch.optim.AdamW.step.__code__.co_filename
late.step()
"""


@pytest.mark.torch
@pytest.mark.slow
def test_a_block_with_torch_has_its_stages(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Of optimizers made before and within; torch is as it was afterwards."""
    ran(TORCH, tmp_path, environment)
    analysis = load_recording(tmp_path / "torch").analysis
    assert {"forward", "backward", "update"} <= set(analysis.stages["stage"])
    assert analysis.loop.line == 11
    steps = {str(name) for name in analysis.recording.sites["name"]}
    assert {"torch.optim.SGD.step", "torch.optim.AdamW.step"} <= steps


CELLS = (
    "%load_ext debottleneck\nimport json, debottleneck",
    TRAINING,
    "%%bottleneck by-magic\n"
    "weights = np.zeros((64, 64))\n"
    "for number in range(400):\n"
    "    batch = load_batch(number)\n"
    "    spent = sum(range(60_000))\n"
    "    weights = 0.9 * weights + 0.1 * batch\n",
    'with debottleneck.profile("by-name") as run:\n    train(400)\n',
    "total = []\n"
    'with debottleneck.profile("in-place") as run:\n'
    "    for number in range(400):\n"
    "        batch = load_batch(number)\n"
    "        spent = sum(range(60_000))\n"
    "        total.append(batch.sum())\n",
    "print(json.dumps([weights.shape, number, run.recording.summary()]))",
    "%%bottleneck\nraise KeyError(number)",
    "%unload_ext debottleneck",
    "print(get_ipython().ast_transformers)",
)


@pytest.mark.slow
def test_cells_of_a_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    """A card is shown, rows are called by their cell, and errors are the cell's own."""
    if not (find_spec("nbclient") and find_spec("ipykernel")):
        pytest.skip("nbclient and ipykernel are not installed")
    (tmp_path / "cells.json").write_text(json.dumps(CELLS))
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    outputs = json.loads(done.stdout)
    assert outputs[:2] == [[], []]
    for at, cell in ((2, "In[3]:5"), (3, "In[2]:15"), (4, "In[5]:5")):
        (card,) = outputs[at]
        html = card["data"]["text/html"]
        assert "<b>What</b>" in html
        assert "display:flex" in html
        assert cell in html
        assert "<script" not in html
    (printed,) = outputs[5]
    shape, number, summary = json.loads(printed["text"])
    assert (shape, number) == ([64, 64], 399)
    assert summary["row/load/share"] > 0.3
    (error,) = outputs[6]
    assert (error["ename"], error["evalue"]) == ("KeyError", "399")
    assert outputs[7:] == [[], [{**printed, "text": "[]\n"}]]
    sources = load_recording(tmp_path / "by-magic").sources
    assert "    batch = load_batch(number)" in set(sources["text"])


NOTEBOOK = """
import json
import nbformat
from nbclient import NotebookClient
cells = json.load(open("cells.json"))
book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
NotebookClient(book, timeout=120, allow_errors=True).execute()
print(json.dumps([cell.outputs for cell in book.cells]))
"""
