"""PyTorch's CPU tensors as buffers, for `packing`; the rest pickles as it does."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from debottleneck.errors import StrategyError


def reducers() -> dict[type, Callable[[Any], Any]]:
    """Type -> how it is taken apart."""
    import torch

    return {torch.Tensor: _reduce, torch.nn.Parameter: _reduce}


def _reduce(tensor: Any) -> Any:
    import torch

    if tensor.requires_grad and not tensor.is_leaf:
        raise StrategyError(
            "a tensor with a gradient's history cannot go to another process",
            "detach it, or fetch in threads: where='thread'",
        )
    if not _is_plain(tensor):
        return tensor.__reduce_ex__(2)
    plain = tensor.detach().resolve_conj().resolve_neg()
    if not _is_dense(plain):
        plain = plain.clone(memory_format=torch.preserve_format)
    line = plain.as_strided((plain.numel(),), (1,), plain.storage_offset())
    memory = line.view(torch.uint8).numpy()
    facts = (plain.dtype, tuple(plain.shape), plain.stride())
    kind = (type(tensor) is torch.nn.Parameter, tensor.requires_grad)
    return _restored, (pickle.PickleBuffer(memory), *facts, *kind)


def _is_plain(tensor: Any) -> bool:
    """Whether its bytes, type and strides are all there is to it."""
    import torch

    dense = tensor.layout == torch.strided and not tensor.is_quantized
    return dense and tensor.device.type == "cpu" and tensor.numel() > 0


def _is_dense(tensor: Any) -> bool:
    """Whether its elements fill their memory without gaps or overlaps."""
    expected = 1
    axes = sorted(zip(tensor.stride(), tensor.shape, strict=True))
    for stride, size in axes:
        if size == 1:
            continue
        if stride != expected:
            return False
        expected *= size
    return True


def _restored(
    memory: Any,
    dtype: Any,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    parameter: bool,
    requires_grad: bool,
) -> Any:
    import torch

    tensor = torch.frombuffer(memory, dtype=dtype).as_strided(shape, stride)
    if parameter:
        return torch.nn.Parameter(tensor, requires_grad)
    return tensor.requires_grad_() if requires_grad else tensor
