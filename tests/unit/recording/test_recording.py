"""A recording's folder: what is read back, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from debottleneck.errors import RecordingError
from debottleneck.recording import recording
from debottleneck.recording.columns import COLUMNS
from debottleneck.recording.recording import Facts, NotMeasured, Recording

FACTS = Facts(
    command=("python", "train.py", "--epochs", "3"),
    script="train.py",
    directory="/home/user",
    created="2026-11-01T10:00:00+00:00",
    start_ns=1_000,
    end_ns=9_000,
    pid=10,
    main_tid=10,
    options={"rate": 200.0, "stages": ["load=data:read"]},
    environment={"host": "node", "cores": 2},
    exit_code=3,
    ended_by="steps",
    rates={"waits": {"asked": 200, "achieved": 198.5}},
    not_measured=(NotMeasured("stacks", "py-spy is missing", "pip install py-spy"),),
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with a small recording."""
    marks = pd.DataFrame(
        {
            "pid": [10, 10],
            "tid": [10, 10],
            "t_ns": [1_000, 2_000],
            "cpu_ns": [5, 9],
            "site": [0, 0],
            "edge": [0, 1],
            "calls": [1, 1],
        }
    )
    folder = tmp_path / "run"
    Recording.of(FACTS, {"marks": recording.typed("marks", marks)}).save(folder)
    return folder


def refusal(folder: Path) -> str:
    """The one sentence with which `folder` is refused."""
    with pytest.raises(RecordingError) as caught:
        recording.read(folder)
    message = str(caught.value)
    assert message.strip()
    assert "\n" not in message
    assert caught.value.remedy
    return message


def rewrite(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Change the facts on disk."""
    file = folder / recording.FACTS_FILE
    facts = json.loads(file.read_text())
    change(facts)
    file.write_text(json.dumps(facts))


def test_facts_come_back_equal(saved: Path) -> None:
    """Facts survive the folder, tuples and nested mappings included."""
    assert recording.read(saved).facts == FACTS


def test_tables_come_back_with_their_types(saved: Path) -> None:
    """Every table is present with its columns in order and typed."""
    loaded = recording.read(saved)
    for name, columns in COLUMNS.items():
        pd.testing.assert_series_equal(
            getattr(loaded, name).dtypes, recording.empty(name).dtypes
        )
        assert list(getattr(loaded, name)) == list(columns)
    assert loaded.marks["t_ns"].tolist() == [1_000, 2_000]
    assert loaded.path == saved


def test_extra_columns_of_a_table_are_ignored(saved: Path) -> None:
    """A table with a further column still loads, without it."""
    table = pd.read_parquet(saved / "marks.parquet").assign(later=1)
    table.to_parquet(saved / "marks.parquet")
    assert "later" not in recording.read(saved).marks


@pytest.mark.parametrize(
    ("schema", "writer", "remedy"),
    [
        (recording.SCHEMA + 1, "a newer", "upgrade with: pip install"),
        ("4", "a newer", "upgrade"),
        (None, "a newer", "upgrade"),
        ([1], "a newer", "upgrade"),
        (recording.SCHEMA - 1, "an older", "profile the script again"),
        (0, "an older", "profile the script again"),
    ],
)
def test_another_schema_is_refused(
    saved: Path, schema: object, writer: str, remedy: str
) -> None:
    """Which one it is, which one is read, and what to do: nothing is guessed at."""
    rewrite(saved, lambda facts: facts.update(schema=schema))
    message = refusal(saved)
    numbers = f"(schema {schema!r}, this one reads {recording.SCHEMA})"
    assert f"was written by {writer} debottleneck {numbers}" in message
    assert remedy in message


@pytest.mark.parametrize("name", COLUMNS)
def test_missing_table_is_refused(saved: Path, name: str) -> None:
    """Each table that is gone is refused by its file name."""
    (saved / f"{name}.parquet").unlink()
    assert f"{name}.parquet" in refusal(saved)


@pytest.mark.parametrize("content", [b"", b"junk", b"PAR1" + bytes(40) + b"PAR1", None])
def test_broken_table_is_refused(saved: Path, content: bytes | None) -> None:
    """A table that is no Parquet file, or cut in half, is refused by its file name."""
    file = saved / "marks.parquet"
    raw = file.read_bytes()
    file.write_bytes(raw[: len(raw) // 2] if content is None else content)
    assert "marks.parquet" in refusal(saved)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda table: table.drop(columns="edge"), "edge"),
        (lambda table: table.assign(t_ns=["a", "b"]), "marks.parquet"),
    ],
    ids=["without a column", "of another type"],
)
def test_another_table_is_refused(
    saved: Path, change: Callable[[pd.DataFrame], pd.DataFrame], named: str
) -> None:
    """A table that lacks a column, or whose numbers are words, is refused."""
    file = saved / "marks.parquet"
    change(pd.read_parquet(file)).to_parquet(file)
    assert named in refusal(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "{}", "null", "\x00"])
def test_damaged_facts_are_refused(saved: Path, text: str) -> None:
    """Facts that are no JSON object with a schema are refused."""
    (saved / recording.FACTS_FILE).write_text(text)
    assert recording.FACTS_FILE in refusal(saved)


@pytest.mark.parametrize("key", ["command", "created", "pid", "script"])
def test_lacking_facts_are_refused(saved: Path, key: str) -> None:
    """A fact that is gone is refused by its name."""
    rewrite(saved, lambda facts: facts.pop(key))
    assert key in refusal(saved)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    """A folder without facts, or none at all, is called no recording."""
    assert "is not a recording" in refusal(tmp_path)
    assert "is not a recording" in refusal(tmp_path / "nowhere")


def test_facts_are_written_last(saved: Path) -> None:
    """The facts vouch for the tables: a half-written folder has none."""
    tables = [(saved / f"{name}.parquet").stat() for name in COLUMNS]
    facts = (saved / recording.FACTS_FILE).stat()
    assert all(table.st_mtime_ns <= facts.st_mtime_ns for table in tables)


def test_what_a_run_leaves_is_its_owners_alone(tmp_path: Path) -> None:
    """Folder 0700 and files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        Recording.of(FACTS, {}).save(tmp_path / "run")
    finally:
        os.umask(before)
    modes = {file.stat().st_mode & 0o777 for file in (tmp_path / "run").iterdir()}
    assert ((tmp_path / "run").stat().st_mode & 0o777, modes) == (0o700, {0o600})


def test_stacks_without_frames_are_refused(saved: Path) -> None:
    """Tables that belong together must fit each other."""
    row = {"block": "stacks", "pid": 1, "tid": 1, "start_ns": 0, "end_ns": 1}
    stacks = pd.DataFrame([{**row, "weight_ns": 1, "stack": 7}])
    stacks.to_parquet(saved / "stacks.parquet")
    assert "frames.parquet" in refusal(saved)


def test_source_lines_come_back(tmp_path: Path) -> None:
    """Text with quotes, tabs and letters of any language survives."""
    lines = [("/w/train.py", 3, "\tname = 'ü\"'"), ("/w/train.py", 4, "")]
    table = pd.DataFrame(lines, columns=["file", "line", "text"])
    Recording.of(FACTS, {"sources": recording.typed("sources", table)}).save(tmp_path)
    found = recording.read(tmp_path).sources
    assert list(found.itertuples(index=False, name=None)) == lines
