"""What a trial's script wrote to files, for the equality gate."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from debottleneck.agent.guard import LIST

KEPT_BYTES = 1 << 20
"""The beginning of a file that is kept, to tell one that only grew."""

_NUMBERS = re.compile(r"\d+")
_TIMES = re.compile(rb"\d{4}-\d\d-\d\d|\d\d:\d\d(:\d\d([.,]\d+)?)?")
"""Dates and times of day, which no two runs have in common."""


@dataclass(frozen=True)
class WrittenFile:
    """One file after a run.

    Attributes:
        path: Where it is, with each number as 0: names often hold a process's.
        size: Bytes, without dates and times; -1 if it is gone.
        digest: Of its content, likewise.
        head: Its first `KEPT_BYTES`, likewise.
        exactly: Where it is.
    """

    path: str
    size: int
    digest: bytes
    head: bytes
    exactly: str = field(default="", compare=False)


def read(folder: Path) -> tuple[WrittenFile, ...]:
    """The files that a script changed or made, in the order in which it did."""
    return tuple(map(_content, dict.fromkeys(_paths(folder))))


def _paths(folder: Path) -> Iterator[str]:
    try:
        lines = (folder / LIST).read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            yield str(json.loads(line)["path"])
        except (ValueError, KeyError):
            return


def _content(path: str) -> WrittenFile:
    name = _NUMBERS.sub("0", path)
    if not os.path.isfile(path):
        return WrittenFile(name, -1, b"", b"", path)
    digest = blake2b(digest_size=16)
    with open(path, "rb") as file:
        head = _TIMES.sub(b"", file.read(KEPT_BYTES))
        digest.update(head)
        size = len(head)
        while chunk := file.read(KEPT_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return WrittenFile(name, size, digest.digest(), head, path)


Files = tuple[WrittenFile, ...]


def compare(first: Files, second: Files, other: Files, *, ended: bool) -> str:
    """How the files of a run differ from those of two plain ones, "" if they do not.

    Args:
        first: Of a plain run.
        second: Of another one; files that differ between these two do not count.
        other: Of the run in question.
        ended: Whether all came to their own end; where they were stopped, a file may
            be longer by what ran ahead.
    """
    for one in first:
        own = _same(one, first, other)
        if one == own or one != _same(one, first, second):
            continue
        if own is None:
            return f"{_name(one)} is not written"
        if ended or not own.head.startswith(one.head):
            sizes = f"{one.size:,} bytes against {own.size:,}"
            how = "its bytes differ" if one.size == own.size else sizes
            return f"the file {_name(one)}: {how}"
    more = [own for own in other if _same(own, other, first) is None]
    if ended and len(first) == len(second) < len(other) and more:
        return f"the file {_name(more[-1])} is written, which the plain script does not"
    return ""


def _same(file: WrittenFile, files: Files, others: Files) -> WrittenFile | None:
    """The file of another run that is in its place, else the one that is like it."""
    alike = [other for other in others if other.path == file.path]
    number = [one for one in files if one.path == file.path].index(file)
    exact = [other for other in alike if other.exactly == file.exactly]
    return next(iter((*exact, *alike[number : number + 1])), None)


def _name(file: WrittenFile) -> str:
    return os.path.basename(file.exactly or file.path)
