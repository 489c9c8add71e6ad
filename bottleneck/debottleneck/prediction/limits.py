"""What keeps a simulated loop from being faster, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from debottleneck.machine import Machine
from debottleneck.prediction.replay import Replayed
from debottleneck.strategies.spec import Strategies

FULL = 0.75
"""Cores that work for this part of the time are the limit: the rest of it one of them
waits for the other, at the beginning and at the end of what is shared."""

STARVED = 0.15
"""A trainer that waits for others for this part of the time is held up by them."""

CONTENDED = 0.2
"""Threads that wait for the GIL for this part of their time are held up by it."""

SLOWER = 0.98


def limit(
    runs: Sequence[Replayed], strategies: Strategies, gain: float, machine: Machine
) -> str:
    """One clause, without a period.

    Args:
        runs: Simulated runs with the same strategies.
        strategies: Theirs.
        gain: Their speed-up.
        machine: With the cores.
    """
    if not strategies:
        return ""
    busy, starved, gil, helpers_gil, outside, threads, waits = np.mean(
        [
            (
                *(r.busy, r.starved, r.gil, r.helpers_gil),
                *(r.helpers_outside, r.threads, r.outside),
            )
            for r in runs
        ],
        axis=0,
    )
    count = round(float(threads))
    held = machine.gil and max(gil, helpers_gil) > CONTENDED
    if gain < SLOWER:
        return "threads would make it slower: " + (
            f"the GIL changes hands between {count} threads"
            if held
            else "handing work over costs more than it saves"
        )
    if held:
        return f"limited by the GIL at {count} threads"
    if busy > FULL * machine.cores:
        return f"limited by {machine.cores:g} cores"
    if starved > STARVED and outside > 0.5:
        waiting = max(1, round((count - 1) * float(outside)))
        return f"limited by the source, {waiting} at once"
    if starved > STARVED or waits > 0.5:
        return "limited by the longest of the calls"
    return "limited by the rest of the step"
