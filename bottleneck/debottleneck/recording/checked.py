"""Values from files that anybody may have written: of the annotated kind, or refused.

The annotations of dataclasses and typed dictionaries are the schema, by which msgspec
reads; `Between`, `OneOf` and `Like` add what a type cannot say.
"""

from __future__ import annotations

import json
import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any, TypeVar, get_type_hints

import msgspec

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


def Between(low: float, high: float = LARGEST_INT) -> msgspec.Meta:
    """A number from `low` to `high`, both included."""
    return msgspec.Meta(ge=low, le=high)


def OneOf(words: tuple[str, ...]) -> msgspec.Meta:
    """A word of a closed list."""
    return msgspec.Meta(pattern=rf"\A(?:{'|'.join(map(re.escape, words))})\Z")


@dataclass(frozen=True)
class Like:
    """A mapping of which the entries that a class names are as it annotates them.

    The others stay as they are.
    """

    kind: type


def fit(hint: Any, value: Any) -> Any:
    """A value of JSON as an annotation wants it: tuples and dataclasses made.

    Raises:
        Unfit: It is of another kind.
    """
    try:
        return msgspec.convert(_sound(value), hint, dec_hook=_made)
    except msgspec.ValidationError as error:
        raise Unfit(_shown(error)) from error


def read(kind: type[Kind], raw: Any) -> Kind:
    """A dataclass from what `json.loads` gave, `Like` heeded; see `fit`."""
    made: Kind = fit(kind, raw)
    for name, hint in get_type_hints(kind, include_extras=True).items():
        for like in getattr(hint, "__metadata__", ()):
            if isinstance(like, Like):
                fit(like.kind, getattr(made, name))
    return made


def parse(data: bytes | str) -> Any:
    """JSON without NaN and infinity.

    Raises:
        Unfit: It is none, nested too deeply, or too large.
    """
    if len(data) > MOST_JSON_BYTES:
        raise Unfit(f"it is larger than {MOST_JSON_BYTES // 2**20} MB")
    try:
        return json.loads(data)
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


def _shown(value: object) -> str:
    """The value in an error: one short line."""
    text = " ".join(str(value)[:200].split())
    return "".join(c if c.isprintable() else "?" for c in text)[:160]


def _made(kind: type, value: Any) -> Any:
    """Any object; of paths the name of one in the same folder, and no way out of it."""
    if kind is object:
        return value
    name = PurePath(value).name if isinstance(value, str) else ""
    if kind is not Path or name != value or name in ("", "..") or "\0" in name:
        raise ValueError("no name of a folder")
    return Path(name)


def _sound(value: Any, depth: int = 0) -> Any:
    """Any JSON, its numbers finite and not too large, its texts whole.

    Bytes that were no UTF-8 in a name or argument become `?`.
    """
    if depth > DEEPEST:
        raise Unfit("it is nested too deeply")
    if isinstance(value, dict):
        return {_sound(k, depth): _sound(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_sound(item, depth + 1) for item in value]
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode()
    largest = {int: LARGEST_INT, float: LARGEST_REAL}.get(type(value))
    if largest is not None and not abs(value) <= largest:
        raise Unfit(f"{_shown(value)} is no number, or too large")
    return value
