"""What two runs' variables held: which differences count, and how they read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from debottleneck.agent.state import Extent, LiveSteps, StateLog
from debottleneck.recording import spool
from debottleneck.strategies.spec import parse
from debottleneck.trials.state import States, compare, read, readable, unlike

MODULE = "users_own"
PID = 7
Change = Callable[[Any, int], None]


def nothing(names: Any, step: int) -> None:
    """A step that changes nothing."""


def train(names: Any, step: int) -> None:
    """What a plain step computes."""
    names.w = names.w + 0.1 * names.x
    names.losses.append(step / 7)


def load(names: Any, step: int) -> None:
    """What a plain load does."""
    names.x = np.full(3, float(step))
    names.seen = 32 * step


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., States]:
    """A made script's run: loads and trains, and is written down as in the gate."""
    count = iter(range(99))

    def running(
        train: Change = train,
        load: Change = load,
        *,
        steps: int = 12,
        limit: int = 0,
        after: Change = nothing,
        **names: object,
    ) -> States:
        module = ModuleType(MODULE)
        module.__file__ = "users.py"
        vars(module).update({"w": np.zeros(3), "losses": [], "seen": 0, **names})
        folder = tmp_path / str(next(count))
        folder.mkdir()
        log = StateLog(
            spool.state_file(folder, PID),
            lambda path, name: name == MODULE,
            Extent(by_load=True, limit=limit, most=limit, loads=True),
        )
        frame = sys._getframe()
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, MODULE, module)
            try:
                for step in range(1, steps + 1):
                    log.enters("load", "load", (), frame)
                    load(module, step)
                    log.leaves("load", "load", frame)
                    log.enters("forward", "forward", (), frame)
                    train(module, step)
                after(module, steps)
                log.close()
            except SystemExit:
                pass
        states = read(folder, PID)
        assert states is not None
        return states

    return running


Run = Callable[..., States]


def judged(run: Run, *candidate: Any, **how: Any) -> str:
    """What is said of a run beside two plain ones; "same" or "equal" without."""
    found, same = compare(run(), run(), run(*candidate, **how), 1e-6)
    return (
        found.what.removeprefix(f"{MODULE}.")
        if found
        else ("same" if same else "equal")
    )


def test_the_same_script_is_the_same(run: Run) -> None:
    """Nothing differs from itself."""
    assert judged(run) == "same"


def test_a_difference_is_named_with_its_step(run: Run) -> None:
    """Weights that read an old value from the fourth step on, as a loop would not."""

    def stale(names: Any, step: int) -> None:
        train(names, step if step < 4 else 0)

    found = judged(run, stale)
    assert found.startswith("losses[3] differs from step 4 on: 0.571429 against 0")


def test_rounding_is_equal(run: Run) -> None:
    """Another order of summation is no other result."""

    def reordered(names: Any, step: int) -> None:
        train(names, step)
        names.w = names.w * (1 + 1e-12)

    assert judged(run, reordered) == "equal"


def test_what_also_differs_between_plain_runs(run: Run) -> None:
    """A time stamp is no result."""
    times = iter(range(1000))

    def stamped(names: Any, step: int) -> None:
        train(names, step)
        names.at = next(times)

    found, same = compare(run(stamped), run(stamped), run(stamped), 1e-6)
    assert found is None
    assert same


def test_loads_may_be_ahead(run: Run) -> None:
    """What only loads change moves sooner when batches are fetched ahead."""

    def ahead(names: Any, step: int) -> None:
        load(names, step)
        names.seen = 32 * (min(step + 4, 12) if step > 2 else step)

    assert judged(run, train, ahead) == "same"


def test_loads_of_another_process_leave_their_state_there(run: Run) -> None:
    """A counter that a child counts stays as it was in the script."""

    def elsewhere(names: Any, step: int) -> None:
        load(names, step)
        names.seen = min(names.seen, 64)

    assert judged(run, train, elsewhere) == "seen stays as it was after step 2"


def test_the_end_must_be_the_plain_end(run: Run) -> None:
    """When the script is over, what ran ahead must have come to the same place."""

    def drained(names: Any, steps: int) -> None:
        names.seen += 1

    found = judged(run, after=drained)
    assert found == "seen differs at the script's end: 384 against 385"


def test_what_stands_in_for_the_users_own(run: Run) -> None:
    """An object of this package in place of a generator tells nothing."""
    plain = {"it": [1, 2]}
    found, _ = compare(run(**plain), run(**plain), run(it=parse("prefetch")[0]), 1e-6)
    assert found is None


def test_a_run_is_ended_after_its_steps(run: Run) -> None:
    """At a step's boundary, the same in every run."""
    stopped = run(steps=100, limit=5)
    assert (stopped.steps, stopped.ended) == (6, False)
    assert stopped.looked == (0, 1, 2, 3, 4)
    assert stopped.end


def test_later_steps_are_looked_at_rarely(run: Run) -> None:
    """Two thousand steps take some hundred looks, the large values some twenty."""
    states = run(steps=2000)
    assert len(states.looked) < 300
    assert len(states.looked_large) < 30
    assert states.looked[:65] == tuple(range(65))


@pytest.mark.parametrize(
    ("how", "stages", "begins"),
    [
        ((True,), "load augment load forward load", [1, 0, 0, 0, 1]),
        ((True,), "forward load load update log load", [0, 1, 0, 0, 0, 1]),
        ((False,), "load forward update forward forward", [0, 1, 0, 1, 0]),
        ((True, False), "load load log load", [1, 1, 0, 1]),
        ((False, False), "step log step load", [1, 0, 1, 0]),
    ],
)
def test_where_steps_begin(
    how: tuple[bool, ...], stages: str, begins: list[int]
) -> None:
    """At the first load after a computation, or at what is marked instead."""
    steps = LiveSteps(*how)
    assert [steps.begins(stage) for stage in stages.split()] == list(map(bool, begins))


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (["1"], ["2"], "1 against 2"),
        (["0.5"], ["0.5000000001"], ""),
        (["0.5"], ["nan"], "0.5 against nan"),
        (["'a'"], ["'b'"], "'a' against 'b'"),
        (["1"], None, "it is missing"),
        (["1"], ["k", "", [], [], ""], "it is of another kind"),
    ],
)
def test_how_values_differ(one: Any, other: Any, said: str) -> None:
    """Numbers side by side, the rest in words."""
    assert unlike(one, other, 1e-6) == said


def test_modules_read_as_their_parameters_are_named() -> None:
    """Torch keeps them in dictionaries that nobody writes."""
    path = "model._modules['0']._parameters['weight']"
    assert readable(path) == "model.0.weight"


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    """What was written before counts; nothing at all is None."""
    assert read(tmp_path, PID) is None
    spool.state_file(tmp_path, PID).write_text('{"step": 1, "set": {"a": ["1"]}, "g')
    assert read(tmp_path, PID) is None
