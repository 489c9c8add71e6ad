"""A strategy as it is written -> the simulated loop with it, by its plan."""

from __future__ import annotations

from dataclasses import dataclass

from debottleneck.prediction.demand import Demand
from debottleneck.prediction.engine import Gil, Thread
from debottleneck.prediction.feeds import FeedAhead
from debottleneck.prediction.parallel import SharedTurns, workers_of
from debottleneck.prediction.prefetch import SimulatedAhead
from debottleneck.prediction.programs import Feed, SimulatedLoop, threads
from debottleneck.prediction.sides import has_workers, plan_of, turns_of
from debottleneck.strategies.spec import (
    OF_LOOPS,
    PREFETCH,
    UPDATE,
    Strategies,
    Strategy,
)

TORCH_STEP = "torch.optim."
NOT_SIMULATED = "what it sets only a trial can measure"


@dataclass(frozen=True)
class Setup:
    """A loop with strategies, to be simulated.

    Attributes:
        threads: The trainer first.
        fill: Steps until what is ahead is full.
        burst: Steps whose batches come at once: only whole bursts are counted.
    """

    threads: list[Thread]
    fill: int
    burst: int


def setup(loop: SimulatedLoop, strategies: Strategies) -> Setup:
    """The simulated threads of a loop with these strategies.

    Those that would do nothing do nothing here.

    Args:
        loop: What is simulated.
        strategies: () for the loop as it is.
    """
    gil = loop.gil()
    feed = Feed(loop, gil)
    ahead: SimulatedAhead | None = None
    turns: list[SharedTurns] = []
    fill, burst = 2, 1
    for strategy in strategies:
        plan = plan_of(loop.demand, strategy)
        if strategy.name != PREFETCH:
            turns += _turns(loop, gil, strategy)
        elif plan is not None and not plan.reason:
            if plan.feeds:
                feed = FeedAhead(loop, gil, plan)
            else:
                ahead = SimulatedAhead(loop, gil, plan, feed)
            fill += plan.depth
            burst = plan.workers if has_workers(plan) else 1
    return Setup(threads(loop, gil, feed, ahead, turns), fill, burst)


def _turns(
    loop: SimulatedLoop, gil: Gil | None, strategy: Strategy
) -> list[SharedTurns]:
    asked = strategy.number("workers", max(1, round(loop.machine.cores)))
    return [
        SharedTurns(loop, gil, plan, workers_of(plan, asked))
        for plan in turns_of(loop.demand, strategy.name)
        if not plan.reason and plan.turns > 1
    ]


def simulated(demand: Demand, strategies: Strategies) -> bool:
    """Whether the loop with these strategies can be simulated.

    Nobody knows how long torch's own forms of an optimizer's step take, or what other
    settings of python and libraries do.
    """
    optimizer = any(part.name.startswith(TORCH_STEP) for part in demand.parts)
    able = {*OF_LOOPS} - ({UPDATE} if optimizer else set())
    return all(strategy.name in able for strategy in strategies)
