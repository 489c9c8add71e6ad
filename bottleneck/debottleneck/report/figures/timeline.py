"""What every thread did during one step: rows, and below them the waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from debottleneck import words
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.threads import sample_causes
from debottleneck.report.colours import cause_colour
from debottleneck.report.figures.base import (
    TALLEST,
    blank,
    name_above,
    plain,
    said,
    title,
)
from debottleneck.report.rows import ShownRows
from debottleneck.report.words.quantities import clean, cut

MOST_BARS = 6_000
KEY = ["pid", "tid"]
EDGES = {"l": 8, "r": 12, "t": 4, "b": 44}
ROOM = TALLEST - EDGES["t"] - EDGES["b"]


@dataclass(frozen=True)
class Strips:
    """Pixels of one row: its name, the stages, the waits, and gaps after both.

    A thread without stages has no strip of stages, and no gap after it.
    """

    name: float
    stages: float
    between: float
    waits: float
    after: float

    @property
    def inner(self) -> float:
        """What a row without stages saves."""
        return self.stages + self.between

    @property
    def whole(self) -> float:
        """A row with stages."""
        return self.name + self.inner + self.waits + self.after


LARGE = Strips(name=17, stages=21, between=2, waits=9, after=7)
SMALL = Strips(name=15, stages=9, between=1, waits=5, after=3)


@dataclass(frozen=True)
class StepWindow:
    """One step to look at closely."""

    step: int
    start_ns: int
    end_ns: int

    @property
    def milliseconds(self) -> float:
        """Its length."""
        return (self.end_ns - self.start_ns) / 1e6


def windows(analysis: Analysis) -> dict[str, StepWindow]:
    """The quiet step nearest the median, and the slowest one where it differs."""
    quiet = analysis.steps[analysis.steps.block == "quiet"]
    if quiet.empty:
        return {}
    wall = quiet.wall_ns.to_numpy(dtype="float64")
    typical = int(np.abs(wall - analysis.loop.step_median_ms * 1e6).argmin())
    chosen = {"typical": typical}
    if (slowest := int(wall.argmax())) != typical:
        chosen["slowest"] = slowest
    columns = ["step", "start_ns", "end_ns"]
    return {n: StepWindow(*map(int, quiet[columns].iloc[i])) for n, i in chosen.items()}


def of_run(analysis: Analysis, name: str) -> go.Figure | None:
    """The typical or the slowest step, which may be the same in a run of few steps.

    Returns:
        None without a quiet step.
    """
    chosen = windows(analysis)
    window = chosen.get(name, chosen.get("typical"))
    return None if window is None else draw(analysis, window)


def segments_in(analysis: Analysis, window: StepWindow) -> pd.DataFrame:
    """Stages of every thread within the window: pid, tid, name, start_ms, ms, note."""
    part = _clip(analysis.segments, window)
    part = part.assign(name=part.stage.astype("str"), note="")
    return _fit(part[[*KEY, "name", "note", "start_ms", "ms"]], window)


def waits_in(analysis: Analysis, window: StepWindow) -> pd.DataFrame:
    """Sampled states of every thread within the window; like samples are joined."""
    part = _clip(analysis.recording.waits, window)
    part = part.sort_values([*KEY, "start_ms"], kind="stable")
    part = part.assign(name=sample_causes(part), note="")
    gil = part.name == "gil"
    if gil.any():
        names = map(clean, analysis.threads.name)
        named = dict(zip(analysis.threads.tid, names, strict=True))
        holders = part.holder[gil].map(named).fillna("")
        part.loc[gil, "note"] = ("held by " + holders).where(holders != "", "")
    return _fit(_joined(part), window)


def _clip(table: pd.DataFrame, window: StepWindow) -> pd.DataFrame:
    inside = (table.end_ns > window.start_ns) & (table.start_ns < window.end_ns)
    part = table[inside]
    start = part.start_ns.clip(lower=window.start_ns)
    end = part.end_ns.clip(upper=window.end_ns)
    return part.assign(start_ms=(start - window.start_ns) / 1e6, ms=(end - start) / 1e6)


def _joined(part: pd.DataFrame) -> pd.DataFrame:
    """Neighbouring samples of one thread with the same name and note as one bar."""
    if part.empty:
        return part[[*KEY, "name", "note", "start_ms", "ms"]]
    same = part[[*KEY, "name", "note"]].eq(part[[*KEY, "name", "note"]].shift())
    begins = part.start_ms.to_numpy()
    ends = begins + part.ms.to_numpy()
    touches = np.append(False, np.abs(begins[1:] - ends[:-1]) < 1e-3)
    run = (~(same.all(axis=1) & touches)).cumsum()
    runs = part.assign(end=ends).groupby(run, sort=False)
    first = runs[[*KEY, "name", "note", "start_ms"]].first()
    return first.assign(ms=runs["end"].max() - first.start_ms)


def _fit(bars: pd.DataFrame, window: StepWindow) -> pd.DataFrame:
    """At most about MOST_BARS: of bars too thin to see, one a thread and pixel."""
    if len(bars) <= MOST_BARS:
        return bars
    threads = bars.groupby(KEY, sort=False).ngroup().to_numpy()
    pixels = max(100, MOST_BARS // max(1, int(threads.max()) + 1) // 2)
    pixel = window.milliseconds / pixels
    thin = bars.ms.to_numpy() < pixel
    spot = threads * (pixels + 1) + (bars.start_ms.to_numpy() // pixel).astype("int64")
    longest = bars[thin].assign(spot=spot[thin]).sort_values("ms", ascending=False)
    kept = longest.drop_duplicates("spot").drop(columns="spot")
    kept = kept.assign(ms=kept.ms.clip(lower=pixel))
    return pd.concat([kept, bars[~thin]]).sort_values([*KEY, "start_ms"])


def rows_of(analysis: Analysis, *bars: pd.DataFrame) -> pd.DataFrame:
    """Threads with something to draw, the trainer first: pid, tid, name, role."""
    keys = pd.concat([b[KEY] for b in bars]).drop_duplicates()
    rows = keys.merge(analysis.threads[[*KEY, "name", "role"]], on=KEY, how="left")
    rows = rows.fillna({"name": "", "role": "other"})
    rank = rows.role.map({r: i for i, r in enumerate(words.ROLES)}).fillna(99)
    first = rows.tid != analysis.loop.trainer_tid
    rows = rows.assign(first=first, rank=rank).sort_values(
        ["first", "rank", "name", "tid"], kind="stable"
    )
    return rows[[*KEY, "name", "role"]].reset_index(drop=True)


def draw(
    analysis: Analysis, window: StepWindow, shown_rows: ShownRows | None = None
) -> go.Figure:
    """The timeline of one step; threads share the room, the last may find none.

    `meta.left_out` is how many found none. `shown_rows` are those of more than one
    recording where they stand on one page.
    """
    parts = shown_rows or ShownRows.of(analysis)
    stages, waits = segments_in(analysis, window), waits_in(analysis, window)
    rows = rows_of(analysis, stages, waits)
    shown, strips = _placed(rows, stages)
    bottom = float((shown.top + shown.height).max()) if len(shown) else strips.whole
    height = int(bottom + EDGES["t"] + EDGES["b"])
    meta = {"left_out": len(rows) - len(shown)}
    drawn = blank(height, barmode="overlay", margin=EDGES, meta=meta)
    below = shown.top + strips.name
    look = (strips.stages, parts.colour, partial(said, parts))
    _strips(drawn, stages, shown.assign(row=below), *look)
    low = shown.assign(row=below + np.where(shown.staged, strips.inner, 0.0))
    _strips(drawn, waits, low, strips.waits, cause_colour)
    for name, role, top in zip(shown.name, shown.role, shown.top, strict=True):
        short = cut(name, 40, "\N{HORIZONTAL ELLIPSIS}")
        lead = f"<b>{plain(short)}</b>  " if short and short != role else ""
        name_above(drawn, lead + plain(role), top + 1)
    end = window.milliseconds
    drawn.update_xaxes(
        title=title("ms since the step began"), range=[0, end], zeroline=False, nticks=8
    )
    drawn.update_yaxes(
        range=[bottom, 0], showticklabels=False, showgrid=False, zeroline=False
    )
    return drawn


def _placed(rows: pd.DataFrame, stages: pd.DataFrame) -> tuple[pd.DataFrame, Strips]:
    """Rows that fit with `staged`, `top` and `height`, and how high strips are."""
    threads = stages[KEY].drop_duplicates().assign(staged=True)
    staged = rows.merge(threads, on=KEY, how="left").staged.notna().to_numpy()
    large, small = _heights(staged, LARGE), _heights(staged, SMALL)
    spare = large.sum() - small.sum()
    part = float(np.clip((ROOM - small.sum()) / spare, 0, 1)) if spare else 1.0
    pairs = zip(astuple(SMALL), astuple(LARGE), strict=True)
    strips = Strips(*(low + part * (high - low) for low, high in pairs))
    height = _heights(staged, strips)
    top = height.cumsum() - height
    placed = rows.assign(staged=staged, height=height, top=top)
    return placed[height.cumsum() <= ROOM + 1e-6], strips


def _heights(staged: Any, strips: Strips) -> np.ndarray[Any, Any]:
    return np.where(staged, strips.whole, strips.whole - strips.inner)


def _strips(
    drawn: go.Figure,
    bars: pd.DataFrame,
    rows: pd.DataFrame,
    height: float,
    colour: Callable[[str], str],
    says: Callable[[str], str] = lambda _: "",
) -> None:
    """Bars of that height below each thread's `row`, and what is said of each name."""
    placed = bars.merge(rows[[*KEY, "row"]], on=KEY)
    for name, part in placed.groupby("name", sort=False):
        drawn.add_bar(
            name=plain(name),
            orientation="h",
            base=part.start_ms.to_numpy(),
            x=part.ms.to_numpy(),
            y=part.row.to_numpy(dtype="float64"),
            width=height,
            offset=0,
            customdata=np.array([f" {plain(n)}" if n else "" for n in part.note]),
            marker={"color": colour(name), "line": {"width": 0}},
            hovertemplate="<b>%{fullData.name}</b>%{customdata}<br>%{x:.4~g} ms from "
            f"%{{base:.4~g}} ms{says(name)}<extra></extra>",
        )
