from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_acting import Acting

from debottleneck.agent.wrap import wrap
from debottleneck.strategies.automatic.updates import Updates

ENGAGED = "3 updates a step run side by side"


@pytest.fixture
def acting(tmp_path: Path) -> Iterator[Acting]:
    """`parallel-update:workers=3`, undone afterwards."""
    acting = Acting(Updates, "parallel-update:workers=3", tmp_path)
    yield acting
    acting.close()


Body = Callable[[Any, Any], Any]


def descend(parameter: Any, gradient: np.ndarray) -> None:
    """One step of gradient descent."""
    parameter.value -= gradient


def made(acting: Acting, count: int, body: Body = descend) -> list[Any]:
    """Parameters whose marked `update` is the body."""

    class Parameter:
        """One array."""

        def __init__(self, number: int) -> None:
            self.number = number
            self.value = np.full(3, 100.0 * number)

        @acting.mark("update")
        def update(self, gradient: np.ndarray) -> Any:
            """What the body does."""
            return body(self, gradient)

    return [Parameter(number) for number in range(count)]


def train(acting: Acting, parameters: list[Any], steps: int = 6) -> None:
    """Update all parameters in every step."""
    load_batch = acting.loader()
    for index in range(steps):
        batch = load_batch(index)
        for parameter in parameters:
            parameter.update(batch * (parameter.number + 1))


def check(parameters: list[Any], steps: int = 6) -> None:
    """The values are those of the plain loop."""
    moved = sum(np.arange(3.0) + index for index in range(steps))
    for each in parameters:
        plain = np.full(3, 100.0 * each.number) - moved * (each.number + 1)
        assert each.value.tolist() == plain.tolist()


def test_updates_run_side_by_side(acting: Acting) -> None:
    """After two steps updates are pooled, and the parameters are the plain ones."""
    parameters = made(acting, 3)
    train(acting, parameters)
    check(parameters)
    assert acting.said("engaged") == [ENGAGED]
    acting.actor.close()
    assert acting.said("summary") == ["12 updates in 4 runs were pooled"]
    assert acting.said("failed") == []


def test_updates_overlap(acting: Acting) -> None:
    """Three updates that wait for each other come through: they run at once."""
    met, waits = threading.Barrier(3, timeout=30), False

    def body(parameter: Any, gradient: np.ndarray) -> None:
        if waits:
            met.wait()
        descend(parameter, gradient)

    parameters = made(acting, 3, body)
    train(acting, parameters, steps=4)
    waits = True
    for parameter in parameters:
        parameter.update(np.zeros(3))
    check(parameters, steps=4)


def test_all_are_done_when_the_last_returns(acting: Acting) -> None:
    """The loop reads its parameters then; a gradient in common is no conflict."""

    def body(parameter: Any, gradient: np.ndarray) -> None:
        time.sleep(0.01 if parameter.number < 2 else 0)
        descend(parameter, gradient)

    parameters, load_batch = made(acting, 3, body), acting.loader()
    totals = np.array([parameter.value for parameter in parameters])
    for index in range(5):
        batch = load_batch(index)
        for parameter in parameters:
            parameter.update(batch)
        totals -= batch
        assert [list(p.value) for p in parameters] == totals.tolist()
    assert acting.said("engaged")


def test_plain_functions_on_arrays(acting: Acting) -> None:
    """The first array is what a plain function is about."""

    @acting.mark("update")
    def update(rate: float, value: np.ndarray, gradient: np.ndarray) -> None:
        value -= rate * gradient

    values, load_batch = [np.zeros(3) for _ in range(3)], acting.loader()
    for index in range(5):
        batch = load_batch(index)
        for value in values:
            update(1 / (index + 1), value, batch)
    assert acting.said("engaged") == [ENGAGED]
    assert len({value.tobytes() for value in values}) == 1


def test_updates_inside_an_optimizer(acting: Acting) -> None:
    """Updates made by an outer update are done when that one returns."""
    parameters = made(acting, 3)

    class Optimizer:
        """Updates all."""

        @acting.mark("update")
        def step(self, batch: np.ndarray) -> None:
            """One after the other."""
            for parameter in parameters:
                parameter.update(batch * (parameter.number + 1))

    optimizer, load_batch = Optimizer(), acting.loader()
    for index in range(6):
        optimizer.step(load_batch(index))
        check(parameters, steps=index + 1)
    assert acting.said("engaged") == [ENGAGED]


def test_a_shared_array_keeps_its_order(acting: Acting) -> None:
    """Two parameters around one array are updated one after the other."""

    def body(parameter: Any, gradient: np.ndarray) -> None:
        if parameter.number == 0:
            time.sleep(0.01)
        parameter.value *= 0.5
        parameter.value += parameter.number + gradient

    pooled, plain = made(acting, 3, body), made(acting, 3, body)
    for parameters in (pooled, plain):
        parameters[2].value = parameters[0].value[:2]
        parameters[2].update(np.ones(2))
    load_batch = acting.loader()
    for index in range(6):
        batch = load_batch(index)[:1]
        for parameter in pooled:
            parameter.update(batch)
        for parameter in plain:
            body(parameter, batch)
    for one, other in zip(pooled, plain, strict=True):
        assert one.value.tolist() == other.value.tolist()
    assert acting.said("engaged") == [
        "3 updates a step run side by side, in 2 groups that share no memory"
    ]


GENERATOR = np.random.default_rng(0)
SHARED = "all updates of a step change memory that they share"


def sums(parameter: Any, gradient: np.ndarray) -> None:
    """All updates write one array."""
    descend(parameter, gradient)
    parameter.total += gradient


def counts(parameter: Any, gradient: np.ndarray) -> None:
    """All updates advance one count."""
    parameter.state["count"] += 1
    descend(parameter, gradient)


def returns(parameter: Any, gradient: np.ndarray) -> float:
    """Whoever returns something has to be waited for."""
    descend(parameter, gradient)
    return 1.0


def draws(parameter: Any, gradient: np.ndarray) -> None:
    """Noise from the process's generator depends on the order."""
    parameter.value -= gradient * np.random.rand()


def draws_from_a_global(parameter: Any, gradient: np.ndarray) -> None:
    """Noise from a generator of the script does, too."""
    parameter.value -= gradient * GENERATOR.random()


@pytest.mark.parametrize(
    ("count", "body", "reason"),
    [
        (3, sums, SHARED),
        (3, counts, SHARED),
        (3, returns, "update returns a value (float)"),
        (3, draws, "random numbers"),
        (3, draws_from_a_global, SHARED),
        (1, descend, "one update call a step"),
    ],
)
def test_updates_that_depend_on_their_order_are_refused(
    acting: Acting, count: int, body: Body, reason: str
) -> None:
    """They are made one after the other, and the sentence says why."""
    parameters, total, state = made(acting, count, body), np.zeros(3), {"count": 0}
    for parameter in parameters:
        parameter.total, parameter.state = total, state
        type(parameter).noise = GENERATOR
    train(acting, parameters, steps=8)
    acting.actor.close()
    if body in (sums, counts, returns):
        check(parameters, steps=8)
    assert state["count"] == (24 if body is counts else 0)
    assert acting.said("engaged") == []
    (said,) = acting.said("refused")
    assert reason in said


@pytest.mark.parametrize("refills", [True, False])
def test_a_loop_that_works_on_them_in_between_is_refused(
    acting: Acting, refills: bool
) -> None:
    """A gradient array that is used again, a parameter that is clipped at once."""
    parameters, load_batch, buffer = made(acting, 3), acting.loader(), np.zeros(3)
    for index in range(6):
        batch = load_batch(index)
        for parameter in parameters:
            np.multiply(batch, parameter.number + 1, out=buffer)
            parameter.update(buffer if refills else batch)
            parameter.value *= 1.0 if refills else 0.9
    acting.actor.close()
    assert acting.said("engaged") == []
    (why,) = acting.said("refused")
    assert why.startswith("your loop changes, between two updates")


def test_new_parameters_at_every_step_are_refused(acting: Acting) -> None:
    """What cannot be recognised again is left alone, and not kept alive."""
    load_batch = acting.loader()
    for index in range(30):
        load_batch(index)
        for parameter in made(acting, 3):
            parameter.update(np.ones(3))
    assert len(acting.actor._kinds) <= 8
    (why,) = acting.said("refused")
    assert why.startswith("no two steps update the same objects")


def test_another_stage_waits(acting: Acting) -> None:
    """A step with fewer updates is complete when the next stage begins."""

    def body(parameter: Any, gradient: np.ndarray) -> None:
        time.sleep(0.005)
        descend(parameter, gradient)

    parameters, load_batch = made(acting, 3, body), acting.loader()
    train(acting, parameters, steps=4)
    parameters[0].update(np.ones(3))
    parameters[1].update(np.ones(3))
    load_batch(0)
    assert parameters[1].value[0] == 100 - 2 * (0 + 1 + 2 + 3) - 1
    (why,) = acting.said("failed")
    assert "2 updates instead of 3" in why


def test_another_order_is_noticed(acting: Acting) -> None:
    """Updates in another order are made plainly, after those in flight."""
    parameters = made(acting, 3)
    train(acting, parameters, steps=4)
    acting.loader()(0)
    for number in (0, 2, 1):
        parameters[number].update(np.zeros(3))
    check(parameters, steps=4)
    (why,) = acting.said("failed")
    assert "changed its order at update 2" in why


def test_an_exception_arrives_at_the_join(acting: Acting) -> None:
    """The first exception, in the order of the calls, is raised by the last call."""
    fails = False

    def body(parameter: Any, gradient: np.ndarray) -> None:
        if fails:
            time.sleep(0.02 if parameter.number == 0 else 0)
            raise KeyError(parameter.number)

    parameters = made(acting, 3, body)
    train(acting, parameters, steps=4)
    fails = True
    parameters[0].update(np.zeros(3))
    parameters[1].update(np.zeros(3))
    with pytest.raises(KeyError) as caught:
        parameters[2].update(np.zeros(3))
    assert caught.value.args == (0,)
    assert caught.traceback[-1].name == "body"


def test_a_value_returned_later_is_reported(acting: Acting) -> None:
    """A value that only a pooled call returns is lost, and said to be."""
    returns = False

    def body(parameter: Any, gradient: np.ndarray) -> int | None:
        return 1 if returns else None

    parameters = made(acting, 3, body)
    train(acting, parameters, steps=4)
    returns = True
    train(acting, parameters, steps=2)
    (why,) = acting.said("failed")
    assert "returned a value (int)" in why


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_in_flight_at_the_end_is_done(
    acting: Acting, capsys: pytest.CaptureFixture[str], fails: bool
) -> None:
    """The script ends in the midst of a run; nobody could raise what is raised now."""
    ending = False

    def body(parameter: Any, gradient: np.ndarray) -> None:
        time.sleep(0.005)
        if ending and fails:
            raise KeyError("too late")
        descend(parameter, gradient)

    parameters = made(acting, 3, body)
    train(acting, parameters, steps=4)
    ending = True
    parameters[0].update(np.ones(3))
    acting.actor.close()
    assert parameters[0].value[0] == -(0 + 1 + 2 + 3) - (not fails)
    assert ("KeyError: 'too late'" in capsys.readouterr().err) == fails
    assert any("KeyError" in said for said in acting.said("failed")) == fails


def test_optimizers_of_torch_are_left_alone(acting: Acting) -> None:
    """Another actor has them."""

    def step(self: object) -> None: ...

    found = wrap(step, "update", kind="torch", name="torch.optim.SGD.step")
    for _ in range(5):
        found(object())
    acting.actor.close()
    assert acting.said("engaged") == []
