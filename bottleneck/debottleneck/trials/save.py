"""A comparison's folder: comparison.json beside Parquet tables, logs, recordings.

`trials.parquet` has a row for each trial and round, `steps.parquet` one for each of
their steps. Round -1 is the equality gate's, whose times are not counted; the losses
of its runs are in `losses.parquet`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from debottleneck.errors import RecordingError
from debottleneck.recording import spool, tables
from debottleneck.recording.checked import Unfit
from debottleneck.recording.columns import columns
from debottleneck.recording.recording import vouched
from debottleneck.recording.tables import Allowance
from debottleneck.strategies.spec import known
from debottleneck.trials import verdict
from debottleneck.trials.result import Comparison
from debottleneck.trials.state import Loss
from debottleneck.trials.trial import Measured
from debottleneck.trials.verdict import Ints

SCHEMA = 2

FILE, TRIALS, STEPS = "comparison.json", "trials.parquet", "steps.parquet"
LOSSES = "losses.parquet"
PATCH = "keep.patch"
FILES = {"trials": TRIALS, "steps": STEPS, "losses": LOSSES}
LOGS, BASELINE, BEST = "logs", "baseline", "best"
GATE_ROUND = -1
_AGAIN = "run `bottleneck compare` again"

_KINDS: Mapping[str, Mapping[str, str]] = {
    "trials": columns(
        "int64 trial",
        "str spec",
        "int64 round steps",
        "float64 mean_ms",
        "int64 engaged",
        "float64 memory_mb cpu_s seconds",
        "Int64 exit_code",
        "str failure notes",
    ),
    "steps": columns("int64 trial step wall_ns"),
    "losses": columns("str spec", "int64 step", "float64 value"),
    "counted": columns("str spec", "int64 round", "float64 ms"),
}
"""Table -> its columns and their types."""


def _table(name: str, rows: Any = ()) -> pd.DataFrame:
    kinds = _KINDS[name]
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


@dataclass(frozen=True)
class TimedRun:
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
            step from 1, value. Empty when no variable held it.
    """

    trials: pd.DataFrame = field(default_factory=lambda: _table("trials"))
    steps: pd.DataFrame = field(default_factory=lambda: _table("steps"))
    losses: pd.DataFrame = field(default_factory=lambda: _table("losses"))


def tables_of(runs: Sequence[TimedRun], losses: Sequence[Loss] = ()) -> Measurements:
    """The tables of runs that are not saved, or not yet."""
    rows = [_row(order, run) for order, run in enumerate(runs)]
    steps = [_of_steps(run.measured.step_ns, trial=i) for i, run in enumerate(runs)]
    return Measurements(
        trials=_table("trials", rows),
        steps=_joined("steps", steps),
        losses=_table("losses", losses),
    )


def _row(order: int, run: TimedRun) -> dict[str, object]:
    measured = run.measured
    step_ns = measured.step_ns
    return {
        "trial": order,
        "spec": run.spec,
        "round": run.round,
        "steps": len(step_ns),
        "mean_ms": float(step_ns.mean()) / 1e6 if len(step_ns) else None,
        "notes": json.dumps([dict(note) for note in measured.notes]),
        **{name: getattr(measured, name) for name in _AS_MEASURED},
    }


_AS_MEASURED = ("engaged", "memory_mb", "cpu_s", "seconds", "exit_code", "failure")


def _of_steps(wall_ns: Ints, **same: object) -> pd.DataFrame:
    return pd.DataFrame({"step": np.arange(len(wall_ns)), "wall_ns": wall_ns, **same})


def _joined(name: str, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    return _table(name, pd.concat(filled, ignore_index=True) if filled else ())


def measurements(folder: Path) -> Measurements:
    """Read a comparison's tables; one that is lost or broken is empty."""
    read_in = {}
    allowance = Allowance.of(folder / file for file in FILES.values())
    for name, file in FILES.items():
        try:
            table = tables.read(folder / file, _KINDS[name], allowance, nulls=True)
            tables.check(name, table)
            read_in[name] = table
        except (OSError, Unfit):
            continue
    return Measurements(**read_in)


def counted_steps(measured: Measurements) -> pd.DataFrame:
    """Steps by spec ("" is the plain script) and round: spec, round, ms.

    Left out are the gate's runs, failed ones, the warm-up, steps before a strategy
    acted, and those that the pairing with the plain script leaves out: what is left
    is what the verdicts counted.
    """
    runs = _timed(measured)
    plain = runs.pop("", {})
    alone = verdict.plain_counted([*plain.values()])
    sides = [("", number, steps) for number, steps in zip(plain, alone, strict=True)]
    for spec, rounds in runs.items():
        both = sorted(set(plain) & set(rounds))
        pairs = [verdict.Pair(plain[number], rounds[number]) for number in both]
        counted = verdict.counted(pairs, known(spec))
        sides += [(spec, n, own) for n, (_, own) in zip(both, counted, strict=True)]
    parts = [
        _of_steps(wall_ns, spec=spec, round=number, ms=wall_ns / 1e6)
        for spec, number, wall_ns in sides
    ]
    return _joined("counted", parts)


def _timed(measured: Measurements) -> dict[str, dict[int, Measured]]:
    """Specification -> round -> the run, of those that are counted."""
    table = measured.trials
    timed = table[(table["round"] != GATE_ROUND) & (table.failure == "")]
    by_trial = measured.steps.sort_values(["trial", "step"]).groupby("trial")
    steps = {int(trial): part.wall_ns.to_numpy() for trial, part in by_trial}
    runs: dict[str, dict[int, Measured]] = {}
    columns = (timed.trial, timed.spec, timed["round"], timed.engaged)
    for trial, spec, number, engaged in zip(*columns, strict=True):
        wall = steps.get(int(trial))
        if wall is not None:
            run = Measured(wall, np.zeros_like(wall), engaged=int(engaged))
            runs.setdefault(str(spec), {})[int(number)] = run
    return runs


def save(
    comparison: Comparison,
    runs: Sequence[TimedRun],
    folder: Path,
    losses: Sequence[Loss] = (),
) -> None:
    """Write the folder, comparison.json last: it vouches for the rest.

    Args:
        comparison: What was found.
        runs: Every trial, in order.
        folder: Is made if it is not there.
        losses: Of the gate's runs, as `state.loss_rows` gives them.

    Raises:
        RecordingError: It cannot be written.
    """
    try:
        folder.mkdir(mode=spool.FOLDER_MODE, parents=True, exist_ok=True)
        measured = tables_of(runs, losses)
        for name, file in FILES.items():
            table: pd.DataFrame = getattr(measured, name)
            with open(folder / file, "wb", opener=spool.private) as stream:
                table.to_parquet(stream, index=False, compression="zstd")
        fields = {"schema": SCHEMA, **vars(comparison)}
        del fields["folder"]
        text = json.dumps(fields, indent=1, allow_nan=False, default=_written)
        partial = folder / f"{FILE}.partial"
        spool.write_private(partial, text + "\n")
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
    comparison = vouched(Comparison, file, SCHEMA, _AGAIN)
    before, after = (
        place if place is None else folder / place
        for place in (comparison.before, comparison.after)
    )
    return replace(comparison, folder=folder, before=before, after=after)


def _written(value: object) -> object:
    """What JSON has no form for; paths are relative, as the folder may be moved."""
    if isinstance(value, Path):
        return value.name
    return dict(value) if isinstance(value, Mapping) else vars(value)
