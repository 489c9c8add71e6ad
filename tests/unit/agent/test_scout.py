"""What the first calls of a plain run show of a strategy's chances."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from debottleneck.agent import scout
from debottleneck.agent.results import size_of
from debottleneck.agent.wrap import observed_by

Events = list[dict[str, object]]


@pytest.fixture
def events() -> Events:
    """What was noted."""
    return []


def watched(
    events: Events, function: Callable[..., Any], stage: str = "load", **how: str
) -> Callable[..., Any]:
    """The function as the agent's wrapper would call it."""
    return acting(scout.Scout(events.append), function, stage, **how)


def acting(
    actor: scout.Scout,
    function: Callable[..., Any],
    stage: str,
    *,
    kind: str = "function",
    name: str = "",
) -> Callable[..., Any]:
    """The same, of one scout for several functions."""
    name = name or function.__name__
    observer = actor.observe(stage, name, kind)
    return function if observer is None else observed_by(observer, function)


def noted(events: Events) -> tuple[object, ...]:
    """Form, size and bytes of the only event."""
    (event,) = events
    assert event["event"] == "form"
    return event["form"], event["size"], event["bytes"]


def test_an_index_that_advances(events: Events) -> None:
    """Calls with 0, 1, 2 ...: the next ones are foreseen; bytes are the median's."""
    load = watched(events, lambda i: np.zeros(100 + i, np.float32))
    for i in range(10):
        load(i)
    form, size, count = noted(events)
    assert (form, size) == ("indexed", 0)
    assert 400 <= int(str(count)) <= 424


def test_a_random_choice_varies(events: Events) -> None:
    """Nothing says what comes next."""
    load = watched(events, lambda picks: picks.copy())
    rng = np.random.default_rng(0)
    for _ in range(10):
        load(rng.integers(9, size=4))
    assert noted(events)[0] == "varies"


def test_a_queue_is_a_stream(events: Events) -> None:
    """It gives something else each time."""
    batches: queue.Queue[bytes] = queue.Queue()
    load = watched(events, lambda source: source.get())
    for _ in range(10):
        batches.put(b"1234")
        assert load(batches) == b"1234"
    assert noted(events) == ("stream", 0, 4)


def test_one_load_for_each_element(events: Events) -> None:
    """`load_batch(files)` that loads each file: its elements can be made at once."""
    actor = scout.Scout(events.append)
    one = acting(actor, lambda file: np.zeros(1), "load", name="load_image")
    all_of = lambda files: [one(file) for file in files]  # noqa: E731 - one line
    load = acting(actor, all_of, "load", name="load_batch")
    for step in range(8):
        load([f"{step}-{i}" for i in range(5)])
    first = events[0]
    assert first["name"] == "load_batch"
    assert (first["form"], first["size"]) == ("elements", 5)


def test_a_buffer_that_is_filled_again(events: Events) -> None:
    """Its results cannot be kept until they are wanted."""
    memory = np.zeros(4)
    load = watched(events, lambda i: memory)
    for i in range(8):
        load(i)
    assert noted(events)[0] == "buffer"


def test_a_generator_is_called_so_and_left_alone(events: Events) -> None:
    """What is sent and thrown into it reaches it; its value is its own."""

    def batches(count: int) -> Iterator[object]:
        try:
            got = yield count
            yield got
        except KeyError:
            yield "caught"
        return "end"

    load = watched(events, batches, kind="generator")
    items = load(3)
    assert (next(items), items.send("a"), items.throw(KeyError)) == (3, "a", "caught")
    with pytest.raises(StopIteration, match="end"):
        next(items)
    list(load(1))
    assert noted(events) == ("generator", 0, 0)


def test_a_torch_loader_is_called_so(events: Events) -> None:
    """By the kind of its site."""
    load = watched(events, lambda iterator: (np.zeros(3), np.zeros(1)), kind="torch")
    for _ in range(6):
        load(iter(()))
    assert noted(events) == ("loader", 0, 32)


def test_what_a_load_raises_is_its_own(events: Events) -> None:
    """And the next load is looked at as if nothing had happened."""
    load = watched(events, lambda i: 1 // (i - 2))
    for i in range(12):
        try:
            load(i)
        except ZeroDivisionError:
            assert i == 2
    assert len(events) == 1


class Layer:
    """A layer, for methods."""

    def forward(self, values: object) -> object:
        """Something new."""
        return [values]


def test_layers_that_take_the_same_input_are_siblings(events: Events) -> None:
    """Four branches and a head: four calls can be made at once."""
    actor = scout.Scout(events.append)
    branch = acting(actor, Layer.forward, "forward", name="Branch.forward")
    head = acting(actor, Layer.forward, "forward", name="Head.forward")
    branches, last = [Layer() for _ in range(4)], Layer()
    for _ in range(10):
        images = [1]
        head(last, [branch(one, images) for one in branches])
    (event,) = events
    assert (event["name"], event["form"]) == ("Branch.forward", "siblings")
    assert event["size"] == 4


def test_layers_that_feed_each_other_are_a_chain(events: Events) -> None:
    """Each takes what the one before returned."""
    forward = watched(events, Layer.forward, "forward")
    layers = [Layer() for _ in range(4)]
    for _ in range(10):
        values: object = [1]
        for layer in layers:
            values = forward(layer, values)
    assert noted(events)[0] == "chain"


def test_updates_of_distinct_objects_can_be_pooled(events: Events) -> None:
    """As many as there are before the first comes again."""
    update = watched(events, lambda layer, rate: None, "update")
    layers = [Layer() for _ in range(5)]
    for _ in range(10):
        for layer in layers:
            update(layer, 0.1)
    assert noted(events)[:2] == ("pooled", 5)


def test_updates_that_return_something_cannot(events: Events) -> None:
    """Their results are waited for."""
    update = watched(events, lambda value: value + 1, "update")
    for _ in range(40):
        update(1)
    assert noted(events)[0] == "returns"


@pytest.mark.parametrize(("stage", "kind"), [("loss", "function"), ("load", "api")])
def test_other_stages_are_left_alone(events: Events, stage: str, kind: str) -> None:
    """The very function is called."""

    def function() -> None:
        return None

    assert watched(events, function, stage, kind=kind) is function


def test_sizes_of_results() -> None:
    """Arrays within containers, bytes, and nothing for the rest."""
    batch = {"x": np.zeros((2, 3), np.float32), "y": [b"12", "text", 7]}
    assert size_of((batch, np.zeros(2))) == 24 + 2 + 16
    assert size_of(None) == 0
