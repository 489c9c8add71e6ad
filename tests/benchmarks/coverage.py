"""How often intervals hold what they claim: repeated profiles of real loops.

`python tests/benchmarks/coverage.py [--runs N] [--minutes M] [WORKLOAD[:STEPS] ...]`
profiles each workload N times, in turns, until the minutes are over. For the mean step
and for the largest share it prints how often

* "this run": two halves of one run, of alternate stretches of its steps, differ by no
  more than their intervals say;
* "another": one run's interval holds the mean of all runs, which it does not claim;
* "repeated": the interval of three or of five runs holds the mean of all the others.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.frames import quiet_steps
from debottleneck.analysis.statistics import mean_interval
from debottleneck.collect.options import Options
from debottleneck.collect.session import Session
from debottleneck.recording.assemble import load
from debottleneck.trials import verdict

WORKLOADS = Path(__file__).parents[2] / "workloads"
CASES = ("balanced:300", "wide_adam:300", "python_augment:100")
STRETCHES = 60
"""Of a run, every other one of which is in each half."""

GROUPS = 200
"""Draws of runs that stand for repeated profiles."""

Floats = NDArray[np.float64]
Bounded = tuple[float, float, float]


@dataclass(frozen=True)
class Run:
    """One profile: nanoseconds of each quiet step, of its row and as a whole."""

    wall: Floats
    row: Floats
    step: Bounded
    share: Bounded


def profiled(name: str, steps: str, row: str) -> tuple[Run, str]:
    """Profile a workload once; of its largest row, unless one is named."""
    with tempfile.TemporaryDirectory() as folder:
        options = Options(
            target=str(WORKLOADS / f"{name}.py"),
            arguments=("--steps", steps),
            module=False,
            python=sys.executable,
            stacks=False,
            functions="",
            output=Path(folder) / "run",
            log=Path(folder) / "log",
        )
        session = Session(options, lambda line: None)
        session.run(session.measure)
        session.release()
        analysis = analyse(load(options.output))
    stages, loop = analysis.stages.set_index("stage"), analysis.loop
    row = row or str(stages["share"].idxmax())
    quiet = quiet_steps(analysis.steps)
    parts = analysis.step_stages[analysis.step_stages["stage"] == row]
    own = quiet["step"].map(parts.groupby("step")["wall_ns"].sum()).fillna(0.0)
    share = stages.loc[row, ["share", "share_low", "share_high"]]
    step = loop.step_ms, loop.step_low, loop.step_high
    walls = quiet["wall_ns"].to_numpy(np.float64)
    return Run(walls, own.to_numpy(np.float64), step, tuple(map(float, share))), row


def within(run: Run) -> Iterator[bool]:
    """Whether both halves agree: of the mean step, of the share."""
    parts = np.array_split(np.arange(len(run.wall)), STRETCHES)
    halves = [np.concatenate(parts[first::2]) for first in (0, 1)]
    ratio = run.row.sum() / run.wall.sum()
    for values in (run.wall, (run.row - ratio * run.wall) / run.wall.mean()):
        (one, low, _), (other, _, high) = (mean_interval(values[h]) for h in halves)
        yield bool(abs(one - other) <= np.hypot(one - low, high - other))


def repeated(runs: list[Run], count: int) -> float:
    """How often the mean step of some runs, with its interval, holds the others'."""
    rng, inside = np.random.default_rng(0), 0
    for _ in range(GROUPS):
        order = rng.permutation(len(runs))
        found = verdict.typical([runs[n].wall for n in order[:count]])
        rest = np.log([runs[n].wall.mean() / 1e6 for n in order[count:]])
        # The others' mean is not known exactly either.
        error = np.std(rest, ddof=1) / np.sqrt(len(rest))
        half = np.hypot(np.log(found.high / found.value), 1.96 * error)
        inside += abs(np.log(found.value) - rest.mean()) <= half
    return inside / GROUPS


def holds(bounds: Iterable[Bounded], truth: float) -> float:
    """How many of the intervals hold it, a share."""
    return float(np.mean([low <= truth <= high for _, low, high in bounds]))


def report(name: str, row: str, runs: list[Run]) -> None:
    """Print a workload's coverage."""
    steps, shares = zip(*(within(run) for run in runs), strict=True)
    means = [run.step[0] for run in runs]
    spread = np.std(means, ddof=1) / np.mean(means)
    whole, grand = float(np.mean(means)), float(np.mean([r.share[0] for r in runs]))
    print(
        f"{name}: {len(runs)} runs, mean step {np.mean(means):.2f} ms, runs differ by "
        f"{spread:.1%} (standard deviation)\n"
        f"  mean step: this run {np.mean(steps):.0%}, another "
        f"{holds((r.step for r in runs), whole):.0%}, repeated 3 "
        f"{repeated(runs, 3):.0%}, 5 {repeated(runs, 5):.0%}\n"
        f"  share of {row}: this run {np.mean(shares):.0%}, another "
        f"{holds((r.share for r in runs), grand):.0%}",
        flush=True,
    )


def main(arguments: list[str]) -> int:
    """Profile in turns, then print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("workloads", nargs="*", default=CASES)
    asked = parser.parse_args(arguments)
    ends = time.monotonic() + 60 * asked.minutes
    runs: dict[str, list[Run]] = {case: [] for case in asked.workloads}
    rows = dict.fromkeys(runs, "")
    for _, case in itertools.product(range(asked.runs), runs):
        if time.monotonic() > ends:
            break
        name, _, steps = case.partition(":")
        run, rows[case] = profiled(name, steps or "600", rows[case])
        runs[case].append(run)
    for case, found in runs.items():
        if len(found) > 6:
            report(case, rows[case], found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
