"""Which strategies and settings are predicted, where nobody names them."""

from __future__ import annotations

from dataclasses import replace

from debottleneck.prediction.apply import (
    MOST_WORKERS,
    calls_of,
    load_form,
    simulated,
)
from debottleneck.prediction.demand import Demand, fraction
from debottleneck.strategies.spec import FORWARD, PREFETCH, UPDATE, Strategies, parse

THREADS = (1, 2, 4, 8, 16)
"""Loads in flight: each about twice the one before."""

MOSTLY = 0.5
"""Loads that wait for the outside for less than this gain nothing from more threads
than there are cores."""

LEAST_SHARE = 0.02
"""A stage that takes less of the step has nothing to gain from."""

BESIDE = "augment"
"""What a script may do to a batch between loading and training on it."""


def with_inputs(demand: Demand) -> Demand:
    """The loop with all that a prefetch by hand would make ahead."""
    if share(demand, BESIDE) > LEAST_SHARE and share(demand, "load") > 0:
        return replace(demand, inputs=("load", BESIDE))
    return demand


def families(demand: Demand, cores: int) -> list[list[Strategies]]:
    """Settings to choose from, for each strategy that may gain something.

    Args:
        demand: The loop.
        cores: Cores of the machine.
    """
    settings = []
    fetching = sum(share(demand, name) for name in demand.inputs)
    if fetching > LEAST_SHARE or demand.producers:
        settings += _prefetches(demand, cores)
    for name, stage in ((FORWARD, "forward"), (UPDATE, "update")):
        calls = calls_of(demand, stage)
        able = calls > 1 and simulated(demand, parse(name))
        if able and share(demand, stage) > LEAST_SHARE:
            counts = _workers(calls, cores)
            settings.append([parse(f"{name}:workers={count}") for count in counts])
    return settings


def _prefetches(demand: Demand, cores: int) -> list[list[Strategies]]:
    _, form = load_form(demand)
    counts = sorted({*(n for n in THREADS if n < cores), max(cores, 2)})
    apart = [f"{PREFETCH}:workers={count},where=process" for count in counts]
    if demand.producers:
        threads, apart = [f"{PREFETCH}:workers=1"], [f"{PREFETCH}:where=process"]
    elif form.form in ("stream", "generator"):
        threads = [f"{PREFETCH}:workers=1"]
        apart = [] if form.form == "stream" else apart[:1]
    else:
        waits = share_outside(demand, "load") > MOSTLY
        counts = [n for n in THREADS if waits or n <= max(cores, 2)]
        threads = [f"{PREFETCH}:workers={count}" for count in counts]
        if form.form == "elements":
            threads, apart = threads[1:], apart[1:]
    return [[parse(text) for text in texts] for texts in (threads, apart) if texts]


def _workers(calls: int, cores: int) -> list[int]:
    """As many as there are cores; more only pay where calls wait."""
    most = min(calls, MOST_WORKERS)
    return sorted({min(max(cores, 2), most), most})


def share(demand: Demand, stage: str) -> float:
    """The part of a step that a stage takes."""
    parts = demand.parts
    return fraction(parts, (part.length for part in parts if part.stage == stage))


def share_outside(demand: Demand, stage: str) -> float:
    """The part of a stage's time that it waits for the outside."""
    parts = [part for part in demand.parts if part.stage == stage]
    return fraction(parts, (part.outside for part in parts))
