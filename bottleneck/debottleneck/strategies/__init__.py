"""Remedies as a library: fetch batches ahead, run branches and updates in threads.

::

    from debottleneck import prefetch

    for batch in prefetch(load_batch, workers=4, count=1000):
        ...

Standard library only at import; PyTorch's form is loaded when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from debottleneck.strategies.parallel_forward import parallel_forward
from debottleneck.strategies.parallel_update import parallel_update
from debottleneck.strategies.prefetch import prefetch

if TYPE_CHECKING:
    from debottleneck.strategies.torch_forward import BranchParallel

__all__ = [
    "BranchParallel",
    "parallel_forward",
    "parallel_update",
    "prefetch",
]


def __getattr__(name: str) -> object:
    """PyTorch's form, which imports torch."""
    if name == "BranchParallel":
        from debottleneck.strategies.torch_forward import BranchParallel

        return BranchParallel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
