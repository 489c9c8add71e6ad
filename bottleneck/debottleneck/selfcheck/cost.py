"""What the instruments do to a loop's own steps: rounds in changing order."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from debottleneck.analysis.frames import Floats
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.statistics import mean_interval
from debottleneck.errors import BottleneckError
from debottleneck.recording.spool import LEARNING
from debottleneck.selfcheck.measure import SCRIPT, WAITS_ONLY, Instruments, profiled
from debottleneck.selfcheck.result import BOUNDS, InstrumentCost, judged_cost

PLAIN = "plain python"
MARKS, QUIET, DEFAULT = "marks", "marks + waits", "default, outside yappi"
SETS = {
    MARKS: Instruments(waits=False),
    QUIET: WAITS_ONLY,
    DEFAULT: Instruments(stacks=True, functions=True),
}
"""Name -> instruments, each held against plain Python in the same round."""

PROMISED = {QUIET: BOUNDS.quiet_cost, DEFAULT: BOUNDS.default_cost}
STEP_S = 0.005
LEFT_OUT = 0.1
"""Part of each run's first steps that is not counted."""


@dataclass(frozen=True)
class CostRounds:
    """How many rounds, and how long each run in them trains.

    Attributes:
        count: Rounds; the default set takes part in every other one.
        seconds: Of each run.
        default_s: Of those of the default set, as its windows take turns.
    """

    count: int
    seconds: float
    default_s: float


FULL = CostRounds(5, 3.0, 6.0)
QUICK = CostRounds(2, 2.6, 5.0)


@dataclass
class Gathered:
    """What the rounds yielded so far."""

    medians: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    last: dict[str, Analysis] = field(default_factory=dict)


def measure(python: str, rounds: CostRounds, gathered: Gathered) -> Iterator[str]:
    """Run the rounds into `gathered`; yields a line after each.

    A pair of medians is the set's own and plain Python's in the same round.
    """
    units = _units(python)
    for number in range(rounds.count):
        names = [MARKS, QUIET] if number % 2 else [MARKS, QUIET, DEFAULT]
        medians = {}
        for name in [PLAIN, *names][:: -1 if number % 2 else 1]:
            seconds = rounds.default_s if name == DEFAULT else rounds.seconds
            options = ("--cause", "none", "--units", str(units))
            arguments = (*options, "--seconds", str(seconds))
            medians[name] = _median_ms(python, name, arguments, gathered)
        for name in names:
            pair = medians[name], medians[PLAIN]
            gathered.medians.setdefault(name, []).append(pair)
        yield f"cost, round {number + 1} of {rounds.count}"


def _units(python: str) -> int:
    """Fixed work for a stage, so that three of them take `STEP_S`."""
    truth = _plain(python, ("--cause", "none", "--steps", "3"))
    scale = STEP_S / (float(truth["median_step_ms"]) / 1e3)
    return max(round(int(truth["units"]) * scale), 1)


def _plain(python: str, arguments: tuple[str, ...]) -> dict[str, Any]:
    command = [python, str(SCRIPT), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    last = done.stdout.rstrip().rpartition("\n")[2]
    if done.returncode or not last.startswith("truth "):
        raise BottleneckError(
            f"the dialled loop did not run through (exit code {done.returncode})",
            f"try: {' '.join(command)}",
        )
    truth: dict[str, Any] = json.loads(last.removeprefix("truth "))
    return truth


def _median_ms(
    python: str, name: str, arguments: tuple[str, ...], gathered: Gathered
) -> float:
    if name == PLAIN:
        return float(np.median(_steps_ms(_plain(python, arguments), None)))
    run = profiled(python, arguments, SETS[name])
    if run.analysis is not None:
        gathered.last[name] = run.analysis
    return float(np.median(_steps_ms(run.truth, run.analysis)))


def _steps_ms(truth: dict[str, Any], analysis: Analysis | None) -> Floats:
    """The loop's own step times, less the first ones and those in windows.

    Windows have rows of their own: yappi's, and the search for the training loop.
    """
    start = np.array(truth["start_ns"], np.int64)
    end = np.array(truth["end_ns"], np.int64)
    kept = np.arange(len(start)) >= LEFT_OUT * len(start)
    if analysis is not None:
        for block in analysis.recording.blocks.itertuples(index=False):
            if str(block.kind).startswith(("functions", LEARNING)):
                kept &= (end <= block.start_ns) | (start >= block.end_ns)
    steps: Floats = (end - start)[kept] / 1e6
    return steps


def costs(gathered: Gathered, foreign: float | None) -> list[InstrumentCost]:
    """Each set's slow-down with its interval over rounds, and the windows' own."""
    rows = []
    for name, pairs in gathered.medians.items():
        ours, theirs = np.array(pairs).T
        slowdown, low, high = map(float, mean_interval(ours / theirs - 1))
        numbers = float(np.median(ours)), slowdown, low, high, PROMISED.get(name)
        row = InstrumentCost(name, *numbers, note=f"{len(pairs)} rounds")
        rows.append(replace(row, verdict=judged_cost(row, foreign)))
    if DEFAULT in gathered.last:
        rows += _windows(gathered.last[DEFAULT])
    return rows


def _windows(analysis: Analysis) -> list[InstrumentCost]:
    """py-spy's and yappi's blocks against their quiet neighbours, in one run."""
    return [
        InstrumentCost(
            *(row.name, row.step_ms, row.slowdown, row.low, row.high),
            note=f"{row.steps} steps of its windows in one run, by profile itself",
        )
        for row in analysis.instruments.itertuples(index=False)
        if row.name not in ("marks", "wait sampler")
    ]


def facts(gathered: Gathered) -> dict[str, float | None]:
    """What the instruments state of their own cost and rate."""
    analysis = gathered.last.get(QUIET)
    if analysis is None:
        return {}
    rates = analysis.recording.facts.rates
    sampler = rates.get("sampler", {})
    return {
        "mark_pair_us": rates.get("mark_pair_us"),
        "sampler_cpu_share": sampler.get("cpu_share"),
        "asked_hz": sampler.get("asked_hz"),
        "achieved_hz": sampler.get("achieved_hz"),
    }
