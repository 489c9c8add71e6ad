"""Rows as every medium shows them: their order, colours, depth and source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from debottleneck.analysis.result import Analysis
from debottleneck.report.colours import LINE_COLOURS, STAGE_COLOURS, STRANGER
from debottleneck.report.words.quantities import clean, cut
from debottleneck.words import OTHER

SHOWN = 48
"""Letters of a line's source in a key, or under the pointer."""


@dataclass(frozen=True)
class ShownRows:
    """The stages and lines of one recording, or of those that stand on one page.

    Attributes:
        order: Their names, as steps come to them.
        sources: Line -> as it is written.
        depths: Row -> how many opened functions it lies within.
        colours: Row -> its colour: lines that take most have colours of their own.
    """

    order: tuple[str, ...]
    sources: Mapping[str, str]
    depths: Mapping[str, int]
    colours: Mapping[str, str]

    @classmethod
    def of(cls, *analyses: Analysis) -> ShownRows:
        """What these have, the rows of the first one first."""
        order: dict[str, None] = {}
        sources: dict[str, str] = {}
        depths: dict[str, int] = {}
        largest: dict[str, float] = {}
        for analysis in analyses:
            order |= dict.fromkeys(analysis.row_names)
            for row in analysis.rows.itertuples(index=False):
                sources.setdefault(row.row, clean(row.source))
                depths.setdefault(row.row, depths.get(row.parent, -1) + 1)
            for stage, row in analysis.within.items():
                depths.setdefault(stage, depths.get(row, -1) + 1)
            stages = analysis.stages
            for row, share in zip(stages["stage"], stages["share"], strict=True):
                largest[row] = max(largest.get(row, 0.0), float(share))
        order.pop(OTHER, None)
        lines = sorted(sources, key=lambda row: -largest.get(row, 0.0))
        colours = {
            row: LINE_COLOURS[at % len(LINE_COLOURS)] for at, row in enumerate(lines)
        }
        return cls((*order, OTHER), sources, depths, {**STAGE_COLOURS, **colours})

    @property
    def noun(self) -> str:
        """What a row is called: a stage, where all of them are."""
        return "row" if self.sources else "stage"

    def colour(self, row: str) -> str:
        """The row's colour."""
        return self.colours.get(row, STRANGER)

    def rank(self, row: str) -> float:
        """The row's place in the order."""
        return float(self.order.index(row)) if row in self.order else 99.0

    def source(self, row: str, most: int = SHOWN) -> str:
        """What a line says in at most so many letters, "" of a stage."""
        return cut(self.sources.get(row, ""), most)

    def short(self, row: str) -> str:
        """A row's name where room is scarce: "line 17", of the only file."""
        files = {name.rpartition(":")[0] for name in self.sources}
        if row not in self.sources or len(files) > 1:
            return clean(row)
        lines = row.rpartition(":")[2]
        return f"lines {lines}" if "-" in lines else f"line {lines}"

    def depth(self, row: str) -> int:
        """How far a row stands in."""
        return self.depths.get(row, 0)

    def key(self, names: Iterable[str]) -> list[tuple[str, str, str]]:
        """Those among the names that are rows: name, colour and source."""
        wanted = set(names)
        return [
            (row, self.colour(row), self.source(row))
            for row in self.order
            if row in wanted
        ]
