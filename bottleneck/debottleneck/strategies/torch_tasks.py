"""Independent parts of a torch computation in threads, forward and backward.

Each part builds a graph of its own, from aliases of its inputs. To autograd all of
them together are one function. Its backward runs theirs in threads too, and hands the
gradients on in the order in which the plain backward would have added them: last use
first. (Graphs built by several threads are no substitute. Autograd orders nodes by
counters of the threads that made them, so sums would change from run to run.)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from debottleneck.strategies.together import results

Values = dict[Any, Any]
"""Node -> what it gave."""


class GraphPart:
    """Some nodes as a function; each use of a value from outside is an input."""

    def __init__(self, nodes: Sequence[Any], module: Any) -> None:
        from torch.fx import Graph

        inside = set(nodes)
        self.inputs = [
            (source, node.meta["order"])
            for node in nodes
            for source in _sources(node)
            if source not in inside
        ]
        self.results = [n for n in nodes if any(u not in inside for u in n.users)]
        self.modules = [
            module.get_submodule(node.target)
            for node in nodes
            if node.op == "call_module"
        ]
        graph, made = Graph(), Values()
        names = (f"given_{number}" for number in range(len(self.inputs)))
        given = iter([graph.placeholder(name) for name in names])
        for node in nodes:
            made[node] = graph.node_copy(node, lambda n: made.get(n) or next(given))
        graph.output(tuple(made[node] for node in self.results))
        code = graph.python_code("self")
        space = dict(code.globals)
        exec(code.src, space)  # as `torch.fx` itself runs a graph
        self.forward = partial(space["forward"], module)

    def run(self, values: Values) -> Values:
        """The results by their nodes."""
        made = self.forward(*(values[source] for source, _ in self.inputs))
        return dict(zip(self.results, made, strict=True))


def _sources(node: Any) -> list[Any]:
    """The nodes whose values it takes, once for each use."""
    from torch.fx.node import map_arg

    found: list[Any] = []
    map_arg((node.args, node.kwargs), found.append)
    return found


def run_parts(parts: Sequence[GraphPart], values: Values, workers: int) -> Values:
    """The results of all parts by their nodes, with their history for autograd.

    Args:
        parts: Independent of each other: none changes what another one reads.
        values: What they take.
        workers: Threads at work at once, the calling one among them.

    Raises:
        BaseException: Of the first part in order that failed, when all are done.
    """
    import torch

    job = _Job(parts, values, workers) if torch.is_grad_enabled() else None
    if job is None or not job.sources:
        made = results([partial(part.run, values) for part in parts], workers)
        return {node: value for some in made for node, value in some.items()}
    return job.named(_concurrent().apply(job, *job.sources))


class _Job:
    """The parts of one call, from their forward to their backward."""

    def __init__(
        self, parts: Sequence[GraphPart], values: Values, workers: int
    ) -> None:
        from torch.utils._pytree import tree_flatten, tree_leaves

        self._parts, self._workers = parts, workers
        self._inputs: list[tuple[list[Any], Any]] = []
        self._outputs: list[tuple[list[Any], Any]] = []
        self._spent: set[int] = set()
        uses, self._owned = [], list[tuple[int, Any]]()
        for at, part in enumerate(parts):
            given = [values[source] for source, _ in part.inputs]
            self._inputs.append(tree_flatten(given))
            taken = zip(given, part.inputs, strict=True)
            orders = [order for value, (_, order) in taken for _ in tree_leaves(value)]
            uses += [
                (orders[index], at, index)
                for index, leaf in enumerate(self._inputs[at][0])
                if getattr(leaf, "requires_grad", False)
            ]
            own = [p for module in part.modules for p in module.parameters()]
            needed = dict.fromkeys(p for p in own if p.requires_grad)
            self._owned[:0] = [(at, parameter) for parameter in needed]
        self._places = [(at, index) for _, at, index in sorted(uses, reverse=True)]
        # What needs gradients, once for each use, the last use first.
        used = [self._inputs[at][0][index] for at, index in self._places]
        self.sources = [*used, *(parameter for _, parameter in self._owned)]

    def forward(self) -> list[Any]:
        """The tensors that the parts give."""
        for at, index in self._places:
            leaves = self._inputs[at][0]
            leaves[index] = leaves[index].detach().requires_grad_()
        calls = [partial(self._forward, at) for at in range(len(self._parts))]
        self._outputs = results(calls, self._workers)
        return [leaf for leaves, _ in self._outputs for leaf in filter(_is, leaves)]

    def _forward(self, at: int) -> tuple[list[Any], Any]:
        import torch
        from torch.utils._pytree import tree_flatten, tree_unflatten

        with torch.enable_grad():
            made = self._parts[at].forward(*tree_unflatten(*self._inputs[at]))
        return tree_flatten(list(made))  # type: ignore[no-any-return] # not typed here

    def named(self, tensors: Sequence[Any]) -> Values:
        """The results by their nodes, with these tensors in the place of their own."""
        from torch.utils._pytree import tree_unflatten

        rest, found = iter(tensors), Values()
        for part, (leaves, spec) in zip(self._parts, self._outputs, strict=True):
            made = [next(rest) if _is(leaf) else leaf for leaf in leaves]
            values = tree_unflatten(made, spec)
            found.update(zip(part.results, values, strict=True))
        return found

    def backward(self, gradients: Sequence[Any]) -> list[Any]:
        """The gradients of `sources`."""
        rest = iter(gradients)
        given = [
            [(leaf, next(rest)) for leaf in filter(_is, leaves)]
            for leaves, _ in self._outputs
        ]
        calls = [partial(self._backward, at, pairs) for at, pairs in enumerate(given)]
        by_part = [iter(found) for found in results(calls, self._workers)]
        return [next(by_part[at]) for at, _ in (*self._places, *self._owned)]

    def _backward(self, at: int, pairs: Sequence[tuple[Any, Any]]) -> Sequence[Any]:
        """The gradients of one part's inputs and parameters."""
        import torch

        leaves = self._inputs[at][0]
        wanted = [leaves[index] for owner, index in self._places if owner == at]
        wanted += [parameter for owner, parameter in self._owned if owner == at]
        real = [
            (output, gradient)
            for output, gradient in pairs
            if output.requires_grad and gradient is not None
        ]
        if not wanted or not real:
            return [None] * len(wanted)
        if at in self._spent:
            raise RuntimeError(
                "Trying to backward through the graph a second time: branches that "
                "run in threads are kept for one backward only"
            )
        self._spent.add(at)
        outputs, given = zip(*real, strict=True)
        found = torch.autograd.grad(outputs, wanted, given, allow_unused=True)
        return tuple(found)


@cache
def _concurrent() -> Any:
    """The autograd function; made when first needed, as torch is imported late."""
    import torch
    from torch.autograd.function import once_differentiable

    class Concurrent(torch.autograd.Function):  # type: ignore[misc] # torch is not typed here
        """Several parts as one node of the graph."""

        @staticmethod
        def forward(ctx: Any, job: _Job, *sources: Any) -> tuple[Any, ...]:
            tensors = job.forward()
            ctx.job = job
            ctx.set_materialize_grads(False)
            pairs = [(tensor, tensor.detach()) for tensor in tensors]
            fixed = [result for tensor, result in pairs if not tensor.requires_grad]
            ctx.mark_non_differentiable(*fixed)
            return tuple(result for _, result in pairs)

        @staticmethod
        @once_differentiable  # type: ignore[untyped-decorator] # nor here
        def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
            return (None, *ctx.job.backward(gradients))

    return Concurrent


def _is(value: Any) -> bool:
    """Whether it is a tensor."""
    import torch

    return isinstance(value, torch.Tensor)
