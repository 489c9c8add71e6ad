"""Tables from files that anybody may have written: measured before they are read.

A Parquet file of some kilobytes can stand for gigabytes: of equal values only one is
written. So its rows, pages and texts are counted from what it says of itself, and
read only when they fit; what it then holds must be in the columns' ranges.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from debottleneck.recording import spool
from debottleneck.recording.checked import Between, Unfit, opened
from debottleneck.words import LINE, SIDES, STAGES, STEP

MOST_TIMES_LARGER = 500
"""How many times larger than its files a recording's tables may be. Those of real runs
are 10 times, deep stacks (a few frames that return in every one) 150 times."""

ALWAYS_BYTES = 64 * 2**20
"""So much may any recording have: 1.5 million marks. Analysing takes some times more,
and stays below a gigabyte."""

MOST_OF_MEMORY = 0.5
"""Tables may take this part of the memory that is free. A run of 10^7 steps with 64
threads and 14 marks a step has 6 GB of marks in files of 0.8 GB: a machine with 16 GB
shows it."""

MOST_FOOTER_BYTES = 8 * 2**20
"""What a file says of itself: 2 kB for each million rows."""

ENCODINGS = frozenset(
    ("PLAIN", "RLE", "BIT_PACKED", "PLAIN_DICTIONARY", "RLE_DICTIONARY")
) | {"DELTA_BINARY_PACKED"}
"""Those that are written here; others can share text between values."""

BYTES = MappingProxyType({"bool": 1, "int8": 1, "int32": 4, "str": 8})
"""Bytes of a value in memory, 8 if not named; a text's own come on top."""

LONGEST_NS = 2**60
"""36 years: sums of some such times are still numbers of 64 bits."""

Time = Annotated[int, Between(0, LONGEST_NS)]
Id = Annotated[int, Between(0, 2**31 - 1)]
"""Of a process or thread."""

_COUNT = (0, 2**31 - 1)
RANGES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        **dict.fromkeys(("pid", "tid", "calls", "slices", "held", "line"), _COUNT),
        **dict.fromkeys(("detail", "stack", "depth", "releases"), _COUNT),
        **dict.fromkeys(("end", "rank", "minor", "major", "collected"), _COUNT),
        "generation": (0, 3),
        "site": (0, 2**29 - 1),
        "within": (-1, 2**29 - 1),
        "edge": (spool.ENTER, spool.STEP_END),
        "state": (0, len(spool.STATES) - 1),
        "holder": (-1, 2**31 - 1),
        **dict.fromkeys(("switches", "tracked"), (0, LONGEST_NS)),
        **dict.fromkeys(("self_ns", "total_ns"), (-LONGEST_NS, LONGEST_NS)),
    }
)
"""Column -> the numbers that mean something, in every table that has it; of times
(`_ns`) those up to LONGEST_NS. yappi's may be negative where a call had not ended."""

_SAMPLED = ("stacks", "gil", "functions-wall", "functions-cpu")
WORDS: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {
        ("sites", "stage"): (*STAGES, STEP, LINE),
        ("sites", "side"): SIDES,
        ("blocks", "kind"): (*_SAMPLED, spool.LEARNING, spool.PLANNING, spool.DELAYED),
        ("stacks", "block"): _SAMPLED,
        ("functions", "clock"): ("wall", "cpu"),
    }
)
"""Table and column -> its closed list of words."""

_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sites": ("pid", "site"),
        "loops": ("pid", "site"),
        "threads": ("pid", "tid"),
        "details": ("detail",),
        "holders": ("detail",),
        "frames": ("stack", "depth"),
    }
)
"""Table -> what no two rows share."""


@dataclass
class Allowance:
    """Memory that the tables of a folder may still take, in bytes."""

    left: int

    @classmethod
    def of(cls, files: Iterable[Path]) -> Allowance:
        """For these files together; those that are not there count nothing."""
        written = sum(file.stat().st_size for file in files if file.is_file())
        fair = max(ALWAYS_BYTES, MOST_TIMES_LARGER * written)
        return cls(min(fair, int(MOST_OF_MEMORY * _free_bytes())))

    def take(self, size: int) -> None:
        """Use so much of it.

        Raises:
            Unfit: It is not left.
        """
        if size > self.left:
            raise Unfit(f"it would take {size / 2**20:.0f} MB of memory or more")
        self.left -= size


def read(
    file: Path, kinds: Mapping[str, str], allowance: Allowance, nulls: bool = False
) -> pd.DataFrame:
    """The named columns of a Parquet file, with their types.

    Args:
        file: Is left alone unless it is a regular file.
        kinds: Column -> its type.
        allowance: What may be taken.
        nulls: Whether numbers may be missing.

    Raises:
        OSError: It cannot be opened.
        Unfit: It is no such table, or too large.
    """
    texts = [name for name, kind in kinds.items() if kind == "str"]
    with opened(file) as stream:
        _check_footer(stream)
        try:
            whole = pq.ParquetFile(stream, read_dictionary=texts)
            _check_sizes(whole, kinds, allowance)
            _check_types(whole.schema_arrow, kinds)
            table = whole.read(columns=list(kinds), use_threads=False)
            table = table.replace_schema_metadata(None)
            _check_values(table, texts, allowance, nulls)
            return table.to_pandas()[list(kinds)].astype(dict(kinds))
        except MemoryError as error:
            raise Unfit("it would take more memory than there is") from error
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
            raise Unfit(str(error)) from error


def check(name: str, table: pd.DataFrame) -> None:
    """A table of a recording holds what can be.

    Raises:
        Unfit: A number is out of range, a word is none, or two rows are the same.
    """
    for column, fits in _checks(name, table):
        if not fits.all():
            shown = table[column].iloc[int(np.argmin(fits))]
            raise Unfit(f"{column} is {str(shown)[:60]!r}")
    if name in _KEYS and table.duplicated(list(_KEYS[name])).any():
        raise Unfit(f"two rows have the same {' and '.join(_KEYS[name])}")


def sound(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """The rows before the first that cannot be: there the run was cut off."""
    fits = np.ones(len(table), bool)
    for _, each in _checks(name, table):
        fits &= each
    if not fits.all():
        table = table.iloc[: int(np.argmin(fits))]
    if name in _KEYS:
        table = table.drop_duplicates(list(_KEYS[name]), ignore_index=True)
    return table


def _checks(name: str, table: pd.DataFrame) -> Iterable[tuple[str, NDArray[np.bool_]]]:
    """Column -> which of its rows can be."""
    for column in table.columns:
        times = (0, LONGEST_NS) if column.endswith("_ns") else None
        if (name, column) in WORDS:
            words = WORDS[name, column]
            yield column, table[column].isin(words).to_numpy(np.bool_)
        elif bounds := RANGES.get(column, times):
            numbers = table[column].to_numpy()
            yield column, (numbers >= bounds[0]) & (numbers <= bounds[1])
    if {"start_ns", "end_ns"} <= {*table.columns}:
        yield "end_ns", (table["end_ns"] >= table["start_ns"]).to_numpy(np.bool_)


def _free_bytes() -> int:
    """Memory that could be had without swapping; much where nobody says."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 2**62
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if ":" in line}
    return int(sizes.get("MemAvailable", 2**52)) * 1024


def _check_footer(stream: IO[bytes]) -> None:
    """Before anything parses it: how long the file says that its footer is."""
    size = stream.seek(0, 2)
    if size < 12:
        raise Unfit("it is no Parquet file")
    stream.seek(-8, 2)
    (length,) = struct.unpack("<I", stream.read(4))
    if not 0 < length <= min(size - 12, MOST_FOOTER_BYTES):
        raise Unfit("its footer is damaged")
    stream.seek(0)


def _check_sizes(
    whole: pq.ParquetFile, kinds: Mapping[str, str], allowance: Allowance
) -> None:
    """Rows times the width of a row, and every page unpacked.

    A first row is read before a chunk is asked about: of one whose statistics are
    damaged that raises, and asking would end the process (pyarrow 26).
    """
    about = whole.metadata
    groups = [about.row_group(at) for at in range(about.num_row_groups)]
    rows = max(about.num_rows, sum(max(group.num_rows, 0) for group in groups))
    allowance.take(rows * sum(BYTES.get(kind, 8) for kind in kinds.values()))
    allowance.take(sum(max(group.total_byte_size, 0) for group in groups))
    paths = [whole.schema.column(at).path for at in range(about.num_columns)]
    for number, group in enumerate(groups):
        named = {"row_groups": [number], "columns": [p for p in paths if p in kinds]}
        next(whole.iter_batches(1, use_threads=False, **named), None)
        for at in (at for at, path in enumerate(paths) if path in kinds):
            chunk = group.column(at)
            if chunk.num_values != group.num_rows:
                raise Unfit(f"{paths[at]} is not one value a row")
            if strange := set(chunk.encodings) - ENCODINGS:
                raise Unfit(f"it is encoded as {min(strange)}")
            allowance.take(max(chunk.total_uncompressed_size, 0))


def _check_types(schema: pa.Schema, kinds: Mapping[str, str]) -> None:
    if len(set(schema.names)) < len(schema.names):
        raise Unfit("two columns have the same name")
    for name, kind in kinds.items():
        if name not in schema.names:
            raise Unfit(f"it has no column {name}")
        found = schema.field(name).type
        if pa.types.is_dictionary(found):
            found = found.value_type
        if not any(fits(found) for fits in _TYPES[kind.lower()]):
            raise Unfit(f"{name} is of the type {str(found)[:40]}")


_TYPES = {
    **dict.fromkeys(("int8", "int32", "int64"), (pa.types.is_integer,)),
    "float64": (pa.types.is_floating, pa.types.is_integer),
    "str": (pa.types.is_string, pa.types.is_large_string),
    "bool": (pa.types.is_boolean,),
}


def _check_values(
    table: pa.Table, texts: Sequence[str], allowance: Allowance, nulls: bool
) -> None:
    """Nothing is missing, and texts fit when they are written out."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.null_count and (name in texts or not nulls):
            raise Unfit(f"{name} lacks values")
        for part in column.chunks if name in texts else ():
            lengths: Any = pc.binary_length(part.dictionary)
            allowance.take(pc.sum(lengths.take(part.indices)).as_py() or 0)
