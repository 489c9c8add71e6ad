"""Figures of trials and losses show what was measured, and stay small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import comparisons
import examples
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from debottleneck.report.figures import base, losses, trials
from debottleneck.trials import result
from debottleneck.trials.result import Comparison
from debottleneck.trials.save import GATE_ROUND, Measurements, counted_steps

Run = tuple[str, int, Sequence[float]]
"""A trial: its spec, its round, and its steps in milliseconds."""


def measured(runs: Sequence[Run], engaged: int = 0, failure: str = "") -> Measurements:
    """Tables of trials, as a comparison saves them."""
    rows = [
        {
            "trial": number,
            "spec": spec,
            "round": turn,
            "steps": len(ms),
            "engaged": engaged if spec else 0,
            "failure": failure if spec else "",
        }
        for number, (spec, turn, ms) in enumerate(runs)
    ]
    steps = [
        pd.DataFrame(
            {
                "trial": number,
                "step": range(len(ms)),
                "wall_ns": (np.asarray(ms) * 1e6).astype("int64"),
            }
        )
        for number, (_, _, ms) in enumerate(runs)
    ]
    return Measurements(pd.DataFrame(rows), pd.concat(steps))


def rounds(comparison: Comparison, steps: int = 30, count: int = 5) -> Measurements:
    """Rounds of the plain script and each strategy that ran, a little apart."""
    means = {"": 185.5, **{t.spec: t.step_ms for t in comparison.trials if t.step_ms}}
    wave = np.sin(np.arange(steps))
    return measured(
        [
            (spec, turn, ms * (1 + 0.05 * wave + 0.01 * turn))
            for turn in range(count)
            for spec, ms in means.items()
        ]
    )


def points(figure: go.Figure) -> int:
    """How many marks a figure draws."""
    return sum(len(trace.x) for trace in figure.data)


def test_steps_that_count_are_those_of_the_verdict() -> None:
    """Left out: the gate, failures, the warm-up, and steps before it acted."""
    slow_start = [90.0, 50.0, *[10.0] * 18]
    table = counted_steps(
        measured(
            [
                ("", GATE_ROUND, slow_start),
                ("", 0, slow_start),
                ("parallel-update", 0, [*[10.0] * 5, *[4.0] * 15]),
            ],
            engaged=5,
        )
    )
    assert set(table.ms[table.spec == ""]) == {10.0}
    assert set(table.ms[table.spec == "parallel-update"]) == {4.0}
    assert set(table["round"]) == {0}


def test_failed_trials_and_strangers_do_not_count() -> None:
    """A failed run is left out; a name that is no strategy is read as it is."""
    failed = measured([("", 0, [9.0] * 9), ("x", 0, [5.0] * 9)], failure="exit code 1")
    assert set(counted_steps(failed).spec) == {""}
    assert list(counted_steps(Measurements()).columns) == ["spec", "round", "ms"]
    odd = counted_steps(measured([("", 0, [9.0] * 9), ("<no> spec", 0, [5.0] * 9)]))
    assert set(odd.ms[odd.spec == "<no> spec"]) == {5.0}


def test_every_round_is_a_dot() -> None:
    """Rows of the plain script, whose mean has arms, and of strategies that ran."""
    comparison = comparisons.faster()
    tables = rounds(comparison)
    drawn = trials.distribution(comparison, tables)
    ran = [t for t in comparison.trials if t.step_ms is not None]
    names = [note.text for note in drawn.layout.annotations]
    assert len(names) == 1 + len(ran)
    assert "plain script" in names[0]
    assert "181.9 to 189.1" in names[0]
    (mean,) = (t for t in drawn.data if t["type"] == "scatter" and t.error_x.array)
    assert mean.x[0] + mean.error_x.array[0] == pytest.approx(189.1)
    assert mean.x[0] - mean.error_x.arrayminus[0] == pytest.approx(181.9)
    dots = [t for t in drawn.select_traces({"mode": "markers"}) if len(t.x) == 5]
    assert len(dots) == len(names)
    means = counted_steps(tables).query("spec == ''").groupby("round").ms.mean()
    assert sorted(dots[0].x) == pytest.approx(sorted(means))


def test_a_hundred_thousand_steps_stay_few_points() -> None:
    """All steps are drawn as boxes, and of very many rounds some are dots."""
    comparison = comparisons.faster()
    drawn = trials.distribution(comparison, rounds(comparison, steps=5_000))
    assert points(drawn) <= 10 * len(drawn.layout.annotations)
    many = trials.distribution(comparison, rounds(comparison, steps=8, count=900))
    assert points(many) <= 400 * len(many.layout.annotations)


def test_recordings_have_their_own_names_and_all_their_steps() -> None:
    """Made of recordings, nothing is called the plain script and no step is cut."""
    one = comparisons.trial("prefetch", result.FASTER, (2.0, 1.9, 2.1))
    one = replace(one, spec="runs/new")
    comparison = replace(
        comparisons.faster(), trials=(one,), recorded=True, baseline="runs/<old>"
    )
    tables = measured([("", 0, [9.0] * 9), ("runs/new", 0, [50.0, *[4.0] * 8])])
    drawn = trials.distribution(comparison, tables)
    first, second = (note.text for note in drawn.layout.annotations)
    assert "runs/&lt;old&gt;" in first
    assert "runs/new" in second
    assert any("all 9 steps" in str(t.hovertemplate) for t in drawn.data)


def test_very_many_strategies_fit_on_a_screen() -> None:
    """Rows that find no room are counted in the figure."""
    one = comparisons.trial("prefetch:workers=2", result.SAME_SPEED, (1.0, 0.9, 1.1))
    several = tuple(replace(one, spec=f"prefetch:workers={n}") for n in range(2, 60))
    comparison = replace(comparisons.faster(), trials=several)
    drawn = trials.distribution(comparison, rounds(comparison, 8, 2))
    assert drawn.layout.height <= base.TALLEST
    last = drawn.layout.annotations[-1].text
    assert last.startswith("and ")
    assert "more" in last


def test_names_of_strategies_are_escaped() -> None:
    """Hostile specs are text in every figure."""
    comparison = comparisons.hostile()
    (spec,) = (t.spec for t in comparison.trials)
    tables = replace(rounds(comparison), losses=loss_table({"": [1.0], spec: [1.0]}))
    for drawn in (
        trials.distribution(comparison, tables),
        losses.curves(tables.losses, spec),
    ):
        assert "script&gt;" in drawn.to_json()
        assert "<script" not in drawn.to_json().replace("\\u003c", "<")


def test_long_names_are_broken_where_they_may() -> None:
    """Strategies have people's names, and no line is wider than asked."""
    lines = base.wrapped("prefetch:workers=4,where=process+parallel-update:workers=2")
    assert lines == ["prefetch in 4 processes and parallel update", "with 2 threads"]
    assert max(map(len, base.wrapped("x" * 300, width=40))) == 40
    assert base.wrapped("") == [""]


def loss_table(values: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """Losses by spec, steps from 1."""
    rows = [
        (spec, step, value)
        for spec, each in values.items()
        for step, value in enumerate(each, 1)
    ]
    return pd.DataFrame(rows, columns=["spec", "step", "value"])


def said(values: Mapping[str, Sequence[float]], best: str = "prefetch") -> str:
    """The sentence on these losses."""
    return losses.largest(loss_table(values), best)


CURVE = [2.0, 1.5, float("nan"), float("inf")]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"": CURVE, "prefetch": CURVE}, "prefetch are the same to the last bit in"),
        (
            {"": [2.0, 4.0, 1.0], "prefetch": [2.0, 4.0 + 1.2e-7, 1.0]},
            "differ by at most 1.2e-07 (3e-08 of the loss) at step 2 of 3",
        ),
        ({"": [2.0, 1.0], "prefetch": [2.0, float("nan")]}, "at step 2: 1 and nan"),
        (
            {"": [1.0], "parallel-forward": [1.0], "parallel-update": [1.5]},
            "parallel update differ by at most 0.5",
        ),
        ({"": [1.0, 2.0, 3.0], "prefetch": [1.0, 2.0]}, "all 2 steps"),
        ({"": [1.0]}, "nothing to compare"),
    ],
    ids=["equal", "apart", "no number", "no winner", "lengths", "alone"],
)
def test_the_largest_difference_is_said(
    values: Mapping[str, Sequence[float]], sentence: str
) -> None:
    """How large, how large beside the loss, and at which of the steps of both."""
    assert sentence in said(values)


def test_both_of_two_equal_curves_are_seen() -> None:
    """The plain one is wide and pale beneath, the best thin and with markers."""
    curve = {"": [2.0, 1.0], "prefetch": [2.0, 1.0], "parallel-update": [2.0, 1.0]}
    found = losses.curves(loss_table(curve), "prefetch")
    first, _, last = found.data
    assert first.line.width > 2 * last.line.width
    assert first.opacity < last.opacity
    assert "markers" in last.mode
    assert last.name == "prefetch"


def test_losses_that_are_no_numbers_leave_gaps() -> None:
    """The curve is broken there, the rest is drawn; nothing but such is no curve."""
    odd = {"": [1.0, float("nan"), float("-inf"), 2.0]}
    found = losses.curves(loss_table(odd), "")
    assert found.data[0].y == (1.0, None, None, 2.0)
    assert losses.curves(loss_table({"": [float("nan")]}), "") is None


def test_long_curves_are_thinned() -> None:
    """A curve of very many steps is drawn with few points."""
    steps = np.arange(1, 100_001)
    table = pd.DataFrame({"spec": "", "step": steps, "value": 1.0 / steps})
    found = losses.curves(table, "")
    assert points(found) <= losses.MOST_POINTS


def test_hostile_words_reach_the_sentence_clean() -> None:
    """Control characters are gone; the page escapes the rest."""
    spec = f"{examples.EVIL}\x1b[31m"
    assert "\x1b" not in said({"": [1.0], spec: [1.0]}, spec)
