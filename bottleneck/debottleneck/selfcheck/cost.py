"""What the instruments do to a loop's own steps: rounds in changing order."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from debottleneck.analysis.frames import Floats
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.statistics import mean_interval
from debottleneck.errors import BottleneckError
from debottleneck.recording.spool import LEARNING
from debottleneck.selfcheck.measure import SCRIPT, WAITS_ONLY, profiled
from debottleneck.selfcheck.result import BOUNDS, InstrumentCost, judged_cost

PLAIN = "plain python"
MARKS, QUIET, DEFAULT = "marks", "marks + waits", "default, outside yappi"
SETS: Mapping[str, dict[str, Any]] = {
    MARKS: {**WAITS_ONLY, "waits": False},
    QUIET: WAITS_ONLY,
    DEFAULT: {},
}
"""Name -> instruments, each held against plain Python in the same round."""

PROMISED = {QUIET: BOUNDS.quiet_cost, DEFAULT: BOUNDS.default_cost}
STEP_S = 0.005
BUFFER = bytes(1 << 18)
"""What the dialled loop hashes."""

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
    """What the rounds yielded so far: medians of the set's own and plain steps, ms."""

    medians: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    last: dict[str, Analysis] = field(default_factory=dict)


def measure(python: str, rounds: CostRounds, gathered: Gathered) -> Iterator[str]:
    """Run the rounds into `gathered`; yields a line after each."""
    units = str(_units())
    for number in range(rounds.count):
        names = [MARKS, QUIET] if number % 2 else [MARKS, QUIET, DEFAULT]
        medians = {}
        for name in [PLAIN, *names][:: -1 if number % 2 else 1]:
            seconds = rounds.default_s if name == DEFAULT else rounds.seconds
            dialled = ("--cause", "none", "--units", units, "--seconds", str(seconds))
            if name == PLAIN:
                truth, analysis = _plain(python, dialled), None
            else:
                truth, analysis = profiled(python, dialled, SETS[name])
            if analysis is not None:
                gathered.last[name] = analysis
            medians[name] = float(np.median(_steps_ms(truth, analysis)))
        for name in names:
            pair = medians[name], medians[PLAIN]
            gathered.medians.setdefault(name, []).append(pair)
        yield f"cost, round {number + 1} of {rounds.count}"


def _units() -> int:
    """Fixed work for a stage, so that three of them take some `STEP_S`."""
    times = []
    for _ in range(20):
        begun = time.thread_time_ns()
        hashlib.sha256(BUFFER)
        times.append(time.thread_time_ns() - begun)
    return max(round(STEP_S / 3 * 1e9 / min(times)), 1)


def _plain(python: str, arguments: tuple[str, ...]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        story = Path(folder) / "truth.json"
        command = [python, str(SCRIPT), *arguments, "--truth", str(story)]
        code = subprocess.run(command, check=False).returncode
        if code or not story.exists():
            raise BottleneckError(
                f"the dialled loop did not run through (exit code {code})",
                f"try: {' '.join(command)}",
            )
        truth: dict[str, Any] = json.loads(story.read_text(encoding="utf-8"))
    return truth


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
    """Each set's slow-down with its interval over rounds, and the windows' own.

    Those are py-spy's and yappi's blocks against their quiet neighbours, in one run.
    """
    rows = []
    for name, pairs in gathered.medians.items():
        ours, theirs = np.array(pairs).T
        slowdown, low, high = map(float, mean_interval(ours / theirs - 1))
        numbers = float(np.median(ours)), slowdown, low, high, PROMISED.get(name)
        row = InstrumentCost(name, *numbers, note=f"{len(pairs)} rounds")
        rows.append(replace(row, verdict=judged_cost(row, foreign)))
    if DEFAULT in gathered.last:
        windows = gathered.last[DEFAULT].instruments
        rows += [
            InstrumentCost(
                *(row.name, row.step_ms, row.slowdown, row.low, row.high),
                note=f"{row.steps} steps of its windows in one run, by profile itself",
            )
            for row in windows.itertuples(index=False)
            if row.name not in ("marks", "wait sampler")
        ]
    return rows


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
