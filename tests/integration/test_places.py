"""What docs/places.md shows, done as it is written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "places.md").read_text(encoding="utf-8")

TRAIN = """
import time

import numpy as np


def load_batch():
    time.sleep(0.01)
    return np.ones((64, 64))


weights = np.zeros((64, 64))
for _ in range(400):
    batch = load_batch()
    weights -= 0.01 * (weights + batch)
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
