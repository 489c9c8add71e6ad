"""A module's forward in threads: its independent branches.

It stands in for the module: parameters, state dict, hooks, `train`, `to` and all else
are the module's own, and whoever asks is told that it is of its class. Backward runs
in the same threads. What needs the graph of the graph (`create_graph=True`), or the
same graph twice (`retain_graph=True`), needs the module itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial, wraps
from operator import attrgetter
from typing import Any

from debottleneck.errors import StrategyError
from debottleneck.strategies.blas import cores
from debottleneck.strategies.torch_branches import Stretch, stretches
from debottleneck.strategies.torch_tasks import Task, run_tasks
from debottleneck.strategies.torch_trace import (
    hooked,
    name_of,
    optional_arguments,
    refuse_parameter_hooks,
    traced,
)

_OWN = "_stand_in"
"""The only attribute of a stand-in; every other one is the module's."""

MOST_CHANGES = 8
"""Changes of a module's parts and settings after which it is left alone."""

_CHANGING = (list, dict, set)


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
        self._parts = [
            [_Part(part, module) for part in stretch.branches or (stretch.nodes,)]
            for stretch in self.stretches
        ]

    def run(self, given: Mapping[str, Any], workers: int) -> Any:
        """The result of forward."""
        from torch.fx.node import map_arg

        values = {n: given[n.target] for n in self._inputs if n.target in given}
        for node in self._attributes:
            values[node] = attrgetter(node.target)(self._module)
        for parts, done in zip(self._parts, self._done, strict=True):
            if len(parts) > 1:
                outputs = run_tasks([part.task(values) for part in parts], workers)
                for part, leaves in zip(parts, outputs, strict=True):
                    values.update(part.named(leaves))
            else:
                values.update(parts[0].run(values))
            for node in done:
                values.pop(node, None)
        return map_arg(self._result, values.__getitem__)


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


class _Part:
    """Some nodes as a function; each use of a value from outside is an input."""

    def __init__(self, nodes: Sequence[Any], module: Any) -> None:
        from torch.fx import Graph

        self._module = module
        inside = set(nodes)
        self._inputs = [
            (source, node.meta["order"])
            for node in nodes
            for source in _sources(node)
            if source not in inside
        ]
        self._results = [n for n in nodes if any(u not in inside for u in n.users)]
        self._parts = [
            part
            for node in nodes
            if node.op == "call_module"
            for part in module.get_submodule(node.target).modules()
        ]
        graph, made = Graph(), dict[Any, Any]()
        given = iter(
            [graph.placeholder(f"given_{n}") for n in range(len(self._inputs))]
        )
        for node in nodes:
            made[node] = graph.node_copy(node, lambda n: made.get(n) or next(given))
        graph.output(tuple(made[node] for node in self._results))
        code = graph.python_code("self")
        space = dict(code.globals)
        exec(code.src, space)  # as `torch.fx` itself runs a graph
        self._forward = space["forward"]

    def run(self, values: Mapping[Any, Any]) -> dict[Any, Any]:
        """The results by their nodes."""
        given = [values[source] for source, _ in self._inputs]
        made = self._forward(self._module, *given)
        return dict(zip(self._results, made, strict=True))

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
        every = (p for part in self._parts for p in part._parameters.values())
        owned = {id(p): p for p in every if p is not None}
        return Task(partial(self._run, specs), leaves, uses, [*owned.values()])

    def _run(self, specs: Sequence[tuple[int, Any]], leaves: Sequence[Any]) -> Any:
        """The leaves of the results, and last how they are put together."""
        from torch.utils._pytree import tree_flatten, tree_unflatten

        rest = iter(leaves)
        given = [tree_unflatten([next(rest) for _ in range(n)], s) for n, s in specs]
        results, spec = tree_flatten(list(self._forward(self._module, *given)))
        return [*results, spec]

    def named(self, outputs: Sequence[Any]) -> dict[Any, Any]:
        """The results by their nodes, of a task's outputs."""
        from torch.utils._pytree import tree_unflatten

        *leaves, spec = outputs
        return dict(zip(self._results, tree_unflatten(leaves, spec), strict=True))


def _sources(node: Any) -> list[Any]:
    """The nodes whose values it takes, once for each use."""
    from torch.fx.node import map_arg

    found: list[Any] = []
    map_arg((node.args, node.kwargs), found.append)
    return found
