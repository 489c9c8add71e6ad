"""A module's forward in threads: its independent branches.

Only `forward` is another one: parameters, state dict, hooks, `train`, `to` and all else
are the module's own. Backward runs in the same threads. What needs the graph of the
graph (`create_graph=True`), or the same graph twice (`retain_graph=True`), needs the
module as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from operator import attrgetter, is_
from typing import Any, TypeVar

from debottleneck.errors import StrategyError
from debottleneck.strategies.blas import cores
from debottleneck.strategies.torch_branches import stretches
from debottleneck.strategies.torch_tasks import GraphPart, Values, run_parts
from debottleneck.strategies.torch_trace import (
    hooked,
    name_of,
    optional_arguments,
    traced,
)

M = TypeVar("M")

MOST_PLANS = 8
"""Modes, settings and layers of one module that are followed; with others it is left
alone."""


def BranchParallel(module: M, workers: int | None = None) -> M:
    """The module, which now runs branches that do not feed each other in threads.

    The branches are found by `torch.fx`. Outputs and gradients are bit-identical to the
    plain module's as long as torch uses the same number of threads within an operation;
    they are divided among the branches, which can change the order of a sum (equal
    within 1e-6). Whatever a branch may share with another keeps its place: random
    numbers, in-place writes, running statistics of a layer that both use.

    Args:
        module: Its forward is followed once for each mode (training, evaluation).
            Calls with other than the required arguments run it as it is.
        workers: Threads, the calling one among them; by default the cores it may use.

    Raises:
        StrategyError: Forward cannot be followed, or each layer feeds the next.
    """
    vars(module)["forward"] = Branches(module, workers or cores())
    return module


class Branches:
    """A module's forward, its branches in threads.

    Args:
        module: The module; its hooks are the caller's business.
        workers: Threads, the calling one among them.

    Raises:
        StrategyError: See `BranchParallel`.
    """

    def __init__(self, module: Any, workers: int) -> None:
        self.__setstate__((module, workers))
        seen = _looked_at(module)
        plan = _Plan(module)
        if plan.branches < 2:
            raise StrategyError(
                f"each layer of {name_of(module)} feeds the next: there are no "
                "independent branches",
                "let torch use more threads within a layer: torch.set_num_threads",
            )
        self._plans.append((seen, plan))

    def __getstate__(self) -> tuple[Any, int]:
        """A copy follows the copied module when it is called."""
        return self.module, self.workers

    def __setstate__(self, state: tuple[Any, int]) -> None:
        self.module, self.workers = state
        code = type(self.module).forward.__code__
        self._names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
        self._fixed = optional_arguments(self.module)
        self._plans: list[tuple[list[Any], _Plan | None]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the module's own forward returns."""
        given = self._given(args, kwargs)
        plan = None if given is None else self._plan()
        if given is None or plan is None:
            return type(self.module).forward(self.module, *args, **kwargs)
        return plan.run(given, self.workers)

    def _given(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """The required arguments by name; None where threads cannot help this call."""
        if len(args) > len(self._names):
            return None
        given = {**dict(zip(self._names, args, strict=False)), **kwargs}
        for name, value in self._fixed.items():
            if given.pop(name, value) is not value:
                return None
        here = all(getattr(value, "is_cpu", True) for value in given.values())
        required = set(self._names) - set(self._fixed)
        return given if here and set(given) == required else None

    def _plan(self) -> _Plan | None:
        """For the module as it is now; None where it runs as it is."""
        now = _looked_at(self.module)
        for seen, plan in self._plans:
            if len(seen) == len(now) and all(map(is_, seen, now)):
                return plan
        if len(self._plans) >= MOST_PLANS:
            return None
        try:
            plan = _Plan(self.module)
        except StrategyError:  # it can be followed in another mode only
            plan = None
        self._plans.append((now, plan if plan and plan.branches > 1 else None))
        return self._plans[-1][1]


_NOT_LOOKED_AT = (list, dict, set, Branches)


def _looked_at(module: Any) -> list[Any]:
    """What forward may have looked at: parts, modes, settings, and hooks of parts."""
    found: list[Any] = []
    for part in module.modules():
        found += [part, part.training, part is not module and hooked(part)]
        found += part._modules.values()
        found += [
            value
            for name, value in vars(part).items()
            if name[0] != "_" and not isinstance(value, _NOT_LOOKED_AT)
        ]
    return found


class _Plan:
    """A module's graph, divided and ready to run.

    Attributes:
        branches: The most that run at once.
    """

    def __init__(self, module: Any) -> None:
        nodes = traced(module)
        self._module = module
        self._inputs = [node for node in nodes if node.op == "placeholder"]
        self._attributes = [node for node in nodes if node.op == "get_attr"]
        self._result = next(node for node in nodes if node.op == "output").args[0]
        self.stretches = stretches(nodes, module.get_submodule)
        self.branches = max(map(len, self.stretches), default=0)
        done = _last_uses(self.stretches, self._result)
        parts = [
            [GraphPart(branch, module) for branch in stretch]
            for stretch in self.stretches
        ]
        self._steps = list(zip(parts, done, strict=True))

    def run(self, given: Mapping[str, Any], workers: int) -> Any:
        """The result of forward."""
        from torch.fx.node import map_arg

        values: Values = {n: given[n.target] for n in self._inputs if n.target in given}
        for node in self._attributes:
            values[node] = attrgetter(node.target)(self._module)
        for parts, done in self._steps:
            if len(parts) > 1:
                values.update(run_parts(parts, values, workers))
            else:
                values.update(parts[0].run(values))
            for node in done:
                values.pop(node, None)
        return map_arg(self._result, values.__getitem__)


def _last_uses(divided: list[list[list[Any]]], result: Any) -> list[list[Any]]:
    """For each stretch the nodes whose values nothing needs after it."""
    from torch.fx.node import map_arg

    last: dict[Any, int] = {}
    for at, stretch in enumerate(divided):
        for node in chain(*stretch):
            last.update(dict.fromkeys((*node.all_input_nodes, node), at))
    map_arg(result, lambda node: last.pop(node, None))
    unneeded: list[list[Any]] = [[] for _ in divided]
    for node, at in last.items():
        unneeded[at].append(node)
    return unneeded
