"""The same step in every rank, on one axis: what each did, and when it waited."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from debottleneck.analysis.ranks import RankRun, Ranks
from debottleneck.recording.spool import COLLECTIVE
from debottleneck.report.colours import cause_colour
from debottleneck.report.figures import timeline
from debottleneck.report.figures.base import add_rows, blank, plain, title
from debottleneck.report.rows import ShownRows
from debottleneck.report.words.quantities import number

BAND = 24.0
"""Pixels of a rank."""

SPAN = 1.5
"""Steps that are shown, so that the next one's start is in sight."""


def draw(ranks: Ranks) -> go.Figure | None:
    """A typical step of the straggler, or of the first rank, and the others meanwhile.

    Returns:
        None where it has no quiet step.
    """
    found = ranks.straggler
    leads = [r for r in ranks.runs if found is None or r.number == found.rank]
    window = timeline.windows(leads[0].analysis).get("typical")
    if window is None:
        return None
    start = window.start_ns + leads[0].shift_ns
    length = int((window.end_ns - window.start_ns) * SPAN)
    rows = ShownRows.of(*(run.analysis for run in ranks.runs))
    figure = blank(100, barmode="overlay")
    names = [f"<b>rank {run.number}</b>" for run in ranks.runs]
    middles = add_rows(figure, names, BAND)
    for run, y in zip(ranks.runs, middles, strict=False):
        begin = start - run.shift_ns
        _add(figure, rows, run, timeline.StepWindow(0, begin, begin + length), y)
    axis = {"range": [0, length / 1e6], "zeroline": False, "nticks": 8}
    return figure.update_xaxes(title=title("ms since the step began"), **axis)


def _add(
    figure: go.Figure,
    rows: ShownRows,
    run: RankRun,
    window: timeline.StepWindow,
    y: float,
) -> None:
    for name, part in bars(run, window).groupby("name", sort=False):
        is_wait = name == COLLECTIVE
        figure.add_bar(
            name=plain(name),
            orientation="h",
            base=part.start_ms.to_numpy(),
            x=part.ms.to_numpy(),
            y=[y] * len(part),
            width=BAND / 2 if is_wait else BAND,
            marker={
                "color": cause_colour(name) if is_wait else rows.colour(name),
                "line": {"width": 0},
            },
            hovertemplate="<b>%{fullData.name}</b><br>%{x:.4~g} ms from "
            "%{base:.4~g} ms<extra></extra>",
        )


def bars(run: RankRun, window: timeline.StepWindow) -> pd.DataFrame:
    """What the rank's trainer did in the window, waits for other ranks told apart."""
    analysis = run.analysis
    sites, pid = analysis.recording.sites, analysis.recording.facts.pid
    of_rank = sites[(sites.pid == pid) & (sites.kind == COLLECTIVE)].site
    rows = analysis.segments
    own = (rows.pid == pid) & (rows.tid == analysis.loop.trainer_tid)
    rows = rows[own]
    name = rows.stage.astype("str").mask(rows.site.isin(of_rank), COLLECTIVE)
    return timeline.bars_in(rows.assign(name=name, note=""), window)


def told(ranks: Ranks) -> str:
    """For who cannot see it."""
    parts = (
        f"rank {run.number} waits {number(run.waits_ms)} of "
        f"{number(run.analysis.loop.step_ms)} ms"
        for run in ranks.runs
    )
    return f"The same step in every rank, on one axis: {', '.join(parts)}."
