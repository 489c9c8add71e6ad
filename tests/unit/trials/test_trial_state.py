"""What is read of a run's variables, how values differ, and which of them is a loss."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import comparisons
import numpy as np
import pandas as pd
import pytest

from debottleneck.agent.digests import Content
from debottleneck.agent.state import Extent, StateLog
from debottleneck.recording import spool
from debottleneck.trials import save
from debottleneck.trials.state import (
    States,
    loss_curves,
    loss_rows,
    read,
    readable,
    unlike,
)

MODULE = "users_own"
PID = 7


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A made script's run, whose steps set names of its module."""

    def running(steps: int, limit: int = 0, **names: Any) -> States:
        module = ModuleType(MODULE)
        module.__file__ = "users.py"
        monkeypatch.setitem(sys.modules, MODULE, module)
        monkeypatch.setattr("debottleneck.agent.ending._ending", [])
        path = spool.state_file(tmp_path, PID)
        path.unlink(missing_ok=True)
        log = StateLog(path, lambda file, name: name == MODULE, Extent(limit, limit))
        log.entered()
        try:
            for step in range(1, steps + 1):
                log.turned(1, sys._getframe())
                for name, value in names.items():
                    setattr(module, name, value(step))
            log.turned(1, sys._getframe())
            log.turned(-1, sys._getframe())
        except SystemExit:
            pass
        log.close()
        return read(tmp_path, PID)

    return running


def test_a_run_is_ended_after_its_steps(run: Any) -> None:
    """At a step's boundary, the same in every run."""
    stopped = run(100, limit=5, x=float)
    (thread,) = stopped.threads.values()
    assert (stopped.steps, stopped.ended) == (6, False)
    assert [*thread.looked] == [0, 1, 2, 3, 4, 5]
    whole = run(3, x=float)
    assert (whole.steps, whole.ended, whole.epochs) == (3, True, 0)
    assert whole.end[f"{MODULE}.x"] == ["3.0"]


def test_later_steps_are_looked_at_rarely(run: Any) -> None:
    """Two thousand steps take some hundred looks, the large values some twenty."""
    (thread,) = run(2000, x=float, large=lambda _: np.zeros(10_000)).threads.values()
    assert len(thread.looked) < 300
    assert len(thread.looked_large) < 30
    assert [*thread.looked][:65] == [*range(65)]
    assert thread.large == {f"{MODULE}.large"}


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    """What was written before counts; nothing at all is no run."""
    assert read(tmp_path, PID) == States()
    spool.state_file(tmp_path, PID).write_text('{"step": 1, "set": {"a": ["1"]}, "g')
    assert read(tmp_path, PID) == States()


def leaf(*values: float) -> list[Any]:
    """An array as it is written down."""
    fields = Content(16).add(np.array(values)).fields()
    return ["ndarray x", *(fields[n] for n in ("bits", "norms", "lengths", "values"))]


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (["1"], ["2"], "1 against 2"),
        (["0.5"], ["0.5000000001"], ""),
        (["0.5"], ["nan"], "0.5 against nan"),
        (["'a'"], ["'b'"], "'a' against 'b'"),
        (["1"], None, "it is missing"),
        (["1"], ["k", "", [], [], ""], "it is of another kind"),
        (["ndarray a", "", [], [], ""], ["ndarray b", "", [], [], ""],
         "other integers, texts or shapes"),
        (leaf(1.0, 2.0), leaf(1.0, 2.0 + 1e-9), ""),
        (leaf(3.0, 4.0), leaf(3.0, 5.0), "its values differ by 17 %"),
        # A loss that has become NaN in the same step is the same loss.
        (leaf(NAN, INF, 1.0), leaf(NAN, INF, 1.0 + 1e-9), ""),
        (leaf(NAN, INF, 1.0), leaf(NAN, -INF, 1.0),
         "its values differ by more than can be said"),
        # A norm that underflows to zero neither divides nor hides a difference.
        (leaf(1e-200, 2e-200), leaf(1e-200, 3e-200), "its values differ by 33 %"),
    ],
)  # fmt: skip
def test_how_values_differ(one: Any, other: Any, said: str) -> None:
    """Numbers side by side, the rest in words."""
    assert unlike(one, other) == said


def test_modules_read_as_their_parameters_are_named() -> None:
    """Torch keeps them in dictionaries that nobody writes."""
    path = "model._modules['0']._parameters['weight']"
    assert readable(path) == "model.0.weight"


def falling(step: int) -> float:
    """The loss of a step."""
    return 1 / step


LOSSES: list[float] = []


def listed(step: int) -> list[float]:
    """The losses so far."""
    LOSSES[step - 1 :] = [falling(step)]
    return LOSSES


@pytest.mark.parametrize(
    ("names", "path"),
    [
        # A number in each step, in an array or the last of a list too.
        ({"train_loss": falling, "step": int}, "train_loss"),
        ({"loss": lambda step: np.array(falling(step))}, "loss"),
        ({"losses": listed}, "losses[-1]"),
        # What moves most is the loss; a weight of it is none.
        ({"loss_weight": lambda _: 0.5, "val_loss": falling}, "val_loss"),
        # Whole numbers, other names, and what is not there in most steps, are none.
        ({"loss": int, "lossless": falling, "rate": falling}, ""),
        ({"loss": lambda step: falling(step) if step % 2 else None}, ""),
    ],
)
def test_the_loss_of_each_step(run: Any, names: dict[str, Any], path: str) -> None:
    """Steps count from 1; a curve is of a variable that holds a number in each."""
    curves = loss_curves(run(20, **names))
    assert next(iter(curves), "") == (path and f"{MODULE}.{path}")
    for curve in [*curves.values()][:1]:
        assert curve == {step: falling(step) for step in range(1, 21)}


def test_the_plain_script_decides_the_variable() -> None:
    """A curve of another one is not laid on top of it."""
    plain = {"loss": {1: 0.5, 2: 0.4}, "cost": {1: 8.0, 2: 9.0}}
    own = {"cost": {1: 7.0, 2: 7.0}, "loss": {2: 0.4, 1: 0.5}}
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
