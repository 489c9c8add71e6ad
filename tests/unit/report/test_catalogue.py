"""Figures by name: each stands alone, and what is missing is said."""

from __future__ import annotations

from dataclasses import replace

import comparisons
import examples
import pandas as pd
import plotly.graph_objects as go
import pytest
from made_predictions import FASTER

from debottleneck.analysis import frames
from debottleneck.errors import UsageError
from debottleneck.report.figures import catalogue
from debottleneck.trials import save
from debottleneck.trials.sides import Side, Sides


def shown() -> Sides:
    """Both recordings of a comparison, and a few timed steps."""
    sides = (
        Side("before", "The plain script", examples.input_bound()),
        Side("after", "With prefetch", comparisons.after()),
    )
    losses = pd.DataFrame(
        {"spec": ["", "", "x", "x"], "step": [1, 2, 1, 2], "value": [2.0, 1.0] * 2}
    )
    return Sides(sides, (), save.Measurements(losses=losses))


def of_comparison(name: str) -> go.Figure:
    """That figure of a comparison with all there can be, but for trials."""
    return catalogue.of_comparison(comparisons.faster(), shown(), name)


RUNS = [*catalogue.RUN, "flame:forward"]
PAIRS = [name for name in catalogue.COMPARISON if name != "trials"]


@pytest.mark.parametrize("name", [*RUNS, *PAIRS])
def test_a_figure_stands_alone(name: str) -> None:
    """It has a title, white paper, something to see, and names for its colours."""
    is_of_run = name in RUNS
    figure = (
        catalogue.of_run(replace(examples.predicted(), faster=FASTER), name)
        if is_of_run
        else of_comparison(name)
    )
    layout = figure.layout
    assert layout.title.text
    assert layout.paper_bgcolor == "#ffffff"
    assert layout.template.layout.font.color == "#1b1f24"
    assert figure.data
    names = {trace.name for trace in figure.data if trace.name}
    listed = [t.name for t in figure.data if t.name and t.showlegend is not False]
    assert len(listed) == len(set(listed))
    if len(names) > 1 and any("showlegend" in trace for trace in figure.data):
        assert layout.showlegend


def test_the_legend_names_each_colour_once() -> None:
    """Stages and causes of the timeline, in rows below it that have room."""
    figure = catalogue.of_run(examples.gil_bound(), "timeline")
    plain = figure.layout.margin.b
    named = {trace.name for trace in figure.data if trace.showlegend}
    assert {"forward", "update", "gil", "native"} <= named
    assert figure.layout.showlegend
    assert plain > 44


def test_traces_without_a_name_are_not_in_the_legend() -> None:
    """Plotly would call them "trace 0"."""
    figure = of_comparison("waterfall")
    assert all(trace.name for trace in figure.data if trace.showlegend)


def test_the_heaviest_stage_is_the_flame_graph() -> None:
    """`flame` is the first of the stages, coloured by whose code it is."""
    analysis = examples.input_bound()
    figure = catalogue.of_run(analysis, "flame")
    assert figure.data[0].marker.colors
    assert set(figure.data[0].marker.colors) <= set(catalogue.FLAME_COLOURS)
    other = catalogue.of_run(analysis, "flame:forward")
    assert "forward" in other.layout.title.text
    assert list(other.data[0].labels)


@pytest.mark.parametrize("name", ["pie", "", "change"])
def test_a_name_of_no_recording_lists_those_there_are(name: str) -> None:
    """A comparison's figures are none of a recording, nor the other way round."""
    with pytest.raises(UsageError, match=r"choose one of: steps.*flame:ROW"):
        catalogue.of_run(examples.healthy(), name)
    with pytest.raises(UsageError, match=r"no figure called 'steps'.*waterfall"):
        of_comparison("steps")


@pytest.mark.parametrize(
    ("example", "name", "others"),
    [
        ("healthy", "flame:cook", "steps.*flame:forward"),
        ("healthy", "predictions", "flame:forward"),
        ("no_steps", "steps", "choose one of: flame"),
    ],
)
def test_what_was_not_measured_is_said(example: str, name: str, others: str) -> None:
    """The message names the figures that there are instead."""
    with pytest.raises(UsageError, match=f"'{name}' here.*{others}"):
        catalogue.of_run(examples.EXAMPLES[example](), name)
    with pytest.raises(UsageError, match=r"'waterfall' here"):
        catalogue.of_comparison(comparisons.faster(), Sides(), "waterfall")


def test_a_recording_without_anything_has_no_figures() -> None:
    """Then the remedy is to measure more."""
    names = ("steps", "step_stages", "causes", "flame", "stages")
    tables = {name: frames.empty(name) for name in names}
    bare = replace(examples.healthy(), **tables)
    with pytest.raises(UsageError, match="profile the script for longer"):
        catalogue.of_run(bare, "timeline")
