"""Parquet files that are none, lie, or hold much more than they seem to."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from debottleneck.recording import tables
from debottleneck.recording.checked import Unfit
from debottleneck.recording.tables import Allowance

KINDS = {"line": "int64", "text": "str", "python": "bool"}
GOOD = pa.table({"line": [1, 2], "text": ["a", "é"], "python": [True, False]})


def written(folder: Path, table: pa.Table, **how: object) -> Path:
    """A Parquet file of it."""
    file = folder / "table.parquet"
    pq.write_table(table, file, **how)
    return file


def read(file: Path, kinds: dict[str, str] | None = None) -> pd.DataFrame:
    """As a recording reads it."""
    return tables.read(file, kinds or KINDS, Allowance.of([file]))


def test_a_table_is_read(tmp_path: Path) -> None:
    """With the columns asked for and their types."""
    table = read(written(tmp_path, GOOD.append_column("more", pa.array([1.0, 2.0]))))
    assert table.to_dict("list") == GOOD.to_pydict()
    assert [str(kind) for kind in table.dtypes] == ["int64", "str", "bool"]


def constant(value: object, rows: int) -> pa.Array:
    """One value many times, which a file says once."""
    values = pa.array([value])
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), values)


@pytest.mark.parametrize(
    "column",
    [lambda: constant(7, 10_000_000), lambda: constant("A" * 10_000, 100_000)],
    ids=["rows", "texts"],
)
def test_a_small_file_that_stands_for_a_lot_is_refused(
    tmp_path: Path, column: Callable[[], pa.Array]
) -> None:
    """Before the memory is taken."""
    file = written(tmp_path, pa.table({"value": column()}), compression="zstd")
    assert file.stat().st_size < 2**18
    kind = "int64" if column().type.value_type == pa.int64() else "str"
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    with pytest.raises(Unfit, match="memory"):
        read(file, {"value": kind})
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert pa.total_allocated_bytes() - before < 2**20


@pytest.mark.parametrize(
    ("column", "name", "words"),
    [
        (pa.array(["1", "2"]), "line", "type"),
        (pa.array([1.0, 2.0]), "line", "type"),
        (pa.array([[1], [2]]), "line", "type|column|value"),
        (pa.array([1, None]), "line", "lacks"),
        (pa.array(["a", None]), "text", "lacks"),
        (pa.array([b"\xff", b"a"]), "text", "type"),
        (pa.array([0, 1]).cast(pa.timestamp("ns")), "line", "type"),
    ],
)
def test_columns_of_other_types_are_refused(
    tmp_path: Path, column: pa.Array, name: str, words: str
) -> None:
    """Before they are read, where the file says so."""
    at = GOOD.column_names.index(name)
    with pytest.raises(Unfit, match=words):
        read(written(tmp_path, GOOD.set_column(at, name, column)))


def test_texts_that_share_their_beginnings_are_refused(tmp_path: Path) -> None:
    """Of such files nobody can tell how large they are."""
    how = {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}}
    with pytest.raises(Unfit, match=r"DELTA_BYTE_ARRAY|DeltaByteArray"):
        read(written(tmp_path, GOOD, **how))


def test_no_byte_of_a_footer_ends_the_process(tmp_path: Path) -> None:
    """Whichever is another one, the file is read or refused."""
    file = written(tmp_path, GOOD, compression="none")
    whole = file.read_bytes()
    (length,) = struct.unpack("<I", whole[-8:-4])
    for place in range(len(whole) - 8 - length, len(whole)):
        for flipped in (1, 2, 64):
            damaged = bytearray(whole)
            damaged[place] ^= flipped
            file.write_bytes(damaged)
            with contextlib.suppress(Unfit):
                read(file)


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("marks", "edge", 4),
        ("marks", "t_ns", -1),
        ("marks", "cpu_ns", 2**62),
        ("waits", "state", 9),
        ("waits", "end_ns", 0),
        ("waits", "holder", -2),
        ("sites", "stage", "eat"),
        ("sites", "side", "left"),
        ("sites", "within", -2),
        ("loops", "rank", -1),
        ("blocks", "kind", "x"),
    ],
)
def test_what_cannot_be_is_refused_and_ends_a_spool(
    name: str, column: str, value: object
) -> None:
    """In a recording the table is damaged; raw files were cut off there."""
    good = {
        "edge": 0,
        "state": 1,
        "stage": "load",
        "kind": "gil",
        "side": "",
        "start_ns": 5,
    }
    rows = pd.DataFrame([{"end_ns": 9, **good, column: good.get(column, 9)}] * 2)
    rows = rows[[c for c in rows if c in (column, "start_ns")]]
    rows = rows.assign(pid=1, site=[0, 1])
    tables.check(name, rows)
    bad = rows.copy()
    bad.loc[1, column] = value
    with pytest.raises(Unfit, match=column):
        tables.check(name, bad)
    assert len(tables.sound(name, bad)) == 1


def test_numbers_given_twice_are_refused_and_the_first_of_a_spool_counts() -> None:
    """A site, thread, detail or frame is one."""
    sites = pd.DataFrame({"pid": [1, 1], "site": [0, 0], "name": ["a", "b"]})
    with pytest.raises(Unfit, match="pid and site"):
        tables.check("sites", sites)
    assert tables.sound("sites", sites)["name"].tolist() == ["a"]
