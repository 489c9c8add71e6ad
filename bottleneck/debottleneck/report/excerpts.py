"""The user's own source around a place, as the recording kept it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from textwrap import dedent
from urllib.parse import quote

import pandas as pd

from debottleneck.analysis.result import Analysis, Where
from debottleneck.report.words.quantities import clean, home, percent, place, short

AROUND = 3
"""Lines before and after a place."""

TAB = 4


@dataclass(frozen=True)
class SourceLine:
    """One line of the user's code.

    Attributes:
        number: Its number in the file.
        text: The line, without the indentation that all lines of the excerpt have.
        hot: True for the line that the finding names.
        share: Its share of the stage's samples, "" where none were seen.
    """

    number: int
    text: str
    hot: bool
    share: str


@dataclass(frozen=True)
class Excerpt:
    """A few lines around a place.

    Attributes:
        place: Function, file and line, as people read them.
        name: The file and the range of lines.
        stage: The stage whose samples the shares are of, "" without shares.
        lines: The lines, in order.
        link: Opens the place in an editor; "" where no path is known.
    """

    place: str
    name: str
    stage: str
    lines: tuple[SourceLine, ...]
    link: str


def excerpt(analysis: Analysis, where: Where, stage: str = "") -> Excerpt | None:
    """The lines around a place; None where the recording has none of them.

    Args:
        analysis: Of the recording.
        where: The place.
        stage: Whose samples the shares are of; by default the stage with most.
    """
    table = analysis.recording.sources
    near = (table.line - where.line).abs() <= AROUND
    rows = table[(table.file == where.file) & near].sort_values("line")
    if not (rows.line == where.line).any():
        return None
    numbers = [int(line) for line in rows.line]
    shares, of = _shares(analysis.lines, where.file, numbers, stage)
    texts = (clean(str(text).expandtabs(TAB)) for text in rows.text)
    lines = [
        SourceLine(number, text, number == where.line, shares.get(number, ""))
        for number, text in zip(
            numbers, dedent("\n".join(texts)).split("\n"), strict=True
        )
    ]
    inked = [at for at, line in enumerate(lines) if line.text.strip() or line.hot]
    kept = lines[inked[0] : inked[-1] + 1]
    directory = home(analysis.recording.facts)
    first, last = kept[0].number, kept[-1].number
    name = f"{short(where.file, directory)}, lines {first} to {last}"
    spot = place(where.function, where.file, where.line, directory)
    path = quote(where.file) if os.path.isabs(where.file) else ""
    link = f"vscode://file{path}:{where.line}" if path else ""
    return Excerpt(spot, name, of, tuple(kept), link)


def _shares(
    table: pd.DataFrame, file: str, numbers: list[int], stage: str
) -> tuple[dict[int, str], str]:
    """Line -> its share of one stage's samples, and which stage that is."""
    rows = table[(table.file == file) & table.line.isin(numbers)]
    if rows.empty:
        return {}, ""
    if not (rows.stage == stage).any():
        stage = str(rows.sort_values("share").stage.iloc[-1])
    by_role = rows[rows.stage == stage].groupby(["line", "role"]).share.sum()
    highest = by_role.groupby("line").max()
    return {int(str(line)): percent(share, 0) for line, share in highest.items()}, stage
