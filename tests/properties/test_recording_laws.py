"""Laws of the recording's codec, on tables and facts that hypothesis makes up."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from depth import cases
from hypothesis import given, settings
from hypothesis import strategies as st

from debottleneck.errors import RecordingError
from debottleneck.recording import checked, recording
from debottleneck.recording import tables as tables_of_files
from debottleneck.recording.columns import COLUMNS
from debottleneck.recording.recording import Facts, NotMeasured, Recording

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBER = st.integers(-checked.LARGEST_INT, checked.LARGEST_INT)
TIME = st.integers(0, tables_of_files.LONGEST_NS)
ID = st.integers(0, 2**31 - 1)
REAL = st.floats(-checked.LARGEST_REAL, checked.LARGEST_REAL)
PLAIN = st.none() | st.booleans() | NUMBER | TEXT | REAL
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner)
)


def values(table: str, column: str) -> st.SearchStrategy[object]:
    """What may be in one column."""
    kind = COLUMNS[table][column]
    if (table, column) in tables_of_files.WORDS:
        return st.sampled_from(tables_of_files.WORDS[table, column])
    if column in tables_of_files.RANGES:
        return st.integers(*tables_of_files.RANGES[column])
    if column.endswith("_ns"):
        return TIME
    if kind == "str":
        return TEXT
    if kind == "bool":
        return st.booleans()
    bounds = np.iinfo(kind)
    return st.integers(int(bounds.min), int(bounds.max))


@st.composite
def tables(draw: st.DrawFn, name: str) -> pd.DataFrame:
    """A table `name` with up to five rows."""
    row = st.fixed_dictionaries({c: values(name, c) for c in COLUMNS[name]})
    rows = draw(st.lists(row, max_size=5))
    if not rows:
        return recording.empty(name)
    table = recording.typed(name, pd.DataFrame(rows))
    return tables_of_files.sound(name, table)


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    """Facts of any run."""
    missing = st.builds(NotMeasured, TEXT, TEXT, TEXT)
    return Facts(
        command=tuple(draw(st.lists(TEXT, max_size=3))),
        script=draw(TEXT),
        directory=draw(TEXT),
        created=draw(TEXT),
        start_ns=draw(TIME),
        end_ns=draw(TIME),
        pid=draw(ID),
        main_tid=draw(ID),
        options=draw(st.dictionaries(TEXT, JSON, max_size=3)),
        environment=draw(st.dictionaries(TEXT, JSON, max_size=3)),
        exit_code=draw(st.none() | st.integers(0, 255)),
        exit_signal=draw(st.none() | st.integers(1, 64)),
        partial=draw(st.booleans()),
        partial_why=draw(TEXT),
        rates=draw(st.dictionaries(TEXT, JSON, max_size=3)),
        not_measured=tuple(draw(st.lists(missing, max_size=3))),
    )


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """A recording with some of its tables filled."""
    names = draw(st.sets(st.sampled_from(sorted(COLUMNS))))
    filled = {name: draw(tables(name)) for name in sorted(names)}
    if "stacks" in filled:
        frames = filled.get("frames", recording.empty("frames"))
        has_frames = filled["stacks"]["stack"].isin(frames["stack"])
        filled["stacks"] = filled["stacks"][has_frames].reset_index(drop=True)
    return Recording.of(draw(facts()), filled)


@settings(max_examples=cases(40))
@given(recordings())
def test_loading_what_was_saved_gives_it_back(record: Recording) -> None:
    """load(save(r)) == r: facts equal, tables equal to the last type."""
    with tempfile.TemporaryDirectory() as folder:
        record.save(Path(folder))
        again = recording.read(Path(folder))
    assert again.facts == record.facts
    for name in COLUMNS:
        pd.testing.assert_frame_equal(getattr(again, name), getattr(record, name))


@settings(max_examples=cases(40))
@given(st.sampled_from(sorted(COLUMNS)), st.binary(max_size=64))
def test_junk_in_place_of_a_table_is_our_error(name: str, junk: bytes) -> None:
    """Whatever bytes a table holds, reading refuses it in one line."""
    with tempfile.TemporaryDirectory() as folder:
        _small().save(Path(folder))
        Path(folder, f"{name}.parquet").write_bytes(junk)
        message = _refusal(Path(folder))
    assert f"{name}.parquet" in (message or "")


@settings(max_examples=cases(100))
@given(st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()))
def test_junk_in_place_of_facts_is_our_error(junk: bytes) -> None:
    """Whatever bytes the facts hold, reading refuses them in one line."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, recording.FACTS_FILE).write_bytes(junk)
        assert _refusal(Path(folder))


@settings(max_examples=cases(60))
@given(st.sampled_from(sorted(Facts.__dataclass_fields__)), JSON)
def test_odd_facts_load_or_are_our_error(key: str, value: object) -> None:
    """A fact of another kind either loads or is refused, never a crash."""
    with tempfile.TemporaryDirectory() as folder:
        _small().save(Path(folder))
        file = Path(folder, recording.FACTS_FILE)
        raw = json.loads(file.read_text())
        file.write_text(json.dumps({**raw, key: value}))
        message = _refusal(Path(folder))
    assert message is None or message.strip()


def _small() -> Recording:
    facts = Facts((), "train.py", "/", "", 0, 1, 1, 1)
    return Recording.of(facts, {})


def _refusal(folder: Path) -> str | None:
    """The one line with which `folder` is refused, None if it loads."""
    try:
        recording.read(folder)
    except RecordingError as error:
        message = str(error)
    else:
        return None
    assert "\n" not in message
    return message
