from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from debottleneck.agent.wrap import act_with, stop_acting, wrap
from debottleneck.strategies import pools
from debottleneck.strategies.automatic.boundaries import Boundaries
from debottleneck.strategies.automatic.notes import Notes
from debottleneck.strategies.automatic.updates import Updates
from debottleneck.strategies.spec import parse

ENGAGED = "3 updates a step run side by side"


@dataclass
class Acting:
    """The strategy at work on functions that a test marks."""

    updates: Updates
    path: Path

    def mark(self, stage: str) -> Callable[[Any], Any]:
        """Decorate a function as the agent does."""
        return lambda function: wrap(function, stage)

    def said(self, state: str) -> list[str]:
        """What it has noted."""
        if not self.path.exists():
            return []
        lines = map(json.loads, self.path.read_text(encoding="utf-8").splitlines())
        return [line["text"] for line in lines if line["state"] == state]


@pytest.fixture
def acting(tmp_path: Path) -> Iterator[Acting]:
    """`parallel-update:workers=3`, undone afterwards."""
    path = tmp_path / "notes.jsonl"
    boundaries = Boundaries()
    boundaries.install()
    updates = Updates(*parse("parallel-update:workers=3"), Notes(path), boundaries)
    act_with(updates.act)
    yield Acting(updates, path)
    stop_acting()
    updates.close()
    pools.close_all()


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


def loader(acting: Acting) -> Callable[[int], np.ndarray]:
    """Another stage, which returns new objects."""

    @acting.mark("load")
    def load_batch(index: int) -> np.ndarray:
        return np.arange(3.0) + index

    return load_batch


def train(acting: Acting, parameters: list[Any], steps: int = 6) -> None:
    """Update all parameters in every step."""
    load_batch = loader(acting)
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
    acting.updates.close()
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
    """The loop reads its parameters right after the last update."""

    def body(parameter: Any, gradient: np.ndarray) -> None:
        time.sleep(0.01 if parameter.number < 2 else 0)
        descend(parameter, gradient)

    parameters, load_batch = made(acting, 3, body), loader(acting)
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

    values, load_batch = [np.zeros(3) for _ in range(3)], loader(acting)
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

    optimizer, load_batch = Optimizer(), loader(acting)
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
    load_batch = loader(acting)
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


def test_all_on_one_array_is_refused(acting: Acting) -> None:
    """When every update writes the same array nothing can run at once."""

    def body(parameter: Any, gradient: np.ndarray) -> None:
        descend(parameter, gradient)
        parameter.total += gradient

    parameters, total = made(acting, 3, body), np.zeros(3)
    for parameter in parameters:
        parameter.total = total
    train(acting, parameters)
    check(parameters)
    acting.updates.close()
    assert acting.said("engaged") == []
    assert acting.said("refused") == [
        "all updates of a step change memory that they share"
    ]


def test_a_shared_counter_is_refused(acting: Acting) -> None:
    """A count that all updates advance keeps them in their order."""

    def body(parameter: Any, gradient: np.ndarray) -> None:
        parameter.state["count"] += 1
        descend(parameter, gradient)

    parameters, state = made(acting, 3, body), {"count": 0}
    for parameter in parameters:
        parameter.state = state
    train(acting, parameters)
    acting.updates.close()
    assert state["count"] == 18
    assert acting.said("engaged") == []


def test_a_gradient_in_common_that_is_only_read(acting: Acting) -> None:
    """One gradient for all parameters is no conflict while nobody writes it."""
    parameters, load_batch = made(acting, 3), loader(acting)
    for index in range(5):
        batch = load_batch(index)
        for parameter in parameters:
            parameter.update(batch)
    assert acting.said("engaged") == [ENGAGED]


def test_a_buffer_that_the_loop_refills_is_refused(acting: Acting) -> None:
    """A gradient array used again for the next update must not be read later."""
    parameters, load_batch, buffer = made(acting, 3), loader(acting), np.zeros(3)
    for index in range(6):
        batch = load_batch(index)
        for parameter in parameters:
            np.multiply(batch, parameter.number + 1, out=buffer)
            parameter.update(buffer)
    check(parameters)
    acting.updates.close()
    assert acting.said("engaged") == []
    (why,) = acting.said("refused")
    assert why.startswith("your loop changes, between two updates")


def test_a_loop_that_touches_parameters_in_between_is_refused(acting: Acting) -> None:
    """Clipping each parameter after its update needs the update to be done."""
    parameters, load_batch = made(acting, 3), loader(acting)
    for index in range(6):
        batch = load_batch(index)
        for parameter in parameters:
            parameter.update(batch)
            parameter.value *= 0.9
    acting.updates.close()
    assert acting.said("engaged") == []
    (why,) = acting.said("refused")
    assert why.startswith("your loop changes, between two updates")


def test_a_returned_value_is_refused(acting: Acting) -> None:
    """Whoever returns something has to be waited for."""

    def body(parameter: Any, gradient: np.ndarray) -> float:
        descend(parameter, gradient)
        return 1.0

    parameters = made(acting, 3, body)
    train(acting, parameters)
    check(parameters)
    (why,) = acting.said("refused")
    assert why.startswith("update returns a value (float)")


def test_random_numbers_are_refused(acting: Acting) -> None:
    """Noise from the process's generator depends on the order."""

    def body(parameter: Any, gradient: np.ndarray) -> None:
        parameter.value -= gradient * np.random.rand()

    train(acting, made(acting, 3, body))
    acting.updates.close()
    (why,) = acting.said("refused")
    assert "random numbers" in why


def test_new_parameters_at_every_step_are_refused(acting: Acting) -> None:
    """What cannot be recognised again is left alone, and not kept alive."""
    load_batch = loader(acting)
    for index in range(30):
        load_batch(index)
        for parameter in made(acting, 3):
            parameter.update(np.ones(3))
    assert len(acting.updates._kinds) <= 8
    (why,) = acting.said("refused")
    assert why.startswith("no two steps update the same objects")


def test_one_update_a_step_is_refused(acting: Acting) -> None:
    """With nothing beside it there is nothing to gain."""
    train(acting, made(acting, 1), steps=8)
    (why,) = acting.said("refused")
    assert why.startswith("one update call a step")


def test_another_stage_waits(acting: Acting) -> None:
    """A step with fewer updates is complete when the next stage begins."""

    def body(parameter: Any, gradient: np.ndarray) -> None:
        time.sleep(0.005)
        descend(parameter, gradient)

    parameters, load_batch = made(acting, 3, body), loader(acting)
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
    loader(acting)(0)
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


def test_what_is_in_flight_at_the_end_is_done(acting: Acting) -> None:
    """The script ends in the midst of a run: its updates are still made."""

    def body(parameter: Any, gradient: np.ndarray) -> None:
        time.sleep(0.005)
        descend(parameter, gradient)

    parameters = made(acting, 3, body)
    train(acting, parameters, steps=4)
    parameters[0].update(np.ones(3))
    acting.updates.close()
    assert parameters[0].value[0] == -(0 + 1 + 2 + 3) - 1


def test_an_exception_at_the_end_is_printed(
    acting: Acting, capsys: pytest.CaptureFixture[str]
) -> None:
    """With no call left that could raise it, it is shown and noted."""
    fails = False

    def body(parameter: Any, gradient: np.ndarray) -> None:
        if fails:
            raise KeyError("too late")

    parameters = made(acting, 3, body)
    train(acting, parameters, steps=4)
    fails = True
    parameters[0].update(np.ones(3))
    acting.updates.close()
    assert "KeyError: 'too late'" in capsys.readouterr().err
    assert any("KeyError" in why for why in acting.said("failed"))


def test_optimizers_of_torch_are_left_alone(acting: Acting) -> None:
    """Another actor has them."""

    def step(self: object) -> None: ...

    found = wrap(step, "update", kind="torch", name="torch.optim.SGD.step")
    for _ in range(5):
        found(object())
    acting.updates.close()
    assert acting.said("engaged") == []


GENERATOR = np.random.default_rng(0)


def test_a_generator_of_the_module_keeps_its_order(acting: Acting) -> None:
    """Noise from a global of the script is drawn in the plain order."""

    def body(parameter: Any, gradient: np.ndarray) -> None:
        parameter.value -= gradient * GENERATOR.random()

    parameters = made(acting, 3, body)
    for parameter in parameters:
        type(parameter).noise = GENERATOR
    train(acting, parameters)
    acting.updates.close()
    assert acting.said("engaged") == []
    (why,) = acting.said("refused")
    assert why == "all updates of a step change memory that they share"
