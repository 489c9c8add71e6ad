"""Which rank this is, and where its part of a distributed run goes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from debottleneck.collect import ranks
from debottleneck.collect.ranks import Place
from debottleneck.errors import UsageError
from debottleneck.recording.recording import FACTS_FILE


def test_a_rank_is_what_its_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """By RANK and WORLD_SIZE, and how many are on this machine."""
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert ranks.place() == Place(3, 8)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert ranks.place() == Place(3, 4)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.delenv("LOCAL_WORLD_SIZE")
    assert ranks.place() == Place(0, 1)


@pytest.mark.parametrize(("rank", "world"), [("-1", "2"), ("x", "2"), ("", "")])
def test_a_process_that_nobody_launched_is_none(
    monkeypatch: pytest.MonkeyPatch, rank: str, world: str
) -> None:
    """Nor one whose environment cannot be read."""
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    assert ranks.place() is None


def test_ranks_share_what_sampling_may_cost() -> None:
    """Down to the least rate, and never beyond what was asked."""
    assert Place(0, 2).rate(200.0) == 100.0
    assert Place(0, 64).rate(200.0) == ranks.LEAST_HZ
    assert Place(0, 64).rate(10.0) == 10.0


def test_each_attempt_of_a_rank_has_a_folder(tmp_path: Path) -> None:
    """Whoever makes one has it; they are found by number."""
    made = [Place(n, 2).part(tmp_path / "run").name for n in (10, 2, 2)]
    assert made == ["rank-10", "rank-2", "rank-2-2"]
    assert not ranks.all_saved(tmp_path / "run")
    for part in ranks.parts(tmp_path / "run"):
        (part / FACTS_FILE).touch()
    assert ranks.all_saved(tmp_path / "run")
    assert [p.name for p in ranks.parts(tmp_path / "run")] == [
        "rank-2",
        "rank-10",
        "rank-2-2",
    ]


def test_the_last_rank_reports_and_no_other(tmp_path: Path) -> None:
    """Once all here are saved, unless a tool around their launcher will."""
    first, last = Place(0, 2), Place(1, 2)
    for place in (first, last):
        part = place.part(tmp_path)
        assert not place.is_last(tmp_path)
        (part / FACTS_FILE).touch()
    (tmp_path / "raw").mkdir()
    assert not last.is_last(tmp_path)
    (tmp_path / "raw").rmdir()
    assert last.is_last(tmp_path)
    assert not first.is_last(tmp_path)


def test_ranks_of_one_launcher_agree_on_a_name() -> None:
    """It is its start that names the run."""
    assert ranks.name_of_run("a/train.py") == ranks.name_of_run("train.py")
    assert ranks.name_of_run("train.py").startswith("train-ranks-")


@pytest.mark.parametrize(("code", "ended"), [(3, 3), (137, -9), (143, -15), (0, 0)])
def test_a_rank_ends_as_its_script_did(code: int, ended: int) -> None:
    """By the same signal, where one ended it, though the tool holds signals back."""
    script = (
        "import signal\n"
        "from debottleneck.collect.ranks import end_like\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        f"exit(end_like({code}))\n"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == ended


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """With what to do, and no traceback."""
    (tmp_path / "run").touch()
    with pytest.raises(UsageError, match="--output"):
        Place(0, 2).part(tmp_path / "run")
