"""What every thread did during one step: rows, and below them the waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

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
from debottleneck.report.spans import joined
from debottleneck.report.words.quantities import clean, cut, number
from debottleneck.trials.sides import Side

Floats = NDArray[np.float64]

MOST_BARS = 6_000
MOST_MARKS = 60
"""Beginnings of steps that are marked."""

KEY = ["pid", "tid"]
EDGES = {"l": 8, "r": 12, "t": 4, "b": 44}
ROOM = TALLEST - EDGES["t"] - EDGES["b"]

LARGE = np.array([17.0, 21, 2, 9, 7])
SMALL = np.array([15.0, 9, 1, 5, 3])
"""Pixels of a thread: its name, the strip of its stages, a gap, the strip of its waits,
a gap. A thread without stages has neither the second nor the third."""


@dataclass(frozen=True)
class StepWindow:
    """One step to look at closely, or a span of several from it on."""

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


def of_side(sides: Sequence[Side], id: str) -> go.Figure | None:
    """A typical step of the slower side; of the other as long a time, in all its steps.

    Dotted lines are where steps begin.
    """
    spans = windows_of(sides)
    if id not in spans:
        return None
    analysis = next(side.analysis for side in sides if side.id == id)
    rows = ShownRows.of(*(side.analysis for side in sides))
    figure = draw(analysis, spans[id], rows)
    longest = max(window.milliseconds for window in spans.values())
    begun = _begun(analysis, spans[id])[1:]
    for at in begun if len(begun) <= MOST_MARKS else ():
        figure.add_vline(x=float(at), line={"width": 1.5, "dash": "dot"})
    return figure.update_xaxes(range=[0, longest])


def windows_of(sides: Sequence[Side]) -> dict[str, StepWindow]:
    """What `of_side` shows of each side that has a quiet step."""
    typical = {side.id: windows(side.analysis).get("typical") for side in sides}
    spans = {id: window for id, window in typical.items() if window is not None}
    longest = max((w.end_ns - w.start_ns for w in spans.values()), default=0)
    for side in sides:
        window = spans.get(side.id)
        if window and window.end_ns - window.start_ns < longest:
            spans[side.id] = _span(side.analysis, longest) or window
    return spans


def _span(analysis: Analysis, length_ns: int) -> StepWindow | None:
    """That long a time of quiet steps, with as many of them as is usual."""
    ordered = analysis.steps.sort_values("start_ns")
    starts = ordered.start_ns.to_numpy()
    loud = np.append(0, np.cumsum(ordered.block != "quiet"))
    last = np.searchsorted(starts, starts + length_ns)
    inside = starts + length_ns <= int(ordered.end_ns.max())
    fit = np.flatnonzero(inside & (loud[last] == loud[:-1]))
    if not len(fit):
        return None
    counts = last[fit] - fit
    at = fit[int(np.abs(counts - np.median(counts)).argmin())]
    begin = int(starts[at])
    return StepWindow(int(ordered.step.iloc[at]), begin, begin + length_ns)


def _begun(analysis: Analysis, window: StepWindow) -> Floats:
    """When the steps of the window began, the first included, in its milliseconds."""
    starts = analysis.steps.start_ns.to_numpy(np.int64)
    inside = (starts >= window.start_ns) & (starts < window.end_ns)
    begun: Floats = (np.sort(starts[inside]) - window.start_ns) / 1e6
    return begun


def in_words(analysis: Analysis, window: StepWindow) -> str:
    """Which steps a window holds, and how long that is."""
    steps_in, long = len(_begun(analysis, window)), number(window.milliseconds)
    if steps_in < 2:
        return f"step {window.step:,}, {long} ms"
    return f"{steps_in:,} steps from step {window.step:,} on, {long} ms"


def told(analysis: Analysis, window: StepWindow) -> str:
    """What the trainer did in the window, for who cannot see it."""
    rows = segments_in(analysis, window)
    mine = rows[rows.tid == analysis.loop.trainer_tid].groupby("name").ms.sum()
    parts = mine.sort_values(ascending=False).items()
    listed = ", ".join(f"{clean(name)} {number(ms)} ms" for name, ms in parts)
    span = in_words(analysis, window)
    return f"Timeline of the threads in {span}; training thread: {listed}."


def segments_in(analysis: Analysis, window: StepWindow) -> pd.DataFrame:
    """Stages of every thread within the window: pid, tid, name, note, start_ms, ms."""
    rows = analysis.segments
    return bars_in(rows.assign(name=rows.stage.astype("str"), note=""), window)


def waits_in(analysis: Analysis, window: StepWindow) -> pd.DataFrame:
    """Sampled states of every thread within the window; like samples are joined."""
    waits = analysis.recording.waits
    near = (waits.end_ns > window.start_ns) & (waits.start_ns < window.end_ns)
    part = waits[near]
    part = part.assign(name=sample_causes(part), note="")
    names = map(clean, analysis.threads.name)
    named = dict(zip(analysis.threads.tid, names, strict=True))
    gil = part.name == "gil"
    part.loc[gil, "note"] = [
        f"held by {named[tid]}" if tid in named else "" for tid in part.holder[gil]
    ]
    return bars_in(part, window)


def bars_in(rows: pd.DataFrame, window: StepWindow) -> pd.DataFrame:
    """What of the rows lies in the window; like neighbours of a thread are one bar."""
    near = (rows.end_ns > window.start_ns) & (rows.start_ns < window.end_ns)
    threads = rows[near].groupby(KEY)
    parts = [joined(part, ["name", "note"]) for _, part in threads]
    bars = pd.concat([rows[:0], *parts])
    start = bars.start_ns.clip(lower=window.start_ns)
    ms = (bars.end_ns.clip(upper=window.end_ns) - start) / 1e6
    bars = bars.assign(start_ms=(start - window.start_ns) / 1e6, ms=ms)
    return _fit(bars[[*KEY, "name", "note", "start_ms", "ms"]], window)


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


def _threads(analysis: Analysis, *bars: pd.DataFrame) -> pd.DataFrame:
    """Threads with something to draw, the trainer first: pid, tid, name, role."""
    keys = pd.concat([b[KEY] for b in bars]).drop_duplicates()
    rows = keys.merge(analysis.threads[[*KEY, "name", "role"]], on=KEY, how="left")
    rows = rows.fillna({"name": "", "role": "other"})
    rank = rows.role.map({r: i for i, r in enumerate(words.ROLES)}).fillna(99)
    first = rows.tid != analysis.loop.trainer_tid
    order = ["first", "rank", "name", "tid"]
    rows = rows.assign(first=first, rank=rank).sort_values(order, kind="stable")
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
    rows = _threads(analysis, stages, waits)
    shown, strips = _placed(rows, stages)
    bottom = float((shown.top + shown.height).max()) if len(shown) else strips.sum()
    height = int(bottom + EDGES["t"] + EDGES["b"])
    meta = {"left_out": len(rows) - len(shown)}
    drawn = blank(height, barmode="overlay", margin=EDGES, meta=meta)
    below = shown.top + strips[0]
    look = (strips[1], parts.colour, partial(said, parts))
    _strips(drawn, stages, shown.assign(row=below), *look)
    low = shown.assign(row=below + np.where(shown.staged, strips[1] + strips[2], 0.0))
    _strips(drawn, waits, low, strips[3], cause_colour)
    for name, role, top in zip(shown.name, shown.role, shown.top, strict=True):
        short = cut(name, 40, "\N{HORIZONTAL ELLIPSIS}")
        lead = f"<b>{plain(short)}</b>  " if short and short != role else ""
        name_above(drawn, lead + plain(role), top + 1)
    span = {"range": [0, window.milliseconds], "zeroline": False, "nticks": 8}
    drawn.update_xaxes(title=title("ms since the step began"), **span)
    hidden = {"showticklabels": False, "showgrid": False, "zeroline": False}
    return drawn.update_yaxes(range=[bottom, 0], **hidden)


def _placed(rows: pd.DataFrame, stages: pd.DataFrame) -> tuple[pd.DataFrame, Floats]:
    """Rows that fit with `staged`, `top` and `height`, and how high strips are."""
    threads = stages[KEY].drop_duplicates().assign(staged=True)
    staged = rows.merge(threads, on=KEY, how="left").staged.notna().to_numpy()
    large, small = (_heights(staged, strips).sum() for strips in (LARGE, SMALL))
    part = np.clip((ROOM - small) / max(large - small, 1.0), 0, 1)
    strips = SMALL + part * (LARGE - SMALL)
    height = _heights(staged, strips)
    placed = rows.assign(staged=staged, height=height, top=height.cumsum() - height)
    return placed[height.cumsum() <= ROOM + 1e-6], strips


def _heights(staged: NDArray[np.bool_], strips: Floats) -> Floats:
    heights: Floats = np.where(staged, strips.sum(), strips[[0, 3, 4]].sum())
    return heights


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
        notes: list[Any] = [f" {plain(n)}" if n else "" for n in part.note]
        drawn.add_bar(
            name=plain(name),
            orientation="h",
            base=part.start_ms.to_numpy(),
            x=part.ms.to_numpy(),
            y=part.row.to_numpy(dtype="float64"),
            width=height,
            offset=0,
            customdata=np.array(notes),
            marker={"color": colour(name), "line": {"width": 0}},
            hovertemplate="<b>%{fullData.name}</b>%{customdata}<br>%{x:.4~g} ms from "
            f"%{{base:.4~g}} ms{says(name)}<extra></extra>",
        )
