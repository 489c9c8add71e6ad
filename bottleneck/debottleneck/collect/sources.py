"""Lines of the user's own files near the places that a recording names.

They are gathered when the run has ended, so that a page made later, or on another
machine, shows the code that was measured.
"""

from __future__ import annotations

import os
import stat
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from debottleneck.recording.own import is_users_own
from debottleneck.recording.recording import NotMeasured, typed

AROUND = 8
"""Lines kept before and after a place."""

MOST_LINES = 20_000
MOST_CHARACTERS = 400
"""Of a line; a longer one is data, not code."""

MOST_BYTES = 2_000_000
"""Of a file; a larger one was generated."""

NAMED = 3
"""Files that a message names."""

WHAT = "source lines"
CHANGED, UNREADABLE, TOO_LARGE = "changed", "unreadable", "too large"

_LEFT_OUT = {
    CHANGED: (
        "changed after the run began",
        "edit them when the profile has ended, or profile again",
    ),
    UNREADABLE: (
        "could not be read",
        "profile where they can be read, as UTF-8 or as their first line says",
    ),
    TOO_LARGE: (f"had more than {MOST_BYTES // 1_000_000} MB", ""),
}
"""Why a file's lines are not kept, and the remedy."""

Place = tuple[str, int]
"""A file and a line of it."""


@dataclass(frozen=True)
class MeasuredScript:
    """What tells the user's files from others, and old text from new.

    Attributes:
        directory: Where the script was started.
        script: Its path, or the module's name.
        began_s: When, in seconds since 1970.
    """

    directory: str
    script: str
    began_s: float


def gather(
    tables: Mapping[str, pd.DataFrame],
    run: MeasuredScript,
    cells: Mapping[str, str] = MappingProxyType({}),
) -> tuple[pd.DataFrame, list[NotMeasured]]:
    """The table `sources`, and what it had to leave out; `cells` are in no file."""
    marked = {str(file) for file in tables["sites"]["file"] if file}
    folders = tuple(_folders(marked, run))
    places = [
        (file, line)
        for file, line in places_of(tables)
        if _has_a_place(file) and (file in marked or file.startswith(folders))
    ]
    wanted, is_whole = lines_around(places)
    rows: list[tuple[str, int, str]] = []
    left_out: dict[str, list[str]] = {}
    for file, numbers in wanted.items():
        lines, reason = [*map(_cut, cells.get(file, "").splitlines())], ""
        if file not in cells:
            lines, reason = read_lines(Path(file), run.began_s)
        if reason:
            left_out.setdefault(reason, []).append(file)
        rows += [
            (file, number, lines[number - 1])
            for number in sorted(numbers)
            if number <= len(lines)
        ]
    table = pd.DataFrame(rows, columns=["file", "line", "text"])
    return typed("sources", table), _missing(left_out, is_whole)


def places_of(tables: Mapping[str, pd.DataFrame]) -> list[Place]:
    """Every place that the tables name, the most important first, each once.

    Stages come first, then lines by how many stacks have them, then functions.
    """
    columns = ["file", "line"]
    functions = tables["functions"].sort_values("total_ns", ascending=False)
    frames = tables["frames"].groupby(columns).size().sort_values(ascending=False)
    parts = (tables["sites"], frames.reset_index(), functions)
    places = pd.concat([part[columns] for part in parts]).drop_duplicates()
    rows = zip(places["file"], places["line"], strict=True)
    return [(str(file), int(line)) for file, line in rows if line > 0]


def lines_around(places: Iterable[Place]) -> tuple[dict[str, set[int]], bool]:
    """File -> numbers of its lines near a place; whether there was room for all."""
    numbers: dict[str, set[int]] = {}
    room = MOST_LINES
    for file, line in places:
        kept = numbers.setdefault(file, set())
        near = set(range(max(line - AROUND, 1), line + AROUND + 1)) - kept
        if len(near) > room:
            return numbers, False
        kept |= near
        room -= len(near)
    return numbers, True


def read_lines(file: Path, began_s: float) -> tuple[list[str], str]:
    """A file's lines as Python reads them, cut; or a key of `_LEFT_OUT`."""
    try:
        facts = file.stat()
        if not stat.S_ISREG(facts.st_mode):
            return [], UNREADABLE
        if facts.st_mtime > began_s:
            return [], CHANGED
        if facts.st_size > MOST_BYTES:
            return [], TOO_LARGE
        with tokenize.open(file) as source:
            return [_cut(line) for line in source], ""
    except (OSError, SyntaxError, ValueError, LookupError):
        return [], UNREADABLE


def _cut(line: str) -> str:
    """Without its end; half of a surrogate pair could not be saved."""
    text = line.rstrip("\n")[:MOST_CHARACTERS]
    return text.encode("utf-8", "replace").decode("utf-8")


def _has_a_place(file: str) -> bool:
    """Whether it is a file of the user's, and no library's or ours."""
    return os.path.isabs(file) and is_users_own(file)


def _folders(marked: set[str], run: MeasuredScript) -> set[str]:
    """The run's, the script's, and those of the user's files with a stage."""
    script = os.path.abspath(os.path.join(run.directory, run.script))
    own = filter(_has_a_place, marked)
    folders = {run.directory, *(os.path.dirname(file) for file in {script, *own})}
    return {f.rstrip(os.sep) + os.sep for f in folders if os.path.isabs(f)}


def _missing(left_out: Mapping[str, list[str]], is_whole: bool) -> list[NotMeasured]:
    missing = []
    for key, files in left_out.items():
        reason, remedy = _LEFT_OUT[key]
        missing.append(NotMeasured(WHAT, f"{_named(files)} {reason}", remedy))
    if not is_whole:
        missing.append(NotMeasured(WHAT, f"no more than {MOST_LINES:,} lines are kept"))
    return missing


def _named(files: list[str]) -> str:
    names = [os.path.basename(file) for file in files]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
