"""What a prefetch takes batches from: an iterator, or anything with an index."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from typing import Any


def is_indexed(source: object) -> bool:
    """Whether positions of it can be fetched concurrently, as `source[i]`.

    True for known sequences, and for objects with `__getitem__` but no `__iter__`,
    such as PyTorch's map-style datasets.
    """
    kind = type(source)
    if kind in (list, tuple, range) or _is_array(source):
        return True
    own = getattr(kind, "__iter__", None)
    return hasattr(kind, "__getitem__") and own in (None, Sequence.__iter__)


def is_one_pass(source: object) -> bool:
    """Whether it is an iterator that goes on where it was, as generators do.

    Loaders that are their own iterator often start anew in `__iter__`; one that does
    more there than `return self` is taken for such.
    """
    kind = type(source)
    if not (hasattr(kind, "__next__") and hasattr(kind, "__iter__")):
        return False
    begin: Any = inspect.unwrap(kind.__iter__)
    code = getattr(begin, "__code__", None)
    return code is None or code.co_code == _returns_itself.__code__.co_code


def is_function(source: object) -> bool:
    """Whether it can only be called."""
    kind = type(source)
    others = hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")
    return callable(source) and not others


def length_of(source: object) -> int | None:
    """`len(source)`, or None where it has none."""
    if not hasattr(type(source), "__len__"):
        return None
    try:
        return len(source)  # type: ignore[arg-type]
    except TypeError:  # declared, but not to be had: an IterableDataset's loader
        return None


def _returns_itself(itself: Any) -> Any:
    return itself


def _is_array(source: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(source, numpy.ndarray) and source.ndim > 0
