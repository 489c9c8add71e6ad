"""Laws of the ledger: what is written is read, and joining loses no row."""

from __future__ import annotations

import tempfile
from pathlib import Path

import ledger
import pandas as pd
import pytest
from depth import cases
from hypothesis import given, settings
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KINDS = {
    "str": TEXT,
    "Int64": st.none() | st.integers(0, 4096),
    "float64": st.none() | st.floats(allow_nan=False, width=32),
    "bool": st.booleans(),
}
ROW = st.fixed_dictionaries(
    {
        name: st.sampled_from(["a", "b"]) if name in ledger.KEY else KINDS[kind]
        for name, kind in ledger.COLUMNS.items()
    }
)
TABLES = st.lists(ROW, max_size=6).map(
    lambda rows: ledger.joined(
        [pd.DataFrame(rows, columns=list(ledger.COLUMNS)).astype(dict(ledger.COLUMNS))]
    )
)

pytestmark = pytest.mark.slow

quick = settings(max_examples=cases(40))


def keys(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """What tells its rows apart."""
    return list(table[ledger.KEY].itertuples(index=False, name=None))


@quick
@given(TABLES)
def test_reading_gives_what_was_written(table: pd.DataFrame) -> None:
    """Whatever the texts and numbers, also those that are missing."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, ledger.FILE)
        ledger.write(table, file)
        pd.testing.assert_frame_equal(ledger.read(file), table)


@quick
@given(TABLES, TABLES)
def test_joining_keeps_all_rows_once(old: pd.DataFrame, new: pd.DataFrame) -> None:
    """Old rows in their places, the new ones as they are, none of them twice."""
    both = ledger.joined([old, new])
    assert keys(both) == list(dict.fromkeys([*keys(old), *keys(new)]))
    added = both[pd.Series([key in keys(new) for key in keys(both)], dtype=bool)]
    found = added.sort_values(ledger.KEY, ignore_index=True)
    pd.testing.assert_frame_equal(found, new.sort_values(ledger.KEY, ignore_index=True))


@quick
@given(TABLES, TABLES)
def test_appending_twice_is_appending_once(
    old: pd.DataFrame, new: pd.DataFrame
) -> None:
    """The same comparison again changes nothing."""
    once = ledger.joined([old, new])
    pd.testing.assert_frame_equal(ledger.joined([once, new]), once)
