"""A recording's folder: what is read back, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from debottleneck.errors import RecordingError
from debottleneck.recording import recording
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
            "edge": [1, -1],
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
    for name, columns in recording.COLUMNS.items():
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


def test_newer_schema_is_refused(saved: Path) -> None:
    """A newer layout is refused with both numbers and the way to upgrade."""
    rewrite(saved, lambda facts: facts.update(schema=recording.SCHEMA + 1))
    message = refusal(saved)
    assert f"schema {recording.SCHEMA + 1}" in message
    assert "upgrade" in message


@pytest.mark.parametrize("schema", ["2", None, 1.5, [1]])
def test_schema_of_another_kind_is_refused(saved: Path, schema: object) -> None:
    """A schema that is no whole number is refused, not guessed at."""
    rewrite(saved, lambda facts: facts.update(schema=schema))
    assert repr(schema) in refusal(saved)


@pytest.mark.parametrize("name", recording.COLUMNS)
def test_missing_table_is_refused(saved: Path, name: str) -> None:
    """Each table that is gone is refused by its file name."""
    (saved / f"{name}.parquet").unlink()
    assert f"{name}.parquet" in refusal(saved)


@pytest.mark.parametrize("content", [b"", b"junk", b"PAR1" + bytes(40) + b"PAR1"])
def test_broken_table_is_refused(saved: Path, content: bytes) -> None:
    """A table that is no Parquet file is refused by its file name."""
    (saved / "waits.parquet").write_bytes(content)
    assert "waits.parquet" in refusal(saved)


def test_truncated_table_is_refused(saved: Path) -> None:
    """A table cut in half is refused."""
    file = saved / "marks.parquet"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert "marks.parquet" in refusal(saved)


def test_table_without_a_column_is_refused(saved: Path) -> None:
    """A table that lacks a column is refused by that column's name."""
    table = pd.read_parquet(saved / "marks.parquet").drop(columns="edge")
    table.to_parquet(saved / "marks.parquet")
    assert "edge" in refusal(saved)


def test_table_of_another_type_is_refused(saved: Path) -> None:
    """A table whose numbers are words is refused."""
    table = pd.read_parquet(saved / "marks.parquet").assign(t_ns=["a", "b"])
    table.to_parquet(saved / "marks.parquet")
    assert "marks.parquet" in refusal(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "{}", "null", "\x00"])
def test_damaged_facts_are_refused(saved: Path, text: str) -> None:
    """Facts that are no JSON object with a schema are refused."""
    (saved / recording.FACTS_FILE).write_text(text)
    assert recording.FACTS_FILE in refusal(saved)


@pytest.mark.parametrize("key", ["command", "not_measured", "pid", "script"])
def test_lacking_facts_are_refused(saved: Path, key: str) -> None:
    """A fact that is gone is refused by its name."""
    rewrite(saved, lambda facts: facts.pop(key))
    assert key in refusal(saved)


def test_unknown_fact_is_refused(saved: Path) -> None:
    """A fact this version does not know is refused, as the schema is not newer."""
    rewrite(saved, lambda facts: facts.update(colour="red"))
    assert "colour" in refusal(saved)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    """A folder without facts, or none at all, is called no recording."""
    assert "is not a recording" in refusal(tmp_path)
    assert "is not a recording" in refusal(tmp_path / "nowhere")


def test_facts_are_written_last(saved: Path) -> None:
    """The facts vouch for the tables: a half-written folder has none."""
    tables = [(saved / f"{name}.parquet").stat() for name in recording.COLUMNS]
    facts = (saved / recording.FACTS_FILE).stat()
    assert all(table.st_mtime_ns <= facts.st_mtime_ns for table in tables)


def test_the_layout_before_source_lines_is_read(saved: Path) -> None:
    """Schema 2 had no table of sources: it is then empty, and all else is there."""
    (saved / "sources.parquet").unlink()
    rewrite(saved, lambda facts: facts.update(schema=2))
    loaded = recording.read(saved)
    assert loaded.facts == FACTS
    assert loaded.marks["t_ns"].tolist() == [1_000, 2_000]
    pd.testing.assert_frame_equal(loaded.sources, recording.empty("sources"))


def test_other_tables_of_an_older_layout_are_not_optional(saved: Path) -> None:
    """Only what a later layout added may be missing."""
    rewrite(saved, lambda facts: facts.update(schema=2))
    (saved / "blocks.parquet").unlink()
    assert "blocks.parquet" in refusal(saved)


@pytest.mark.parametrize("schema", [0, 1])
def test_layouts_too_old_are_refused(saved: Path, schema: int) -> None:
    """Which one it is, which ones are read, and what to do."""
    rewrite(saved, lambda facts: facts.update(schema=schema))
    message = refusal(saved)
    assert (
        f"older debottleneck (schema {schema}, this one reads 2 to {recording.SCHEMA})"
        in message
    )
    assert "profile the script again" in message


def test_source_lines_come_back(tmp_path: Path) -> None:
    """Text with quotes, tabs and letters of any language survives."""
    lines = [("/w/train.py", 3, "\tname = 'ü\"'"), ("/w/train.py", 4, "")]
    table = pd.DataFrame(lines, columns=["file", "line", "text"])
    Recording.of(FACTS, {"sources": recording.typed("sources", table)}).save(tmp_path)
    found = recording.read(tmp_path).sources
    assert list(found.itertuples(index=False, name=None)) == lines
