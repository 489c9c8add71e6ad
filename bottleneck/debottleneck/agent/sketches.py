"""How far two arrays are from each other, told from a few values of each.

Standard library only; NumPy and PyTorch are used where the script has loaded them.
"""

from __future__ import annotations

import math
import random
import sys
import threading
from array import array
from typing import Any

CHUNK = 1 << 16
"""Elements that are turned into float64 at a time."""

VAST_BYTES = 1 << 26
"""Of a larger array evenly spaced parts are looked at, so many bytes together."""

_weights: list[float] = [1.0]
_lock = threading.Lock()


def loaded(library: str, name: str) -> Any:
    """The library if the script has imported it, and far enough to have `name`."""
    module = sys.modules.get(library)
    return module if hasattr(module, name) else None


def sketch(flat: Any, width: int) -> tuple[float, bytes]:
    """The L2 norm, and at most `width` values that any change of an element moves.

    Up to `width` elements are kept as they are. Of more, element r * width + j is
    added to value j with a fixed weight of its row: a linear sketch, so that the
    distance of two sketches estimates that of the arrays, with no element left out
    (Charikar, Chen and Farach-Colton, "Finding frequent items in data streams").
    Without NumPy, evenly spaced elements.
    """
    numpy = loaded("numpy", "ndarray")
    if numpy is None:
        return _spaced(flat, width)
    with numpy.errstate(all="ignore"):
        return _folded(flat, width, numpy)


def _first_weights(count: int) -> list[float]:
    """Fixed weights between 0.5 and 1.5 with random signs; the first is 1."""
    with _lock:
        while len(_weights) < count:
            generator = random.Random(len(_weights))
            for _ in range(len(_weights)):
                size, sign = generator.uniform(0.5, 1.5), generator.choice((-1, 1))
                _weights.append(size * sign)
        return _weights[:count]


def _folded(flat: Any, width: int, numpy: Any) -> tuple[float, bytes]:
    values = numpy.zeros(min(width, len(flat)))
    width = max(len(values), 1)
    weights = numpy.array(_first_weights(-(-len(flat) // width)))
    rows = max(CHUNK // width, 1)
    squares = 0.0
    for row in range(0, len(weights), rows):
        chunk = flat[row * width : (row + rows) * width].astype(numpy.float64)
        squares += float(numpy.einsum("i,i->", chunk, chunk))
        full = len(chunk) // width
        table, rest = chunk[: full * width].reshape(-1, width), chunk[full * width :]
        values += numpy.einsum("r,rj->j", weights[row : row + full], table)
        if len(rest):
            values[: len(rest)] += weights[row + full] * rest
    return math.sqrt(squares) if squares >= 0 else math.nan, values.tobytes()


def _spaced(flat: Any, width: int) -> tuple[float, bytes]:
    stride = max(-(-len(flat) // width), 1)
    if isinstance(flat, array):
        return math.hypot(*flat), flat[::stride].tobytes()
    wide = flat.double()
    return float(wide.norm()), array("d", wide[::stride].tolist()).tobytes()


def array_of(value: Any, *, is_own: bool) -> Any:
    """The array that it is or, of a library's object, that its buffer is; else None."""
    kind = type(value)
    numpy, torch = loaded("numpy", "ndarray"), loaded("torch", "Tensor")
    if torch is not None and issubclass(kind, torch.Tensor):
        return value
    if numpy is not None and issubclass(kind, (numpy.ndarray, numpy.generic)):
        return numpy.asarray(value)
    if is_own:
        return None
    try:
        view = memoryview(value)
    except (TypeError, ValueError, BufferError):
        return None
    return view if numpy is None else numpy.asarray(view)


def thinned(array: Any) -> Any:
    """Of a vast array evenly spaced parts, a view; else all of it."""
    times = int(array.nbytes) // VAST_BYTES
    if not times or not hasattr(array, "shape"):
        return array
    axis = max(range(len(array.shape)), key=lambda number: array.shape[number])
    return array[(*[slice(None)] * axis, slice(None, None, times + 1))]
