"""Damaged and hostile recordings: one sentence and exit code 2, or a report."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import mutating
import pytest
from depth import cases

from debottleneck.commands import main

SHELF = Path(__file__).parents[2] / "reports" / "article_forward"


def outcome(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What was said: a sentence with exit code 2, or nothing with 0."""
    code = main(arguments)
    said = capsys.readouterr().err.splitlines()
    said = [line for line in said if not line.startswith(("Wrote", "Open it"))]
    assert (code, len(said)) in ((0, 0), (2, 1))
    assert all(line.startswith("bottleneck: ") for line in said)
    return "".join(said)


def test_mutations_are_reported_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some of those that benchmarks/mutations.py runs all of."""
    refused, count = 0, cases(160)
    for seed in range(count):
        folder = tmp_path / f"copy-{seed}"
        mutating.copy(SHELF / "best", folder)
        mutating.mutate(folder, seed)
        out = ["--format", "json", "--output", str(tmp_path / "out")]
        refused += bool(outcome(["report", str(folder), *out], capsys))
    assert count < 8 * refused < 7 * count


def test_mutated_comparisons_are_reported_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of comparisons those of its own files."""
    names = ["comparison.json"] * 2 + ["trials.parquet", "steps.parquet"]
    for seed in range(cases(80)):
        folder = tmp_path / f"copy-{seed}"
        mutating.copy(SHELF, folder)
        mutating.mutate(folder, seed, random.Random(seed).choice(names))
        format = ("text", "json")[seed % 2]
        out = ["--format", format, "--output", str(tmp_path / "out")]
        outcome(["report", str(folder), *out], capsys)


EVIL = "\x1b]0;owned\x07\x1b[2J\u202egnp\u2066<script>alert(1)</script>\u200b\x9b31m"


@pytest.mark.parametrize("format", ["text", "html"])
def test_texts_of_a_recording_are_never_interpreted(
    tmp_path: Path, format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No control character, change of direction or tag reaches a reader."""
    folder = tmp_path / "copy"
    mutating.copy(SHELF / "baseline", folder)
    file = folder / "recording.json"
    raw = json.loads(file.read_text())
    raw |= {"script": EVIL, "directory": EVIL, "created": EVIL, "partial": True}
    raw |= {"command": [EVIL, EVIL], "partial_why": EVIL}
    raw["not_measured"] = [{"what": EVIL, "why": EVIL, "remedy": EVIL}]
    raw["environment"] |= {"processor": EVIL, "system": EVIL, "python": EVIL}
    raw["environment"]["packages"] = {EVIL: EVIL}
    raw["rates"] = {"sampler": {"failed": EVIL}}
    file.write_text(json.dumps(raw))
    out = tmp_path / "out"
    asked = ["report", str(folder), "--format", format, "--output", str(out)]
    assert outcome(asked, capsys) == ""
    text = out.read_text(encoding="utf-8")
    assert [c for c in "\x1b\x07\u202e\u2066\x9b" if c in text] == []
    assert format == "text" or "<script>alert" not in text


def test_a_terminal_without_letters_gets_question_marks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`PYTHONIOENCODING=ascii bottleneck report`: characters are replaced."""
    folder = tmp_path / "copy"
    mutating.copy(SHELF / "baseline", folder)
    file = folder / "recording.json"
    raw = json.loads(file.read_text())
    raw |= {"partial": True, "partial_why": "größer"}
    file.write_text(json.dumps(raw))
    out = tmp_path / "out.txt"
    with out.open("w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["report", str(folder)]) == 0
    assert "gr??er" in out.read_text()
