"""Figures show the tables' numbers: no time is lost on the way."""

from __future__ import annotations

import examples
import numpy as np
import pandas as pd
import pytest
from depth import cases
from hypothesis import given, settings
from hypothesis import strategies as st

from debottleneck.analysis import frames
from debottleneck.report.figures import flame, timeline
from debottleneck.report.figures import steps as figures
from debottleneck.report.figures.base import plain


@pytest.mark.parametrize("steps", [1, 5, 399, 401, 1_003])
def test_step_bars_keep_the_time(steps: int) -> None:
    """Averaged bars times their width are the run's time, whatever the number."""
    plan = examples.Plan(
        stages={"load": {"sleep": 3.0}, "other": {"python": 1.0}}, steps=steps, warmup=0
    )
    built = examples.build(plan, with_waits=False)
    drawn = figures.step_bars(built)
    assert [bar.name for bar in drawn.data] == ["load", "other"]
    assert len(drawn.data[0].x) <= figures.MOST_BARS
    shown = sum(float(np.sum(bar.y * bar.width)) for bar in drawn.data)
    assert shown == pytest.approx(built.steps.wall_ns.sum() / 1e6, rel=1e-6)


def test_blocks_of_instruments_are_shaded() -> None:
    """Runs of steps that are not quiet become spans, of very many the longest."""
    blocks = ["warmup"] * 2 + ["quiet"] * 3 + ["stacks"] * 2 + ["functions"] + ["quiet"]
    steps = pd.DataFrame({"step": range(len(blocks)), "block": blocks})
    assert figures.block_spans(steps) == [
        ("warmup", 0, 1),
        ("stacks", 5, 6),
        ("functions", 7, 7),
    ]
    many = pd.DataFrame({"step": range(10_000), "block": ["quiet", "stacks"] * 5_000})
    spans = figures.block_spans(many)
    assert len(spans) == figures.MOST_SHADES


def test_plotly_texts_are_escaped() -> None:
    """A name with markup is shown, not read."""
    assert plain("<b>&\x1b") == "&lt;b&gt;&amp;\N{REPLACEMENT CHARACTER}"
    assert plain("$a$") == "&#36;a&#36;"


def test_windows_are_the_typical_and_the_slowest_step() -> None:
    """The typical one is quiet and nearest the median, the slowest is the longest."""
    built = examples.input_bound()
    found = timeline.windows(built)
    assert found["slowest"].step == 150
    typical = found["typical"].milliseconds
    assert typical == pytest.approx(built.loop.step_median_ms, rel=0.01)


def test_segments_fill_the_trainers_window() -> None:
    """Within a step the trainer's stages leave no gap; all bars are inside it."""
    built = examples.gil_bound()
    window = timeline.windows(built)["typical"]
    bars = timeline.segments_in(built, window)
    mine = bars[bars.tid == examples.MAIN]
    assert mine.ms.sum() == pytest.approx(window.milliseconds)
    waits = timeline.waits_in(built, window)
    for table in (bars, waits):
        assert (table.start_ms >= 0).all()
        assert (table.start_ms + table.ms <= window.milliseconds + 1e-6).all()


def test_waits_for_the_gil_name_the_holder() -> None:
    """A sample that waits for the GIL says in its note who held it."""
    built = examples.gil_bound()
    waits = timeline.waits_in(built, timeline.windows(built)["typical"])
    assert set(waits.note[waits["name"] == "gil"]) == {"held by augment-0"}


def test_joined_samples_keep_their_time() -> None:
    """Joining like neighbours changes the number of bars, not their sum."""
    built = examples.input_bound()
    window = timeline.windows(built)["slowest"]
    waits = timeline.waits_in(built, window)
    threads = waits[["pid", "tid"]].drop_duplicates()
    assert waits.ms.sum() == pytest.approx(window.milliseconds * len(threads), rel=0.02)


def test_a_crowded_timeline_is_thinned() -> None:
    """However many samples a step has, the number of bars stays drawable."""
    built = examples.long_run(steps=200, threads=4, waits=400_000)
    window = timeline.StepWindow(0, int(1e9), int(built.steps.end_ns.max()))
    assert len(timeline.waits_in(built, window)) <= 1.1 * timeline.MOST_BARS


@st.composite
def trees(draw: st.DrawFn) -> pd.DataFrame:
    """Flame graph nodes: any tree, each parent as heavy as its children or more."""
    size = draw(st.integers(1, 60))
    parents = [-1] + [draw(st.integers(0, i - 1)) for i in range(1, size)]
    own = [draw(st.integers(0, 9)) for _ in range(size)]
    weight = [float(w) for w in own]
    for index in range(size - 1, 0, -1):
        weight[parents[index]] += weight[index]
    nodes = {"id": range(size), "parent": parents, "weight_ms": weight, "line": 1}
    table = pd.DataFrame({**nodes, "gil_ms": 0.0, "function": "f", "file": "f.py"})
    return table.assign(stage="load", role="trainer")


@settings(max_examples=cases(60))
@given(nodes=trees(), most=st.integers(3, 40))
def test_cutting_a_flame_graph_keeps_its_weight(nodes: pd.DataFrame, most: int) -> None:
    """Self times of the kept and folded nodes sum to the root; parents exist."""
    cut = flame.cut(frames.typed("flame", nodes), most)
    assert len(cut) <= most
    assert cut.self_ms.sum() == pytest.approx(nodes.weight_ms[0])
    assert set(cut.parent) - {-1} <= set(cut.id)


def test_flame_nodes_know_whose_code_they_are() -> None:
    """User code, libraries and roots are told apart; a GIL holder has a mark."""
    drawn = flame.figure(examples.gil_bound(), "update")
    kinds = dict(zip(drawn.data[0].labels, drawn.layout.meta["kind"], strict=True))
    assert kinds["trainer"] == 2
    assert kinds["update"] == 1
    assert kinds["dot"] == 0
    assert any(label.startswith("\N{BLACK CIRCLE}") for label in kinds)
