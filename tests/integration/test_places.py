"""What docs/places.md shows, done as it is written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import made_plans
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "places.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)

TRAIN = """
import time

import numpy as np


def load_batch():
    time.sleep(0.01)
    return np.ones((64, 64))


weights = np.zeros((64, 64))
for _ in range(400):
    batch = load_batch()
    weights -= 0.01 * (weights + batch) * sum(range(300_000)) * 1e-9
"""


def done(
    line: str, folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """A line of the page, as a shell would run it there."""
    line = re.sub(r"^bottleneck", f"{sys.executable} -m debottleneck", line)
    env = {**environment, "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
def test_the_workflow_does_what_it_says(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Its lines profile, write a summary and annotate; a lower limit fails."""
    (tmp_path / "train.py").write_text(TRAIN)
    lines = re.findall(r"run: (bottleneck .*)", PAGE)
    assert len(lines) == 3
    profiled, summary, annotated = (done(x, tmp_path, environment) for x in lines)
    assert profiled.returncode == 0, profiled.stderr
    assert summary.returncode == 0, summary.stderr
    assert "all limits kept" in (tmp_path / "summary.md").read_text()
    assert annotated.stdout.startswith("::notice ")
    stricter = done(lines[2].replace("load=90%", "load=1%"), tmp_path, environment)
    assert stricter.returncode == 1
    assert re.search(r"^::error .*file=train.py,line=\d+::load", stricter.stdout, re.M)


READ = """
import json
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator("runs/profiled")
events.Reload()
read = {tag: events.Scalars(tag)[0].value for tag in events.Tags()["scalars"]}
print(json.dumps([summary, read]))
"""


@pytest.mark.torch
def test_a_tracker_reads_what_it_was_given(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """The page's lines write with TensorBoard's writer; its own reader reads it."""
    if find_spec("tensorboard") is None:
        pytest.skip("TensorBoard is not installed")
    made_plans.run().save(tmp_path / "profiled")
    (example,) = (code for code in PYTHON if "SummaryWriter" in code)
    out = subprocess.run(
        [sys.executable, "-c", example + READ],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    ).stdout
    summary, read = json.loads(out)
    assert read == pytest.approx({f"bottleneck/{n}": v for n, v in summary.items()})
    assert {"step/mean_ms", "cause/unattributed/share"} <= set(summary)
