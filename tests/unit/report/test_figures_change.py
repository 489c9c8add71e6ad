"""Figures of what changed add up to both steps and are on one scale."""

from __future__ import annotations

from dataclasses import replace

import comparisons
import examples
import plotly.graph_objects as go
import pytest

from debottleneck.analysis import frames
from debottleneck.analysis.result import Analysis
from debottleneck.report.figures import base, change, timeline
from debottleneck.trials.sides import Side


def sides_of(before: Analysis, after: Analysis) -> list[Side]:
    """Both as sides of a comparison."""
    return [Side("before", "The plain script", before), Side("after", "New", after)]


def pair() -> list[Side]:
    """The loop that waits for its network, and with a prefetch."""
    return sides_of(examples.input_bound(), comparisons.after())


def without_causes(side: Side) -> Side:
    """The same side, but its causes are lost."""
    return replace(side, analysis=replace(side.analysis, causes=frames.empty("causes")))


def bars_by_row(figure: go.Figure) -> dict[float, float]:
    """Length of each stacked bar by its place."""
    lengths: dict[float, float] = {}
    for trace in figure.data:
        if trace.type == "bar":
            for y, x in zip(trace.y, trace.x, strict=True):
                lengths[float(y)] = lengths.get(float(y), 0.0) + float(x)
    return lengths


def test_bars_sum_to_both_steps() -> None:
    """All bars of a side are its step, and one axis holds both sides."""
    found = pair()
    drawn = change.bars(found)
    lengths = bars_by_row(drawn)
    before = sum(ms for y, ms in lengths.items() if round(y % 1, 1) == 0.8)
    after = sum(ms for y, ms in lengths.items() if round(y % 1, 1) == 0.2)
    assert before == pytest.approx(found[0].step_ms)
    assert after == pytest.approx(found[1].step_ms)
    assert drawn.layout.xaxis.range[1] == pytest.approx(max(lengths.values()))


def test_a_stage_of_one_side_is_zero_on_the_other() -> None:
    """A stage that only one run has keeps its row on both sides."""
    plan = examples.Plan(stages={"evaluate": {"python": 4.0}, "other": {"native": 1.0}})
    odd = Side("after", "With something", examples.build(plan))
    drawn = change.bars([pair()[0], odd])
    lengths = bars_by_row(drawn)
    names = drawn.layout.yaxis.ticktext
    rows = dict(zip(drawn.layout.yaxis.tickvals, names, strict=True))
    (evaluate,) = (y for y, text in rows.items() if "evaluate" in text)
    assert lengths[evaluate] == 0
    assert lengths[evaluate + 0.4] == pytest.approx(4.0, rel=0.05)


def test_bars_of_one_side_have_one_bar_a_stage() -> None:
    """Without a second side nothing is called before or after."""
    drawn = change.bars(pair()[:1])
    assert not any("before" in text for text in drawn.layout.yaxis.ticktext)


def test_nothing_to_compare_gives_no_figure() -> None:
    """One side, no sides or lost causes: None, not an empty picture."""
    found = pair()
    bare = [without_causes(side) for side in found]
    assert change.bars([]) is None
    assert change.bars(bare) is None


def test_names_of_sides_are_escaped() -> None:
    """What the user called a strategy is shown and not read by plotly."""
    evil = [replace(side, label=examples.EVIL) for side in pair()]
    drawn = change.bars(evil).to_json()
    assert "<script" not in drawn.replace("\\u003c", "<")


def test_both_timelines_have_one_axis() -> None:
    """The shorter step is drawn on the longer one's axis; loaders have stages."""
    before, after = (timeline.of_side(pair(), id) for id in ("before", "after"))
    assert before.layout.xaxis.range == after.layout.xaxis.range
    loads = [t for t in after.data if t.name == "load"]
    assert len(set(loads[0].y)) == 3


@pytest.mark.parametrize("threads", [0, 8, 18, 60])
def test_no_timeline_is_taller_than_a_screen(threads: int) -> None:
    """Rows shrink, and those that find no room are counted."""
    plan = examples.Plan(
        stages={"load": {"lock": 3.0}, "other": {"python": 1.0}},
        threads=tuple(
            examples.Thread(
                5000 + i, f"t{i}", "loader", {"python": 1.0}, "load" * (i % 2)
            )
            for i in range(threads)
        ),
    )
    built = examples.build(plan)
    drawn = timeline.draw(built, timeline.windows(built)["typical"])
    assert drawn.layout.height <= base.TALLEST
    rows, left_out = len(drawn.layout.annotations), drawn.layout.meta["left_out"]
    assert rows + left_out == threads + 1
    assert (left_out > 0) == (threads > 18)
    bottom = drawn.layout.yaxis.range[0]
    ends = [y + t.width for t in drawn.data for y in t.y]
    assert max(ends) <= bottom
