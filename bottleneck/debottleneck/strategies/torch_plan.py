"""Run a module's graph with its independent branches in threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

from debottleneck.errors import StrategyError
from debottleneck.strategies.torch_branches import Stretch, stretches
from debottleneck.strategies.torch_tasks import Task, run_tasks
from debottleneck.strategies.torch_trace import (
    hooked,
    name_of,
    optional_arguments,
    refuse_parameter_hooks,
    traced,
)

MOST_CHANGES = 8
"""Changes of a module's parts and settings after which it is left alone."""

_CHANGING = (list, dict, set)


class Branches:
    """A module's forward, its branches in threads.

    Args:
        module: The module; its hooks are the caller's business.
        workers: Threads, the calling one among them.

    Raises:
        StrategyError: See `BranchParallel`.
    """

    def __init__(self, module: Any, workers: int) -> None:
        self.module, self.workers = module, workers
        self._names = _argument_names(module)
        self._fixed = optional_arguments(module)
        self._plans: dict[tuple[bool, ...], _Plan | None] = {}
        self._structure = _structure(module)
        self._changes = 0
        refuse_parameter_hooks(module)
        modes = _modes(self._structure)
        plan = self._plans[modes] = self._plan_for()
        if plan is None:
            raise StrategyError(
                f"each layer of {name_of(module)} feeds the next: there are no "
                "independent branches",
                "let torch use more threads within a layer: torch.set_num_threads",
            )
        self.branches = max(len(stretch.branches) for stretch in plan.stretches)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the module's forward returns."""
        given = self._given(args, kwargs)
        if given is None or not _on_cpu(given):
            return self.module.forward(*args, **kwargs)
        if not _unchanged(self._structure):
            self._structure = _structure(self.module)
            self._plans.clear()
            self._changes += 1
        if self._changes > MOST_CHANGES or any(
            hooked(e) for e, *_ in self._structure[1:]
        ):
            return self.module.forward(*args, **kwargs)
        modes = _modes(self._structure)
        if modes not in self._plans:
            try:
                self._plans[modes] = self._plan_for()
            except StrategyError:  # it can be followed in the other mode only
                self._plans[modes] = None
        plan = self._plans[modes]
        if plan is None:
            return self.module.forward(*args, **kwargs)
        return plan.run(given, self.workers)

    def _given(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """The required arguments by name; None when the call has others."""
        if len(args) > len(self._names):
            return None
        given = {**dict(zip(self._names, args, strict=False)), **kwargs}
        for name, value in self._fixed.items():
            if given.pop(name, value) is not value:
                return None
        required = set(self._names) - set(self._fixed)
        return given if set(given) == required else None

    def _plan_for(self) -> _Plan | None:
        """The plan for the present training flags; None when nothing runs at once."""
        plan = _Plan(self.module, traced(self.module))
        some = any(stretch.branches for stretch in plan.stretches)
        return plan if some else None


def _argument_names(module: Any) -> tuple[str, ...]:
    code = type(module).forward.__code__
    count = code.co_argcount + code.co_kwonlyargcount
    names: tuple[str, ...] = code.co_varnames[1:count]
    return names


_Structure = list[tuple[Any, tuple[Any, ...], dict[str, Any]]]
"""Every module with its parts, and with what its forward may have looked at."""


def _structure(module: Any) -> _Structure:
    return [
        (part, tuple(part._modules.values()), _settings(part))
        for part in module.modules()
    ]


def _settings(module: Any) -> dict[str, Any]:
    """Attributes that are no tensors, parts or containers; modes are told apart."""
    return {
        name: value
        for name, value in vars(module).items()
        if name[0] != "_" and name != "training" and not isinstance(value, _CHANGING)
    }


def _unchanged(structure: _Structure) -> bool:
    for part, parts, settings in structure:
        now = vars(part)
        if tuple(part._modules.values()) != parts:
            return False
        if any(now.get(name, now) is not value for name, value in settings.items()):
            return False
    return True


def _modes(structure: _Structure) -> tuple[bool, ...]:
    return tuple([part.training for part, *_ in structure])


def _on_cpu(given: Mapping[str, Any]) -> bool:
    """Whether threads help: other devices have queues of their own."""
    return all(getattr(value, "is_cpu", True) for value in given.values())


class _Plan:
    """A module's graph, divided and ready to run."""

    def __init__(self, module: Any, nodes: Sequence[Any]) -> None:
        self._module = module
        self._inputs = [node for node in nodes if node.op == "placeholder"]
        self._attributes = [node for node in nodes if node.op == "get_attr"]
        self._result = next(node for node in nodes if node.op == "output").args[0]
        self.stretches = stretches(nodes, module.get_submodule)
        self._done = _last_uses(self.stretches, self._result)
        self._branches = [
            [_Branch(branch, module) for branch in stretch.branches]
            for stretch in self.stretches
        ]

    def run(self, given: Mapping[str, Any], workers: int) -> Any:
        """The result of forward."""
        from torch.fx.node import map_arg

        values = {n: given[n.target] for n in self._inputs if n.target in given}
        for node in self._attributes:
            values[node] = attrgetter(node.target)(self._module)
        for stretch, branches, done in zip(
            self.stretches, self._branches, self._done, strict=True
        ):
            if branches:
                _run_branches(branches, values, workers)
            else:
                for node in stretch.nodes:
                    args = map_arg(node.args, values.__getitem__)
                    kwargs = map_arg(node.kwargs, values.__getitem__)
                    values[node] = _computed(node, self._module, args, kwargs)
            for node in done:
                values.pop(node, None)
        return map_arg(self._result, values.__getitem__)


def _run_branches(
    branches: Sequence[_Branch], values: dict[Any, Any], workers: int
) -> None:
    tasks = [branch.task(values) for branch in branches]
    for branch, outputs in zip(branches, run_tasks(tasks, workers), strict=True):
        values.update(branch.named(outputs))


def _last_uses(divided: Sequence[Stretch], result: Any) -> list[list[Any]]:
    """For each stretch the nodes whose values nothing needs after it."""
    from torch.fx.node import map_arg

    last: dict[Any, int] = {}
    for at, stretch in enumerate(divided):
        for node in stretch.nodes:
            last.update(dict.fromkeys((*node.all_input_nodes, node), at))
    map_arg(result, lambda node: last.pop(node, None))
    unneeded: list[list[Any]] = [[] for _ in divided]
    for node, at in last.items():
        unneeded[at].append(node)
    return unneeded


def _computed(node: Any, module: Any, args: Any, kwargs: Any) -> Any:
    """One node's value."""
    if node.op == "call_function":
        return node.target(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], node.target)(*args[1:], **kwargs)
    return module.get_submodule(node.target)(*args, **kwargs)


@dataclass(frozen=True)
class _Input:
    """Stands for an input's place in a node's arguments."""

    index: int


class _Branch:
    """One branch's nodes; each use of a value from outside is an input of its own."""

    def __init__(self, nodes: Sequence[Any], module: Any) -> None:
        from torch.fx.node import map_arg

        self._module = module
        self._inside = set(nodes)
        self._inputs: list[tuple[Any, int]] = []
        self._code = [
            (
                node,
                *(map_arg(given, self._place(node)) for given in (node.args, kwargs)),
            )
            for node in nodes
            for kwargs in (node.kwargs,)
        ]
        self._results = [
            node for node in nodes if any(u not in self._inside for u in node.users)
        ]
        self._parts = [
            part
            for node in nodes
            if node.op == "call_module"
            for part in module.get_submodule(node.target).modules()
        ]

    def _place(self, node: Any) -> Callable[[Any], Any]:
        def place(source: Any) -> Any:
            if source in self._inside:
                return source
            self._inputs.append((source, node.meta["order"]))
            return _Input(len(self._inputs) - 1)

        return place

    def task(self, values: Mapping[Any, Any]) -> Task:
        """What to run, its inputs taken apart into tensors and other leaves."""
        from torch.utils._pytree import tree_flatten

        leaves: list[Any] = []
        uses: list[int] = []
        specs = []
        for source, order in self._inputs:
            flat, spec = tree_flatten(values[source])
            leaves += flat
            uses += [order] * len(flat)
            specs.append((len(flat), spec))
        parameters = {
            id(p): p for part in self._parts for p in part._parameters.values()
        }
        owned = [
            parameter for parameter in parameters.values() if parameter is not None
        ]
        return Task(partial(self._run, specs), leaves, uses, owned)

    def _run(self, specs: Sequence[tuple[int, Any]], leaves: Sequence[Any]) -> Any:
        """The leaves of the results, and last how they are put together."""
        from torch.fx.node import map_aggregate
        from torch.utils._pytree import tree_flatten, tree_unflatten

        rest = iter(leaves)
        inputs = [tree_unflatten([next(rest) for _ in range(n)], s) for n, s in specs]
        values: dict[Any, Any] = {}

        def value_of(argument: Any) -> Any:
            if isinstance(argument, _Input):
                return inputs[argument.index]
            return (
                values.get(argument, argument) if hasattr(argument, "op") else argument
            )

        for node, args, kwargs in self._code:
            given = map_aggregate(args, value_of), map_aggregate(kwargs, value_of)
            values[node] = _computed(node, self._module, *given)
        results, spec = tree_flatten([values[node] for node in self._results])
        return [*results, spec]

    def named(self, outputs: Sequence[Any]) -> dict[Any, Any]:
        """The results by their nodes."""
        from torch.utils._pytree import tree_unflatten

        *leaves, spec = outputs
        return dict(zip(self._results, tree_unflatten(leaves, spec), strict=True))
