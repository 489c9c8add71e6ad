"""The ledger: what was predicted beside what was measured, over many comparisons.

One Parquet file, a row for each strategy that was predicted and run. Rows are added or
made anew by the same comparison; a miss stays in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import MappingProxyType

import pandas as pd

from debottleneck.errors import RecordingError
from debottleneck.recording import spool, tables
from debottleneck.recording.checked import Unfit
from debottleneck.recording.tables import Allowance
from debottleneck.trials.result import Comparison

FILE = "predictions.parquet"

_NUMBERS = tuple(
    f"{side}_{name}"
    for side in ("predicted", "measured")
    for name in (
        *("ms", "low_ms", "high_ms"),
        *("speedup", "speedup_low", "speedup_high"),
    )
)

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("workload", "strategy", "spec", "machine"), "str"),
        "cores": "Int64",
        **dict.fromkeys(("python", "date"), "str"),
        **dict.fromkeys((*_NUMBERS, "step_error", "speedup_error"), "float64"),
        "inside": "bool",
        **dict.fromkeys(("verdict", "cause"), "str"),
    }
)
"""Predicted intervals hold 90 %, measured ones 95 %. Errors are predicted over measured
less 1; `inside` says whether the measured speed-up lies within the predicted interval,
`cause` why a prediction missed, "" where nobody has said."""

KEY = ["workload", "spec", "date"]
"""What tells a row from all others."""


@dataclass(frozen=True)
class Summary:
    """How good the predictions of a ledger are.

    Attributes:
        count: Rows.
        median: Of the step errors without their signs, 0.1 for 10 %.
        worst: The largest of them.
        inside: The part of rows whose interval held what was measured.
    """

    count: int
    median: float
    worst: float
    inside: float


def rows(
    comparison: Comparison, causes: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """A comparison's rows of the ledger: those both predicted and measured.

    A measured step's interval is as wide as the one of its speed-up.

    Args:
        comparison: Of a script; saved recordings were never predicted.
        causes: Specification -> why its prediction missed.
    """
    facts = comparison.environment
    cores = facts.get("cores")
    records = []
    for trial in comparison.trials:
        said, ratio, step = trial.predicted, trial.speedup, trial.step_ms
        if said is None or ratio is None:
            continue
        scale = step * ratio.value if step else math.nan
        numbers = (
            *(said.step_ms, said.step_low, said.step_high),
            *(said.speedup, said.low, said.high),
            *(step, scale / ratio.high, scale / ratio.low),
            *(ratio.value, ratio.low, ratio.high),
        )
        record = {
            "workload": workload(comparison),
            "machine": str(facts.get("processor") or ""),
            "cores": cores if isinstance(cores, int) else None,
            "python": str(facts.get("python") or ""),
            "date": comparison.created,
            "cause": (causes or {}).get(trial.spec, ""),
            **dict(zip(_NUMBERS, numbers, strict=True)),
        }
        same = (name for name in COLUMNS if name not in record)
        records.append(record | {name: getattr(trial, name) for name in same})
    return _typed(pd.DataFrame(records, columns=list(COLUMNS)))


def workload(comparison: Comparison) -> str:
    """The script's name without its folder and ending, or the module's."""
    command = comparison.command
    if command[:1] == ("-m",):
        return "".join(command[1:2])
    return PurePath("".join(command[:1])).stem


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns and types of a ledger, rows numbered from 0."""
    return table[[*COLUMNS]].astype(dict(COLUMNS)).reset_index(drop=True)


def joined(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Rows of all tables; of the same row the last one, in the first's place."""
    kept: dict[tuple[object, ...], dict[str, object]] = {}
    for table in parts:
        for row in table.to_dict("records"):
            kept[tuple(row[name] for name in KEY)] = row
    return _typed(pd.DataFrame(list(kept.values()), columns=list(COLUMNS)))


def read(file: Path) -> pd.DataFrame:
    """Read a ledger; one that is not there is empty.

    Raises:
        RecordingError: It cannot be read, or is none.
    """
    if not file.exists():
        return joined(())
    try:
        return tables.read(file, COLUMNS, Allowance.of([file]), nulls=True)
    except (OSError, Unfit) as error:
        raise RecordingError(
            f"{file} cannot be read as a ledger of predictions",
            "move it away, and a new one is begun",
        ) from error


def write(table: pd.DataFrame, file: Path) -> None:
    """Write a ledger in one move.

    Raises:
        RecordingError: It cannot be written.
    """
    partial = file.with_name(f"{file.name}.partial")
    try:
        with open(partial, "wb", opener=spool.private) as stream:
            _typed(table).to_parquet(stream, index=False, compression="zstd")
        partial.replace(file)
    except OSError as error:
        raise RecordingError(
            f"{file} cannot be written ({error.strerror})",
            "choose another place with --output",
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def append(added: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Add rows to a ledger, which is made if it is not there; all that are now in it.

    Raises:
        RecordingError: It cannot be read or written; nothing is changed then.
    """
    table = joined((read(file), added))
    write(table, file)
    return table


def summary(table: pd.DataFrame) -> Summary | None:
    """How good they are; None without rows."""
    errors = table["step_error"].abs().dropna()
    if errors.empty:
        return None
    return Summary(
        count=len(table),
        median=float(errors.median()),
        worst=float(errors.max()),
        inside=float(table["inside"].mean()),
    )
