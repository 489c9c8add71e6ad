"""Roughly how much memory a strategy adds."""

from __future__ import annotations

from debottleneck.prediction.apply import load_form
from debottleneck.prediction.demand import Demand
from debottleneck.strategies.spec import PREFETCH, Strategies, prefetch_size

THREADS_MB = 3.0
"""What the machinery and its threads take (measured: 2 to 5 MB, up to 17 with BLAS)."""

PROCESS_MB = 9.0
"""What a forked process does not share with its parent (measured: 8 to 10 MB)."""


def beyond_mb(demand: Demand, strategies: Strategies) -> float:
    """Megabytes beyond the plain script's.

    Args:
        demand: The loop; how large its batches are, as far as known.
        strategies: What is applied.
    """
    found = THREADS_MB if strategies else 0.0
    for strategy in strategies:
        if strategy.name == PREFETCH:
            workers, depth = prefetch_size(strategy)
            batches = (workers + depth) * load_form(demand)[1].bytes / 1e6
            apart = strategy.word("where", "thread") == "process"
            processes = len(demand.producers) or workers
            found += batches + (PROCESS_MB * processes if apart else 0.0)
    return found
