"""A comparison's folder: comparison.json beside Parquet tables, logs, recordings.

`trials.parquet` has a row for each trial and round, `steps.parquet` one for each of
their steps. Round -1 is the equality gate's, whose times are not counted; the losses
of its runs are in `losses.parquet`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from debottleneck.errors import RecordingError
from debottleneck.trials.losses import Row as Loss
from debottleneck.trials.result import Comparison, Interval, Predicted, Trial
from debottleneck.trials.trial import Measured

SCHEMA = 2
READABLE = (1, SCHEMA)
"""In the first, a prediction was a number without an interval."""

FILE, TRIALS, STEPS = "comparison.json", "trials.parquet", "steps.parquet"
LOSSES = "losses.parquet"
FILES = {"trials": TRIALS, "steps": STEPS, "losses": LOSSES}
LOGS, BASELINE, BEST = "logs", "baseline", "best"
GATE_ROUND = -1
_AGAIN = "run `bottleneck compare` again"


@dataclass(frozen=True)
class Ran:
    """One trial as it was run, in order.

    Attributes:
        spec: Its strategies, "" for the plain script.
        round: From 0, `GATE_ROUND` for the equality gate.
        measured: What it showed.
    """

    spec: str
    round: int
    measured: Measured


@dataclass(frozen=True)
class Measurements:
    """Every trial of a comparison as it was measured.

    Attributes:
        trials: `trials.parquet`, a row each run.
        steps: `steps.parquet`, a row each step: trial, step, wall_ns.
        losses: `losses.parquet`, of the gate's runs: spec ("" for the plain script),
            step from 1, value. Empty when no stage returned one number a step.
    """

    trials: pd.DataFrame = field(default_factory=lambda: _trials(()))
    steps: pd.DataFrame = field(default_factory=lambda: _steps(()))
    losses: pd.DataFrame = field(default_factory=lambda: _losses(()))


def tables_of(ran: Sequence[Ran], losses: Sequence[Loss] = ()) -> Measurements:
    """The tables of runs that are not saved, or not yet."""
    return Measurements(_trials(ran), _steps(ran), _losses(losses))


def measurements(folder: Path) -> Measurements:
    """Read a comparison's tables; one that is lost or broken is empty."""
    tables = {}
    for name, file in FILES.items():
        try:
            tables[name] = pd.read_parquet(folder / file)
        except (OSError, ValueError):
            continue
    return Measurements(**tables)


def _losses(rows: Sequence[Loss]) -> pd.DataFrame:
    kinds = {"spec": "str", "step": "int64", "value": "float64"}
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def save(
    comparison: Comparison,
    ran: Sequence[Ran],
    folder: Path,
    losses: Sequence[Loss] = (),
) -> None:
    """Write the folder, comparison.json last: it vouches for the rest.

    Args:
        comparison: What was found.
        ran: Every trial, in order.
        folder: Is made if it is not there.
        losses: Of the gate's runs, as `trials.losses.rows` gives them.

    Raises:
        RecordingError: It cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        measured = tables_of(ran, losses)
        for name, file in FILES.items():
            table: pd.DataFrame = getattr(measured, name)
            table.to_parquet(folder / file, index=False, compression="zstd")
        text = json.dumps(_plain(comparison, folder), indent=1, allow_nan=False)
        partial = folder / f"{FILE}.partial"
        partial.write_text(text + "\n", encoding="utf-8")
        partial.rename(folder / FILE)
    except OSError as error:
        raise RecordingError(
            f"{folder} cannot be written ({error.strerror})",
            "choose another place with --output",
        ) from error


def is_comparison(folder: Path) -> bool:
    """Whether a comparison was saved there."""
    return (folder / FILE).is_file()


def load(folder: Path) -> Comparison:
    """Read a comparison back.

    Raises:
        RecordingError: None is there, another schema, or it is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        raise RecordingError(
            f"{folder} is not a comparison (it has no {FILE})",
            "name a folder that `bottleneck compare` wrote",
        )
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        schema = raw.pop("schema")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise RecordingError(f"{file} is damaged ({error})", _AGAIN) from error
    _check_schema(folder, schema)
    try:
        return _comparison(raw, folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordingError(
            f"{file} lacks what this version needs ({error})", _AGAIN
        ) from error


def _check_schema(folder: Path, schema: object) -> None:
    if schema in READABLE:
        return
    newer = not isinstance(schema, int) or schema > SCHEMA
    age = "newer" if newer else "older"
    upgrade = "upgrade with: pip install --upgrade debottleneck"
    raise RecordingError(
        f"{folder} was written by a {age} debottleneck (schema {schema!r}, this one "
        f"reads {' and '.join(map(str, READABLE))})",
        upgrade if newer else _AGAIN,
    )


def _plain(comparison: Comparison, folder: Path) -> dict[str, Any]:
    """As JSON holds it; paths are relative, so that the folder can be moved."""
    found = dataclasses.asdict(_without_views(comparison))
    for name in ("before", "after"):
        path = found[name]
        found[name] = None if path is None else Path(path).name
    del found["folder"]
    return {"schema": SCHEMA, **found}


def _without_views(comparison: Comparison) -> Comparison:
    """Mappings as dicts, which `asdict` can copy and JSON write."""
    trials = tuple(
        dataclasses.replace(trial, settings=dict(trial.settings))
        for trial in comparison.trials
    )
    environment = dict(comparison.environment)
    return dataclasses.replace(comparison, trials=trials, environment=environment)


def _comparison(raw: Mapping[str, Any], folder: Path) -> Comparison:
    places = {
        name: folder / raw[name] if raw[name] is not None else None
        for name in ("before", "after")
    }
    return Comparison(
        **{
            **raw,
            **places,
            "folder": folder,
            "baseline_ms": _interval(raw["baseline_ms"]),
            "trials": tuple(_trial(one) for one in raw["trials"]),
            **{name: tuple(raw[name]) for name in ("command", "keep", "notes")},
        }
    )


def _trial(raw: Mapping[str, Any]) -> Trial:
    known = {
        "did": tuple(raw["did"]),
        "speedup": _interval(raw["speedup"]),
        "predicted": _predicted(raw["predicted"]),
    }
    return Trial(**{**raw, **known})


def _predicted(raw: Mapping[str, Any] | float | None) -> Predicted | None:
    """A prediction; a bare number is none, as nothing is shown without an interval."""
    if raw is None or isinstance(raw, int | float):
        return None
    return Predicted(**raw)


def _interval(raw: Mapping[str, float] | None) -> Interval | None:
    return None if raw is None else Interval(**raw)


def _trials(ran: Sequence[Ran]) -> pd.DataFrame:
    rows = [_row(order, one) for order, one in enumerate(ran)]
    kinds = {
        "trial": "int64",
        "spec": "str",
        "round": "int64",
        "steps": "int64",
        "mean_ms": "float64",
        "engaged": "int64",
        "memory_mb": "float64",
        "cpu_s": "float64",
        "seconds": "float64",
        "exit_code": "Int64",
        "failure": "str",
        "notes": "str",
    }
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def _row(order: int, one: Ran) -> tuple[object, ...]:
    found = one.measured
    mean = float(found.step_ns.mean()) / 1e6 if len(found.step_ns) else None
    return (
        order,
        one.spec,
        one.round,
        len(found.step_ns),
        mean,
        found.engaged,
        found.memory_mb,
        found.cpu_s,
        found.seconds,
        found.exit_code,
        found.failure,
        json.dumps([dict(note) for note in found.notes]),
    )


def _steps(ran: Sequence[Ran]) -> pd.DataFrame:
    counts = [len(one.measured.step_ns) for one in ran]
    steps = [one.measured.step_ns for one in ran]
    return pd.DataFrame(
        {
            "trial": np.repeat(np.arange(len(ran), dtype=np.int64), counts),
            "step": np.concatenate([np.arange(0), *map(np.arange, counts)]),
            "wall_ns": np.concatenate([np.empty(0, np.int64), *steps]),
        }
    ).astype("int64")
