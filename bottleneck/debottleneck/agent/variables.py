"""What a script's variables hold: every value within reach, by the path to it.

Arrays, tensors, numbers, texts, random generators, open files and containers of them,
in modules of the user's own, in the functions that are running, and in the objects
that those hold. Looking runs no code of the script's classes: their properties,
`__getattr__`, `__len__`, `__iter__` and the like are passed by. Standard library
only; NumPy and PyTorch where the script loaded them.
"""

from __future__ import annotations

import _io  # `io.IOBase` asks objects for their class
import _random
import gc
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import Any

from debottleneck.agent.digests import FEW, UNREADABLE, Content, attributes_of
from debottleneck.agent.sketches import array_of, loaded, thinned
from debottleneck.recording.spool import FRAME_FILE

MOST = 20_000
"""Values that are looked at in one go; the rest is not, and that is said."""

MOST_ITEMS = 256
"""A larger container is one value, not one for each item."""

LARGE_BYTES = 1 << 16
"""A larger array is looked at in fewer steps than the rest."""

ITEM_BYTES = 16
"""What a number or text in a list counts for; a list of others is large."""

DEEP = 16
"""Objects within objects that are followed."""

DEEP_COPY = 4
"""Likewise of an item of a larger container."""

VALUES = 16
"""Float64 values that tell how far two arrays are apart."""

GENERATOR = "(generator)"
"""In the path of a random generator's state."""

OURS = "ours"
"""What stands for an object of this package: it tells nothing of the script."""

UNREAD = "unreadable"
"""What stands for what could not be looked at just then."""

_SCALARS = (bool, int, float, complex, str, bytes, type(None))
_CONTAINERS = (dict, list, tuple, deque, set, frozenset)
_LEFT = "__length_hint__"
_names_of = vars(ModuleType)["__dict__"].__get__
_CODE = (
    *(FunctionType, BuiltinFunctionType, MethodType, type, ModuleType),
    *(CodeType, FrameType),
)
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
        own: Paths within reach of the innermost function of the user's that runs.
        complete: False when there was more than `MOST`, or some could not be read.
    """

    def __init__(self, owns: Owns, *, large: bool) -> None:
        self.small: dict[str, Leaf] = {}
        self.large: dict[str, Leaf] = {}
        self.large_bytes = 0
        self.complete = True
        self._owns = owns
        self._reads_large = large
        self.own: set[str] = set()
        self._seen: set[int] = set()
        self._kept: list[Any] = []
        self._ours: dict[str, bool] = {}

    def at(
        self, frame: FrameType | None, results: Iterable[tuple[str, Any]] = ()
    ) -> Snapshot:
        """Look from a frame and those that called it, and from the user's modules.

        Args:
            frame: Where the thread is, None for nowhere.
            results: Further paths and values.
        """
        try:
            self._running(frame)
            for name, module in list(sys.modules.items()):
                if self._is_own(name):
                    label = "" if name == "__main__" else f"{name}."
                    self._names(label, attributes_of(module))
            for path, value in (*_random_states(), *results):
                self._value(path, value, DEEP)
        except UNREADABLE:  # in a recursion at its limit, for one
            self.complete = False
        self._kept.clear()  # what the script drops is to vanish
        return self

    def _running(self, frame: FrameType | None) -> None:
        """What the user's functions hold that are running there, innermost first."""
        met = False
        while frame is not None:
            code = frame.f_code
            if code.co_name != "<module>" and self._owns(code.co_filename, ""):
                self._names(f"{code.co_name}." if met else "", frame.f_locals)
                self.own = self.own if met else {*self.small, *self.large}
                met = True
            frame = frame.f_back

    def _is_own(self, name: Any) -> bool:
        """Whether the module of that name is the user's."""
        if type(name) is not str:
            return False
        if name not in self._ours:
            module = sys.modules.get(name)
            is_module = issubclass(type(module), ModuleType)
            names = _names_of(module) if is_module else {}  # of thousands: no copy
            file = names.get("__file__")
            main = name in ("__main__", "__mp_main__") and is_module
            self._ours[name] = main or bool(file and self._owns(file, name))
        return self._ours[name]

    def _names(self, prefix: str, names: dict[str, Any]) -> None:
        for name, value in list(names.items()):
            if not (name.startswith("__") and name.endswith("__")):
                self._value(f"{prefix}{name}", value, DEEP)

    def _value(self, path: str, value: Any, depth: int) -> None:
        kind = type(value := _text_of(value))
        if len(self.small) + len(self.large) >= MOST:
            self.complete = False
        elif issubclass(kind, _SCALARS):
            self._scalar(path, value, next(k for k in _SCALARS if issubclass(kind, k)))
        elif id(value) not in self._seen and depth:
            self._seen.add(id(value))
            self._kept.append(value)  # else its id may become another's
            try:
                self._object(path, value, depth)
            except UNREADABLE:
                self.small[path] = [UNREAD]

    def _scalar(self, path: str, value: Any, kind: Any) -> None:
        """One of that type, or of a subclass of it, whose own methods do not count."""
        if kind in (str, bytes) and kind.__len__(value) > 64:
            plain = kind.__add__(value, kind())
            self._whole(path, plain, len(plain))
        elif kind is int and int.bit_length(value) > 64:
            self.small[path] = [hex(value)]
        else:
            self.small[path] = [kind.__repr__(value)]

    def _object(self, path: str, value: Any, depth: int) -> None:
        kind = type(value)
        top = _library(kind)
        if issubclass(kind, _CODE):
            self._code(path, value, depth)
        elif top == _PACKAGE:
            self.small[path] = [OURS]
        elif issubclass(kind, GeneratorType):
            self._generator(path, value, depth)
        elif top in _MACHINERY:
            streams = sys.stdin, sys.stdout, sys.stderr
            if issubclass(kind, _io._IOBase) and not _is_any(value, streams):
                self._value(path, _position(value), depth)
        else:
            self._holder(path, value, self._is_own(kind.__module__), depth)

    def _holder(self, path: str, value: Any, is_own: bool, depth: int) -> None:
        """What has contents, attributes or both."""
        held = attributes_of(value)
        if is_own:
            self._value(type(value).__qualname__, type(value), depth)
        if issubclass(type(value), _CONTAINERS):
            self._container(path, value, depth)
        elif (array := array_of(value, is_own=is_own)) is not None:
            self._array(path, array)
        elif (state := _generator_state(value)) is not None:
            self._value(f"{path} {GENERATOR}", state, depth)
        elif not held:
            self._referents(path, value, depth)
        for name, item in held.items():
            self._value(f"{path}.{name}", item, depth - 1)

    def _referents(self, path: str, value: Any, depth: int) -> None:
        """What an object of a library in C goes over or keeps: `zip(batches(), ys)`."""
        kind = type(value)
        if kind.__module__ in ("builtins", "itertools") and hasattr(kind, _LEFT):
            self.small[f"{path}['left']"] = [getattr(kind, _LEFT)(value)]
        for number, inner in enumerate(gc.get_referents(value)):
            if inner is not kind:
                self._value(f"{path}({number})", inner, depth - 1)

    def _code(self, path: str, value: Any, depth: int) -> None:
        """What functions and classes of the user's own keep between calls."""
        kind = type(value)
        if kind is MethodType:
            self._value(f"{path}.__self__", value.__self__, depth - 1)
        elif kind is FunctionType:
            own = vars(value).get("__wrapped__", value)
            if value.__code__.co_filename == FRAME_FILE and own is not value:
                self._value(path, own, depth)
            elif self._owns(value.__code__.co_filename, value.__module__ or ""):
                self._function(path, value, depth)
        elif issubclass(kind, type) and self._is_own(value.__module__):
            self._names(f"{path}.", dict(vars(value)))

    def _function(self, path: str, function: FunctionType, depth: int) -> None:
        self._names(f"{path}.", vars(function))
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=False
        ):
            try:
                self._value(f"{path}.{name}", cell.cell_contents, depth - 1)
            except ValueError:  # not yet bound
                continue
        named = function.__kwdefaults__ or {}
        for number, default in enumerate(
            [*(function.__defaults__ or ()), *named.values()]
        ):
            if not issubclass(type(default), _SCALARS):
                self._value(f"{path}.default {number}", default, depth - 1)

    def _generator(self, path: str, value: Any, depth: int) -> None:
        frame = value.gi_frame
        if frame is None:
            self.small[path] = ["ended"]
        elif frame.f_code.co_filename.startswith(_OWN_FILES):
            held = (value.gi_yieldfrom, *frame.f_locals.values())
            inner = (one for one in held if type(one) is GeneratorType)
            self._value(path, next(inner, None), depth)
        else:
            self._names(f"{path}.", frame.f_locals)

    def _container(self, path: str, value: Any, depth: int) -> None:
        base = _base_of(value, _CONTAINERS)
        items = _items_of(value, base)
        count = len(items)
        if count and all(_library(type(item)) in _MACHINERY for item in items[:16]):
            return
        plain = {*map(type, items)} <= {*_SCALARS}
        size = count * (ITEM_BYTES if plain else LARGE_BYTES // MOST_ITEMS)
        is_set = base in (set, frozenset)
        if base in (list, deque) and items and type(items[-1]) is float:
            self.small[f"{path}[-1]"] = [repr(items[-1])]
        if not is_set and count <= (16 if plain else MOST_ITEMS):
            self._items(path, items, base, depth)
            return
        self.small[f"len({path})"] = [count]
        if size <= LARGE_BYTES or self._reads_large:
            if is_set:
                items = sorted(repr(_copy(item, DEEP_COPY)) for item in items)
            elif not plain:
                items = [_copy(item, DEEP_COPY) for item in items[:: count // FEW + 1]]
            self._whole(path, items, size)

    def _items(self, path: str, items: list[Any], base: Any, depth: int) -> None:
        self.small[f"len({path})"] = [len(items)]
        for number, item in enumerate(items):
            key, item = item if base is dict else (number, item)
            kind = _base_of(key, _SCALARS)
            name = kind.__repr__(key) if kind else f"key {number}"
            self._value(f"{path}[{name}]", item, depth - 1)

    def _array(self, path: str, array: Any) -> None:
        size = int(array.nbytes)
        self.large_bytes += size * (size > LARGE_BYTES)
        self._whole(path, thinned(array), size)

    def _whole(self, path: str, value: Any, size: int) -> None:
        is_large = size > LARGE_BYTES
        if is_large and not self._reads_large:
            return
        fields = Content(VALUES).add(value).fields()
        fields["rest"] = f"{type(value).__name__} {fields['rest']}"
        names = ("rest", "bits", "norms", "lengths", "values")
        (self.large if is_large else self.small)[path] = [fields[n] for n in names]


def _library(kind: type) -> str:
    name = kind.__module__
    return name.partition(".")[0] if type(name) is str else ""


def _base_of(value: Any, kinds: tuple[type, ...]) -> Any:
    """Which of them it is an instance of, None if of none."""
    return next((kind for kind in kinds if issubclass(type(value), kind)), None)


def _items_of(value: Any, base: Any) -> list[Any]:
    """A copy, as threads may change it, even while pairs of a dictionary are made."""
    return list(base.copy(value).items() if base is dict else base.__iter__(value))


def _text_of(value: Any) -> Any:
    """A path of `pathlib` as its text, which it may or may not keep; else the value."""
    is_path = issubclass(type(value), PurePath) and _library(type(value)) == "pathlib"
    return str(value) if is_path else value


def _copy(value: Any, depth: int) -> Any:
    """Of exact containers and scalars: reading it runs none of the script's code."""
    value = _text_of(value)
    kind, base = type(value), _base_of(value, (*_SCALARS, *_CONTAINERS))
    if base in _SCALARS:
        return value if kind is base else base.__repr__(value)
    array = array_of(value, is_own=True) if base is None else None
    if array is not None or not depth:
        return array
    items = _items_of(value, base) if base else list(attributes_of(value).items())
    return [kind.__qualname__, *(_copy(item, depth - 1) for item in items[:FEW])]


def _generator_state(value: Any) -> Any:
    """The state of a random generator; None of all else."""
    kind = type(value)
    if issubclass(kind, _random.Random):
        return _random.Random.getstate(value)
    library = kind.__module__.partition(".")[0]
    if library == "numpy" and hasattr(kind, "bit_generator"):
        return value.bit_generator.state
    if (library == "numpy" and hasattr(kind, "get_state")) or (
        library == "torch" and kind.__name__ == "Generator"
    ):
        return value.get_state()
    return None


def _is_any(value: object, others: Iterable[object]) -> bool:
    return any(value is other for other in others)


def _position(file: Any) -> dict[str, Any]:
    """Where a file of the script's is; one that is closed cannot tell."""
    with suppress(OSError, ValueError):
        return {"position": file.tell() if file.seekable() else None}
    return {"position": "unknown"}


def _random_states() -> Iterator[tuple[str, Any]]:
    """The states of the generators that everybody shares."""
    for name, state in (
        ("random", "getstate"),
        ("numpy.random", "get_state"),
        ("torch", "get_rng_state"),
    ):
        module = loaded(name, state)
        if module is not None:
            yield f"{name} {GENERATOR}", getattr(module, state)()
