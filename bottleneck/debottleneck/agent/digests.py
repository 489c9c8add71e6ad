"""What a value is made of: digests that tell equal bits, sketches that tell how far.

Standard library only; NumPy and PyTorch are used where the script has loaded them.
"""

from __future__ import annotations

import base64
import ctypes
from array import array
from collections import deque
from functools import cache
from hashlib import blake2b
from itertools import islice
from types import GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

from debottleneck.agent.sketches import loaded, sketch

VALUES = 4096
"""Float64 values that are kept of one output, shared among its arrays by size."""

LEAST_VALUES = 8
"""Kept of every array, however small its part of the output."""

MANY = 200_000
"""Items of a container that are looked at; of an object's attribute `FEW`."""

FEW = 4096
DEEP = 12
"""Containers within containers that are followed."""

UNREADABLE = (
    ArithmeticError,
    AttributeError,
    BufferError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What reading a foreign object may raise; it then counts by its type alone."""


class Content:
    """Everything comparable within one output, in order.

    Floats and the rest have a digest each: where only the floats differ, their
    sketches tell by how much.

    Args:
        values: Float64 values that are kept of all its arrays together.
    """

    def __init__(self, values: int = VALUES) -> None:
        self._values = values
        self._rest = blake2b(digest_size=16)
        self._bits = blake2b(digest_size=16)
        self._numbers = array("d")
        self._floats: list[Any] = []
        self._path: set[int] = set()

    def add(self, value: Any, objects: int = 1) -> Content:
        """Take in a value: numbers, text, arrays, and containers of them.

        Args:
            value: Anything; of an object of unknown type its type's name counts, and
                what is in its attributes.
            objects: How many objects within objects are looked into.
        """
        self._add(value, objects, DEEP)
        return self

    def fields(self) -> dict[str, Any]:
        """The line's part: digests, and of each float array its norm and sketch."""
        parts = list(self._floats)
        if self._numbers:
            numpy = loaded("numpy", "ndarray")
            parts.append(numpy.array(self._numbers) if numpy else self._numbers)
        total = max(sum(map(len, parts)), 1)
        widths = [
            max(LEAST_VALUES, self._values * len(part) // total) for part in parts
        ]
        kept = [sketch(part, width) for part, width in zip(parts, widths, strict=True)]
        return {
            "rest": self._rest.hexdigest(),
            "bits": self._bits.hexdigest(),
            "norms": [norm for norm, _ in kept],
            "lengths": [len(values) // 8 for _, values in kept],
            "values": base64.b64encode(b"".join(v for _, v in kept)).decode("ascii"),
        }

    def _state(self, text: str, *buffers: Any) -> None:
        self._rest.update(f"{len(text)} {text}".encode("utf-8", "surrogatepass"))
        for buffer in buffers:
            self._rest.update(buffer)

    def _add(self, value: Any, objects: int, depth: int) -> None:
        if isinstance(value, float) and type(value) is float:
            self._float(value)
        elif isinstance(value, complex) and type(value) is complex:
            self._float(value.real)
            self._float(value.imag)
        elif value is None or isinstance(value, (bool, int, str)):
            text = hex(value) if isinstance(value, int) else str(value)
            self._state(f"{type(value).__name__} {text}")
        elif isinstance(value, (bytes, bytearray, memoryview)):
            self._state(f"bytes {len(value)}", bytes(value))
        elif isinstance(value, array):
            self._numbers_at_once(value)
        elif not self._add_array(value):
            self._add_whole(value, objects, depth)

    def _float(self, value: float) -> None:
        self._numbers.append(value)
        self._bits.update(self._numbers[-1:].tobytes())
        self._state("float")

    def _add_whole(self, value: Any, objects: int, depth: int) -> None:
        """A container or an object."""
        if id(value) in self._path or depth == 0:
            self._state("...")
            return
        self._path.add(id(value))
        if isinstance(value, dict):
            self._state(f"dict {len(value)}")
            for key, item in islice(value.items(), MANY):
                self._add(key, 0, depth - 1)
                self._add(item, objects, depth - 1)
        elif isinstance(value, (list, tuple, deque)):
            self._state(f"items {len(value)}")
            if not self._add_plain_numbers(value):
                for item in islice(value, MANY):
                    self._add(item, objects, depth - 1)
        elif isinstance(value, (set, frozenset)):
            self._add_set(value, depth)
        else:
            self._state(f"object {type(value).__qualname__}")
            closed = objects <= 0 or isinstance(value, (type, ModuleType))
            held = {} if closed else attributes_of(value)
            for item in list(held.values())[:FEW]:
                self._add(item, objects - 1, depth - 1)
        self._path.discard(id(value))

    def _add_plain_numbers(self, items: Any) -> bool:
        """A long list of numbers at once; False if it is none."""
        if len(items) < 16 or type(items[0]) not in (int, float):
            return False
        code = "d" if type(items[0]) is float else "q"
        try:
            numbers = array(code, items)
        except (TypeError, OverflowError):
            return False
        self._numbers_at_once(numbers)
        return True

    def _numbers_at_once(self, numbers: array[Any]) -> None:
        self._state(f"numbers {numbers.typecode} {len(numbers)}")
        if numbers.typecode in "fd":
            self._numbers.extend(array("d", numbers))
            self._bits.update(numbers)
        else:
            self._rest.update(numbers.tobytes())

    def _add_set(self, value: Any, depth: int) -> None:
        """Sets have no order: their items' digests, sorted."""
        self._state(f"set {len(value)}")
        digests = []
        for item in islice(value, MANY):
            part = Content()
            part._add(item, 0, depth - 1)
            digests.append(part._rest.digest() + part._bits.digest())
        self._rest.update(b"".join(sorted(digests)))

    def _add_array(self, value: Any) -> bool:
        """Take it in if it is an array or a tensor; False if it is none."""
        numpy, torch = loaded("numpy", "ndarray"), loaded("torch", "Tensor")
        if torch is not None and isinstance(value, torch.Tensor):
            self._readable(value, self._add_tensor, torch)
        elif numpy is not None and _is_array_like(value):
            self._readable(value, self._add_numpy, numpy)
        else:
            return False
        return True

    def _readable(self, value: Any, add: Any, library: ModuleType) -> None:
        try:
            add(value, library)
        except UNREADABLE:
            self._state(f"unreadable {type(value).__qualname__}")

    def _add_numpy(self, value: Any, numpy: Any) -> None:
        values = numpy.asarray(value)
        kind, names = values.dtype, values.dtype.names
        self._state(f"array {kind.str} {values.shape}")
        if names:
            for name in names:
                self._add_numpy(values[name], numpy)
            return
        if kind.hasobject:
            self._add(values.tolist(), 0, 2)
            return
        if kind.char in "gG":  # its bytes hold some that mean nothing
            values = values.astype("f8" if kind.char == "g" else "c16")
        flat = numpy.ascontiguousarray(values).reshape(-1)
        raw = flat.view(numpy.uint8) if flat.size and flat.itemsize else b""
        if kind.kind in "fc":
            self._bits.update(raw)
            self._floats.append(flat.view(flat.real.dtype))
        else:
            self._rest.update(raw)

    def _add_tensor(self, value: Any, torch: Any) -> None:
        tensor = value.detach()
        self._state(f"tensor {tensor.dtype} {tuple(tensor.shape)}")
        if tensor.is_quantized:
            tensor = tensor.dequantize()
        if tensor.layout is not torch.strided:
            tensor = tensor.to_dense()
        flat = tensor.cpu().resolve_conj().resolve_neg().reshape(-1).contiguous()
        if flat.is_complex():
            flat = torch.view_as_real(flat).reshape(-1)
        raw = _bytes_of(flat.view(torch.uint8)) if flat.numel() else b""
        if not flat.is_floating_point():
            self._rest.update(raw)
            return
        self._bits.update(raw)
        wide = flat if flat.element_size() >= 4 else flat.float()
        self._floats.append(wide.numpy() if loaded("numpy", "ndarray") else wide)


def _is_array_like(value: Any) -> bool:
    kind = type(value)
    return hasattr(kind, "__array__") or hasattr(kind, "__array_interface__")


@cache
def _members(kind: Any) -> tuple[tuple[str, Any], ...]:
    """The descriptors of an object's own storage: `__dict__` and slots, in C."""
    own = (MemberDescriptorType, GetSetDescriptorType)
    return tuple(
        (name, member)
        for base in kind.__mro__
        for name, member in vars(base).items()
        if type(member) in own and (type(member) is own[0] or name == "__dict__")
    )


def attributes_of(value: Any) -> dict[str, Any]:
    """What an object holds, read without a line of its class's code."""
    held: dict[str, Any] = {}
    kind: Any = type(value)
    for name, member in _members(kind):
        try:
            found = member.__get__(value)
        except AttributeError:  # a slot that is not set
            continue
        held |= found if name == "__dict__" else {name: found}
    return held


def _bytes_of(raw: Any) -> Any:
    """A tensor of bytes as a buffer, with NumPy or without."""
    if loaded("numpy", "ndarray"):
        return raw.numpy()
    return ctypes.string_at(raw.data_ptr(), raw.numel())
