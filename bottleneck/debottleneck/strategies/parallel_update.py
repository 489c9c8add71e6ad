"""Update several parameters at once."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from debottleneck.strategies.blas import cores
from debottleneck.strategies.conflicts import grouped, size
from debottleneck.strategies.together import results


def parallel_update(
    update: Callable[..., object],
    parameters: Iterable[Any],
    gradients: Iterable[Any] | None = None,
    *,
    workers: int | None = None,
) -> None:
    """Call `update(parameter, gradient)` for all pairs, several at once.

    The numbers are those of the plain loop, bit for bit, as long as an update changes
    nothing but its own arguments: pairs that share memory (the same object, views of
    one array, tensors of one storage, a gradient that two pairs have in common) run
    on one worker in their order. The others are dealt out by size, the largest first.
    Only what `conflicts` looks into is seen: arrays, containers of them, and an
    object's attributes one level deep.

    Args:
        update: Changes the parameter in place; what it returns is dropped.
        parameters: Arrays, tensors, or objects that hold them.
        gradients: One for each; None: `update` is called with the parameter alone.
        workers: How many run at once, by default at most one a core. Updates that
            wait rather than compute gain from more.

    Raises:
        ValueError: There are not as many gradients as parameters.
        BaseException: What an update raised, that of the first worker's share; some
            later updates may have been made by then, unlike in the plain loop.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers={workers}: at least one has to do the work")
    pairs: list[tuple[Any, ...]] = [(each,) for each in parameters]
    if gradients is not None:
        pairs = [(p, g) for (p,), g in zip(pairs, gradients, strict=True)]
    workers = min(len(pairs), workers or cores())
    if workers <= 1:
        return _in_order(update, pairs)
    groups = grouped(pairs)
    costs = [size(pair[0]) for pair in pairs]
    shares = partition(groups, costs, workers)
    parts = [partial(_in_order, update, [pairs[i] for i in s]) for s in shares]
    results(parts, workers)


def partition(
    groups: Sequence[Sequence[int]], costs: Sequence[int], workers: int
) -> list[list[int]]:
    """Deal groups out so that the largest share is small: longest first.

    Args:
        groups: Indices that stay together, in their order.
        costs: Of each index; one that costs nothing still costs a call.
        workers: Number of shares at most.

    Returns:
        Shares that are not empty, each sorted, by their first index.
    """
    weighed = [(sum(costs[i] + 1 for i in group), group) for group in groups]
    heap: list[tuple[int, int, list[int]]] = [(0, i, []) for i in range(workers)]
    for cost, group in sorted(weighed, key=lambda entry: (-entry[0], entry[1][0])):
        load, number, share = heap[0]
        heapq.heapreplace(heap, (load + cost, number, [*share, *group]))
    return sorted(sorted(share) for _, _, share in heap if share)


def _in_order(update: Callable[..., object], pairs: Sequence[tuple[Any, ...]]) -> None:
    for pair in pairs:
        update(*pair)
