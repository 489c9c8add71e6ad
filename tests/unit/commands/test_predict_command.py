"""`bottleneck predict`: its options, and where results go."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import comparisons
import pytest
from made_runs import EMPTY, FACTS, PID, loop_words, marks, running, sites, threads
from made_runs import waits as waits_of

from debottleneck.commands import main
from debottleneck.recording.recording import Recording
from debottleneck.trials.save import save as trials_saved


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with recordings: `run`, `empty`, `with` a strategy."""
    words = loop_words(40, {"load": (20, 5), "forward": (10, 10)})
    ticks = [running(at, at + 5) for at in range(0, 1200, 5)]
    tables = {
        "sites": sites(),
        "threads": threads((PID, "MainThread")),
        "marks": marks({PID: words}),
        "waits": waits_of(ticks),
    }
    Recording.of(FACTS, tables).save(tmp_path / "run")
    EMPTY.save(tmp_path / "empty")
    applied = dataclasses.replace(FACTS, options={"strategies": "prefetch"})
    Recording.of(applied, tables).save(tmp_path / "with")
    trials_saved(comparisons.faster(), (), tmp_path / "both")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run --strategy pie", ["no strategy 'pie'", "prefetch"]),
        ("run --strategy prefetch:size=2", ["no setting", "workers"]),
        ("run --output no/x.txt", ["no folder", "--output"]),
        ("gone", ["gone is not a recording", "bottleneck profile"]),
        ("both", ["is a comparison", "both/baseline"]),
        ("with", ["recorded with prefetch", "without --strategy"]),
        ("empty", ["no steps", "mark its loop"]),
    ],
)
def test_misuse_is_one_sentence_with_its_remedy(
    place: Path, capsys: pytest.CaptureFixture[str], line: str, words: list[str]
) -> None:
    """On stderr, exit code 2, nothing on stdout and nothing written."""
    before = sorted(place.rglob("*"))
    assert main(["predict", *line.split()]) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.count("\n") == 1
    assert [word for word in words if word not in errors] == []
    assert sorted(place.rglob("*")) == before


def test_text_and_json_go_to_stdout(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They say the same, and a strategy that was asked for is the only one."""
    words = ["predict", "run", "--strategy", "prefetch:workers=2"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert said.startswith("The loop as it is: ")
    assert main([*words, "--format", "json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert [row["spec"] for row in whole["rows"]] == ["prefetch:workers=2"]
    assert sorted(place.glob("run/*.html")) == []


@pytest.mark.parametrize("format", ["text", "json", "html"])
def test_reports_end_with_predictions(
    place: Path, capsys: pytest.CaptureFixture[str], format: str
) -> None:
    """In every format that people and scripts read."""
    assert main(["report", "run", "--format", format, "--output", "out"]) == 0
    assert ">Predictions<" in (place / "out").read_text() or format != "html"
    assert "redict" in (place / "out").read_text()
    assert main(["report", "empty", "--output", "out"]) == 0
    assert "redict" not in (place / "out").read_text()
