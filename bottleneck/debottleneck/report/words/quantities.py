"""Numbers and names as people read them: one precision, one way to cut a path."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from debottleneck.analysis.result import Where
from debottleneck.recording.recording import Facts

NOTHING = "-"
"""Stands where there is no number; a zero is printed as a zero."""

LIBRARY_MARKS = ("site-packages", "dist-packages")


def decimals(scale: float) -> int:
    """Digits after the point that keep about three figures at this size."""
    if not math.isfinite(scale) or scale <= 0:
        return 2
    return min(4, max(0, 2 - math.floor(math.log10(scale))))


def table_digits(scale: float) -> int:
    """Digits for a table whose largest number is of this size: parts stay visible."""
    return 0 if scale >= 10_000 else max(1, decimals(scale))


def number(value: float | None, digits: int | None = None) -> str:
    """A number with `digits` decimals, or about three figures; "-" if missing."""
    if value is None or not math.isfinite(value):
        return NOTHING
    places = decimals(abs(value)) if digits is None else digits
    return f"{value:,.{places}f}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share of 1 as per cent."""
    if share is None or not math.isfinite(share):
        return NOTHING
    if 0 < abs(share) < 0.5 * 10 ** -(digits + 2):
        return f"<{10**-digits:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"


def interval(
    low: float, high: float, digits: int | None = None, between: str = " to "
) -> str:
    """The bounds of a 95 % interval, "low to high"."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return NOTHING
    places = decimals(max(abs(low), abs(high))) if digits is None else digits
    return f"{low:,.{places}f}{between}{high:,.{places}f}"


def times(ceiling: float) -> str:
    """A speed-up as a factor."""
    return f"{ceiling:.2f}x" if math.isfinite(ceiling) else NOTHING


def count(value: int, noun: str, plural: str = "") -> str:
    """A number of things: "1 step", "1,200 steps"."""
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"


def clean(text: object) -> str:
    """A name from the user's program on one line, without control characters."""
    return "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text)
    )


def cut(text: object, width: int, mark: str = "...") -> str:
    """A clean name of at most `width` characters."""
    name = clean(text)
    return name if len(name) <= width else name[: width - len(mark)] + mark


def tail(text: object, width: int) -> str:
    """A clean name of at most `width` characters, without its beginning."""
    name = clean(text)
    return name if len(name) <= width else f"...{name[3 - width :]}"


def home(facts: Facts) -> str:
    """The folder that paths are shown below: the run's, or else the script's."""
    script = PurePosixPath(facts.script)
    if not script.is_absolute() or script.is_relative_to(facts.directory):
        return facts.directory
    return str(script.parent)


def short(file: str, directory: str = "") -> str:
    """A path as the reader knows it: below the run's folder, or below the library."""
    path = PurePosixPath(file)
    if directory and path.is_relative_to(directory):
        return clean(path.relative_to(directory))
    parts = path.parts
    for mark in LIBRARY_MARKS:
        if mark in parts:
            return clean(PurePosixPath(*parts[parts.index(mark) + 1 :]))
    for index, part in enumerate(parts[:-1]):  # the standard library
        if part.startswith("python3") and parts[index - 1] == "lib":
            return clean(PurePosixPath(*parts[index + 1 :]))
    return clean(path)


def below(text: object, directory: str) -> str:
    """A clean text; a path below the run's folder loses that folder."""
    return clean(str(text).removeprefix(directory.rstrip("/") + "/"))


def place(function: str, file: str, line: int, directory: str = "") -> str:
    """`function file:line`, leaving out what is unknown."""
    spot = f"{short(file, directory)}:{line}" if line else short(file, directory)
    return " ".join(part for part in (clean(function), spot if file else "") if part)


def places(where: Iterable[Where], directory: str = "") -> str:
    """Several places, the most important first."""
    return ", ".join(place(w.function, w.file, w.line, directory) for w in where)


def in_order(names: Iterable[str], order: Sequence[str]) -> list[str]:
    """The names that occur, in the order of a list; strangers last, as they come."""
    present = dict.fromkeys(names)
    ordered = [name for name in order if name in present]
    return ordered + [name for name in present if name not in order]
