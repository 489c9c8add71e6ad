"""Objects as one small pickle and the buffers of their arrays and tensors.

Pickle protocol 5 leaves the bytes of arrays out of the pickle. It keeps dtype, order
and writability; what NumPy would still pickle by value, arrays with gaps, is made dense
in its own order of axes first. CPU tensors of torch's travel as arrays; the others
pickle as they do.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
from collections.abc import Callable, Mapping
from typing import Any

from debottleneck.errors import StrategyError

Reducer = Callable[[Any], Any]


def pack(value: object) -> tuple[bytes, list[memoryview]]:
    """The pickle of `value`, and the bytes of its buffers.

    Raises:
        Exception: Whatever pickle raises for what cannot be pickled.
    """
    buffers: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        try:
            buffers.append(buffer.raw())
        except BufferError:  # has gaps: pickle it by value
            return True
        return False

    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, protocol=5, buffer_callback=keep)
    pickler.dispatch_table = _reducers()
    pickler.dump(value)
    return stream.getvalue(), buffers


def _reducers() -> Mapping[type, Reducer]:
    """Type -> how it is taken apart; libraries that are not loaded have no objects."""
    reducers: dict[type, Reducer] = {}
    if "numpy" in sys.modules:
        reducers[sys.modules["numpy"].ndarray] = _array
    if hasattr(sys.modules.get("torch"), "Tensor"):
        torch: Any = sys.modules["torch"]
        reducers |= {torch.Tensor: _tensor, torch.nn.Parameter: _tensor}
    return {**copyreg.dispatch_table, **reducers}


def _array(array: Any) -> Any:
    flags = array.flags
    if flags.c_contiguous or flags.f_contiguous or array.dtype.hasobject:
        return array.__reduce_ex__(5)
    kept = array.copy(order="K")
    axes = sorted(range(kept.ndim), key=lambda axis: -kept.strides[axis])
    base = kept.transpose(axes)
    base.flags.writeable = flags.writeable
    back = tuple(axes.index(axis) for axis in range(kept.ndim))
    return _transposed, (base, back)


def _transposed(base: Any, axes: tuple[int, ...]) -> Any:
    return base.transpose(axes)


def _tensor(tensor: Any) -> Any:
    import torch

    if tensor.requires_grad and not tensor.is_leaf:
        raise StrategyError(
            "a tensor with a gradient's history cannot go to another process",
            "detach it, or fetch in threads: where='thread'",
        )
    dense = tensor.layout == torch.strided and not tensor.is_quantized
    if not dense or tensor.device.type != "cpu":
        return tensor.__reduce_ex__(2)
    plain = tensor.detach().resolve_conj().resolve_neg()
    try:
        array = plain.numpy()
    except TypeError:  # a type that NumPy has not: as integers of its size
        array = plain.view(getattr(torch, f"int{8 * plain.element_size()}")).numpy()
    is_parameter = type(tensor) is torch.nn.Parameter
    return _restored, (array, plain.dtype, is_parameter, tensor.requires_grad)


def _restored(array: Any, dtype: Any, is_parameter: bool, requires_grad: bool) -> Any:
    import torch

    tensor = torch.from_numpy(array).view(dtype)
    if is_parameter:
        return torch.nn.Parameter(tensor, requires_grad)
    return tensor.requires_grad_() if requires_grad else tensor
