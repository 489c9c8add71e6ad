"""Which strategies and settings are predicted, where nobody names them."""

from __future__ import annotations

from debottleneck.prediction.apply import simulated
from debottleneck.prediction.demand import Demand
from debottleneck.prediction.parallel import workers_of
from debottleneck.prediction.sides import has_workers, plan_of, turns_of
from debottleneck.strategies.rewriting.plan import HEAVY, Plan
from debottleneck.strategies.spec import FORWARD, PREFETCH, UPDATE, Strategies, parse

THREADS = (1, 2, 4, 8, 16)
"""Items in flight: each about twice the one before."""

MOSTLY = 0.5
"""Loads that wait for the outside for less than this gain nothing from more threads
than there are cores."""

LEAST_SHARE = 0.02
"""Turns that take less of the step have nothing to gain from."""


def families(demand: Demand, cores: int) -> list[list[Strategies]]:
    """Settings to choose from, for each strategy that has a plan.

    One that would do nothing has a row for its reason.
    """
    settings = _prefetches(demand, cores)
    for name in (FORWARD, UPDATE):
        least = LEAST_SHARE * demand.step_ns
        plans = [p for p in turns_of(demand, name) if _length(p) > least]
        if not plans or not simulated(demand, parse(name)):
            continue
        acting = [plan for plan in plans if not plan.reason]
        most = max(cores, 2)
        alike = {workers_of(plan, most) for plan in acting} == {most}
        settings.append([parse(f"{name}:workers={most}" if alike else name)])
    return settings


def _length(plan: Plan) -> float:
    return sum(piece.ns for piece in plan.pieces)


def _prefetches(demand: Demand, cores: int) -> list[list[Strategies]]:
    (asked,), (process,) = parse(PREFETCH), parse(f"{PREFETCH}:where=process")
    plan, in_process = plan_of(demand, asked), plan_of(demand, process)
    if plan is None or in_process is None or not simulated(demand, (asked,)):
        return []
    if in_process.reason:  # predicted as if that were mended
        forked = f"{PREFETCH}:workers={max(cores, 2)},where=process"
        return [[parse(PREFETCH), parse(forked)]]
    threaded, plan = not plan.reason, in_process if plan.reason else plan
    counts, apart = [1], [1]
    if has_workers(plan):
        heavy = [piece for piece in plan.pieces if piece.side == HEAVY]
        spent = sum(piece.ns for piece in heavy)
        working = sum(piece.cpu_ns for piece in heavy)
        waits = working < MOSTLY * spent
        counts = [n for n in THREADS if waits or n <= max(cores, 2)]
        apart = sorted({*(n for n in THREADS if n < cores), max(cores, 2)})
    threads = [parse(f"{PREFETCH}:workers={n}") for n in counts if threaded]
    where = f"{PREFETCH}:workers={{}},where=process"
    processes = [parse(where.format(count)) for count in apart if in_process.apart]
    return [family for family in (threads, processes) if family]
