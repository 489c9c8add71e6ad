"""The difference of two recordings' flame graphs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from debottleneck.analysis.result import Analysis
from debottleneck.report.colours import channels, ink_on
from debottleneck.report.figures import flame
from debottleneck.report.figures.base import plain, signed
from debottleneck.report.rows import ShownRows
from debottleneck.report.words.quantities import home, number, short, table_digits
from debottleneck.trials.sides import Side

LESS, SAME, MORE = "#1f78b4", "#d5d7d9", "#e07b1a"
"""Less time after than before, as much, more; told apart by colour-blind readers."""

VISIBLE = 0.05
"""A label has a mark where the change is this share of the largest one."""

TRAINER = "trainer"
SUMS = ("weight_ms", "before", "after")

Path = tuple[str, ...]
"""TRAINER, stage, then frames as "function\0file", outermost first."""

Times = dict[Path, float]
"""Path -> milliseconds per step, its children's included."""


def figure(sides: Sequence[Side]) -> go.Figure | None:
    """An icicle of the trainer's stacks in two recordings, coloured by what changed.

    Stacks are taken in steps of their own, which their taking slows down, so samples
    say only how a time divides among frames: each stage has its mean milliseconds of
    a quiet step, divided among its frames as its samples were.

    A frame is as wide as the mean of both times. Frames are the same if function and
    file are, whatever the line. A stage of which one recording has no samples has no
    frames, since nothing can be said of them.

    Returns:
        None unless both have a loop and stacks of the trainer.
    """
    analyses = [s.analysis for s in sides if s.analysis.loop.found]
    known = [a for a in analyses if (a.flame.role == TRAINER).any()]
    if len(known) < 2:
        return None
    before, after = known
    unseen = _unseen(before) | _unseen(after)
    old, new = _times(before, unseen), _times(after, unseen)
    nodes = _nodes(old, new, ShownRows.of(before, after).order)
    changes = nodes.after - nodes.before
    largest = float(changes[nodes.parent != -1].abs().max())
    digits = table_digits(max(before.loop.step_ms, after.loop.step_ms))
    rows = nodes.to_dict("records")
    drawn = flame.icicle(
        nodes,
        [_label(row, largest) for row in rows],
        [_describe(row, digits) for row in rows],
    )
    colours = [_colour(change, largest) for change in changes]
    drawn.update_traces(
        marker={"colors": colours, "line": {"width": 0}},
        textfont={"color": [ink_on(colour) for colour in colours]},
        root={"color": "rgba(0,0,0,0)"},
    )
    return drawn


def _unseen(analysis: Analysis) -> set[str]:
    """Stages in which the trainer spends time, but was not sampled."""
    spent = analysis.stages.stage[analysis.stages.ms_per_step > 0]
    return {*spent} - {*analysis.flame.stage[analysis.flame.role == TRAINER]}


def _times(analysis: Analysis, unseen: set[str]) -> Times:
    """Every node's milliseconds per step; no node has less than its children."""
    exact = dict(zip(analysis.stages.stage, analysis.stages.ms_per_step, strict=True))
    times: Times = {(TRAINER, stage): float(ms) for stage, ms in exact.items()}
    mine = analysis.flame[analysis.flame.role == TRAINER]
    folder = home(analysis.recording.facts)
    files = {file: short(file, folder) for file in mine.file.unique()}
    for stage, part in mine[~mine.stage.isin(unseen)].groupby("stage"):
        sampled = float(part.weight_ms[~part.parent.isin(part.id)].sum())
        scale = exact.get(stage, 0.0) / sampled if sampled > 0 else 0.0
        above = dict(zip(part.id, part.parent, strict=True))
        frames = zip(part.id, part.function, part.file, strict=True)
        names = {id: f"{function}\0{files[file]}" for id, function, file in frames}
        for id, weight in zip(part.id, part.weight_ms, strict=True):
            path: list[str] = []
            while id in above:
                path.append(names[id])
                id = above[id]
            key = (TRAINER, str(stage), *reversed(path))
            times[key] = times.get(key, 0.0) + scale * float(weight)
    inner: Times = {}
    paths = {path[:end] for path in times for end in range(1, len(path) + 1)}
    for key in sorted(paths, key=len, reverse=True):
        times[key] = max(times.get(key, 0.0), inner.get(key, 0.0))
        inner[key[:-1]] = inner.get(key[:-1], 0.0) + times[key]
    return times


def _nodes(old: Times, new: Times, rows: Sequence[str]) -> pd.DataFrame:
    """The widest nodes of both as columns of `flame`, with `before` and `after`.

    Rows are in their order, frames by weight.
    """
    paths = sorted({*old, *new})
    number_of = {path: index for index, path in enumerate(paths)}
    frames = [path[-1].partition("\0") for path in paths]
    before, after = (pd.Series([of.get(p, 0.0) for p in paths]) for of in (old, new))
    table = pd.DataFrame(
        {
            "id": range(len(paths)),
            "parent": [number_of.get(path[:-1], -1) for path in paths],
            "function": [function for function, _, _ in frames],
            "file": [file for _, _, file in frames],
            "line": 0,
            "before": before,
            "after": after,
            "weight_ms": (before + after) / 2,
        }
    )
    tops = [path for path in paths if len(path) == 2 and path[1] in rows]
    ranks = {number_of[path]: rows.index(path[1]) for path in tops}
    nodes = flame.cut(table, sums=SUMS)
    order = nodes.id.map(ranks).fillna(0).sort_values(kind="stable").index
    return nodes.loc[order]


def _label(row: flame.Row, largest: float) -> str:
    change = row["after"] - row["before"]
    name = plain(row["function"])
    if largest <= 0 or abs(change) < VISIBLE * largest:
        return name
    return f"{'+' if change > 0 else '-'} {name}"


def _describe(row: flame.Row, digits: int) -> str:
    lines = [f"<b>{plain(row['function'])}</b>", *filter(None, [plain(row["file"])])]
    lines += [f"{t} {number(row[t], digits)} ms per step" for t in ("before", "after")]
    return "<br>".join([*lines, f"{signed(row['after'] - row['before'], digits)} ms"])


def _colour(change: float, largest: float) -> str:
    """From SAME to LESS or MORE, by the root of the change: small ones show too."""
    part = min(1.0, abs(change) / largest) ** 0.5 if largest > 0 else 0.0
    end = MORE if change > 0 else LESS
    pairs = zip(channels(SAME), channels(end), strict=True)
    return "#" + "".join(f"{round(a + part * (b - a)):02x}" for a, b in pairs)
