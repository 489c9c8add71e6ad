"""Print what predictions cost: `python tests/benchmarks/prediction_speed.py`.

First one simulated run of 10,000 steps with eight fetches in flight; then the whole
prediction of a recording of 100,000 steps, its analysis not counted. Ends with status 1
if one takes longer than two seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import long_runs

from debottleneck.analysis.analyse import analyse
from debottleneck.prediction.demand import Demand, Part
from debottleneck.prediction.predict import predict
from debottleneck.prediction.replay import replay
from debottleneck.recording.machine import Machine
from debottleneck.strategies.spec import parse

BOUND_S = 2.0
STEPS = 10_000
SPEC = "prefetch:workers=8"
MS = 1e6


def loop() -> Demand:
    """A load of 20 ms, and 3 ms of training in five calls."""
    load = Part("load", "load_batch", 0.2 * MS, 0.1 * MS, 20 * MS, 0.0, 6.0)
    rest = [
        Part(stage, stage, 0.1 * MS, 0.5 * MS, 0.0, 0.0, 2.0)
        for stage in ("forward", "loss", "backward", "update", "other")
    ]
    return Demand(((load, *rest),), 23.3 * MS)


def simulated() -> None:
    """One run of all the steps."""
    replay(loop(), Machine(cores=2), parse(SPEC), [0] * STEPS)


def timed(what: str, work: Callable[[], object]) -> float:
    """How long it takes, printed."""
    begun = time.perf_counter()
    work()
    took = time.perf_counter() - begun
    print(f"{what:44} {took:6.2f} s")
    return took


def main() -> int:
    """Print each; 1 if a bound is missed."""
    whole = analyse(long_runs.recording())

    def predicted() -> None:
        assert predict(whole, [parse(SPEC)]) is not None

    took = [
        timed(f"simulated: {STEPS:,} steps, {SPEC}", simulated),
        timed(f"predicted: {long_runs.STEPS:,} steps, {SPEC}", predicted),
    ]
    return int(max(took) > BOUND_S)


if __name__ == "__main__":
    sys.exit(main())
