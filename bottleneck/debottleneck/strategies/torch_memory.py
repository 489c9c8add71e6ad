"""Where a tensor lies, and what it holds at a moment; torch itself is not imported."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from typing import Any


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor; False where the script has not imported torch."""
    kind = getattr(sys.modules.get("torch"), "Tensor", None)
    return kind is not None and isinstance(value, kind)


def is_module(value: Any) -> bool:
    """Whether it is a `torch.nn.Module`."""
    kind = getattr(getattr(sys.modules.get("torch"), "nn", None), "Module", None)
    return kind is not None and isinstance(value, kind)


def is_generator(value: Any) -> bool:
    """Whether it is a generator of random numbers of torch's."""
    kind = getattr(sys.modules.get("torch"), "Generator", None)
    return kind is not None and isinstance(value, kind)


def state_of(module: Any) -> Iterator[Any]:
    """Parameters and buffers of a module, and of those inside it."""
    yield from module.parameters()
    yield from module.buffers()


def span(tensor: Any) -> tuple[str, int, int] | None:
    """Device, first byte and the one after the last; None where it has no memory."""
    if "strided" not in str(tensor.layout) or tensor.device.type == "meta":
        return None
    if tensor.numel() == 0:
        return None
    start = int(tensor.data_ptr())
    reach = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    where = str(tensor.device)
    return where, start, start + (int(reach) + 1) * int(tensor.element_size())


def size(tensor: Any) -> int:
    """Bytes."""
    return int(tensor.numel()) * int(tensor.element_size())


def fingerprint(tensor: Any) -> object:
    """Changes with the tensor: its version, and on the CPU its bytes too.

    Torch counts writes itself, but not those of NumPy into shared memory, nor those
    of a batch norm into its statistics.
    """
    version = -1 if tensor.is_inference() else int(tensor._version)
    if tensor.device.type != "cpu" or span(tensor) is None:
        return version
    kind = getattr(sys.modules["torch"], "uint8")  # noqa: B009 - typed as a module
    try:
        raw = tensor.detach().contiguous().view(-1).view(kind).numpy()
    except (RuntimeError, TypeError):  # quantised, conjugated, wrapped: no plain bytes
        return version
    return version, zlib.crc32(raw)


def generator_state(generator: Any) -> object:
    """Changes with every number drawn."""
    return generator.get_state().cpu().numpy().tobytes()
