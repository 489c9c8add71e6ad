"""Independent parts of a torch computation in threads, forward and backward.

Each part builds a graph of its own, from aliases of its inputs. To autograd all of
them together are one function. Its backward runs theirs in threads too, and hands the
gradients on in the order in which the plain backward would have added them: last use
first. (Graphs built by several threads are no substitute. Autograd orders nodes by
counters of the threads that made them, so sums would change from run to run.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from debottleneck.strategies.together import results


@dataclass
class Task:
    """One part.

    Attributes:
        run: Takes the inputs, returns the outputs.
        inputs: Tensors and anything else, one entry for each use.
        uses: When the plain computation uses each input, ascending or not.
        parameters: What else it reads that may need a gradient.
    """

    run: Callable[[Sequence[Any]], Sequence[Any]]
    inputs: Sequence[Any]
    uses: Sequence[int]
    parameters: Sequence[Any] = ()


def run_tasks(tasks: Sequence[Task], workers: int) -> list[list[Any]]:
    """The outputs of every task, with their history for autograd.

    Args:
        tasks: Independent of each other: none changes what another one reads.
        workers: Threads at work at once, the calling one among them.

    Raises:
        BaseException: Of the first task in order that failed, when all are done.
    """
    import torch

    job = _Job(tasks, workers)
    if not torch.is_grad_enabled() or not job.sources:
        calls = [partial(task.run, task.inputs) for task in tasks]
        return [list(outputs) for outputs in results(calls, workers)]
    tensors = iter(_concurrent().apply(job, *job.sources))
    return [
        [
            next(tensors) if isinstance(output, torch.Tensor) else output
            for output in outputs
        ]
        for outputs in job.outputs
    ]


class _Job:
    """The tasks of one call, from their forward to their backward."""

    def __init__(self, tasks: Sequence[Task], workers: int) -> None:
        self.tasks, self.workers = tasks, workers
        uses = [
            (task.uses[index], at, index)
            for at, task in enumerate(tasks)
            for index, value in enumerate(task.inputs)
            if getattr(value, "requires_grad", False)
        ]
        self.places = [(at, index) for _, at, index in sorted(uses, reverse=True)]
        self.owned = [
            (at, parameter)
            for at in reversed(range(len(tasks)))
            for parameter in tasks[at].parameters
            if parameter.requires_grad
        ]
        self.aliases: dict[tuple[int, int], Any] = {}
        self._spent: set[int] = set()
        self.outputs: list[Sequence[Any]] = []

    @property
    def sources(self) -> list[Any]:
        """What needs gradients, once for each use, the last use first."""
        used = [self.tasks[at].inputs[index] for at, index in self.places]
        return [*used, *(parameter for _, parameter in self.owned)]

    def forward(self) -> None:
        for at, index in self.places:
            alias = self.tasks[at].inputs[index].detach().requires_grad_()
            self.aliases[at, index] = alias
        calls = [partial(self._forward, at) for at in range(len(self.tasks))]
        self.outputs = results(calls, self.workers)

    def _forward(self, at: int) -> Sequence[Any]:
        import torch

        task = self.tasks[at]
        inputs = [
            self.aliases.get((at, index), value)
            for index, value in enumerate(task.inputs)
        ]
        with torch.enable_grad():
            return task.run(inputs)

    def backward(self, gradients: Sequence[Any]) -> list[Any]:
        """The gradients of `sources`."""
        rest = iter(gradients)
        given = [
            [(output, next(rest)) for output in outputs if _is_tensor(output)]
            for outputs in self.outputs
        ]
        calls = [partial(self._backward, at, pairs) for at, pairs in enumerate(given)]
        by_task = [iter(output) for output in results(calls, self.workers)]
        inputs = {place: next(by_task[place[0]]) for place in self.places}
        return [*inputs.values(), *(next(by_task[at]) for at, _ in self.owned)]

    def _backward(self, at: int, pairs: Sequence[tuple[Any, Any]]) -> Sequence[Any]:
        """The gradients of one task's inputs and parameters."""
        import torch

        wanted = [alias for place, alias in self._aliases_of(at)]
        wanted += [parameter for owner, parameter in self.owned if owner == at]
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
        outputs, gradients = zip(*real, strict=True)
        computed = torch.autograd.grad(outputs, wanted, gradients, allow_unused=True)
        return tuple(computed)

    def _aliases_of(self, at: int) -> list[tuple[tuple[int, int], Any]]:
        return [(place, self.aliases[place]) for place in self.places if place[0] == at]


@cache
def _concurrent() -> Any:
    """The autograd function; made when first needed, as torch is imported late."""
    import torch
    from torch.autograd.function import once_differentiable

    class Concurrent(torch.autograd.Function):  # type: ignore[misc] # torch is not typed here
        """Several parts as one node of the graph."""

        @staticmethod
        def forward(ctx: Any, job: _Job, *sources: Any) -> tuple[Any, ...]:
            job.forward()
            ctx.job = job
            ctx.set_materialize_grads(False)
            tensors = [
                tensor
                for outputs in job.outputs
                for tensor in outputs
                if _is_tensor(tensor)
            ]
            pairs = [(tensor, tensor.detach()) for tensor in tensors]
            fixed = [result for tensor, result in pairs if not tensor.requires_grad]
            ctx.mark_non_differentiable(*fixed)
            return tuple(result for _, result in pairs)

        @staticmethod
        @once_differentiable  # type: ignore[untyped-decorator] # nor here
        def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
            return (None, *ctx.job.backward(gradients))

    return Concurrent


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)
