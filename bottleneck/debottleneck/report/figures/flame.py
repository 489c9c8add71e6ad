"""Flame graphs, a stage each: the widest frames, the rest folded together."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from debottleneck.analysis.result import Analysis
from debottleneck.recording.own import is_users_own
from debottleneck.report.figures.base import TALLEST, blank, name_above, plain
from debottleneck.report.words.quantities import home, percent, short

MOST_NODES = 400
"""Of one stage."""

SMALLER = "(smaller)"
ROW = 24
LEAST_ROW = 20
"""Pixels of a level; a deep graph has lower ones, down to what text needs."""

SUMS = ("weight_ms", "gil_ms")
"""Columns that folded nodes add up."""

HOLDS = "\N{BLACK CIRCLE} "
HELD = 0.5
"""A frame is marked as holding the GIL from this share of its time."""

Row = dict[Hashable, Any]


def stages(flame: pd.DataFrame) -> list[str]:
    """Stages with stacks, the heaviest first."""
    tops = flame[~flame.parent.isin(flame.id)]
    weights = tops.groupby("stage").weight_ms.sum().sort_values(ascending=False)
    return [str(stage) for stage in weights[weights > 0].index]


def cut(nodes: pd.DataFrame, most: int = MOST_NODES) -> pd.DataFrame:
    """The widest nodes of one stage, at most `most` with the folded remainders.

    Args:
        nodes: Columns of `flame`; of each node the weight is its children's or more.
        most: The number to keep.

    Returns:
        Columns of `flame` plus `self_ms`; folded nodes are called SMALLER.
    """
    order = {"by": ["weight_ms", "depth"], "ascending": [False, True]}
    ranked = nodes.assign(depth=_depths(nodes)).sort_values(**order, kind="stable")
    keep = len(nodes) if len(nodes) <= most else most // 2
    kept, rest = ranked.head(keep), ranked.iloc[keep:]
    edge = rest[rest.parent.isin(kept.id) | ~rest.parent.isin(ranked.id)]
    folded = edge.groupby("parent")[[*SUMS]].sum().reset_index()
    folded = folded[folded.weight_ms > 0]
    named = {
        "id": -2 - np.arange(len(folded)),
        "function": SMALLER,
        "file": "",
        "line": 0,
    }
    columns = ["id", "parent", "function", "file", "line", *SUMS]
    shown = pd.concat([kept, folded.assign(**named)], ignore_index=True)[columns]
    inside = shown.id.map(shown.groupby("parent").weight_ms.sum()).fillna(0.0)
    return shown.assign(self_ms=(shown.weight_ms - inside).clip(lower=0.0))


def _depths(nodes: pd.DataFrame) -> pd.Series:
    """How many frames lead to each node, itself included."""
    parent = dict(zip(nodes.id, nodes.parent, strict=True))
    depth: dict[int, int] = {}
    for node in parent:
        path = []
        while node in parent and node not in depth:
            path.append(node)
            node = parent[node]
        outer = depth.get(node, 0)
        depth.update((below, outer + n) for n, below in enumerate(reversed(path), 1))
    return nodes.id.map(depth)


def of_run(analysis: Analysis, stage: str = "") -> go.Figure | None:
    """The stage's flame graph, of the heaviest stage unless one is named.

    Returns:
        None without stacks of that stage.
    """
    names = stages(analysis.flame)
    chosen = stage or next(iter(names), "")
    return figure(analysis, chosen) if chosen in names else None


def figure(analysis: Analysis, stage: str, most: int = MOST_NODES) -> go.Figure:
    """An icicle of the stage's stacks, a root for each role.

    Colours are the page's: `meta.kind` says per node 0 library, 1 the user's own
    code, 2 neither; `meta.gil` is the share of its time in which it held the GIL.
    """
    part = analysis.flame[analysis.flame.stage == stage]
    nodes = cut(_one_tree(part), most)
    all_ms = float(nodes.weight_ms[nodes.parent == -1].sum())
    directory = home(analysis.recording.facts)
    gil = (nodes.gil_ms / nodes.weight_ms.where(nodes.weight_ms > 0)).fillna(0.0)
    rows = nodes.assign(gil=gil).to_dict("records")
    texts = [_describe(row, all_ms, directory) for row in rows]
    labels = [
        f"{HOLDS * (row['gil'] >= HELD and bool(row['file']))}{plain(row['function'])}"
        for row in rows
    ]
    kinds = [int(is_users_own(file)) if file else 2 for file in nodes.file]
    meta = {"kind": kinds, "gil": gil.round(3).tolist()}
    return icicle(nodes, labels, texts).update_layout(meta=meta)


def icicle(nodes: pd.DataFrame, labels: list[str], texts: list[str]) -> go.Figure:
    """The nodes as nested bars, no higher than TALLEST.

    Args:
        nodes: id, parent (-1 at the top) and `self_ms`.
        labels: What stands in each, plotly's text.
        texts: What is shown under the pointer.

    Levels for which there is no room show when one chooses a frame above them.
    """
    depth = int(_depths(nodes).max())
    most = (TALLEST - 24) // LEAST_ROW
    foot = 20 if depth > most else 0
    margin = {"l": 0, "r": 0, "t": 4, "b": foot}
    drawn = blank(min(TALLEST, 4 + ROW * depth + foot), margin=margin)
    drawn.update_layout(uniformtext={"minsize": 10, "mode": "hide"})
    drawn.add_icicle(
        ids=[str(i) for i in nodes.id],
        labels=labels,
        parents=["" if p == -1 else str(p) for p in nodes.parent],
        values=nodes.self_ms.round(4).to_numpy(),
        customdata=texts,
        branchvalues="remainder",
        sort=False,
        leaf={"opacity": 1},
        maxdepth=most if depth > most else -1,
        tiling={"orientation": "v", "pad": 1},
        pathbar={"visible": False},
        textposition="middle left",
        hovertemplate="%{customdata}<extra></extra>",
    )
    if foot:
        said = f"{depth - most} more levels: choose a frame to see what is below it"
        name_above(drawn, said, 0)
        drawn.update_annotations(yref="paper")
    return drawn


def _one_tree(part: pd.DataFrame) -> pd.DataFrame:
    """The stage's nodes renumbered, with a root node for each role."""
    part = part.assign(key=part.role.astype("str") + "/" + part.id.astype("str"))
    roles = list(dict.fromkeys(part.role))
    number = {key: len(roles) + i for i, key in enumerate(part.key)}
    above = part.role.astype("str") + "/" + part.parent.astype("str")
    at_top = ~above.isin(part.key)
    root = part.role.map({role: i for i, role in enumerate(roles)})
    parent = above.map(number).where(~at_top, root).astype("int64")
    nodes = part.assign(id=part.key.map(number), parent=parent)
    tops = nodes[at_top].groupby("role", sort=False)[["weight_ms", "gil_ms"]].sum()
    heads = tops.reset_index().assign(parent=-1, file="", line=0)
    heads = heads.assign(id=heads.role.map(roles.index), function=heads.role)
    columns = ["id", "parent", "function", "file", "line", "weight_ms", "gil_ms"]
    return pd.concat([heads[columns], nodes[columns]], ignore_index=True)


def _describe(row: Row, all_ms: float, directory: str) -> str:
    lines = [f"<b>{plain(row['function'])}</b>"]
    if row["file"]:
        spot = short(row["file"], directory)
        lines.append(plain(f"{spot}:{row['line']}" if row["line"] else spot))
    if all_ms > 0:
        lines.append(f"{percent(row['weight_ms'] / all_ms)} of the stage's samples")
    if row["gil"] > 0:
        lines.append(f"held the GIL {percent(min(1.0, row['gil']))} of its time")
    return "<br>".join(lines)
