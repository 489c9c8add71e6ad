"""Loss curves: which stage gives the number, and which step it belongs to."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import comparisons
import numpy as np
import pandas as pd
import pytest

from debottleneck.trials import losses, save
from debottleneck.trials.outputs import Output, Outputs

VECTOR = (0.5, 0.25, 0.125)


def event(stage: str, *arrays: Any, thread: int = 0) -> Output:
    """A call of a stage that returned these arrays; a float is one of one value."""
    kept = tuple(np.atleast_1d(np.asarray(values, float)) for values in arrays)
    leaves = sum(map(len, kept))
    norms = tuple(float(np.linalg.norm(values)) for values in kept)
    return Output(0, thread, stage, stage, leaves, "", "", norms, kept)


def loop(steps: int, *stages: tuple[Any, ...]) -> Outputs:
    """Each step calls these stages, whose `i` stands for the step from 0."""
    return Outputs(
        tuple(
            event(stage, *(v(i) if callable(v) else v for v in values))
            for i in range(steps)
            for stage, *values in stages
        )
    )


def falling(step: int) -> float:
    """The loss of a step from 0."""
    return 1 / (step + 1)


def test_the_loss_of_each_step() -> None:
    """One number a step, counted from 1, whatever else the stages return."""
    run = loop(4, ("load", VECTOR), ("forward", VECTOR), ("loss", falling))
    assert losses.curves_of(run) == {"loss": {1: 1.0, 2: 0.5, 3: 1 / 3, 4: 0.25}}


def test_several_losses_a_step_are_averaged() -> None:
    """A step of two micro-batches has one loss: their mean."""
    run = loop(3, ("load", VECTOR), ("loss", 1.0), ("loss", 2.0), ("update", VECTOR))
    assert losses.curves_of(run)["loss"] == {1: 1.5, 2: 1.5, 3: 1.5}


def test_a_loss_may_come_with_its_gradient() -> None:
    """The single value is the loss; of two it is not known which."""
    both = loop(3, ("load", VECTOR), ("loss", VECTOR, falling))
    assert losses.curves_of(both)["loss"] == {1: 1.0, 2: 0.5, 3: 1 / 3}
    assert losses.curves_of(loop(3, ("load", VECTOR), ("loss", 1.0, 2.0))) == {}


@pytest.mark.parametrize("stage", losses.STAND_INS)
def test_another_stage_may_return_the_loss(stage: str) -> None:
    """`backward`, or `train_step` as a whole, where nothing is called loss."""
    run = loop(5, ("load", VECTOR), ("update", VECTOR), (stage, falling))
    assert losses.curves_of(run)[stage] == {n + 1: falling(n) for n in range(5)}


def test_the_order_of_stand_ins() -> None:
    """The loss itself first, then forward, backward, step, update."""
    order = ("update", "backward", "forward", "loss", "step")
    run = loop(5, ("load", VECTOR), *((stage, falling) for stage in order))
    assert list(losses.curves_of(run)) == ["loss", *losses.STAND_INS]


def test_a_function_that_is_the_whole_step() -> None:
    """Only `train_step` is marked: its calls are the steps."""
    run = loop(5, ("step", falling))
    assert losses.curves_of(run) == {"step": {n + 1: falling(n) for n in range(5)}}


def test_a_number_now_and_then_is_no_loss() -> None:
    """An update that returns a number in half of the steps does not stand in."""
    quiet = loop(1, ("load", VECTOR), ("forward", VECTOR), ("update", VECTOR)).events
    told = loop(1, ("load", VECTOR), ("forward", VECTOR), ("update", 3.0)).events
    assert losses.curves_of(Outputs((*quiet, *told) * 5)) == {}
    assert "update" in losses.curves_of(Outputs(told * 5))


@pytest.mark.parametrize("run", [Outputs(), loop(1, ("load", VECTOR), ("loss", 1.0))])
def test_no_curve(run: Outputs) -> None:
    """No outputs, or one step only."""
    assert losses.curves_of(run) == {}
    assert losses.rows({"": losses.curves_of(run), "prefetch": {}}) == []


def test_other_threads_do_not_train() -> None:
    """An evaluation beside the loop has losses of its own."""
    own = loop(3, ("load", VECTOR), ("forward", VECTOR), ("loss", 1.0)).events
    beside = tuple(event("loss", 9.0, thread=2) for _ in range(3))
    assert losses.curves_of(Outputs(own + beside))["loss"] == dict.fromkeys(
        (1, 2, 3), 1
    )


def test_the_plain_script_decides_the_stage() -> None:
    """A curve of another stage is not laid on top of it."""
    plain = {"backward": {1: 0.5, 2: 0.4}, "step": {1: 8.0, 2: 9.0}}
    own = {"loss": {1: 7.0, 2: 7.0}, "backward": {2: 0.4, 1: 0.5}}
    runs = {"": plain, "prefetch": own, "failed": {}}
    assert losses.rows(runs) == [
        ("", 1, 0.5),
        ("", 2, 0.4),
        ("prefetch", 1, 0.5),
        ("prefetch", 2, 0.4),
    ]
    assert losses.rows({"prefetch": own}) == []


def test_losses_are_saved_and_read(tmp_path: Path) -> None:
    """Also those that are no number any more; without any the table is empty."""
    rows = [("", 1, 0.5), ("", 2, math.nan), ("prefetch", 1, math.inf)]
    save.save(comparisons.faster(), [], tmp_path, rows)
    found = save.measurements(tmp_path).losses
    assert list(found["spec"]) == ["", "", "prefetch"]
    assert list(found["step"]) == [1, 2, 1]
    assert found["value"].to_list()[::2] == [0.5, math.inf]
    assert math.isnan(found["value"][1])
    save.save(comparisons.faster(), [], tmp_path)
    again = save.measurements(tmp_path).losses
    pd.testing.assert_frame_equal(again, found.iloc[:0])
