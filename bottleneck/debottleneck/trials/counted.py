"""The steps of a saved comparison that count, as the verdicts counted them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.errors import UsageError
from debottleneck.strategies.spec import PREFETCH, Strategies, parse, prefetch_size
from debottleneck.trials import save, verdict
from debottleneck.trials.save import Measurements
from debottleneck.trials.trial import Measured

Rounds = Mapping[int, Measured]
COLUMNS = ("spec", "round", "ms")


def counted_steps(measured: Measurements) -> pd.DataFrame:
    """Steps by spec ("" is the plain script) and round: spec, round, ms.

    Left out are the gate's runs, failed ones, the warm-up, steps before a strategy
    acted, and those that the pairing with the plain script leaves out.
    """
    runs = _runs(measured)
    plain = runs.get("", {})
    parts = [_long("", _plain_steps(plain))]
    for spec, rounds in runs.items():
        if spec:
            parts.append(_long(spec, _paired_steps(spec, plain, rounds)))
    return pd.concat(parts, ignore_index=True)


def _runs(measured: Measurements) -> dict[str, dict[int, Measured]]:
    table = measured.trials
    timed = table[(table["round"] != save.GATE_ROUND) & (table.failure == "")]
    by_trial = measured.steps.sort_values(["trial", "step"]).groupby("trial")
    steps = {int(trial): part.wall_ns.to_numpy() for trial, part in by_trial}
    runs: dict[str, dict[int, Measured]] = {}
    columns = (timed.trial, timed.spec, timed["round"], timed.engaged)
    for trial, spec, number, engaged in zip(*columns, strict=True):
        wall = steps.get(int(trial))
        if wall is not None:
            found = Measured(wall, np.zeros_like(wall), engaged=int(engaged))
            runs.setdefault(str(spec), {})[int(number)] = found
    return runs


def _plain_steps(plain: Rounds) -> dict[int, NDArray[np.int64]]:
    warmups = [verdict.warmup_of(run) for run in plain.values()]
    drop = max([verdict.POLICY.least_left_out, *warmups])
    return {
        number: run.step_ns[min(drop, len(run.step_ns) // 2) :]
        for number, run in plain.items()
    }


def _paired_steps(
    spec: str, plain: Rounds, rounds: Rounds
) -> dict[int, NDArray[np.int64]]:
    both = sorted(set(plain) & set(rounds))
    pairs = [verdict.Pair(plain[number], rounds[number]) for number in both]
    strategies = _strategies(spec)
    drop = verdict.left_out(pairs, strategies)
    fetching = [prefetch_size(s)[0] for s in strategies if s.name == PREFETCH]
    found = verdict.counted(pairs, drop, max(fetching, default=1))
    return {number: own for number, (_, own) in zip(both, found, strict=True)}


def _strategies(spec: str) -> Strategies:
    try:
        return parse(spec)
    except UsageError:
        return ()


def _long(spec: str, rounds: Mapping[int, NDArray[np.int64]]) -> pd.DataFrame:
    counts = [len(steps) for steps in rounds.values()]
    wall = np.concatenate([np.empty(0, np.int64), *rounds.values()])
    number = np.repeat(np.array([*rounds], dtype=np.int64), counts)
    table = pd.DataFrame({"spec": spec, "round": number, "ms": wall / 1e6})
    return table.astype({"spec": "str"})[[*COLUMNS]]
