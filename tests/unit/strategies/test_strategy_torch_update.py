"""An optimizer's step in threads, against the optimizer's own."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from debottleneck.errors import StrategyError
from debottleneck.strategies import pools
from debottleneck.strategies.torch_update import ParallelOptimizer, partition

torch = pytest.importorskip("torch")
nn, optim = torch.nn, torch.optim

pytestmark = pytest.mark.torch

Make = Callable[[list[dict[str, Any]]], Any]

OPTIMIZERS: dict[str, Make] = {
    "sgd": lambda groups: optim.SGD(groups, lr=0.1),
    "momentum": lambda groups: optim.SGD(groups, lr=0.1, momentum=0.9),
    "nesterov": lambda groups: optim.SGD(
        groups, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01
    ),
    "adam": lambda groups: optim.Adam(groups, lr=0.01, amsgrad=True),
    "adamw": lambda groups: optim.AdamW(groups, lr=0.01),
    "rmsprop": lambda groups: optim.RMSprop(groups, lr=0.01, momentum=0.5),
    "adagrad": lambda groups: optim.Adagrad(groups, lr=0.1),
    "adadelta": lambda groups: optim.Adadelta(groups),
    "adamax": lambda groups: optim.Adamax(groups),
    "nadam": lambda groups: optim.NAdam(groups),
    "radam": lambda groups: optim.RAdam(groups),
    "asgd": lambda groups: optim.ASGD(groups),
    "rprop": lambda groups: optim.Rprop(groups),
}


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    """The shared threads end with the test."""
    torch.manual_seed(0)
    yield
    pools.close_all()


def network() -> Any:
    """Tensors of many sizes, one of them never used."""
    layers = [nn.Linear(8, width) for width in (4, 64, 16, 2, 32)]
    model = nn.ModuleList(layers)
    model.register_parameter("unused", nn.Parameter(torch.ones(3)))
    return model


def loss_of(model: Any, x: Any) -> Any:
    """A number that every layer has a part in, late ones only from time to time."""
    late = model[-1](x).mean() if x.mean() > 0 else 0
    return sum(layer(x).square().mean() for layer in list(model)[:-1]) + late


def groups_of(model: Any) -> list[dict[str, Any]]:
    """Weights and biases apart."""
    biases = [each for each in model.parameters() if each.dim() == 1]
    weights = [each for each in model.parameters() if each.dim() > 1]
    return [{"params": weights}, {"params": biases, "lr": 0.02}]


def same_state(one: Any, other: Any) -> bool:
    """Whether two state dicts hold the same bits in the same order."""
    if isinstance(one, torch.Tensor):
        return bool(torch.equal(one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(
            same_state(one[key], other[key]) for key in one
        )
    if isinstance(one, list | tuple):
        return all(map(same_state, one, other)) and len(one) == len(other)
    return bool(one == other)


def assert_same(plain: Any, ours: Any, one: Any, other: Any) -> None:
    """Parameters and state have the same bits."""
    for a, b in zip(plain.parameters(), ours.parameters(), strict=True):
        assert torch.equal(a, b)
    assert same_state(one.state_dict(), other.state_dict())


@pytest.mark.parametrize("workers", [2, 5])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_have_the_same_bits(name: str, workers: int) -> None:
    """After 20 steps with a changing rate, parameters and state are the optimizer's."""
    plain = network()
    ours = copy.deepcopy(plain)
    one = OPTIMIZERS[name](groups_of(plain))
    other = ParallelOptimizer(OPTIMIZERS[name](groups_of(ours)), workers)
    schedules = [optim.lr_scheduler.StepLR(each, 5, 0.5) for each in (one, other)]
    for _ in range(20):
        x = torch.randn(6, 8)
        for model, optimizer in ((plain, one), (ours, other)):
            optimizer.zero_grad()
            loss_of(model, x).backward()
            optimizer.step()
        for schedule in schedules:
            schedule.step()
    assert_same(plain, ours, one, other)


def test_parts_are_updated_at_once() -> None:
    """Two threads update: each waits for the other one."""
    barrier, names = threading.Barrier(2), set()

    class Meeting(torch.Tensor):
        @classmethod
        def __torch_function__(
            cls, function: Any, kinds: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            """Wait in the operation that changes the parameter."""
            if getattr(function, "__name__", "") == "add_":
                names.add(threading.current_thread().name)
                barrier.wait(10)
            return super().__torch_function__(function, kinds, args, kwargs or {})

    parameters = [torch.ones(3).as_subclass(Meeting) for _ in range(2)]
    for each in parameters:
        each.grad = torch.ones(3)
    ParallelOptimizer(optim.SGD(parameters, lr=0.1), 2).step()
    assert len(names) == 2


def test_the_rest_is_the_optimizer_s_own() -> None:
    """Class, state, groups, hooks, closures, new groups, schedulers, copies."""
    model = network()
    adam = optim.Adam(groups_of(model))
    threaded = ParallelOptimizer(adam, 2)
    assert isinstance(threaded, optim.Adam)
    calls: list[str] = []
    threaded.register_step_pre_hook(lambda *each: calls.append("pre"))
    threaded.register_step_post_hook(lambda *each: calls.append("post"))
    schedule = optim.lr_scheduler.ExponentialLR(adam, 0.5)

    def closure() -> Any:
        calls.append("closure")
        threaded.zero_grad()
        loss = loss_of(model, torch.ones(6, 8))
        loss.backward()
        return loss

    assert threaded.step(closure) > 0
    assert calls == ["pre", "closure", "post"]
    schedule.step()
    assert threaded.param_groups[0]["lr"] == adam.param_groups[0]["lr"] == 0.0005
    extra = nn.Parameter(torch.ones(3))
    threaded.add_param_group({"params": [extra]})
    extra.grad = torch.ones(3)
    threaded.step()
    threaded.step()
    assert not torch.equal(extra, torch.ones(3))
    saved = copy.deepcopy(threaded.state_dict())
    threaded.load_state_dict(saved)
    threaded.step()
    assert adam.state[extra]["step"] == 3
    threaded.defaults["eps"] = 1e-7
    assert adam.defaults["eps"] == 1e-7
    adam._optimizer_step_pre_hooks.clear()
    adam._optimizer_step_post_hooks.clear()
    del adam.step  # the scheduler's, which cannot be pickled
    for copied in (copy.deepcopy(threaded), pickle.loads(pickle.dumps(threaded))):
        assert type(copied) is ParallelOptimizer
        copied.step()


def test_loaded_state_is_used() -> None:
    """A state dict loaded on the way changes the next steps as it does plainly."""
    plain, ours = network(), network()
    ours.load_state_dict(plain.state_dict())
    one = optim.Adam(plain.parameters())
    other = ParallelOptimizer(optim.Adam(ours.parameters()), 3)
    saved = None
    for step in range(6):
        x = torch.randn(6, 8).abs()
        for model, optimizer in ((plain, one), (ours, other)):
            optimizer.zero_grad()
            loss_of(model, x).backward()
            optimizer.step()
        if step == 2:
            saved = copy.deepcopy(one.state_dict())
        if step == 4:
            one.load_state_dict(copy.deepcopy(saved))
            other.load_state_dict(copy.deepcopy(saved))
    assert_same(plain, ours, one, other)


def test_a_grad_scaler_skips_steps_with_infinite_gradients() -> None:
    """Scaled gradients are unscaled, infinite ones leave everything as it was."""
    model = network()
    threaded = ParallelOptimizer(optim.SGD(model.parameters(), lr=0.1), 2)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    before = [each.detach().clone() for each in model.parameters()]
    scaler.scale(loss_of(model, torch.ones(6, 8)) * float("inf")).backward()
    scaler.step(threaded)
    scaler.update()
    unchanged = zip(before, model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in unchanged)
    threaded.zero_grad()
    scaler.scale(loss_of(model, torch.ones(6, 8))).backward()
    scaler.step(threaded)
    assert not torch.equal(before[1], list(model.parameters())[1])


def test_sparse_gradients_are_updated_alike() -> None:
    """A sparse gradient belongs to one parameter, as any other."""
    models = [nn.EmbeddingBag(20, 4, sparse=True) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = []
    for model in models:
        model.extra = nn.Parameter(torch.ones(4))
        optimizers.append(optim.SGD(model.parameters(), lr=0.1))
    optimizers[1] = ParallelOptimizer(optimizers[1], 2)
    for _ in range(3):
        x = torch.randint(20, (5, 3))
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            (model(x) * model.extra).sum().backward()
            optimizer.step()
    assert_same(*models, *optimizers)


class Own(optim.SGD):
    """Somebody's optimizer, whose step may do anything."""

    def step(self, closure: Any = None) -> Any:
        """Not torch's."""
        return super().step(closure)


def elsewhere() -> Any:
    """A parameter that is not on the CPU."""
    return nn.Parameter(torch.empty(3, device="meta"))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda ps: optim.LBFGS(ps), "not known that a step of LBFGS"),
        (lambda ps: Own(ps, lr=0.1), "not known that a step of Own"),
        (lambda ps: optim.Adam(ps, foreach=True), "foreach=True"),
        (lambda ps: optim.Adam(ps, fused=True), "fused=True"),
        (lambda ps: optim.Adam(ps, capturable=True), "capturable=True"),
        (lambda ps: optim.SGD(ps, lr=0.1, differentiable=True), "differentiable=True"),
        (lambda ps: optim.SGD(ps[:1], lr=0.1), "one parameter only"),
        (lambda ps: optim.SGD([*ps, elsewhere()], lr=0.1), "another device"),
    ],
)
def test_what_cannot_be_divided_is_refused(make: Any, reason: str) -> None:
    """The sentence names what is in the way."""
    parameters = [nn.Parameter(torch.ones(3)) for _ in range(4)]
    with pytest.raises(StrategyError, match=reason):
        ParallelOptimizer(make(parameters))


def test_parameters_that_share_memory_stay_together() -> None:
    """Views, and arrays over the same bytes, are one unit, in order."""
    base = torch.ones(100)
    array = base.numpy()
    sharing = [base[:10], torch.from_numpy(array[50:]), base[40:60]]
    others = [torch.ones(100) for _ in range(4)]
    parts = partition([[*sharing, *others[:2]], others[2:]], 3)
    assert len(parts) == 3
    ids = [[id(each) for group in part for each in group] for part in parts]
    holding = [part for part in ids if id(sharing[0]) in part]
    assert [each for each in holding[0] if each in map(id, sharing)] == [
        *map(id, sharing)
    ]
    assert sorted(each for part in ids for each in part) == sorted(
        map(id, [*sharing, *others])
    )


def test_parts_are_balanced_by_cost() -> None:
    """One large tensor against many small ones."""
    tensors = [torch.empty(1_000_000), *(torch.empty(10) for _ in range(50))]
    parts = partition([tensors], 2)
    assert sorted(len(part[0]) for part in parts) == [1, 50]
    assert len(partition([tensors[:1]], 4)) == 1
