"""Loss curves: which stage gives the number, and which step it belongs to."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import comparisons
import pandas as pd
import pytest
from made_trials import output

from debottleneck.trials import save
from debottleneck.trials.gate_outputs import STAND_INS, Outputs, loss_curves, loss_rows

VECTOR = (0.5, 0.25, 0.125)
LOAD = ("load", VECTOR)


def loop(steps: int, *stages: tuple[Any, ...], thread: int = 0) -> Outputs:
    """Each step calls these stages; a function gives the value of a step from 0."""
    return Outputs(
        tuple(
            output(stage, *(v(i) if callable(v) else v for v in values), thread=thread)
            for i in range(steps)
            for stage, *values in stages
        )
    )


def falling(step: int) -> float:
    """The loss of a step from 0."""
    return 1 / (step + 1)


FALLING = {1: 1.0, 2: 0.5, 3: 1 / 3}
QUIET = loop(1, LOAD, ("forward", VECTOR), ("update", VECTOR)).events
SPEAKING = loop(1, LOAD, ("forward", VECTOR), ("update", 3.0)).events


@pytest.mark.parametrize(
    ("run", "curves"),
    [
        # One number a step, whatever else the stages return.
        (
            loop(3, LOAD, ("forward", VECTOR), ("loss", falling)),
            {"loss": FALLING},
        ),
        # A step of two micro-batches has one loss: their mean.
        (
            loop(2, LOAD, ("loss", 1.0), ("loss", 2.0), ("update", VECTOR)),
            {"loss": {1: 1.5, 2: 1.5}},
        ),
        # It may come with its gradient; of two numbers it is not known which.
        (loop(3, LOAD, ("loss", VECTOR, falling)), {"loss": FALLING}),
        (loop(3, LOAD, ("loss", 1.0, 2.0)), {}),
        # Where nothing is called loss another stage may return it.
        *(
            (loop(3, LOAD, ("update", VECTOR), (stage, falling)), {stage: FALLING})
            for stage in STAND_INS
            if stage != "update"
        ),
        # Only `train_step` is marked: its calls are the steps.
        (loop(3, ("step", falling)), {"step": FALLING}),
        # A number in half of the steps is no loss.
        (Outputs((*QUIET, *SPEAKING) * 5), {}),
        (Outputs(SPEAKING * 3), {"update": dict.fromkeys((1, 2, 3), 3.0)}),
        # An evaluation on another thread has losses of its own.
        (
            Outputs(
                loop(3, LOAD, ("forward", VECTOR), ("loss", falling)).events
                + loop(3, ("loss", 9.0), thread=2).events
            ),
            {"loss": FALLING},
        ),
        # No outputs, or one step only.
        (Outputs(), {}),
        (loop(1, LOAD, ("loss", 1.0)), {}),
    ],
)
def test_the_loss_of_each_step(run: Outputs, curves: dict[str, Any]) -> None:
    """Steps count from 1; a curve is of a stage that returns one number a step."""
    assert loss_curves(run) == curves


def test_the_order_of_stand_ins() -> None:
    """The loss itself first, then forward, backward, step, update."""
    order = ("update", "backward", "forward", "loss", "step")
    run = loop(5, LOAD, *((stage, falling) for stage in order))
    assert list(loss_curves(run)) == ["loss", *STAND_INS]


def test_the_plain_script_decides_the_stage() -> None:
    """A curve of another stage is not laid on top of it."""
    plain = {"backward": {1: 0.5, 2: 0.4}, "step": {1: 8.0, 2: 9.0}}
    own = {"loss": {1: 7.0, 2: 7.0}, "backward": {2: 0.4, 1: 0.5}}
    runs = {"": plain, "prefetch": own, "failed": {}}
    both = [
        (spec, *point) for spec in ("", "prefetch") for point in ((1, 0.5), (2, 0.4))
    ]
    assert loss_rows(runs) == both
    assert loss_rows({"prefetch": own}) == loss_rows({"": {}, "prefetch": own}) == []


def test_losses_are_saved_and_read(tmp_path: Path) -> None:
    """Also those that are no number any more; without any the table is empty."""
    rows = [("", 1, 0.5), ("", 2, math.nan), ("prefetch", 1, math.inf)]
    save.save(comparisons.faster(), [], tmp_path, rows)
    table = save.measurements(tmp_path).losses
    expected = pd.DataFrame(rows, columns=["spec", "step", "value"])
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)
    save.save(comparisons.faster(), [], tmp_path)
    again = save.measurements(tmp_path).losses
    pd.testing.assert_frame_equal(again, table.iloc[:0])
