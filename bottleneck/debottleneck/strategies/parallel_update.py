"""Update several parameters at once."""

from __future__ import annotations

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
    on one worker in their order. The largest begin.
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
        BaseException: What an update raised; some later ones may have been made by
            then, unlike in the plain loop.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers={workers}: at least one has to do the work")
    pairs: list[tuple[Any, ...]] = [(each,) for each in parameters]
    if gradients is not None:
        pairs = [(p, g) for (p,), g in zip(pairs, gradients, strict=True)]
    workers = min(len(pairs), workers or cores())
    if workers <= 1:
        return _in_order(update, pairs)
    shares = [[pairs[index] for index in group] for group in grouped(pairs)]
    shares.sort(key=lambda share: -sum(size(pair[0]) for pair in share))
    results([partial(_in_order, update, share) for share in shares], workers)


def _in_order(update: Callable[..., object], pairs: Sequence[tuple[Any, ...]]) -> None:
    for pair in pairs:
        update(*pair)
