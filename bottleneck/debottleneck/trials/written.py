"""What a trial's script wrote to files, for the equality gate."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import zip_longest
from pathlib import Path

from debottleneck.agent.guard import LIST

KEPT_BYTES = 1 << 20
"""The beginning of a file that is kept, to tell one that only grew."""

_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True)
class WrittenFile:
    """One file after a run.

    Attributes:
        path: Where it is, with each number as 0: names often hold a process's.
        size: Bytes; -1 if it is gone.
        digest: Of its content.
        head: Its first `KEPT_BYTES`.
    """

    path: str
    size: int
    digest: bytes
    head: bytes


def read(folder: Path) -> tuple[WrittenFile, ...]:
    """The files that a script changed or made, in the order in which it did.

    Args:
        folder: Its guard's, before anything is put back.
    """
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
        return WrittenFile(name, -1, b"", b"")
    digest = blake2b(digest_size=16)
    with open(path, "rb") as file:
        head = file.read(KEPT_BYTES)
        digest.update(head)
        while chunk := file.read(KEPT_BYTES):
            digest.update(chunk)
        return WrittenFile(name, file.tell(), digest.digest(), head)


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
    for one, again, own in zip_longest(first, second, other):
        if one is None or one != again or one == own:
            continue
        if own is None:
            return f"{_name(one)} is not written"
        if one.path != own.path:
            return f"{_name(own)} is written in place of {_name(one)}"
        if ended or not own.head.startswith(one.head):
            sizes = f"{one.size:,} bytes against {own.size:,}"
            how = "its bytes differ" if one.size == own.size else sizes
            return f"the file {_name(one)}: {how}"
    return ""


def _name(file: WrittenFile) -> str:
    return os.path.basename(file.path)
