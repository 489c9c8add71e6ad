"""Remedies as a library: fetch batches ahead, run branches and updates in threads.

::

    from debottleneck import prefetch

    for batch in prefetch(load_batch, workers=4, count=1000):
        ...

Each name is loaded when it is asked for: the first three need the standard library
only, the others are for PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from debottleneck.strategies.parallel_forward import parallel_forward
    from debottleneck.strategies.parallel_update import parallel_update
    from debottleneck.strategies.prefetch import prefetch
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

_MODULES = {
    "BranchParallel": "torch_forward",
    "MicroBatchParallel": "torch_forward",
    "ParallelOptimizer": "torch_update",
    "parallel_forward": "parallel_forward",
    "parallel_update": "parallel_update",
    "prefetch": "prefetch",
}


def __getattr__(name: str) -> object:
    """Load one of the names above."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
