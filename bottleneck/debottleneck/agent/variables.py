"""What a script's variables hold: every value within reach, by the path to it.

Arrays, tensors, numbers, texts, random generators, open files and containers of them,
in modules of the user's own, in the functions that are running, and in the objects
that those hold. Standard library only; NumPy and PyTorch where the script loaded them.
"""

from __future__ import annotations

import io
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from random import Random
from types import (
    BuiltinFunctionType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import Any

from debottleneck.agent.digests import UNREADABLE, Content
from debottleneck.agent.sketches import loaded
from debottleneck.recording.spool import FRAME_FILE

MOST = 20_000
"""Values that are looked at in one go; the rest is not, and that is said."""

MOST_ITEMS = 256
"""A larger container is one value, not one for each item."""

LARGE_BYTES = 1 << 16
"""A larger array is looked at in fewer steps than the rest."""

DEEP = 16
"""Objects within objects that are followed."""

VALUES = 16
"""Float64 values that tell how far two arrays are apart."""

GENERATOR = "(generator)"
"""In the path of a random generator's state."""

OURS = "ours"
"""What stands for an object of this package: it tells nothing of the script."""

_SCALARS = (bool, int, float, complex, str, bytes, type(None))
_CODE = (FunctionType, BuiltinFunctionType, MethodType, type, ModuleType)
_PACKAGE = __name__.partition(".")[0]
_OWN_FILES = (FRAME_FILE, os.path.dirname(os.path.dirname(__file__)) + os.sep)
_MACHINERY = (
    *("_asyncio", "_io", "_queue", "_thread", "asyncio", "concurrent", "contextvars"),
    *("importlib", "io", "logging", "multiprocessing", "queue", "selectors", "socket"),
    *("ssl", "subprocess", "tempfile", "threading", "weakref"),
)
"""Whose objects hold how far threads and the system have come, and no numbers."""

Leaf = list[Any]
"""JSON: [value] of a scalar, else [kind, bits, norms, lengths, values], the fields of
`digests.Content`."""

Owns = Callable[[str, str], bool]
"""(file, module) -> whether that is the user's own code."""


class Snapshot:
    """Everything within reach at one moment.

    Args:
        owns: Tells the user's own modules and functions.
        large: Whether arrays and containers of more than `LARGE_BYTES` are read too.

    Attributes:
        small: Path -> what is there.
        large: Likewise, of what is large.
        large_bytes: Bytes of large arrays, read or not.
        complete: False when there was more than `MOST`.
    """

    def __init__(self, owns: Owns, *, large: bool) -> None:
        self.small: dict[str, Leaf] = {}
        self.large: dict[str, Leaf] = {}
        self.large_bytes = 0
        self.complete = True
        self._owns = owns
        self._reads_large = large
        self._seen: set[int] = set()
        self._kept: list[Any] = []
        self._ours: dict[str, bool] = {}

    def at(self, frame: FrameType | None) -> Snapshot:
        """Look from the user's modules, and from a frame and those that called it."""
        for name, module in list(sys.modules.items()):
            if isinstance(module, ModuleType) and self._is_own(module):
                label = "" if name == "__main__" else f"{name}."
                self._names(label, vars(module))
        for running in reversed(list(_frames(frame))):
            code = running.f_code
            is_function = code.co_name != "<module>"
            if is_function and self._owns(code.co_filename, ""):
                self._names("", running.f_locals)
        for name, state in _random_states():
            self._value(name, state, DEEP)
        return self

    def _is_own(self, module: ModuleType) -> bool:
        name = module.__name__
        if name not in self._ours:
            file = getattr(module, "__file__", None)
            main = name in ("__main__", "__mp_main__")
            self._ours[name] = main or bool(file and self._owns(file, name))
        return self._ours[name]

    def _names(self, prefix: str, names: Any) -> None:
        for name, value in list(names.items()):
            if not (name.startswith("__") and name.endswith("__")):
                self._value(f"{prefix}{name}", value, DEEP)

    def _value(self, path: str, value: Any, depth: int) -> None:
        if isinstance(value, _SCALARS) and type(value).__module__ == "builtins":
            self._scalar(path, value)
        elif len(self.small) + len(self.large) >= MOST:
            self.complete = False
        elif id(value) not in self._seen and depth:
            self._seen.add(id(value))
            self._kept.append(value)  # else its id may become another's
            try:
                self._object(path, value, depth)
            except UNREADABLE:
                self.small[path] = [f"unreadable {type(value).__qualname__}"]

    def _scalar(self, path: str, value: Any) -> None:
        if isinstance(value, (float, complex)):
            self.small[path] = [repr(value)]
        elif isinstance(value, (str, bytes)) and len(value) > 64:
            self._whole(path, value)
        else:
            self.small[path] = [repr(value)]

    def _object(self, path: str, value: Any, depth: int) -> None:
        kind = type(value)
        module = kind.__module__ or ""
        top = module.partition(".")[0]
        if isinstance(value, _CODE):
            self._code(path, value, depth)
        elif top == _PACKAGE:
            self.small[path] = [OURS]
        elif _is_array(value):
            self._array(path, value)
        elif isinstance(value, dict):
            self._mapping(path, value, depth)
        elif isinstance(value, (list, tuple, deque)):
            self._items(path, value, depth)
        elif isinstance(value, (set, frozenset)):
            self._whole(path, value)
        elif isinstance(value, GeneratorType):
            self._generator(path, value, depth)
        else:
            state = _generator_state(value)
            if state is not None:
                path = f"{path} {GENERATOR}"
            else:
                state = _state_of(value)
            if state is not None:
                self._value(path, state, depth)
            elif top not in _MACHINERY:
                self._attributes(path, value, depth)

    def _code(self, path: str, value: Any, depth: int) -> None:
        """What functions and classes of the user's own keep between calls."""
        if isinstance(value, MethodType):
            self._value(f"{path}.__self__", value.__self__, depth - 1)
        elif isinstance(value, FunctionType):
            own = getattr(value, "__wrapped__", value)
            if value.__code__.co_filename == FRAME_FILE and own is not value:
                self._value(path, own, depth)
            elif self._owns(value.__code__.co_filename, value.__module__ or ""):
                self._function(path, value, depth)
        elif isinstance(value, type):
            owner = sys.modules.get(value.__module__)
            if owner is not None and self._is_own(owner):
                data = {n: v for n, v in vars(value).items() if not callable(v)}
                self._names(f"{path}.", data)

    def _function(self, path: str, function: FunctionType, depth: int) -> None:
        self._names(f"{path}.", vars(function))
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=False
        ):
            try:
                self._value(f"{path}.{name}", cell.cell_contents, depth - 1)
            except ValueError:  # not yet bound
                continue
        for number, default in enumerate(function.__defaults__ or ()):
            if isinstance(default, (dict, list, set)):
                self._value(f"{path}.default {number}", default, depth - 1)

    def _generator(self, path: str, value: Any, depth: int) -> None:
        frame = value.gi_frame
        if frame is None:
            self.small[path] = ["ended"]
        elif frame.f_code.co_filename.startswith(_OWN_FILES):
            held = (value.gi_yieldfrom, *frame.f_locals.values())
            inner = (one for one in held if isinstance(one, GeneratorType))
            self._value(path, next(inner, None), depth)
        else:
            self._names(f"{path}.", frame.f_locals)

    def _mapping(self, path: str, value: Any, depth: int) -> None:
        if len(value) > MOST_ITEMS:
            self._whole(path, value)
            return
        self.small[f"len({path})"] = [len(value)]
        for number, (key, item) in enumerate(list(value.items())):
            name = repr(key) if isinstance(key, _SCALARS) else f"key {number}"
            self._value(f"{path}[{name}]", item, depth - 1)

    def _items(self, path: str, value: Any, depth: int) -> None:
        if len(value) > MOST_ITEMS or (len(value) > 16 and _plain(value)):
            self._whole(path, value)
            return
        self.small[f"len({path})"] = [len(value)]
        for number, item in enumerate(list(value)):
            self._value(f"{path}[{number}]", item, depth - 1)

    def _attributes(self, path: str, value: Any, depth: int) -> None:
        held = dict(getattr(value, "__dict__", {}))
        for kind in type(value).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, name):
                    held.setdefault(name, getattr(value, name))
        owner = sys.modules.get(type(value).__module__)
        if owner is not None and self._is_own(owner):
            self._value(type(value).__qualname__, type(value), depth)
        for name, item in held.items():
            self._value(f"{path}.{name}", item, depth - 1)

    def _array(self, path: str, value: Any) -> None:
        size = int(getattr(value, "nbytes", 0))
        if size > LARGE_BYTES:
            self.large_bytes += size
            self._whole(path, value, is_large=True)
            return
        self._whole(path, value)

    def _whole(self, path: str, value: Any, *, is_large: bool = False) -> None:
        is_large = is_large or (not _is_array(value) and len(value) > LARGE_BYTES // 8)
        if is_large and not self._reads_large:
            return
        fields = Content(VALUES).add(value).fields()
        kind = f"{type(value).__name__} {fields['rest']}"
        leaf = [
            kind,
            fields["bits"],
            fields["norms"],
            fields["lengths"],
            fields["values"],
        ]
        (self.large if is_large else self.small)[path] = leaf


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _plain(items: Iterable[Any]) -> bool:
    return all(isinstance(item, _SCALARS) for item in islice(items, 16))


def _is_array(value: Any) -> bool:
    torch = loaded("torch", "Tensor")
    if torch is not None and isinstance(value, torch.Tensor):
        return True
    kind = type(value)
    return hasattr(kind, "__array__") or hasattr(kind, "__array_interface__")


def _state_of(value: Any) -> Any:
    """The state of what hides it: iterators and files; None of all else."""
    if isinstance(value, io.IOBase):
        return _position(value)
    kind = type(value)
    if kind.__module__ in ("builtins", "itertools") and hasattr(value, "__next__"):
        return _place_of(value)
    return None


def _generator_state(value: Any) -> Any:
    """The state of a random generator; None of all else."""
    if isinstance(value, Random):
        return value.getstate()
    kind = type(value)
    library = (kind.__module__ or "").partition(".")[0]
    if library == "numpy" and hasattr(value, "bit_generator"):
        return value.bit_generator.state
    if (library == "numpy" and hasattr(value, "get_state")) or (
        library == "torch" and kind.__name__ == "Generator"
    ):
        return value.get_state()
    return None


def _position(file: io.IOBase) -> dict[str, Any]:
    """Where a file of the script's is; what cannot tell counts as open or closed."""
    if file.closed:
        return {"position": "closed"}
    try:
        return {"position": file.tell() if file.seekable() else None}
    except (OSError, ValueError):
        return {"position": "unknown"}


def _place_of(iterator: Any) -> Any:
    """How far an iterator over a sequence is; None of one that does not tell."""
    hint = getattr(iterator, "__length_hint__", None)
    return ["left", hint()] if hint is not None else None


def _random_states() -> Iterator[tuple[str, Any]]:
    """The states of the generators that everybody shares."""
    for name, library, attribute, state in (
        ("random (generator)", "random", "getstate", "getstate"),
        ("numpy.random (generator)", "numpy", "random", "get_state"),
        ("torch (generator)", "torch", "get_rng_state", "get_rng_state"),
    ):
        module = loaded(library, attribute)
        if module is not None:
            place = module.random if library == "numpy" else module
            yield name, getattr(place, state)()
