"""An optimizer's step in threads, each of which updates some of the parameters."""

from __future__ import annotations

import heapq
import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from debottleneck.errors import StrategyError
from debottleneck.strategies.blas import cores
from debottleneck.strategies.together import results

KINDS = (
    "ASGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
)
"""Optimizers of torch whose step treats each parameter alone."""

Update = Callable[[Any], None]
"""Updates the parameters of the optimizer it is given."""

FIXED_COST = 20_000
"""What the calls of one parameter's update cost, in elements: about 20 microseconds,
while arithmetic takes about a nanosecond an element."""

_OWN = "_stand_in"
_KEPT = (_OWN, "step")
"""Attributes of a stand-in that are its own: a scheduler replaces `step`."""


class ParallelOptimizer:
    """Stands in for an optimizer; `step` updates the parameters in threads.

    The wrapped optimizer's own step runs for parts of its parameters that are balanced
    by cost, so parameters and state are bit-identical. Parameters that share memory
    stay in one part, in order. State, groups, state dict, `zero_grad`,
    `add_param_group` and hooks are the optimizer's own (hooks are given the wrapped
    optimizer); schedulers may be made from either, and `GradScaler` unscales and skips
    through either, the same one throughout. A closure is evaluated once, before.

    `foreach=True` and `fused=True` do the same work in fewer, larger operations and are
    usually faster than threads: try them first.

    Args:
        optimizer: One of `KINDS`.
        workers: Threads, the calling one among them; by default the cores it may use.

    Raises:
        StrategyError: Its step is not one parameter after the other (LBFGS, a class of
            one's own, foreach, fused), its history is wanted (capturable,
            differentiable), the parameters lie on another device, or there is one only.
    """

    def __init__(self, optimizer: Any, workers: int | None = None) -> None:
        refuse(optimizer)
        parts = Parts(workers or cores())
        object.__setattr__(self, _OWN, (optimizer, parts))

    __class__ = property(lambda self: type(_optimizer(self)))  # what it stands in for

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters; the closure's result, if there is one."""
        import torch

        optimizer, parts = vars(self)[_OWN]
        optimizer._opt_called = True  # what a scheduler of the wrapped one looks for
        hooked = torch.optim.Optimizer.profile_hook_step(parts.step)
        return hooked(optimizer) if closure is None else hooked(optimizer, closure)

    def __getattr__(self, name: str) -> Any:
        return getattr(_optimizer(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _KEPT:
            object.__setattr__(self, name, value)
        else:
            setattr(_optimizer(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_optimizer(self), name)

    def __repr__(self) -> str:
        return f"ParallelOptimizer({_optimizer(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        optimizer, parts = vars(self)[_OWN]
        return ParallelOptimizer, (optimizer, parts.workers)


def _optimizer(stand_in: Any) -> Any:
    return object.__getattribute__(stand_in, "__dict__")[_OWN][0]


def refuse(optimizer: Any) -> None:
    """Say why an optimizer's step cannot be divided.

    Raises:
        StrategyError: See `ParallelOptimizer`.
    """
    name = type(optimizer).__name__
    if not _is_known(optimizer):
        raise StrategyError(
            f"it is not known that a step of {name} treats each parameter alone",
            f"use one of torch.optim's {', '.join(KINDS)}",
        )
    for group in optimizer.param_groups:
        _refuse_group(name, group)
    if sum(len(group["params"]) for group in optimizer.param_groups) < 2:
        raise StrategyError(
            f"{name} has one parameter only", "let torch use more threads within it"
        )


def _is_known(optimizer: Any) -> bool:
    import torch

    kind = type(optimizer)
    home = inspect.unwrap(kind.step).__module__
    return (
        kind.__name__ in KINDS
        and getattr(torch.optim, kind.__name__, None) is kind
        and home.startswith("torch.optim")
    )


def _refuse_group(name: str, group: dict[str, Any]) -> None:
    for setting in ("foreach", "fused"):
        if group.get(setting):
            raise StrategyError(
                f"{name} has {setting}=True, which updates all parameters at once",
                "it is usually faster than threads; leave it",
            )
    for setting in ("capturable", "differentiable"):
        if group.get(setting):
            raise StrategyError(
                f"{name} has {setting}=True: its step is part of a graph",
                f"set {setting}=False",
            )
    if not all(parameter.is_cpu for parameter in group["params"]):
        raise StrategyError(
            f"{name} updates parameters on another device, which has its own queue",
            "try foreach=True or fused=True",
        )


class Parts:
    """Runs an optimizer's step in parts, which it keeps from step to step.

    Args:
        workers: Threads, the calling one among them.
        mark: Wraps what a thread runs, so that it shows as a stage.
    """

    def __init__(
        self, workers: int, mark: Callable[[Update], Update] = lambda update: update
    ) -> None:
        self.workers = workers
        self._mark = mark
        self._layout: list[int] = []
        self._clones: list[Any] = []
        self._picked: list[list[list[Any]]] = []

    def step(self, optimizer: Any, closure: Callable[[], Any] | None = None) -> Any:
        """What the optimizer's step does, without its hooks."""
        import torch

        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        made = self._mark(partial(_made, inspect.unwrap(type(optimizer).step)))
        if self._begins(optimizer):
            parts: Sequence[Any] = [optimizer]
        else:
            self._divide(optimizer)
            parts = self._clones
        results([partial(made, part) for part in parts], self.workers)
        return loss

    def _begins(self, optimizer: Any) -> bool:
        """Whether some state will be made: in sequence, so that it is in order."""
        state, groups = optimizer.state, optimizer.param_groups
        if _stateless(optimizer):
            return False
        if len(state) >= sum(len(group["params"]) for group in groups):
            return False
        return any(
            parameter.grad is not None and parameter not in state
            for group in groups
            for parameter in group["params"]
        )

    def _divide(self, optimizer: Any) -> None:
        """Bring the clones up to date with the optimizer."""
        groups = [group["params"] for group in optimizer.param_groups]
        layout = [value for group in groups for p in group for value in _place(p)]
        if layout != self._layout:
            self._layout = layout
            here = all(p.is_cpu for group in groups for p in group)
            self._picked = partition(groups, self.workers if here else 1)
            kind = type(optimizer)
            self._clones = [object.__new__(kind) for _ in self._picked]
        for clone, picked in zip(self._clones, self._picked, strict=True):
            vars(clone).update(vars(optimizer))
            clone.param_groups = [
                {**group, "params": parameters}
                for group, parameters in zip(
                    optimizer.param_groups, picked, strict=True
                )
            ]


def _stateless(optimizer: Any) -> bool:
    groups = optimizer.param_groups
    return type(optimizer).__name__ == "SGD" and not any(g["momentum"] for g in groups)


def _place(parameter: Any) -> tuple[int, int]:
    return id(parameter), parameter.data_ptr()


def _made(plain: Callable[[Any], Any], part: Any) -> None:
    """One part's step, without the hooks and the wrappers of a whole one."""
    import torch

    with torch.no_grad():
        plain(part)


def partition(groups: Sequence[Sequence[Any]], workers: int) -> list[list[list[Any]]]:
    """Divide the parameters of all groups into parts of about the same cost.

    Args:
        groups: The parameters of each group.
        workers: The most parts.

    Returns:
        For each part, the parameters of each group, in order.
    """
    units = _sharing([(at, p) for at, group in enumerate(groups) for p in group])
    costs = [sum(FIXED_COST + p.numel() for _, p in unit) for unit in units]
    longest = sorted(range(len(units)), key=lambda unit: -costs[unit])
    loads = [(0, part) for part in range(min(workers, len(units)))]
    chosen = [0] * len(units)
    for unit in longest:
        load, part = heapq.heappop(loads)
        chosen[unit] = part
        heapq.heappush(loads, (load + costs[unit], part))
    order = {id(p): n for n, p in enumerate(p for group in groups for p in group)}
    parts: list[list[list[Any]]] = [[[] for _ in groups] for _ in loads]
    for members, part in zip(units, chosen, strict=True):
        for at, parameter in members:
            parts[part][at].append(parameter)
    for each in parts:
        for group in each:
            group.sort(key=lambda parameter: order[id(parameter)])
    return parts


def _sharing(pairs: Iterable[tuple[int, Any]]) -> list[list[tuple[int, Any]]]:
    """Parameters in units that share no memory with each other."""
    found: list[list[tuple[int, Any]]] = []
    end = 0
    for at, parameter in sorted(pairs, key=lambda pair: _memory(pair[1])[0]):
        begin, beyond = _memory(parameter)
        if found and begin < end:
            found[-1].append((at, parameter))
        else:
            found.append([(at, parameter)])
        end = max(end, beyond)
    return found


def _memory(parameter: Any) -> tuple[int, int]:
    """First byte of a parameter's storage, and the one beyond its last."""
    storage = parameter.untyped_storage()
    return storage.data_ptr(), storage.data_ptr() + storage.nbytes()
