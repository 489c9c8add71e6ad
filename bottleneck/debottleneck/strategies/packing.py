"""Objects as one small pickle and the buffers of their arrays and tensors.

Pickle protocol 5 leaves the bytes of arrays out of the pickle. It keeps dtype, order
and writability; what NumPy would still pickle by value, arrays with gaps, is made dense
in its own order of axes first. CPU tensors of torch's are taken apart likewise; the
others pickle as they do.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from debottleneck.errors import StrategyError

Buffer = memoryview
Reducer = Callable[[Any], Any]


def pack(value: object) -> list[Buffer]:
    """The pickle of `value` first, then the bytes of its buffers.

    Raises:
        Exception: Whatever pickle raises for what cannot be pickled.
    """
    buffers: list[Buffer] = []

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
    return [stream.getbuffer(), *buffers]


def unpack(parts: Sequence[Buffer], *, copy: bool) -> Any:
    """The object again.

    Args:
        parts: What `pack` gave.
        copy: Whether its arrays own their memory; otherwise it is that of `parts`.
    """
    buffers = map(_owned, parts[1:]) if copy else parts[1:]
    return pickle.loads(parts[0], buffers=buffers)


def copy_bytes(target: Buffer, source: Buffer) -> None:
    """Copy memory, without the GIL where NumPy is there to do it."""
    numpy = sys.modules.get("numpy")
    if numpy is None or len(source) < 4096:
        target[:] = source
    else:
        bytes_of = numpy.frombuffer
        numpy.copyto(bytes_of(target, numpy.uint8), bytes_of(source, numpy.uint8))


def _owned(part: Buffer) -> Any:
    """A copy that can be written to."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not len(part):
        return bytearray(part)
    return numpy.frombuffer(part, numpy.uint8).copy()


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
    dense = flags.c_contiguous or flags.f_contiguous
    if dense or array.dtype.hasobject or not array.size:
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
    if not _is_plain(tensor):
        return tensor.__reduce_ex__(2)
    plain = tensor.detach().resolve_conj().resolve_neg()
    if not _is_dense(plain):
        plain = plain.clone(memory_format=torch.preserve_format)
    line = plain.as_strided((plain.numel(),), (1,), plain.storage_offset())
    memory = line.view(torch.uint8).numpy()
    facts = (plain.dtype, tuple(plain.shape), plain.stride())
    kind = (type(tensor) is torch.nn.Parameter, tensor.requires_grad)
    return _restored_tensor, (pickle.PickleBuffer(memory), *facts, *kind)


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


def _restored_tensor(
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
