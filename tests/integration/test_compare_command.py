"""`bottleneck compare` on real scripts, with real strategies."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from made_trials import script

from debottleneck import load_recording
from debottleneck.trials import save

ROOT = Path(__file__).parents[2]
UPDATE = ROOT / "workloads" / "article_update.py"

pytestmark = pytest.mark.slow

Compare = Callable[..., subprocess.CompletedProcess[str]]

LOOP = """
import time
def load_batch(i):
    time.sleep(0.01)
    return i
def forward(batch):
    {body}
    return batch + 1
for i in range(600):
    forward(load_batch(i))
"""


def command(folder: Path, *words: str) -> list[str]:
    """The command line."""
    lead = [sys.executable, "-m", "debottleneck", "compare"]
    return [*lead, "--output", str(folder / "run"), *words]


@pytest.fixture
def compare(tmp_path: Path, environment: dict[str, str]) -> Compare:
    """Run the command; its folder is "run" beside the scripts."""
    how = {"env": environment, "cwd": tmp_path, "timeout": 240}
    return lambda *words: subprocess.run(
        command(tmp_path, *words), capture_output=True, text=True, check=False, **how
    )


@pytest.mark.alone
def test_the_articles_updates_in_parallel(compare: Compare, tmp_path: Path) -> None:
    """Five sleeping updates at once are several times faster, the numbers the same."""
    words = ("--strategy", "parallel-update", "--rounds", "3", "--format", "json")
    shutil.copytree(UPDATE.parent, tmp_path / "here")  # a patch is for files in here
    update = f"here/{UPDATE.name}"
    done = compare(*words, update, "--delay", "0.005", "--steps", "120")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (row,) = found["trials"]
    assert (row["verdict"], row["numbers"]) == ("faster", "same"), row
    assert row["low"] > 2
    assert found["best"] == "parallel-update"
    assert found["baseline"]["step_ms"] > 20
    assert any("parallel_update(" in line for line in found["keep"])
    folder = tmp_path / "run"
    assert save.load(folder).best == "parallel-update"
    assert len(pd.read_parquet(folder / save.TRIALS)) == 3 + 2 * row["rounds"]
    assert len(list((folder / save.LOGS).iterdir())) >= 3 + 2 * row["rounds"]
    for place in (save.BASELINE, save.BEST):
        assert len(load_recording(folder / place).marks) > 0


def test_a_script_that_fails_by_itself(compare: Compare, tmp_path: Path) -> None:
    """The end of its output, what to do, and code 2; nothing on stdout."""
    path = script(tmp_path / "train.py", LOOP.format(body="assert batch < 3, 'lost'"))
    done = compare(str(path), "--epochs", "2")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "AssertionError: lost" in done.stderr
    assert "the script fails by itself, with exit code 1" in done.stderr
    assert done.stderr.rstrip().endswith(f"{path} --epochs 2")


def test_what_does_not_apply_says_why(compare: Compare, tmp_path: Path) -> None:
    """A table with the reason, and the script's own output is not in between."""
    path = script(tmp_path / "train.py", LOOP.format(body="print('noise')"))
    done = compare("--strategy", "parallel-update", str(path))
    assert done.returncode == 0, done.stderr
    assert "not applicable" in done.stdout
    assert "noise" not in done.stdout + done.stderr
    logs = tmp_path / "run" / save.LOGS
    assert any("noise" in log.read_text() for log in logs.iterdir())
    assert (tmp_path / "run" / "report.html").is_file()


def running(text: str) -> list[str]:
    """Command lines with this text of processes that are there now."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(
                path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
    return [line for line in lines if text in line]


def test_ctrl_c_prints_what_was_measured(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """In the middle of the rounds: the table, the folder, and nothing running."""
    path = script(tmp_path / "train.py", LOOP.format(body="pass"))
    words = ("--strategy", "prefetch:workers=4", "--rounds", "50", "--steps", "60")
    with subprocess.Popen(
        command(tmp_path, *words, "--format", "json", str(path)),
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        logs = tmp_path / "run" / save.LOGS
        until = time.monotonic() + 120
        while not list(logs.glob("*-round-2-*")) and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    found = json.loads(out)
    assert any("Ctrl-C" in note for note in found["notes"])
    assert found["trials"][0]["rounds"] >= 1
    assert save.is_comparison(tmp_path / "run")
    assert not running(str(tmp_path))
