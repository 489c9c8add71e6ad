"""What keeps a simulated loop from being faster, and what memory it costs.

And why what was simulated cannot be relied on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from debottleneck.analysis.result import Analysis
from debottleneck.analysis.rules.measures import cores, foreign
from debottleneck.prediction.demand import Demand
from debottleneck.prediction.replay import Replayed
from debottleneck.prediction.sides import plan_of
from debottleneck.recording.machine import Machine
from debottleneck.strategies.spec import PREFETCH, Strategies
from debottleneck.words import ON_CORE

FULL = 0.75
"""Cores that work for this part of the time are the limit: the rest of it one of them
waits for the other, at the beginning and at the end of what is shared."""

STARVED = 0.15
"""A trainer that waits for others for this part of the time is held up by them."""

CONTENDED = 0.2
"""Threads that wait for the GIL for this part of their time are held up by it."""

SLOWER = 0.98

MOST_OFF = 0.15
"""Of the measured step: a simulated plain loop further off has not understood it, and
nothing is recommended by it."""

LEAST_IDLE = 0.1
"""Cores that are free for so little of the time have room for nobody."""

MOSTLY = 0.5
"""Who waits for the outside for more than this of the time is held up by it."""

THREADS_MB = 3.0
"""What the machinery and its threads take (measured: 2 to 5 MB, up to 17 with BLAS)."""

PROCESS_MB = 9.0
"""What a forked process does not share with its parent (measured: 8 to 10 MB)."""


def limit(
    runs: Sequence[Replayed], strategies: Strategies, gain: float, machine: Machine
) -> str:
    """One clause, without a period."""
    if not strategies:
        return ""
    names = ("busy", "starved", "gil", "helpers_gil", "helpers_outside", "at_once")
    busy, starved, gil, helpers_gil, outside, at_once, waits, threads = (
        float(np.mean([getattr(run, name) for run in runs]))
        for name in (*names, "outside", "threads")
    )
    count = round(threads)
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
    fetches = any(strategy.name == PREFETCH for strategy in strategies)
    if starved > STARVED and outside > MOSTLY:
        return f"limited by the source, {max(1, math.ceil(at_once - 0.1))} at once"
    if starved > STARVED and fetches:
        return "limited by the loads, which take longer than the rest"
    if not fetches and (starved > STARVED or waits > MOSTLY):
        return "limited by the longest of the calls"
    return "limited by the rest of the step"


def beyond_mb(demand: Demand, strategies: Strategies) -> float:
    """Megabytes beyond the plain script's.

    Args:
        demand: The loop; how large its batches are, as far as known.
        strategies: What is applied.
    """
    megabytes = THREADS_MB if strategies else 0.0
    plans = (plan_of(demand, each) for each in strategies if each.name == PREFETCH)
    for plan in filter(None, plans):
        megabytes += (plan.workers + plan.depth) * plan.size / 1e6
        megabytes += PROCESS_MB * plan.workers * (plan.where == "process")
    return megabytes


def misfit(replayed: float) -> str:
    """Why a replay tells nothing of strategies; "" of one that resembles the loop.

    Args:
        replayed: The simulated plain step over the measured one.
    """
    if abs(replayed - 1) <= MOST_OFF:
        return ""
    return (
        f"the simulated plain loop takes {100 * replayed:.0f} % of the measured step, "
        "so that the model does not see all that happens in it"
    )


def no_core(analysis: Analysis) -> str:
    """Why there is nowhere to run anything beside the loop, "" if there is."""
    threads, room = analysis.threads, cores(analysis)
    if threads.empty or room is None:
        return ""
    on_core = threads[[*ON_CORE]].fillna(0.0).sum(axis=1)
    busy = float((on_core * threads["wall_ms"]).sum()) / float(threads["wall_ms"].max())
    others = foreign(analysis) or 0.0
    if room - busy - others > LEAST_IDLE:
        return ""
    beside = f" and other work {others:.1f}" if others >= LEAST_IDLE else ""
    return f"no core is free: the script keeps {busy:.1f} of {room:g} busy{beside}"
