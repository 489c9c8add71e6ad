"""The difference of two recordings' flame graphs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from debottleneck import words
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
EVERYONE = "all threads"
SUMS = ("weight_ms", "before", "after")

Path = tuple[str, ...]
"""Role, stage, then frames as "function\0file", outermost first."""

Times = dict[Path, float]
"""Path -> milliseconds per step, its children's included."""


def figure(sides: Sequence[Side]) -> go.Figure | None:
    """An icicle of two recordings' stacks, coloured by what changed.

    Stacks are taken in steps of their own, which their taking slows down, so samples
    say only how a time divides among frames. The times are those of quiet steps: the
    trainer's stages have their mean milliseconds per step, and each is divided among
    its frames as its samples were. Any other role has one mean step, divided as its
    threads' samples were: what an average thread of that role did meanwhile.

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
    unknown = _unsampled(before) | _unsampled(after)
    old, new = _times(before, unknown), _times(after, unknown)
    nodes = _nodes(old, new, ShownRows.of(before, after).order)
    changes = nodes.after - nodes.before
    inner = changes[~nodes.top].abs()
    largest = float(inner.max()) if len(inner) else 0.0
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


def _unsampled(analysis: Analysis) -> set[str]:
    """Stages in which the trainer spends time, but was not seen."""
    spent = analysis.stages.stage[analysis.stages.ms_per_step > 0]
    seen = analysis.flame.stage[analysis.flame.role == TRAINER]
    return set(spent) - set(seen)


def _times(analysis: Analysis, unknown: set[str]) -> Times:
    """Every node's milliseconds per step; no node has less than its children."""
    exact = analysis.stages.set_index("stage").ms_per_step
    times: Times = {(TRAINER, str(s)): float(ms) for s, ms in exact.items()}
    directory = home(analysis.recording.facts)
    for role, threads in analysis.flame.groupby("role"):
        parts = dict(iter(threads.groupby("stage")))
        sampled = {
            stage: float(part.weight_ms[~part.parent.isin(part.id)].sum())
            for stage, part in parts.items()
        }
        of_step = analysis.loop.step_ms / (sum(sampled.values()) or 1.0)
        for stage, part in parts.items():
            mean_ms = of_step * sampled[stage]
            if role == TRAINER:
                mean_ms = float(exact.get(stage, 0.0))
            if sampled[stage] > 0 and mean_ms > 0:
                times.setdefault((str(role), str(stage)), mean_ms)
                if role != TRAINER or stage not in unknown:
                    _add_frames(times, part, mean_ms / sampled[stage], directory)
    return _added_up(times)


def _add_frames(times: Times, part: pd.DataFrame, scale: float, folder: str) -> None:
    """Add the frames of one role and stage."""
    lead = (str(part.role.iloc[0]), str(part.stage.iloc[0]))
    above = dict(zip(part.id, part.parent, strict=True))
    frames = zip(part.id, part.function, part.file, strict=True)
    files = {file: short(file, folder) for file in part.file.unique()}
    names = {id: f"{function}\0{files[file]}" for id, function, file in frames}
    for id, weight in zip(part.id, part.weight_ms, strict=True):
        path: list[str] = []
        while id in above:
            path.append(names[id])
            id = above[id]
        key = (*lead, *reversed(path))
        times[key] = times.get(key, 0.0) + scale * float(weight)


def _added_up(times: Times) -> Times:
    """With every node's parents, none lighter than its children (rounding aside)."""
    inner: Times = {}
    added: Times = {}
    paths = {path[:end] for path in times for end in range(1, len(path) + 1)}
    for path in sorted(paths, key=len, reverse=True):
        added[path] = max(times.get(path, 0.0), inner.get(path, 0.0))
        inner[path[:-1]] = inner.get(path[:-1], 0.0) + added[path]
    return added


def _nodes(old: Times, new: Times, rows: Sequence[str]) -> pd.DataFrame:
    """The widest nodes of both as columns of `flame`, with `before` and `after`.

    Roles are in their usual order, rows as given, frames by weight; `top` is true for
    roles and what is above them.
    """
    paths = sorted({*old, *new})
    number_of = {path: index for index, path in enumerate(paths)}
    frames = [path[-1].partition("\0") for path in paths]
    table = pd.DataFrame(
        {
            "id": range(len(paths)),
            "parent": [number_of.get(path[:-1], -1) for path in paths],
            "function": [function for function, _, _ in frames],
            "file": [file for _, _, file in frames],
            "line": 0,
            "before": [old.get(path, 0.0) for path in paths],
            "after": [new.get(path, 0.0) for path in paths],
        }
    )
    nodes = flame.cut(
        table.assign(weight_ms=(table.before + table.after) / 2), sums=SUMS
    )
    rank = nodes.id.map({number_of[path]: _rank(path, rows) for path in paths}).fillna(
        0
    )
    ordered = nodes.assign(rank=rank).sort_values("rank", kind="stable")
    return _rooted(ordered.drop(columns="rank").assign(top=ordered.parent == -1))


def _rooted(nodes: pd.DataFrame) -> pd.DataFrame:
    """With one node above the roles, where there are several.

    It has no times: those of different roles pass at once.
    """
    if nodes.top.sum() < 2:
        return nodes
    root = int(nodes.id.max()) + 1
    names = {"id": root, "parent": -1, "function": EVERYONE, "file": "", "line": 0}
    unknown = dict.fromkeys((*SUMS, "self_ms"), 0.0)
    head = pd.DataFrame([{**names, **unknown, "top": True}])
    below = nodes.assign(parent=nodes.parent.where(~nodes.top, root))
    return pd.concat([head[[*below.columns]], below], ignore_index=True)


def _rank(path: Path, rows: Sequence[str]) -> int:
    order = {1: words.ROLES, 2: rows}.get(len(path), ())
    return order.index(path[-1]) if path[-1] in order else len(order)


def _label(row: flame.Row, largest: float) -> str:
    change = row["after"] - row["before"]
    name = plain(row["function"])
    if largest <= 0 or abs(change) < VISIBLE * largest:
        return name
    return f"{'+' if change > 0 else '-'} {name}"


def _describe(row: flame.Row, digits: int) -> str:
    change = row["after"] - row["before"]
    lines = [f"<b>{plain(row['function'])}</b>"]
    if row["weight_ms"] == 0:
        return f"{lines[0]}<br>an average thread of each role"
    if row["file"]:
        lines.append(plain(row["file"]))
    lines.append(f"before {number(row['before'], digits)} ms per step")
    lines.append(f"after {number(row['after'], digits)} ms per step")
    lines.append(f"{signed(change, digits)} ms")
    return "<br>".join(lines)


def _colour(change: float, largest: float) -> str:
    """From SAME to LESS or MORE, by the root of the change: small ones show too."""
    part = min(1.0, abs(change) / largest) ** 0.5 if largest > 0 else 0.0
    end = MORE if change > 0 else LESS
    pairs = zip(channels(SAME), channels(end), strict=True)
    return "#" + "".join(f"{round(a + part * (b - a)):02x}" for a, b in pairs)
