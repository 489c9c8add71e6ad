"""Distributed runs: each rank is recorded, the launcher is as without us."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running import Profile

from debottleneck.collect.ranks import saved

pytestmark = pytest.mark.torch

SCRIPT = Path(__file__).parent / "scripts" / "ranks.py"


LEAN = ("--no-stacks", "--no-functions")
"""Waits and marks are all that these need."""


def port() -> str:
    """One that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def reported(folder: Path) -> dict[str, Any]:
    """All ranks as JSON."""
    command = [sys.executable, "-m", "debottleneck", "report", "--format", "json"]
    done = subprocess.run([*command, str(folder)], capture_output=True, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_launcher_is_followed_and_the_straggler_is_named(profile: Profile) -> None:
    """In backward, where all-reduce makes the stage equally long in both ranks."""
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launcher += ["--master-port", port(), str(SCRIPT)]
    done, folder = profile(launcher, *LEAN, arguments=["backward", "sleep", "20"])
    assert done.returncode == 0, done.stderr
    assert sorted(line.split()[1] for line in done.stdout.splitlines()) == ["0", "1"]
    assert "Rank 1 holds the others up" in done.stderr
    assert [part.name for part in saved(folder)] == ["rank-0", "rank-1"]
    assert not (folder / "recording.json").exists()
    assert all((folder / name / "report.html").is_file() for name in (".", "rank-0"))
    found = reported(folder)
    straggler = found["straggler"]
    assert (straggler["rank"], straggler["row"]) == (1, "backward")
    assert straggler["cause"] == "sleep"
    waits = [rank["waits_ms"] for rank in found["ranks"]]
    assert waits[0] > 15
    assert waits[1] < waits[0] / 2


def test_spawned_ranks_are_recorded(profile: Profile, tmp_path: Path) -> None:
    """Which know their rank only once they run."""
    script = tmp_path / "spawned.py"
    script.write_text(
        "import os, sys\n"
        "import torch.multiprocessing\n"
        f"sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
        "def work(rank, port):\n"
        "    os.environ.update(RANK=str(rank), WORLD_SIZE='2', MASTER_PORT=port)\n"
        "    os.environ['MASTER_ADDR'] = '127.0.0.1'\n"
        "    import ranks\n"
        "    ranks.main()\n"
        "if __name__ == '__main__':\n"
        "    torch.multiprocessing.spawn(work, (sys.argv[4],), nprocs=2)\n"
    )
    done, folder = profile(script, *LEAN, arguments=["load", "sleep", "20", port()])
    assert done.returncode == 0, done.stderr
    found = reported(folder)
    assert [rank["rank"] for rank in found["ranks"]] == [0, 1]
    assert (found["straggler"]["rank"], found["straggler"]["row"]) == (1, "load")


def test_ranks_that_start_us_have_one_folder_and_end_as_they_would(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Also where one of them fails, whose exit code the launcher tells."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", port(), "-m", "debottleneck", "profile", *LEAN]
    how = {"DIES": "1", "STEPS": "40"}
    done = subprocess.run(
        [*command, str(SCRIPT), "none", "none", "0"],
        cwd=tmp_path,
        env={**os.environ, **environment, **how},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "exitcode  : 7" in done.stderr
    (run,) = (tmp_path / "bottleneck-runs").iterdir()
    assert run.name.startswith("ranks-ranks-")
    assert (run / "rank-1" / "recording.json").is_file()
