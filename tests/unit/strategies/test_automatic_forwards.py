from __future__ import annotations

import random
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_acting import Acting

from debottleneck.agent.wrap import wrap
from debottleneck.strategies.automatic.forwards import Forwards

MAIN = threading.main_thread()


@pytest.fixture
def acting(tmp_path: Path) -> Iterator[Acting]:
    """`parallel-forward:workers=3`, undone afterwards."""
    acting = Acting(Forwards, "parallel-forward:workers=3", tmp_path)
    yield acting
    acting.close()


def layer_class(acting: Acting, body: Callable[[Any, Any], Any]) -> type:
    """A class whose `forward` is the body, and notes its threads."""

    class Layer:
        """One layer."""

        def __init__(self, number: int) -> None:
            self.number = number
            self.weights = np.full(3, number + 1.0)
            self.threads: list[threading.Thread] = []

        @acting.mark("forward")
        def forward(self, batch: Any) -> Any:
            """What the body makes of it."""
            self.threads.append(threading.current_thread())
            return body(self, batch)

    return Layer


def threads_of(layers: list[Any]) -> set[threading.Thread]:
    """Where their calls were made."""
    return {thread for layer in layers for thread in layer.threads}


def product(layer: Any, batch: np.ndarray) -> np.ndarray:
    """A pure layer."""
    return batch * layer.weights


def made(acting: Acting, count: int, body: Any = product) -> list[Any]:
    """Layers of one class."""
    layer = layer_class(acting, body)
    return [layer(number) for number in range(count)]


def train(acting: Acting, layers: list[Any], steps: int = 6) -> list[list[float]]:
    """Every layer on every batch."""
    load_batch, found = acting.loader(), []
    for index in range(steps):
        batch = load_batch(index)
        outputs = [layer.forward(batch) for layer in layers]
        found.append([float(output.sum()) for output in outputs])
    return found


def expected(count: int, steps: int = 6) -> list[list[float]]:
    """What `train` finds with `product`."""
    return [
        [float(((np.arange(3.0) + i) * (n + 1)).sum()) for n in range(count)]
        for i in range(steps)
    ]


def test_siblings_run_side_by_side(acting: Acting) -> None:
    """After two steps the layers are started together, with the same results."""
    layers = made(acting, 3)
    assert train(acting, layers) == expected(3)
    assert layers[0].threads == [MAIN] * 6
    assert layers[2].threads[:2] == [MAIN] * 2
    assert acting.said("engaged") == ["3 of 3 forward calls a step run side by side"]
    acting.actor.close()
    (summary,) = acting.said("summary")
    assert "in 4 runs, 0 were dropped" in summary


def test_siblings_overlap(acting: Acting) -> None:
    """Three layers that wait for each other come through: they run at once."""
    met = threading.Barrier(3, timeout=30)
    waits = False

    def body(layer: Any, batch: np.ndarray) -> np.ndarray:
        if waits:
            met.wait()
        return product(layer, batch)

    layers = made(acting, 3, body)
    train(acting, layers, steps=4)
    waits = True
    load_batch = acting.loader()
    batch = load_batch(0)
    outputs = [layer.forward(batch) for layer in layers]
    assert [float(output.sum()) for output in outputs] == expected(3, 1)[0]


def test_layers_of_several_classes_and_plain_functions(acting: Acting) -> None:
    """Siblings need not be of one class, nor be methods."""
    one, two = layer_class(acting, product), layer_class(acting, product)

    @acting.mark("forward")
    def forward_head(batch: np.ndarray, scale: float) -> np.ndarray:
        return batch * scale

    first, second, load_batch = one(0), two(1), acting.loader()
    for index in range(5):
        batch = load_batch(index)
        total = first.forward(batch) + second.forward(batch) + forward_head(batch, 3.0)
        assert total.tolist() == (batch * 6.0).tolist()
    assert acting.said("engaged") == ["3 of 3 forward calls a step run side by side"]


def test_plain_values_that_change_with_the_step(acting: Acting) -> None:
    """The step's number and a switch go to every sibling; an index stays its own."""

    @acting.mark("forward")
    def forward(batch: np.ndarray, step: int, layer: int, *, double: bool) -> Any:
        return (batch + step) * (layer + double)

    load_batch = acting.loader()
    for index in range(6):
        batch, double = load_batch(index), index % 2 == 0
        found = [forward(batch, index, n, double=double) for n in (5, 6, 7)]
        for n, output in zip((5, 6, 7), found, strict=True):
            assert output.tolist() == ((batch + index) * (n + double)).tolist()
    assert acting.said("engaged") == ["3 of 3 forward calls a step run side by side"]
    assert acting.said("failed") == []


def test_a_head_on_top_is_left_in_its_place(acting: Acting) -> None:
    """What reads the siblings' results is called when its turn comes."""
    layers = made(acting, 3)
    head, load_batch = layer_class(acting, product)(1), acting.loader()
    for index in range(5):
        batch = load_batch(index)
        total = np.sum([layer.forward(batch) for layer in layers], axis=0)
        assert head.forward(total).tolist() == (batch * 12.0).tolist()
    assert acting.said("engaged") == ["3 of 4 forward calls a step run side by side"]


def test_layers_inside_a_model(acting: Acting) -> None:
    """Siblings inside the forward of their model are found."""
    layers = made(acting, 3)

    class Model:
        """Adds its layers."""

        @acting.mark("forward")
        def forward(self, batch: np.ndarray) -> np.ndarray:
            """Their sum."""
            return np.sum([layer.forward(batch) for layer in layers], axis=0)

    model, load_batch = Model(), acting.loader()
    for index in range(5):
        batch = load_batch(index)
        assert model.forward(batch).tolist() == (batch * 6.0).tolist()
    assert acting.said("engaged") == ["3 of 3 forward calls a step run side by side"]


def chained(layers: list[Any], values: np.ndarray) -> None:
    """Layers that feed each other."""
    for layer in layers:
        values = layer.forward(values)


def chained_by_views(layers: list[Any], values: np.ndarray) -> None:
    """A reversed result in a list is still the result."""
    wrapped = [values]
    for layer in layers:
        wrapped = [layer.forward(wrapped)[0][::-1]]


def added_in_place(layers: list[Any], values: np.ndarray) -> None:
    """It keeps the object, and changes it."""
    plain = values * 24
    for layer in layers:
        values += layer.forward(values)
    assert values.tolist() == plain.tolist()


def on_batches_of_their_own(layers: list[Any], values: np.ndarray) -> None:
    """No two calls have an argument in common."""
    for layer in layers:
        layer.forward(values + 1)


def alone(layers: list[Any], values: np.ndarray) -> None:
    """With nothing beside it there is nothing to gain."""
    layers[0].forward(values)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (chained, "your layers feed each other: forward of layer 2 reads the output"),
        (chained_by_views, "your layers feed each other: forward of layer 2"),
        (added_in_place, "what forward of layer 2 reads is changed"),
        (on_batches_of_their_own, "your layers do not take the same arguments"),
        (alone, "one forward call a step"),
    ],
)
def test_calls_that_cannot_run_at_once_are_refused(
    acting: Acting, step: Callable[[list[Any], np.ndarray], None], reason: str
) -> None:
    """They are left alone, and the sentence says why."""
    body = product
    if step is chained_by_views:
        body = lambda layer, batch: [product(layer, batch[0])]  # noqa: E731 - one line
    layers, load_batch = made(acting, 3, body), acting.loader()
    for index in range(8):
        step(layers, load_batch(index))
    assert threads_of(layers) == {MAIN}
    assert acting.said("engaged") == []
    (said,) = acting.said("refused")
    assert said.startswith(reason)


def test_layers_with_generators_of_their_own_may_run(acting: Acting) -> None:
    """Each draws from its own, in its own order."""
    layers = [layer_class(acting, lambda s, b: b + s.rng.random())(n) for n in range(3)]
    for number, layer in enumerate(layers):
        layer.rng = random.Random(number)
    found = train(acting, layers)
    plain = [random.Random(number) for number in range(3)]
    assert found == [
        [float((np.arange(3.0) + i + rng.random()).sum()) for rng in plain]
        for i in range(6)
    ]
    assert acting.said("engaged")


def test_a_new_order_is_noticed(acting: Acting) -> None:
    """Layers called the other way round get their own results, plainly."""
    layers, load_batch = made(acting, 3), acting.loader()
    train(acting, layers, steps=4)
    batch = load_batch(0)
    found = [layers[i].forward(batch)[1] for i in (0, 2, 1)]
    assert found == [1.0, 3.0, 2.0]
    (why,) = acting.said("failed")
    assert "changed its order at forward call 2" in why
    assert train(acting, layers, steps=12) == expected(3, 12)


def test_another_argument_is_noticed(acting: Acting) -> None:
    """A sibling that suddenly gets another batch is called with that one."""
    layers, load_batch = made(acting, 3), acting.loader()
    train(acting, layers, steps=4)
    batch = load_batch(0)
    assert layers[0].forward(batch)[1] == 1.0
    assert layers[1].forward(batch + 1)[1] == 4.0
    assert layers[2].forward(batch)[1] == 3.0
    assert acting.said("failed")


def test_fewer_calls_are_noticed(acting: Acting) -> None:
    """A step that ends early drops what ran ahead, before the next stage begins."""
    running: list[int] = []

    def body(layer: Any, batch: np.ndarray) -> np.ndarray:
        running.append(1)
        time.sleep(0.01)
        running.pop()
        return product(layer, batch)

    layers, load_batch = made(acting, 3, body), acting.loader()
    train(acting, layers, steps=4)
    layers[0].forward(load_batch(0))
    load_batch(1)
    assert running == []
    assert acting.said("failed")


def test_an_exception_arrives_at_its_call(acting: Acting) -> None:
    """A sibling's exception is raised when its call comes, and not before."""
    fails = False

    def body(layer: Any, batch: np.ndarray) -> np.ndarray:
        if fails and layer.number == 2:
            raise KeyError("layer 3")
        return product(layer, batch)

    layers, load_batch = made(acting, 3, body), acting.loader()
    train(acting, layers, steps=4)
    fails = True
    batch = load_batch(0)
    assert layers[0].forward(batch)[1] == 1.0
    assert layers[1].forward(batch)[1] == 2.0
    with pytest.raises(KeyError, match="layer 3") as caught:
        layers[2].forward(batch)
    assert caught.traceback[-1].name == "body"


def test_an_exception_of_the_first_call(acting: Acting) -> None:
    """The leader's own exception is raised at once; the others are let go."""
    fails = False

    def body(layer: Any, batch: np.ndarray) -> np.ndarray:
        if fails and layer.number == 0:
            raise KeyError("layer 1")
        return product(layer, batch)

    layers, load_batch = made(acting, 3, body), acting.loader()
    train(acting, layers, steps=4)
    fails = True
    with pytest.raises(KeyError, match="layer 1"):
        layers[0].forward(load_batch(0))
    fails = False
    assert train(acting, layers, steps=3) == expected(3, 3)


def test_threads_of_the_user_have_runs_of_their_own(acting: Acting) -> None:
    """Two trainers at once do not mix their calls up."""
    results: dict[int, list[list[float]]] = {}

    def work(number: int) -> None:
        layers = made(acting, 3)
        results[number] = train(acting, layers, steps=20)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(results.values()) == [expected(3, 20)] * 3


def test_after_closing_calls_are_plain(acting: Acting) -> None:
    """Nothing runs ahead once the script is over."""
    layers = made(acting, 3)
    train(acting, layers, steps=4)
    acting.actor.close()
    for each in layers:
        del each.threads[:]
    assert train(acting, layers, steps=4) == expected(3, 4)
    assert threads_of(layers) == {MAIN}


def test_one_worker_is_refused(tmp_path: Path) -> None:
    """A single worker leaves everything as it is, and says so."""
    acting = Acting(Forwards, "parallel-forward:workers=1", tmp_path)
    acting.close()
    assert "workers=1" in acting.said("refused")[0]


@pytest.mark.torch
def test_torch_modules(acting: Acting) -> None:
    """Modules on one input run side by side; the gradients are the plain ones."""
    torch = pytest.importorskip("torch")
    call = wrap(torch.nn.Module.__call__, "forward", kind="torch", name="Module")
    torch.manual_seed(0)
    towers = [torch.nn.Linear(4, 4) for _ in range(3)]
    for _ in range(5):
        batch = torch.randn(2, 4)
        found = torch.stack([call(tower, batch) for tower in towers])
        plain = torch.stack([tower(batch) for tower in towers])
        assert torch.equal(found, plain)
        acting.loader()(0)
        for tower in towers:
            tower.zero_grad()
        found.sum().backward()
        assert towers[1].bias.grad.tolist() == [2.0] * 4
    assert acting.said("engaged") == ["3 of 3 forward calls a step run side by side"]


GENERATOR = np.random.default_rng(0)


def adds_noise(self: Any, batch: np.ndarray) -> np.ndarray:
    """Dropout from a global of the script."""
    return batch + GENERATOR.random()


def counts_in_its_class(self: Any, batch: np.ndarray) -> np.ndarray:
    """Hidden state in a class attribute, bound anew by every call."""
    type(self).calls += 1
    return batch * type(self).calls


def counting() -> Callable[[Any, np.ndarray], np.ndarray]:
    """Hidden state in a variable around the function."""
    count = 0

    def counts_in_a_closure(self: Any, batch: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        return batch * count

    return counts_in_a_closure


def counts_in_a_cache(self: Any, batch: np.ndarray) -> np.ndarray:
    """A dictionary that two layers write."""
    self.cache["calls"] += 1
    return batch + self.cache["calls"]


def drops(self: Any, batch: np.ndarray) -> np.ndarray:
    """Dropout from the process's generator."""
    return batch * (np.random.rand() < 0.5)


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (adds_noise, "your layers share state"),
        (counts_in_a_cache, ""),
        (drops, "random numbers"),
        (counts_in_its_class, ""),
        (counting(), ""),
    ],
)
def test_state_around_the_layers_is_seen(
    acting: Acting, forward: Any, reason: str
) -> None:
    """Its order is kept, so they are left alone."""
    layer = type("Layer", (), {"calls": 0, "forward": acting.mark("forward")(forward)})
    layers, cache = [layer() for _ in range(3)], {"calls": 0}
    for each in layers:
        each.cache = cache
    train(acting, layers)
    acting.actor.close()
    assert cache["calls"] == (18 if forward is counts_in_a_cache else 0)
    assert acting.said("engaged") == []
    (said,) = acting.said("refused")
    assert reason in said


def test_the_trainer_helps_rather_than_waits(acting: Acting) -> None:
    """While a thread is at the second of four, the trainer makes a later one."""
    layer = layer_class(acting, lambda s, b: (time.sleep(s.pause), product(s, b))[1])
    layers = [layer(n) for n in range(6)]
    for each, pause in zip(layers, (0, 0.05, 0.05, 0, 0, 0), strict=True):
        each.pause = pause
    assert train(acting, layers, steps=4) == expected(6, 4)
    assert acting.said("failed") == []


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_warnings_name_the_user_s_line(acting: Acting, steps: int) -> None:
    """A warning with `stacklevel=2` points to the loop, whatever the strategy does."""

    def body(layer: Any, batch: np.ndarray) -> np.ndarray:
        warnings.warn("look", UserWarning, stacklevel=3)
        return product(layer, batch)

    layer = layer_class(acting, body)(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(acting, [layer], steps)
    assert {Path(each.filename).name for each in caught} == {Path(__file__).name}
