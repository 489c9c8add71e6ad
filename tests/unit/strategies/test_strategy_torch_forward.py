"""Branches of a torch module in threads."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from made_modules import (
    Attention,
    Block,
    Both,
    Branching,
    Counting,
    Dropping,
    Frozen,
    Halves,
    Inception,
    Meeting,
    Residual,
    SharedNorm,
    Towers,
    Writing,
)

from debottleneck.errors import StrategyError
from debottleneck.strategies import pools
from debottleneck.strategies.torch_forward import BranchParallel

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def single_threads() -> Iterator[None]:
    """One thread within each operation, so that sums have one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)
    pools.close_all()


def image() -> tuple[Any, ...]:
    """Four small images."""
    return (torch.randn(4, 3, 8, 8),)


def rows() -> tuple[Any, ...]:
    """Six rows."""
    return (torch.randn(6, 8),)


ARCHITECTURES: list[tuple[type, Callable[[], tuple[Any, ...]], int]] = [
    (Inception, image, 4),
    (Residual, image, 2),
    (Towers, lambda: (*rows(), *rows()), 2),
    (Attention, rows, 3),
    (Halves, rows, 2),
    (Frozen, rows, 2),
]


def tensors(value: Any) -> list[Any]:
    """The tensors of a result, in order."""
    from torch.utils._pytree import tree_leaves

    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]


def same(one: Any, other: Any) -> bool:
    """Whether two results have the same bits; both may be missing."""
    if one is None or other is None:
        return one is other
    return bool(torch.equal(one, other))


@pytest.mark.parametrize(("kind", "make", "branches"), ARCHITECTURES)
@pytest.mark.parametrize("workers", [2, 4])
def test_branches_compute_the_same_bits(
    kind: type, make: Callable[[], tuple[Any, ...]], branches: int, workers: int
) -> None:
    """Outputs, gradients of parameters and inputs, and statistics are the module's."""
    plain = kind()
    threaded = BranchParallel(copy.deepcopy(plain), workers)
    assert threaded.forward._plans[0][1].branches == branches
    for _ in range(3):
        inputs = make()
        ours = [each.clone().requires_grad_() for each in inputs]
        theirs = [each.clone().requires_grad_() for each in inputs]
        one, other = tensors(plain(*theirs)), tensors(threaded(*ours))
        assert all(map(same, one, other))
        sum(each.square().sum() for each in one).backward()
        sum(each.square().sum() for each in other).backward()
        assert all(same(a.grad, b.grad) for a, b in zip(theirs, ours, strict=True))
        for a, b in zip(plain.parameters(), threaded.parameters(), strict=True):
            assert same(a.grad, b.grad)
    for a, b in zip(plain.buffers(), threaded.buffers(), strict=True):
        assert same(a, b)


def test_branches_run_at_once_forward_and_backward() -> None:
    """Two branches that wait for each other in both directions come through."""
    barrier = threading.Barrier(2)

    def meet(x: Any) -> Any:
        return Meeting.apply(x, barrier)

    BranchParallel(Both(meet, meet), 2)(*rows()).sum().backward()


def test_the_first_failing_branch_is_raised() -> None:
    """Exceptions are those of the sequence, whichever branch fails sooner."""
    late = threading.Event()

    def first(x: Any) -> Any:
        late.wait(10)
        raise KeyError("first")

    def second(x: Any) -> Any:
        late.set()
        raise KeyError("second")

    with pytest.raises(KeyError, match="first"):
        BranchParallel(Both(first, second), 2)(*rows())


def test_grad_modes_and_autocast_reach_the_threads() -> None:
    """Without gradients nothing is recorded; autocast's types are the module's."""
    threaded = BranchParallel(Attention(), 3)
    with torch.no_grad():
        assert not threaded(*rows()).requires_grad
    with torch.inference_mode():
        assert threaded(*rows()).is_inference()
    inputs = rows()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert same(Attention.forward(threaded, *inputs), threaded(*inputs))


def test_random_numbers_keep_their_order() -> None:
    """Branches that both draw stay in sequence; in evaluation they need not."""
    plain = Dropping()
    threaded = BranchParallel(copy.deepcopy(plain), 2)
    inputs = rows()
    torch.manual_seed(5)
    expected = plain(*inputs)
    torch.manual_seed(5)
    assert same(expected, threaded(*inputs))
    assert same(plain.eval()(*inputs), threaded.eval()(*inputs))
    plans = [plan for _, plan in threaded.forward._plans]
    counts = [[len(branches) for branches in plan.stretches] for plan in plans]
    assert [sum(number > 1 for number in each) for each in counts] == [1, 2]


@pytest.mark.parametrize("kind", [Writing, SharedNorm])
def test_branches_that_touch_each_other_stay_in_sequence(kind: type) -> None:
    """In-place writes and shared statistics leave nothing to run at once."""
    with pytest.raises(StrategyError, match="feeds the next"):
        BranchParallel(kind())


def test_what_cannot_be_followed_is_refused_with_a_reason() -> None:
    """Chains, ways that depend on data, effects, hooks; the module stays the same."""
    chain = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    with pytest.raises(StrategyError, match="each layer of Sequential feeds the next"):
        BranchParallel(chain)
    with pytest.raises(StrategyError, match=r"torch\.fx cannot follow .* Branching"):
        BranchParallel(Branching())
    counting = Counting()
    with pytest.raises(StrategyError, match=r"changes '(seen|kept)'"):
        BranchParallel(counting)
    assert (counting.seen, counting.kept) == (0, [])
    hooked = Attention()
    hooked.q.register_forward_hook(lambda *each: None)
    with pytest.raises(StrategyError, match="layer 'q' has hooks"):
        BranchParallel(hooked)
    watched = Attention()
    watched.q.weight.register_hook(lambda gradient: gradient)
    with pytest.raises(StrategyError, match=r"parameter 'q\.weight' has hooks"):
        BranchParallel(watched)


SEEN: list[object] = []


class Sharing(nn.Module):
    """Branches that keep their statistics in their class, and beside it."""

    mean: object = 0.0
    shared: ClassVar[dict[str, object]] = {"mean": 0.0}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Change all three."""
        Sharing.mean = x.mean()
        self.shared["mean"] = Sharing.mean
        SEEN.append(x)
        return x + 1


def test_following_a_module_leaves_nothing_behind() -> None:
    """Neither in its class nor in its globals, whose changes are a reason to refuse."""
    shared = Sharing.shared
    both = nn.Sequential(Sharing(), Sharing())
    with pytest.raises(StrategyError, match="Sequential changes"):
        BranchParallel(both)
    assert Sharing.mean == 0.0
    assert Sharing.shared is shared
    assert shared == {"mean": 0.0}
    assert SEEN == []


def test_only_forward_is_another_one() -> None:
    """State, hooks, modes and types are the module's; copies are followed anew."""
    module = Attention()
    threaded = BranchParallel(module, 2)
    assert threaded is module
    assert list(threaded.state_dict()) == list(Attention().state_dict())
    calls = []
    handle = threaded.register_forward_hook(lambda *each: calls.append(each))
    assert threaded(*rows()).shape == (6, 8)
    assert len(calls) == 1
    handle.remove()
    for copied in (copy.deepcopy(threaded), pickle.loads(pickle.dumps(threaded))):
        assert copied.forward.module is copied
        inputs = rows()
        assert same(copied(*inputs), Attention.forward(module, *inputs))
        assert copied.forward._plans[0][1].branches == 3


def test_other_arguments_and_other_layers_are_honoured() -> None:
    """An optional argument runs the module as it is; a replaced layer is called."""
    threaded = BranchParallel(Inception().eval(), 2)
    module = copy.deepcopy(threaded)
    del module.forward
    inputs = image()
    scale = torch.tensor(3.0)
    assert same(threaded(*inputs, scale), module(*inputs, scale))
    assert same(threaded(*inputs, scale=None), module(*inputs))
    module.one = threaded.one = Block(4, 4, 3).eval()
    assert same(threaded(*inputs), module(*inputs))
    with pytest.raises(TypeError):
        threaded()


def test_the_graph_of_a_graph_is_refused() -> None:
    """Gradients of gradients are an error, not wrong numbers."""
    inputs = rows()[0].requires_grad_()
    result = BranchParallel(Attention(), 2)(inputs).sum()
    (gradient,) = torch.autograd.grad(result, inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


class Switched(Attention):
    """A number that the trainer changes, and a layer that may draw."""

    def __init__(self) -> None:
        super().__init__()
        self.factor, self.noise = 1.0, False

    def forward(self, x: Any) -> Any:
        """More than its parent, at times."""
        if self.noise:
            x = x + torch.rand(8)
        return super().forward(x) * self.factor


def test_what_forward_looks_at_may_change() -> None:
    """A setting that changes is honoured, as is a hook that comes later."""
    threaded = BranchParallel(Switched(), 2)
    inputs = rows()
    for factor in (2.0, 3.0):
        threaded.factor = factor
        assert same(threaded(*inputs), Switched.forward(threaded, *inputs))
    calls: list[Any] = []
    threaded.q.register_forward_hook(lambda *each: calls.append(each))
    threaded(*inputs)
    assert len(calls) == 1
    for factor in range(20):
        threaded.factor = factor
        assert same(threaded(*inputs), Switched.forward(threaded, *inputs))


def test_forwards_with_values_of_their_own_are_refused() -> None:
    """A draw would be made once for all, and so would a constant; no draw is lost."""
    noisy = Switched()
    noisy.noise = True
    before = torch.get_rng_state()
    with pytest.raises(StrategyError, match="Switched draws random numbers"):
        BranchParallel(noisy)
    assert torch.equal(torch.get_rng_state(), before)

    class Constant(Attention):
        def forward(self, x: Any) -> Any:
            """With a tensor made on the way."""
            return super().forward(x) + torch.ones(8)

    with pytest.raises(StrategyError, match="makes a tensor without its arguments"):
        BranchParallel(Constant())


def test_following_a_module_leaves_other_threads_alone() -> None:
    """While fx replaces the call of all modules, another thread's calls are plain."""
    begun, done = threading.Event(), threading.Event()
    layer, found = nn.Linear(8, 8), []

    class Waiting(Attention):
        def forward(self, x: Any) -> Any:
            """Is being followed while the other thread works."""
            begun.set()
            done.wait(10)
            return super().forward(x)

    def work() -> None:
        begun.wait(10)
        found.append(layer(torch.ones(2, 8)))
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    BranchParallel(Waiting(), 2)
    thread.join()
    assert type(found[0]) is torch.Tensor


def test_each_result_may_have_a_backward_of_its_own() -> None:
    """Branches that share nothing are used once each, and not twice."""
    threaded = BranchParallel(Halves(), 2)
    result = threaded(*rows())
    result["a"].sum().backward()
    result["b"][0].sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        result["a"].sum().backward()
