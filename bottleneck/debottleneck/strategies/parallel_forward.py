"""Compute independent branches of a model at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from debottleneck.strategies.blas import cores
from debottleneck.strategies.prefetch import is_function
from debottleneck.strategies.together import results

T = TypeVar("T")


def parallel_forward(
    branches: Sequence[Callable[..., T]] | Callable[..., T],
    inputs: Any,
    *,
    workers: int | None = None,
) -> list[T]:
    """Call every branch with `inputs`, several at once.

    The same as `[branch(inputs) for branch in branches]` when the branches neither
    change what another one reads nor draw from one random generator. The calling
    thread computes a share itself. Threads of BLAS and OpenMP are divided among the
    workers meanwhile, so that cores are not oversubscribed; a library may then sum in
    another order. Context variables and torch's grad mode, autocast and CUDA stream
    are carried into the workers. Called by a branch, it runs in sequence.

    Args:
        branches: Callables or torch modules; or one function for all `inputs`, as
            in `[branches(x) for x in inputs]`.
        inputs: What each is called with.
        workers: How many run at once; by default as many as there are branches, at
            most one a core. Branches that wait rather than compute gain from more.

    Returns:
        What the branches return, in their order.

    Raises:
        BaseException: That of the first branch, in order, that raised; branches that
            had not begun by then are not called, the others have ended.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers={workers}: at least one has to do the work")
    called: Any = branches
    if is_function(called):
        calls = [partial(called, value) for value in inputs]
    else:
        calls = [partial(branch, inputs) for branch in called]
    return results(calls, min(len(calls), workers or cores()))
