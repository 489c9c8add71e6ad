"""Figures that stand once for each recording: what they are called, and in numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import plotly.graph_objects as go

from debottleneck.report.figures import flame, sides
from debottleneck.report.html import described, sheet, tables
from debottleneck.report.html.tables import Table
from debottleneck.report.words.quantities import number
from debottleneck.trials.sides import Side

NO_LOOP = "No training loop was recognised in this recording."
MOST_FLAME_NODES = 1_600
"""Of all flame graphs of both recordings together, beside their difference."""


@dataclass(frozen=True)
class Shown:
    """One recording's figure.

    Attributes:
        heading: The recording's name.
        note: What stands beside it.
        name: The figure's name on the page, "" where there is none.
        label: What it shows, in words.
        table: The same in numbers.
        none: Why there is no figure, "" to say what is usual.
    """

    heading: str
    note: str = ""
    name: str = ""
    label: str = ""
    table: Table | None = None
    none: str = ""


Described = Callable[[Side, go.Figure], tuple[str, Table]]
"""What a figure of a recording shows: in words, and in numbers."""


def heats(found: Sequence[Side], drawing: sheet.Drawing) -> list[Shown]:
    """Stage x cause, the same rows, columns and shades."""
    return _cells("heat", found, sides.heats(_with_loop(found)), drawing, _heat)


def _heat(side: Side, figure: go.Figure) -> tuple[str, Table]:
    values = sides.causes_of(side.analysis)
    label = described.heat(values, side.step_ms, "step")
    return label, tables.stage_causes(side.analysis)


def bars(found: Sequence[Side], drawing: sheet.Drawing) -> list[Shown]:
    """Step time over the run, the same scale."""
    return _cells("bars", found, sides.bars(_with_loop(found)), drawing, _bars)


def _bars(side: Side, figure: go.Figure) -> tuple[str, Table]:
    return described.bars(side.analysis), described.bars_table(figure)


def timelines(
    found: Sequence[Side], drawing: sheet.Drawing
) -> tuple[list[Shown], set[str]]:
    """As long a time of each, the same axis; and the stages and causes in sight."""
    drawn = sides.timelines(_with_loop(found))
    windows = sides.windows(_with_loop(found))
    seen = {str(bar.name) for figure, _ in drawn.values() for bar in figure.data}

    def said(side: Side, figure: go.Figure) -> tuple[str, Table]:
        window = windows[side.id]
        table = described.strip_table(side.analysis, window, "")
        caption = (
            f"What every thread did in {number(window.milliseconds)} ms, added up."
        )
        return described.strip(side.analysis, window), replace(table, caption=caption)

    return _cells("timeline", found, drawn, drawing, said), seen


def _with_loop(found: Sequence[Side]) -> list[Side]:
    return [side for side in found if side.analysis.loop.found]


def _cells(
    kind: str,
    found: Sequence[Side],
    drawn: sides.Drawn,
    drawing: sheet.Drawing,
    said: Described,
) -> list[Shown]:
    cells = []
    for side in found:
        if side.id in drawn:
            figure, note = drawn[side.id]
            name = drawing.add(f"{kind}-{side.id}", figure)
            label, table = said(side, figure)
            numbers = replace(table, id=f"{name}-table")
            cells.append(
                Shown(side.label, note, name, f"{side.label}: {label}", numbers)
            )
        else:
            none = "" if side.analysis.loop.found else NO_LOOP
            cells.append(Shown(side.label, none=none))
    return cells


def flames(found: Sequence[Side], drawing: sheet.Drawing) -> list[dict[str, Any]]:
    """For each recording with stacks: stage -> its flame graph."""
    stages = {side.id: flame.stages(side.analysis.flame) for side in found}
    graphs = sum(map(len, stages.values()))
    most = min(flame.MOST_NODES, MOST_FLAME_NODES // max(1, graphs))
    return [
        {
            "id": side.id,
            "label": side.label,
            "stages": {
                stage: _flame(side, stage, f"flame-{side.id}-{index}", most, drawing)
                for index, stage in enumerate(stages[side.id])
            },
        }
        for side in found
        if stages[side.id]
    ]


def _flame(
    side: Side, stage: str, name: str, most: int, drawing: sheet.Drawing
) -> Shown:
    drawing.add(name, flame.figure(side.analysis, stage, most))
    label = f"{side.label}: {described.flame(side.analysis, stage)}"
    return Shown(side.label, name=name, label=label)
