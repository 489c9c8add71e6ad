"""Which parts of a module's graph may run at the same time.

The nodes, in the order of forward, are divided into consecutive stretches. In a stretch
the connected parts that feed each other nowhere are its branches. Because a stretch is
consecutive, its backward too is: sums of gradients keep their order.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any


def _names(*lines: str) -> frozenset[str]:
    return frozenset(name for line in lines for name in line.split())


_HEAVY = _names(
    "linear bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d",
    "conv_transpose3d embedding_bag layer_norm group_norm interpolate",
    "multi_head_attention_forward scaled_dot_product_attention",
    "addmm baddbmm bmm chain_matmul einsum inner matmul mm multi_dot tensordot cdist",
    "cholesky eigh inverse qr solve svd fft ifft rfft irfft",
    "cumsum log_softmax softmax sort topk",
)
"""Functions and methods that are worth a thread; so are modules with parameters."""

_RANDOM = _names(
    "dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout",
    "native_dropout rrelu gumbel_softmax fractional_max_pool2d fractional_max_pool3d",
    "multi_head_attention_forward scaled_dot_product_attention",
    "rand rand_like randn randn_like randint randint_like randperm",
    "bernoulli bernoulli_ normal normal_ uniform_ random_ multinomial poisson",
    "exponential_ geometric_ cauchy_ log_normal_",
)
"""Functions and methods that may draw random numbers."""


_Groups = list[list[Any]]
"""Nodes in groups that do not feed each other."""


def stretches(nodes: Sequence[Any], part: Callable[[str], Any]) -> list[_Groups]:
    """Divide a graph into consecutive stretches, each into what may run at once."""
    for order, node in enumerate(nodes):
        node.meta["order"] = order
    working = [node for node in nodes if node.op.startswith("call_")]
    arguments = [node for node in nodes if node.op == "placeholder"]
    divided: list[_Groups] = []
    for groups in _split(working, arguments, part):
        branches = _worth(groups, part)
        if len(branches) > 1 and _may_run_at_once(branches, part):
            divided.append(branches)
        elif divided and len(divided[-1]) == 1:
            divided[-1] = [[*divided[-1][0], *_in_order(groups)]]
        else:
            divided.append([_in_order(groups)])
    return divided


def _in_order(groups: _Groups) -> list[Any]:
    nodes = [node for group in groups for node in group]
    return sorted(nodes, key=lambda node: node.meta["order"])


def _split(
    region: list[Any], counted: list[Any], part: Callable[[str], Any]
) -> list[_Groups]:
    """Cut where one value is all that the rest needs; look into what stays connected.

    Args:
        region: Consecutive nodes.
        counted: Values from before that count as needed; those not in it, such as a
            mask that every layer reads or the input of a residual sum, do not.
        part: From a module's path to the module.
    """
    parts: list[_Groups] = []
    for piece in _pieces(region, counted):
        for groups in _joined(piece):
            nodes = _in_order(groups)
            working = sum(_works_hard(group, part) for group in groups)
            if working == 1 and (counted or len(nodes) < len(region)):
                parts += _split(nodes, [], part)
            else:
                parts.append(groups)
    return parts


def _pieces(region: list[Any], counted: list[Any]) -> list[list[Any]]:
    pieces: list[list[Any]] = [[]]
    live = set(counted)
    for node in region:
        pieces[-1].append(node)
        at = node.meta["order"]
        live = {n for n in (*live, node) if any(u.meta["order"] > at for u in n.users)}
        if live <= {node}:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _joined(piece: list[Any]) -> list[_Groups]:
    """A new stretch begins at each node that reads from two groups."""
    joined: list[_Groups] = [[]]
    for node in piece:
        groups = joined[-1]
        feeding = [g for g in groups if not set(g).isdisjoint(node.all_input_nodes)]
        if len(feeding) > 1:
            joined.append([[node]])
        elif feeding:
            feeding[0].append(node)
        else:
            groups.append([node])
    return joined


def _worth(groups: _Groups, part: Callable[[str], Any]) -> _Groups:
    """The groups with work for a thread; what is light goes with the first."""
    heavy = [group for group in groups if _works_hard(group, part)]
    if len(heavy) < 2:
        return []
    light = [group for group in groups if group not in heavy]
    return [_in_order([heavy[0], *light]), *heavy[1:]]


def _works_hard(group: Sequence[Any], part: Callable[[str], Any]) -> bool:
    return any(_heavy(node, part) for node in group)


def _heavy(node: Any, part: Callable[[str], Any]) -> bool:
    if node.op == "call_module":
        return any(True for _ in part(node.target).parameters())
    return _called(node) in _HEAVY or node.target is operator.matmul


def _called(node: Any) -> str:
    """Name of the function or method of a node; "" of a module's."""
    if node.op == "call_module":
        return ""
    target = node.target
    return target if isinstance(target, str) else getattr(target, "__name__", "")


def _may_run_at_once(
    branches: Sequence[Sequence[Any]], part: Callable[[str], Any]
) -> bool:
    """Whether the numbers stay: no draw, write or state that two branches share."""
    drawing = sum(any(_draws(node, part) for node in branch) for branch in branches)
    if drawing > 1:
        return False
    for branch in branches:
        if not all(
            _known(node) and _stays_within(node, branch, part) for node in branch
        ):
            return False
    states = [_states(branch, part) for branch in branches]
    return sum(map(len, states)) == len(set().union(*states))


def _draws(node: Any, part: Callable[[str], Any]) -> bool:
    """Whether a node may draw random numbers."""
    if node.op == "call_module":
        return any(_draws_itself(module) for module in part(node.target).modules())
    return _called(node) in _RANDOM and node.kwargs.get("training", True) is not False


def _draws_itself(module: Any) -> bool:
    """Whether torch's own module draws random numbers in its present mode."""
    from torch import nn

    if isinstance(module, nn.FractionalMaxPool2d | nn.FractionalMaxPool3d):
        return True
    chance = getattr(module, "dropout", getattr(module, "p", True))
    kinds = nn.RReLU, nn.modules.dropout._DropoutNd, nn.MultiheadAttention, nn.RNNBase
    return bool(module.training and isinstance(module, kinds) and chance)


def _states(branch: Iterable[Any], part: Callable[[str], Any]) -> set[int]:
    """Modules of a branch that may write to their buffers."""
    return {
        id(module)
        for node in branch
        if node.op == "call_module"
        for module in part(node.target).modules()
        if module.training and any(True for _ in module.buffers(recurse=False))
    }


def _known(node: Any) -> bool:
    """Whether a function is torch's or Python's, not one that fx does not look into."""
    if node.op != "call_function":
        return True
    home = (getattr(node.target, "__module__", None) or "torch").partition(".")[0]
    return home in ("torch", "operator", "_operator", "builtins", math.__name__)


def _stays_within(node: Any, branch: Sequence[Any], part: Callable[[str], Any]) -> bool:
    """Whether it changes nothing in place but a new tensor that the branch made."""
    if not _in_place(node, part):
        return "out" not in node.kwargs
    changed = node.args[0] if node.args else node.kwargs.get("input")
    if changed not in branch or "out" in node.kwargs:
        return False
    return _heavy(changed, part) or changed.target in (operator.add, operator.mul)


def _in_place(node: Any, part: Callable[[str], Any]) -> bool:
    if node.op == "call_module":
        return any(getattr(m, "inplace", False) for m in part(node.target).modules())
    name = _called(node)
    if node.kwargs.get("inplace") or any(value is True for value in node.args[1:]):
        return True
    if node.op == "call_function" and getattr(operator, name, None) is node.target:
        return name in ("setitem", "delitem") or (
            name.startswith("i") and hasattr(operator, name[1:])
        )
    return name.endswith("_") and not name.endswith("__")
