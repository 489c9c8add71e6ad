"""Figures by name: each stands alone, and what is missing is said."""

from __future__ import annotations

from dataclasses import replace

import examples
import pytest
from made_predictions import FASTER

from debottleneck.analysis import frames
from debottleneck.errors import UsageError
from debottleneck.report.figures import catalogue


@pytest.mark.parametrize("name", [*catalogue.RUN, "flame:forward"])
def test_a_figure_stands_alone(name: str) -> None:
    """It has a title, white paper, something to see, and names for its colours."""
    figure = catalogue.of_run(replace(examples.predicted(), faster=FASTER), name)
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
    figure = catalogue.of_run(examples.gil_bound(), "steps")
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


@pytest.mark.parametrize(
    ("example", "name", "others"),
    [
        ("healthy", "flame:cook", "steps.*flame:forward"),
        ("no_steps", "steps", "choose one of: flame"),
    ],
)
def test_what_was_not_measured_is_said(example: str, name: str, others: str) -> None:
    """The message names the figures that there are instead."""
    with pytest.raises(UsageError, match=f"'{name}' here.*{others}"):
        catalogue.of_run(examples.EXAMPLES[example](), name)


def test_a_recording_without_anything_has_no_figures() -> None:
    """Then the remedy is to measure more."""
    names = ("steps", "step_stages", "causes", "flame", "stages")
    tables = {name: frames.empty(name) for name in names}
    bare = replace(examples.healthy(), **tables)
    with pytest.raises(UsageError, match="profile the script for longer"):
        catalogue.of_run(bare, "timeline")
