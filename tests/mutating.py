"""Damaged and hostile copies of a recording or comparison, each made from a seed."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

TEXTS = (
    "",
    "../../../etc/passwd",
    "\x1b]0;owned\x07\x1b[2J",
    "\u202egnp.exe\u2066",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "\ud800",
    "\x00",
    "9" * 5000,
    "A" * 100_000,
    "step",
    "nonsense",
    "prefetch:workers=999999999999",
)
NUMBERS = (0, -1, 1, 2**31, 2**62, 2**63 - 1, -(2**63), 2**64, 10**400)
REALS = (0.0, -1.0, 1e308, -1e308, 1e-320, float("nan"), float("inf"))
OTHERS = (None, True, [], {}, [[]], {"a": {"b": 1}}, [1, "x", None])
DEEP = "[" * 100_000

JSON_ENDINGS = (".json", ".jsonl")


def mutate(folder: Path, seed: int, name: str = "") -> str:
    """Change one file of a folder; some seeds change nothing that counts.

    Args:
        folder: Is changed.
        seed: Says how.
        name: The file; by default the seed chooses one.

    Returns:
        What was done, for a reader.
    """
    rng = random.Random(seed)
    file = folder / (name or rng.choice(files_of(folder)))
    kinds: list[Callable[[Path, random.Random], str]] = [_bytes, _bytes, _place]
    if file.suffix in JSON_ENDINGS:
        kinds += [_json] * 7
    elif file.suffix == ".parquet":
        kinds += [_cells] * 4 + [_columns, _rows, _rows]
    else:
        kinds += [_records] * 4
    change = rng.choice(kinds)
    return f"{file.relative_to(folder)}: {change(file, rng)}"


def files_of(folder: Path) -> list[str]:
    """The files that a reader opens, by their place in the folder."""
    endings = (*JSON_ENDINGS, ".parquet", ".bin", ".out")
    files = (file for file in sorted(folder.rglob("*")) if file.suffix in endings)
    return [str(file.relative_to(folder)) for file in files]


def _bytes(file: Path, rng: random.Random) -> str:
    """Bits turned, a part lost, zeroed, doubled, or moved."""
    data = bytearray(file.read_bytes())
    kind = rng.choice(["flip", "flip", "cut", "zero", "double", "insert", "empty"])
    at = rng.randrange(len(data) + 1)
    size = rng.choice((1, 4, 64, 4096))
    if kind == "flip":
        for _ in range(rng.choice((1, 1, 4, 32)) if data else 0):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[at:]
    elif kind == "zero":
        data[at : at + size] = bytes(len(data[at : at + size]))
    elif kind == "double":
        data[at:at] = data[at : at + size]
    elif kind == "insert":
        data[at:at] = rng.randbytes(size)
    else:
        data.clear()
    file.write_bytes(data)
    return kind


def _place(file: Path, rng: random.Random) -> str:
    """Something else in the file's place."""
    kind = rng.choice(["gone", "folder", "fifo", "zero", "loop", "brother"])
    brother = rng.choice(sorted(file.parent.glob("*.*"))).read_bytes()
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "zero":
        file.symlink_to("/dev/zero")
    elif kind == "loop":
        file.symlink_to(file)
    elif kind == "brother":
        file.write_bytes(brother)
    return kind


def _json(file: Path, rng: random.Random) -> str:
    """One value of the document, or of one of its lines, is another."""
    lines = file.read_text(encoding="utf-8").splitlines()
    if file.suffix == ".json":
        lines = ["".join(lines)]
    at = rng.randrange(len(lines)) if lines else 0
    if rng.random() < 0.05 or not lines:
        lines[at : at + 1] = [rng.choice((DEEP, "[1," * 50_000, "1" * 9999, "{"))]
        file.write_text("\n".join(lines))
        return "deep"
    document = json.loads(lines[at])
    places = list(_places(document))
    value = _value(rng)
    if not places:
        document = value
    else:
        inside, key = rng.choice(places)
        kind = rng.choice(["change", "change", "change", "lose", "more"])
        if kind == "lose":
            del inside[key]
        elif kind == "more" and isinstance(inside, dict):
            inside["another"] = value
        elif kind == "more":
            inside.insert(0, value)
        else:
            inside[key] = value
    lines[at] = json.dumps(document)
    file.write_text("\n".join(lines) + "\n")
    return f"{str(value)[:40]!r} at line {at}"


def _places(document: Any) -> Any:
    """Every (container, key) of a document."""
    if isinstance(document, dict):
        keys = list(document)
    else:
        keys = list(range(len(document))) if isinstance(document, list) else []
    for key in keys:
        yield document, key
        yield from _places(document[key])


def _value(rng: random.Random) -> Any:
    return rng.choice(rng.choice((TEXTS, NUMBERS, REALS, OTHERS)))


def _cells(file: Path, rng: random.Random) -> str:
    """Some cells of a column, or all of them, are others."""
    table = pq.read_table(file).to_pandas()
    column = rng.choice(list(table.columns))
    values = table[column].tolist()
    if not values:
        return _columns(file, rng)
    count = rng.choice((1, 1, 3, len(values)))
    kind = table[column].dtype.kind
    choices: tuple[Any, ...] = TEXTS if kind in "OTU" else (-1, 2**62, 2**63 - 1, 0)
    choices = (*choices, -(2**63), 1, 2**31, 2**40) if kind in "iu" else choices
    choices = REALS if kind == "f" else choices
    value = rng.choice(choices)
    value = value.encode("utf-8", "replace").decode() if kind in "OTU" else value
    for _ in range(count):
        values[rng.randrange(len(values))] = value
    try:
        table[column] = pd.Series(values).astype(table[column].dtype)
    except (OverflowError, ValueError, TypeError):
        info = np.iinfo(table[column].to_numpy().dtype)
        table[column] = np.clip(value, info.min, info.max) if kind == "i" else False
    _write(pa.Table.from_pandas(table, preserve_index=False), file)
    return f"{column} = {str(value)[:30]!r} in {count}"


def _columns(file: Path, rng: random.Random) -> str:
    """A column is gone, of another type, nested, or there twice."""
    table = pq.read_table(file)
    at = rng.randrange(table.num_columns)
    name, rows = table.column_names[at], table.num_rows
    kind = rng.choice(["drop", "float", "text", "nested", "null", "twice", "times"])
    if kind == "drop":
        table = table.remove_column(at)
    elif kind == "twice":
        table = table.append_column(name, table.column(at))
    else:
        made = {
            "float": pa.array([0.5] * rows),
            "text": pa.array(["7"] * rows),
            "nested": pa.array([[1, 2]] * rows),
            "null": pa.nulls(rows, table.schema.types[at]),
            "times": pa.array([0] * rows).cast(pa.timestamp("ns")),
        }
        table = table.set_column(at, name, made[kind])
    _write(table, file)
    return f"{kind} {name}"


def _rows(file: Path, rng: random.Random) -> str:
    """Rows in another order, twice, negative, none, or very many."""
    table = pq.read_table(file).to_pandas()
    kind = rng.choice(["shuffle", "twice", "none", "reverse", "bomb", "bomb text"])
    if kind == "shuffle":
        table = table.sample(frac=1, random_state=rng.randrange(2**31))
    elif kind == "twice":
        table = pd.concat([table, table])
    elif kind == "none":
        table = table[:0]
    elif kind == "reverse":
        table = table[::-1]
    elif len(table):
        return _bomb(pq.read_table(file).slice(0, 1), file, kind)
    _write(pa.Table.from_pandas(table, preserve_index=False), file)
    return kind


def _bomb(row: pa.Table, file: Path, kind: str) -> str:
    """A small file of three million rows, or of one long text many times."""
    rows = 3_000_000 if kind == "bomb" else 30_000
    columns = {}
    for name, column in zip(row.column_names, row.columns, strict=True):
        value = column[0].as_py()
        if isinstance(value, str):
            value = "A" * 100_000 if kind != "bomb" else value[:1]
        indices = pa.array(np.zeros(rows, np.int32))
        columns[name] = pa.DictionaryArray.from_arrays(indices, pa.array([value]))
    table = pa.table(columns)
    pq.write_table(table, file, compression="zstd", row_group_size=rows)
    return kind


def _write(table: pa.Table, file: Path) -> None:
    pq.write_table(table.replace_schema_metadata(None), file, store_schema=False)


def _records(file: Path, rng: random.Random) -> str:
    """A number of a raw record is another."""
    data = bytearray(file.read_bytes())
    if len(data) < 16:
        return _bytes(file, rng)
    value = rng.choice((-1, 0, 2**62, 2**63 - 1, -(2**63), 2**32))
    at = rng.randrange((len(data) - 8) // 8) * 8
    if rng.random() < 0.5:
        at = min(at, rng.randrange(64) * 8)
    struct.pack_into("<q", data, min(at, len(data) - 8), value)
    file.write_bytes(data)
    return f"{value} at {at}"


def copy(whole: Path, folder: Path) -> None:
    """A fresh copy, whatever was left there."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
