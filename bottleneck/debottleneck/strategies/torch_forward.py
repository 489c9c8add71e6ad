"""A module's forward in threads: its independent branches.

It stands in for the module: parameters, state dict, hooks, `train`, `to` and all else
are the module's own, and whoever asks is told that it is of its class. Backward runs
in the same threads. What needs the graph of the graph (`create_graph=True`), or the
same graph twice (`retain_graph=True`), needs the module itself.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from debottleneck.strategies.blas import cores
from debottleneck.strategies.torch_plan import Branches

_OWN = "_stand_in"
"""The only attribute of a stand-in; every other one is the module's."""


class BranchParallel:
    """Runs branches of a module that do not feed each other in threads.

    The branches are found by `torch.fx`. Outputs and gradients are bit-identical to the
    module's as long as torch uses the same number of threads within an operation; they
    are divided among the branches, which can change the order of a sum (equal within
    1e-6). Whatever a branch may share with another keeps its place: random numbers,
    in-place writes, running statistics of a layer that both use.

    Args:
        module: Its forward is followed once for each mode (training, evaluation).
            Calls with other than the required arguments run it as it is.
        workers: Threads, the calling one among them; by default the cores it may use.

    Raises:
        StrategyError: Forward cannot be followed, or each layer feeds the next.
    """

    def __init__(self, module: Any, workers: int | None = None) -> None:
        runner = Branches(module, workers or cores())
        object.__setattr__(self, _OWN, (module, runner))

    __class__ = property(lambda self: type(_module(self)))  # what it stands in for

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The module's result, its hooks included."""
        import torch

        # Torch's own call, marked as a stage wherever stages are marked.
        return torch.nn.Module.__call__(self, *args, **kwargs)

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        """What torch calls within `__call__`: the hooks around a forward."""
        import torch

        return torch.nn.Module._call_impl(self, *args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's forward, without its hooks."""
        return vars(self)[_OWN][1](*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """The module's; a method that returns the module returns its stand-in."""
        module = _module(self)
        value = getattr(module, name)
        if getattr(value, "__self__", None) is not module:
            return value

        @wraps(value)
        def method(*args: Any, **kwargs: Any) -> Any:
            result = value(*args, **kwargs)
            return self if result is module else result

        return method

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_module(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_module(self), name)

    def __repr__(self) -> str:
        return f"BranchParallel({_module(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        module, runner = vars(self)[_OWN]
        return BranchParallel, (module, runner.workers)


def _module(stand_in: Any) -> Any:
    return object.__getattribute__(stand_in, "__dict__")[_OWN][0]
