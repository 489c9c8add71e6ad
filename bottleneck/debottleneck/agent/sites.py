"""Places that mark: each has a number, and a line in the process's list."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from json import dumps

from debottleneck.words import LINE

WORDS: list[str] = []
"""By number: a stage's word, or of a line or a function of lines its place."""

LINES: list[str] = []
"""By number: its line in the list."""

_marked: list[tuple[str, str, str]] = []
_numbers: dict[tuple[str, str, int, str, int], int] = {}
_lock = threading.Lock()
_writes: list[Callable[[Sequence[str]], None]] = []


def write_with(write: Callable[[Sequence[str]], None]) -> None:
    """Give this the line of every place that is new from now on."""
    _writes[:] = [write]


def site_of(
    stage: str,
    name: str,
    file: str,
    line: int,
    kind: str,
    *,
    end: int = 0,
    within: int = -1,
) -> int:
    """The number of a place that marks `stage`; the same place, the same number.

    Args:
        stage: A word of `words.STAGES`, "step" or "line".
        name: Of a function or as a statement is written.
        file: Where it stands.
        line: Its first line.
        kind: What it is, see `recording.columns`.
        end: Its last line.
        within: Site of the loop or function whose statement it is.
    """
    key = (stage, file, line, name, within)
    number = _numbers.get(key)
    if number is not None:
        return number
    with _lock:
        number = _numbers.get(key)
        if number is None:
            number = len(WORDS)
            WORDS.append(f"{file}:{line}" if stage == LINE else stage)
            _marked.append((stage, name, kind))
            fields = {"site": number, "stage": stage, "name": name, "kind": kind}
            fields |= {"file": file, "line": line, "end": end or line}
            LINES.append(dumps({**fields, "within": within, "side": ""}))
            _numbers[key] = number
            for write in _writes:
                write(LINES[-1:])
    return number


def mark_of(site: int) -> tuple[str, str, str]:
    """Stage, name and kind of a place."""
    return _marked[site]
