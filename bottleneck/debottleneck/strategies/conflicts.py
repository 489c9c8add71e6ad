"""Where values lie, so that calls on those that share memory keep their order.

A value is looked into: arrays, tensors and buffers; lists, tuples and dicts of them;
attributes of an object, one level deep; parameters and buffers of a torch module.
Neither NumPy nor torch is imported for it.
"""

from __future__ import annotations

import array
import random
import sys
import zlib
from collections.abc import Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

Span = tuple[str, int, int]
"""Device, first byte, the byte after the last."""

PLAIN = (type(None), bool, int, float, complex, str, bytes)
"""Values that no call can change."""

OPAQUE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
"""Values that are not looked into."""

_CONTAINERS_DEEP = 3
_MOST_HELD = 100_000
"""Values looked at in one argument: more is a data set, not a parameter."""


def buffers(*values: Any) -> list[Any]:
    """Arrays, tensors, byte arrays that calls with these values may change."""
    found: list[Any] = []
    seen = set[int]()
    waiting = [(value, 1, _CONTAINERS_DEEP) for value in reversed(values)]
    while waiting and len(seen) < _MOST_HELD:
        value, objects, containers = waiting.pop()
        if isinstance(value, (*PLAIN, *OPAQUE)) or id(value) in seen:
            continue
        seen.add(id(value))
        inner: Any = ()
        if is_buffer(value):
            found.append(value)
        elif not isinstance(value, Mapping | list | tuple | set | frozenset):
            inner, objects = attributes(value) if objects else (), objects - 1
        elif containers:
            inner = value.values() if isinstance(value, Mapping) else value
            containers -= 1
        waiting += [(one, objects, containers) for one in reversed([*inner])]
    return found


def attributes(value: Any) -> list[Any]:
    """What an object's attributes hold; a torch module's whole state."""
    if _is_torch(value, "nn", "Module"):
        return [*value.parameters(), *value.buffers()]
    return stored(value)


def stored(value: Any) -> list[Any]:
    """What an object's attributes and slots hold."""
    own = getattr(value, "__dict__", None)
    held = [*own.values()] if isinstance(own, dict) else []
    for kind in type(value).__mro__:
        names = kind.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            held.append(getattr(value, name, None))
    return held


def is_buffer(value: Any) -> bool:
    """Whether it is memory that a call can write into."""
    kind = getattr(sys.modules.get("numpy"), "ndarray", ())
    return (
        isinstance(value, kind)
        or is_tensor(value)
        or isinstance(value, bytearray | array.array)
    )


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor of torch's; False where the script has not imported it."""
    return _is_torch(value, "Tensor")


def _is_torch(value: Any, *names: str) -> bool:
    kind: Any = sys.modules.get("torch")
    for name in names:
        kind = getattr(kind, name, None)
    return kind is not None and isinstance(value, kind)


def is_random(value: Any) -> bool:
    """Whether it draws random numbers, and changes with each."""
    numpy = getattr(sys.modules.get("numpy"), "random", None)
    kinds = (random.Random, getattr(numpy, "Generator", ()))
    legacy = getattr(numpy, "RandomState", ())
    return isinstance(value, (*kinds, legacy)) or _is_torch(value, "Generator")


def span(buffer: Any) -> Span | None:
    """The bytes between a buffer's first and last; None where it has none."""
    if is_tensor(buffer):
        return _span_of_tensor(buffer)
    if isinstance(buffer, array.array):
        start, items = buffer.buffer_info()
        return ("cpu", start, start + items * buffer.itemsize) if items else None
    if isinstance(buffer, bytearray):
        return ("object", id(buffer), id(buffer) + 1)
    if buffer.size == 0:
        return None
    low = high = int(buffer.__array_interface__["data"][0])
    for length, stride in zip(buffer.shape, buffer.strides, strict=True):
        low += min(0, (length - 1) * stride)
        high += max(0, (length - 1) * stride)
    return "cpu", low, high + buffer.itemsize


def _span_of_tensor(tensor: Any) -> Span | None:
    if "strided" not in str(tensor.layout) or tensor.device.type == "meta":
        return None
    if tensor.numel() == 0:
        return None
    start = int(tensor.data_ptr())
    reach = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    where = str(tensor.device)
    return where, start, start + (int(reach) + 1) * int(tensor.element_size())


def size(value: Any) -> int:
    """Bytes of all arrays, tensors and byte strings that a value holds."""
    if isinstance(value, bytes):
        return len(value)
    total = 0
    for buffer in buffers(value):
        if is_tensor(buffer):
            total += int(buffer.numel()) * int(buffer.element_size())
        else:
            sized = buffer if hasattr(buffer, "nbytes") else memoryview(buffer)
            total += int(sized.nbytes)
    return total


def grouped(values: Sequence[Any]) -> list[list[int]]:
    """Split values into groups that share no memory with each other.

    By a sweep over the addresses. Columns of one matrix, which lie between each other,
    stay together.

    Args:
        values: What each call is about; a tuple stands for all its members.

    Returns:
        Indices, in their original order inside a group, groups by their first one.
    """
    first = list(range(len(values)))  # of each another one before it, or itself

    def of(index: int) -> int:
        while first[index] != index:
            first[index] = index = first[first[index]]
        return index

    spans = list[tuple[Span, int]]()
    for index, value in enumerate(values):
        for member in value if isinstance(value, tuple) else (value,):
            if not isinstance(member, PLAIN):
                spans.append((("object", id(member), id(member) + 1), index))
        spans += [(s, index) for b in buffers(value) if (s := span(b)) is not None]
    last, reach = (("", 0, 0), 0), 0
    for (where, start, end), index in sorted(spans):
        if where == last[0][0] and start < reach:
            low, high = sorted(map(of, (last[1], index)))
            first[high] = low
            reach = max(reach, end)
        else:
            reach = end
        last = (where, start, end), index
    groups: dict[int, list[int]] = {}
    for index in range(len(values)):
        groups.setdefault(of(index), []).append(index)
    return list(groups.values())


def tensor_fingerprint(tensor: Any) -> object:
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
