"""Run a module on parts of the batch in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from debottleneck.errors import StrategyError
from debottleneck.strategies import randomness
from debottleneck.strategies.torch_branches import draws_itself
from debottleneck.strategies.torch_tasks import Task, run_tasks
from debottleneck.strategies.torch_trace import (
    name_of,
    refuse_inner_hooks,
    refuse_parameter_hooks,
)

EXACT = 100
"""How many units in the last place of the largest value results may differ by."""

ALTERNATIVE = "give each part of the model a thread instead: BranchParallel"


class Chunks:
    """A module's forward on parts of the batch.

    Args:
        module: The module; its own hooks are the caller's business.
        chunks: Parts.
        workers: Threads, the calling one among them.
        refused: Told why, when a call shows that it cannot be done; the module's plain
            result is returned from then on. Without it, the call raises.

    Raises:
        StrategyError: See `MicroBatchParallel`.
    """

    def __init__(
        self,
        module: Any,
        chunks: int,
        workers: int,
        refused: Callable[[StrategyError], None] | None = None,
    ) -> None:
        self.module, self.chunks, self.workers = module, chunks, workers
        self._refused = refused
        self._plain = False
        self._parts = list(module.modules())
        self._proven: set[tuple[bool, ...]] = set()
        refuse_inner_hooks(module)
        refuse_parameter_hooks(module)
        _refuse_whole_batches(module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the module's forward returns."""
        if self._plain:
            return self.module.forward(*args, **kwargs)
        modes = tuple([part.training for part in self._parts])
        if modes in self._proven:
            return self._in_parts(args, kwargs)
        try:
            _refuse_whole_batches(self.module)
        except StrategyError as error:
            self._refuse(error)
            return self.module.forward(*args, **kwargs)
        result, reason = self._compared(args, kwargs)
        if reason is None:
            self._proven.add(modes)
        else:
            self._refuse(reason)
        return result

    def _refuse(self, error: StrategyError) -> None:
        if self._refused is None:
            raise error
        self._plain = True
        self._refused(error)

    def _compared(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, StrategyError | None]:
        """The module's own result, and why the parts' would be another."""
        import torch

        streams = randomness.streams()
        before = randomness.states(streams), self._writes(args, kwargs)
        plain = self.module.forward(*args, **kwargs)
        if randomness.states(streams) != before[0]:
            return plain, _refusal(self.module, "draws random numbers", ALTERNATIVE)
        if self._writes(args, kwargs) != before[1]:
            why = "changes its buffers or its arguments"
            return plain, _refusal(self.module, why, ALTERNATIVE)
        try:
            if _strangers(self.module, plain, (args, kwargs)):
                why = "uses a tensor that needs a gradient and is no parameter of it"
                raise _refusal(self.module, why, "register it as a parameter")
            with torch.no_grad():
                parts = self._in_parts(args, kwargs)
            _refuse_difference(self.module, plain, parts)
        except StrategyError as error:
            return plain, error
        return plain, None

    def _writes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int]:
        """How often buffers and arguments were written to, as torch counts it."""
        from torch.utils._pytree import tree_leaves

        buffers = [b for part in self._parts for b in part.buffers(recurse=False)]
        given = [*buffers, *tree_leaves((args, kwargs))]
        return [getattr(e, "_version", 0) for e in given if not _uncounted(e)]

    def _in_parts(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        import torch
        from torch.utils._pytree import tree_flatten, tree_unflatten

        leaves, spec = tree_flatten((args, kwargs))
        rows = _rows(self.module, leaves)
        count = min(self.chunks, rows)
        if count < 2:
            return self.module.forward(*args, **kwargs)
        split = [
            each.tensor_split(count)
            if isinstance(each, torch.Tensor)
            else [each] * count
            for each in leaves
        ]
        owned = [p for part in self._parts for p in part._parameters.values()]
        parameters = list({id(p): p for p in owned if p is not None}.values())
        tasks = [
            Task(partial(self._run, spec), part, [at] * len(part), parameters)
            for at, part in enumerate(zip(*split, strict=True))
        ]
        outputs = run_tasks(tasks, self.workers)
        sizes = [rows // count + (at < rows % count) for at in range(count)]
        shape = outputs[0][-1]
        columns = list(zip(*(each[:-1] for each in outputs), strict=True))
        _refuse_other_rows(self.module, columns, sizes)
        return tree_unflatten([torch.cat(column) for column in columns], shape.spec)

    def _run(self, spec: Any, leaves: Sequence[Any]) -> list[Any]:
        from torch.utils._pytree import tree_flatten, tree_unflatten

        args, kwargs = tree_unflatten(leaves, spec)
        found, shape = tree_flatten(self.module.forward(*args, **kwargs))
        return [*found, _Shape(shape)]


class _Shape:
    """How leaves make up a part's result."""

    def __init__(self, spec: Any) -> None:
        self.spec = spec


def _uncounted(value: Any) -> bool:
    return bool(getattr(value, "is_inference", bool)())


def _refusal(module: Any, why: str, remedy: str) -> StrategyError:
    return StrategyError(f"{name_of(module)} {why}", remedy)


def _refuse_whole_batches(module: Any) -> None:
    """Layers that are known to look at the whole batch, or to draw numbers."""
    from torch.nn.modules.batchnorm import _NormBase

    for part in module.modules():
        if isinstance(part, _NormBase) and _looks_at_batch(part):
            why = f"has {name_of(part)}, whose result depends on the whole batch"
            raise _refusal(module, why, ALTERNATIVE)
        if draws_itself(part):
            why = f"has {name_of(part)}, which draws random numbers in training"
            raise _refusal(module, why, ALTERNATIVE)


def _looks_at_batch(part: Any) -> bool:
    """Whether a normalisation uses or keeps statistics of the batch in its mode."""
    from torch.nn.modules.batchnorm import _BatchNorm

    if part.training and part.track_running_stats:
        return True
    return isinstance(part, _BatchNorm) and (
        part.training or not part.track_running_stats
    )


def _rows(module: Any, leaves: Sequence[Any]) -> int:
    import torch

    shapes = [leaf.shape for leaf in leaves if isinstance(leaf, torch.Tensor)]
    sizes = {shape[0] if shape else 0 for shape in shapes}
    if len(sizes) != 1:
        why = "is given tensors whose first dimensions are not one batch"
        raise _refusal(module, why, "pass what is no batch as an attribute")
    size: int = sizes.pop()
    return size


def _refuse_other_rows(
    module: Any, columns: Sequence[Sequence[Any]], sizes: Sequence[int]
) -> None:
    import torch

    for column in columns:
        for value, rows in zip(column, sizes, strict=True):
            right = isinstance(value, torch.Tensor) and value.dim() > 0
            if not right or value.shape[0] != rows:
                why = "does not return one row for each row of the batch"
                raise _refusal(module, why, "leave the mean over rows to the loss")


def _refuse_difference(module: Any, plain: Any, parts: Any) -> None:
    from torch.utils._pytree import tree_leaves

    for one, other in zip(tree_leaves(plain), tree_leaves(parts), strict=True):
        if not _close(one.detach(), other):
            why = "computes a row from other rows of the batch"
            raise _refusal(module, why, ALTERNATIVE)


def _close(one: Any, other: Any) -> bool:
    import torch

    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point():
        return bool(torch.equal(one, other))
    if not one.numel():
        return True
    largest = one.abs().nan_to_num(0, 0, 0).max().item()
    allowed = min(EXACT * torch.finfo(one.dtype).eps, 0.05) * largest
    return bool(torch.allclose(one, other, rtol=0, atol=allowed, equal_nan=True))


def _strangers(module: Any, result: Any, given: Any) -> bool:
    """Whether a gradient would go to something that is no parameter and no argument."""
    import torch
    from torch.utils._pytree import tree_leaves

    known = {id(parameter) for parameter in module.parameters()}
    given = [each for each in tree_leaves(given) if isinstance(each, torch.Tensor)]
    known |= {id(each) for each in given}
    seen = {each.grad_fn for each in given if each.grad_fn is not None}
    ahead = [getattr(leaf, "grad_fn", None) for leaf in tree_leaves(result)]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable") and id(node.variable) not in known:
            return True
        ahead += [each for each, _ in node.next_functions]
    return False
