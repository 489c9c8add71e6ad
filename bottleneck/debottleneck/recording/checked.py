"""Values from files that anybody may have written: of the annotated kind, or refused.

The annotations of dataclasses and typed dictionaries are the schema; `Annotated` adds
what a type cannot say.
"""

from __future__ import annotations

import dataclasses
import json
import math
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from types import NoneType, UnionType
from typing import (
    IO,
    Annotated,
    Any,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

LARGEST_INT = 2**63 - 1
LARGEST_REAL = 1e18
"""Beyond any time in nanoseconds or memory in bytes; squares of it are finite."""

MOST_JSON_BYTES = 8 * 2**20
"""Facts take kilobytes; so much text of empty lists takes some 500 MB as objects."""

DEEPEST = 50
"""Lists within lists; facts have four."""

Kind = TypeVar("Kind")


class Unfit(ValueError):
    """A value is not what its annotation says; the message says where and why."""


@dataclass(frozen=True)
class Between:
    """A number from `low` to `high`, both included."""

    low: float
    high: float = LARGEST_INT

    def __call__(self, value: float, where: str) -> float:
        """The value.

        Raises:
            Unfit: It lies outside.
        """
        if not self.low <= value <= self.high:
            raise Unfit(f"{where} is {_shown(value)}")
        return value


@dataclass(frozen=True)
class OneOf:
    """A word of a closed list."""

    words: tuple[str, ...]

    def __call__(self, value: str, where: str) -> str:
        """The word.

        Raises:
            Unfit: There is no such word.
        """
        if value not in self.words:
            raise Unfit(f"{where} is {_shown(value)}")
        return value


@dataclass(frozen=True)
class Like:
    """A mapping of which the entries that a class names are as it annotates them."""

    kind: type

    def __call__(self, value: Mapping[str, Any], where: str) -> dict[str, Any]:
        """The mapping.

        Raises:
            Unfit: An entry is of another kind.
        """
        return _entries(self.kind, value, where)


def beside(value: str, where: str) -> str:
    """The name of something in the same folder, and no way out of it.

    Raises:
        Unfit: It is a path.
    """
    if value in ("", "..") or "\0" in value or PurePath(value).name != value:
        raise Unfit(f"{where} is no name of a folder")
    return value


def fit(hint: Any, value: Any, where: str = "it") -> Any:
    """A value of JSON as an annotation wants it: tuples and dataclasses made.

    Args:
        hint: A type, with `Annotated` checks called in order.
        value: What `json.loads` gave.
        where: What it is called in the error.

    Raises:
        Unfit: It is of another kind.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        value = fit(arguments[0], value, where)
        for check in hint.__metadata__ if value is not None else ():
            value = check(value, where)
        return value
    if origin in (Union, UnionType):
        return _first_of(arguments, value, where)
    if origin in (tuple, list):
        if not isinstance(value, list):
            raise Unfit(f"{where} is no list")
        return origin(_items(arguments, value, where))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {
            fit(str, key, where): fit(arguments[1], item, f"{where}.{_shown(key)}")
            for key, item in _mapping(value, where).items()
        }
    if dataclasses.is_dataclass(hint):
        return _made(hint, value, where)
    if is_typeddict(hint):
        return _entries(hint, _mapping(value, where), where)
    return _PLAIN[hint](value, where)


def read(kind: type[Kind], raw: Any, where: str = "it") -> Kind:
    """A dataclass from what `json.loads` gave; see `fit`."""
    made: Kind = fit(kind, raw, where)
    return made


def parse(data: bytes | str) -> Any:
    """JSON without NaN and infinity.

    Raises:
        Unfit: It is none, nested too deeply, or too large.
    """
    if len(data) > MOST_JSON_BYTES:
        raise Unfit(f"it is larger than {MOST_JSON_BYTES // 2**20} MB")
    try:
        return json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Unfit(_shown(error)) from error


def opened(file: Path) -> IO[bytes]:
    """A regular file; what waits, or never ends, is not opened.

    Raises:
        OSError: It cannot be opened.
        Unfit: It is a folder, a pipe or a device.
    """
    if not stat.S_ISREG(file.stat().st_mode):
        raise Unfit("it is no regular file")
    return file.open("rb")


def document(file: Path) -> Any:
    """The JSON of a file.

    Raises:
        OSError: It cannot be opened.
        Unfit: It is no regular file, too large, or no JSON.
    """
    with opened(file) as stream:
        return parse(stream.read(MOST_JSON_BYTES + 1))


def _no_number(word: str) -> None:
    raise Unfit(f"{word} is no number")


def _shown(value: object) -> str:
    """The value in an error: one short line."""
    text = value if isinstance(value, str) else str(value)
    text = " ".join(text[:200].split())
    return "".join(c if c.isprintable() else "?" for c in text)[:80]


def _first_of(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and NoneType in hints:
        return None
    kinds = [hint for hint in hints if hint is not NoneType]
    for hint in kinds[:-1]:
        try:
            return fit(hint, value, where)
        except Unfit:
            continue
    return fit(kinds[-1], value, where)


def _items(hints: tuple[Any, ...], value: list[Any], where: str) -> list[Any]:
    """The elements of a list, all of one kind or each of its own."""
    if len(hints) == 1 or hints[-1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(hints) != len(value):
        raise Unfit(f"{where} has {len(value)} parts")
    return [fit(hint, item, where) for hint, item in zip(hints, value, strict=True)]


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Unfit(f"{where} is no object")
    return value


def _entries(kind: type, value: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A mapping with the entries that the class names fitted, the others as they are.

    Raises:
        Unfit: One is of another kind, or one that must be there is not.
    """
    hints = _hints(kind)
    required: frozenset[str] = getattr(kind, "__required_keys__", frozenset())
    if missing := required - value.keys():
        raise Unfit(f"{where} has no {min(missing)}")
    return {name: fit(hints.get(name, Any), item, name) for name, item in value.items()}


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _made(kind: Any, value: Any, where: str) -> Any:
    """A dataclass, of which the fields without a default must be there."""
    given, hints = _mapping(value, where), _hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if strange := given.keys() - fields:
        raise Unfit(f"{where} has an unknown {_shown(min(strange))}")
    without = (dataclasses.MISSING, dataclasses.MISSING)
    for name, field in fields.items():
        if name not in given and (field.default, field.default_factory) == without:
            raise Unfit(f"{where} has no {name}")
    return kind(**{name: fit(hints[name], item, name) for name, item in given.items()})


def _any(value: Any, where: str, depth: int = 0) -> Any:
    """Any JSON, its numbers finite and its texts whole."""
    if depth > DEEPEST:
        raise Unfit(f"{where} is nested too deeply")
    if isinstance(value, dict):
        return {
            _text(key, where): _any(v, where, depth + 1) for key, v in value.items()
        }
    if isinstance(value, list):
        return [_any(item, where, depth + 1) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return _PLAIN[kind](value, where)
    return value


def _exact(kind: type) -> Callable[[Any, str], Any]:
    def check(value: Any, where: str) -> Any:
        if type(value) is not kind:
            raise Unfit(f"{where} is {_shown(value)}")
        return value

    return check


def _integer(value: Any, where: str) -> int:
    number: int = _exact(int)(value, where)
    if abs(number) > LARGEST_INT:
        raise Unfit(f"{where} is too large a number")
    return number


def _real(value: Any, where: str) -> float:
    if type(value) is int:
        return _integer(value, where)
    number: float = _exact(float)(value, where)
    if not math.isfinite(number):
        raise Unfit(f"{where} is no finite number")
    if abs(number) > LARGEST_REAL:
        raise Unfit(f"{where} is too large a number")
    return number


def _text(value: Any, where: str) -> str:
    """A text; bytes that were no UTF-8 in a name or argument become `?`."""
    text: str = _exact(str)(value, where)
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


_PLAIN: dict[Any, Callable[[Any, str], Any]] = {
    Any: _any,
    bool: _exact(bool),
    int: _integer,
    float: _real,
    str: _text,
    object: _any,
    NoneType: _exact(NoneType),
    Path: lambda value, where: Path(beside(_text(value, where), where)),
}
