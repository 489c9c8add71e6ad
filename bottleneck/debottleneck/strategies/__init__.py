"""Remedies as a library: fetch batches ahead, run branches and updates in threads.

::

    from debottleneck import prefetch

    for batch in prefetch(load_batch, workers=4, count=1000):
        ...

Standard library only at import; PyTorch's forms are loaded when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from debottleneck.strategies.parallel_forward import parallel_forward
from debottleneck.strategies.parallel_update import parallel_update
from debottleneck.strategies.prefetch import prefetch

if TYPE_CHECKING:
    from debottleneck.strategies.torch_forward import BranchParallel, MicroBatchParallel
    from debottleneck.strategies.torch_update import ParallelOptimizer

__all__ = [
    "BranchParallel",
    "MicroBatchParallel",
    "ParallelOptimizer",
    "parallel_forward",
    "parallel_update",
    "prefetch",
]


def __getattr__(name: str) -> object:
    """PyTorch's forms, which import torch."""
    if name in ("BranchParallel", "MicroBatchParallel"):
        from debottleneck.strategies import torch_forward

        return getattr(torch_forward, name)
    if name == "ParallelOptimizer":
        from debottleneck.strategies.torch_update import ParallelOptimizer

        return ParallelOptimizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
