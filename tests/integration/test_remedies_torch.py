"""Strategies on torch's own loaders, modules and optimizers, nothing edited."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_acting import Noted

from debottleneck.strategies import pools
from debottleneck.strategies.remedies import install as remedies
from debottleneck.strategies.spec import parse

torch = pytest.importorskip("torch")
optimizer = pytest.importorskip("torch.optim.optimizer")
nn = torch.nn
data = torch.utils.data

pytestmark = pytest.mark.torch


class Acting(Noted):
    """Strategies that act in this process.

    Args:
        spec: Which ones.
        folder: For their notes.
    """

    def __init__(self, spec: str, folder: Path) -> None:
        super().__init__(folder)
        (strategy,) = parse(spec)
        self.hooks = remedies.made(strategy, self.notes)

    def __enter__(self) -> Acting:
        self.hooks.after_torch(torch)
        return self

    def __exit__(self, *error: object) -> None:
        self.hooks.close()
        pools.close_all()


@pytest.fixture(autouse=True)
def patches_undone() -> Iterator[None]:
    """Torch's own functions are back at the end."""
    torch.manual_seed(0)

    def patched() -> list[Any]:
        return [
            nn.Module.__call__,
            data.DataLoader.__init__,
            data.DataLoader.__iter__,
            torch.autograd.backward,
            torch.autograd.grad,
            len(optimizer._global_optimizer_pre_hooks),
            len(optimizer._global_optimizer_post_hooks),
        ]

    before = patched()
    yield
    assert patched() == before


class Rows(data.Dataset):  # type: ignore[misc] # torch is not typed here
    """Numbered rows; `act` is called for each."""

    def __init__(self, count: int, act: Callable[[int], Any] = lambda index: 0) -> None:
        self.count, self.act = count, act

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return torch.tensor([float(index), float(self.act(index))])


def epochs(loader: Any, count: int = 2) -> list[Any]:
    """The batches of several epochs, with the trainer drawing numbers in between."""
    torch.manual_seed(1)
    found = []
    for _ in range(count):
        for batch in loader:
            found += [batch.clone(), torch.rand(2)]
    return found


def same(one: list[Any], other: list[Any]) -> bool:
    """The same tensors in the same order."""
    return len(one) == len(other) and all(map(torch.equal, one, other))


SETTINGS = ["workers=2", "workers=0", "workers=1,prefetch=4", "persistent", ""]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [True, False])
def test_the_same_batches_with_other_settings(
    settings: str, workers: int, shuffle: bool, tmp_path: Path
) -> None:
    """Batches, shuffles of all epochs and the trainer's own numbers stay."""

    def made() -> Any:
        how = {"batch_size": 4, "shuffle": shuffle, "num_workers": workers}
        return data.DataLoader(Rows(30), **how)

    plain = epochs(made(), 3)
    with Acting(f"dataloader:{settings}", tmp_path) as acting:
        loader = made()
        assert same(plain, epochs(loader, 3))
    asked = parse(f"dataloader:{settings}")[0].number("workers", workers)
    if settings:
        assert loader.num_workers == asked
    changed = loader.num_workers != workers or loader.persistent_workers
    assert bool(acting.said("engaged")) == changed
    assert bool(acting.said("keep")) == changed


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("part", [False, True])
def test_a_table_is_indexed_by_whole_batches(
    workers: int, part: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batches are those that torch makes of single rows, which nobody takes."""

    def found(count: int = 2) -> list[Any]:
        torch.manual_seed(1)
        table = data.TensorDataset(torch.rand(30, 3), torch.arange(30))
        rows = data.Subset(table, [*range(29, 6, -1)]) if part else table
        loader = data.DataLoader(rows, 4, shuffle=True, num_workers=workers)
        each = [*(batch for _ in range(count) for batch in loader)]
        assert all(type(batch) is list for batch in each)
        return [tensor.clone() for batch in each for tensor in batch]

    plain = found()
    monkeypatch.setattr(data.TensorDataset, "__getitem__", None)
    with Acting("dataloader:whole", tmp_path) as acting:
        assert same(plain, found())
    assert acting.said("engaged")


class Stream(data.IterableDataset):  # type: ignore[misc] # torch is not typed here
    """Rows one after the other."""

    def __iter__(self) -> Iterator[Any]:
        return (torch.tensor([float(index)]) for index in range(21))


def test_an_iterable_data_set_is_read_once(tmp_path: Path) -> None:
    """One worker, whatever was asked for: each of them would read all of it."""
    plain = epochs(data.DataLoader(Stream(), batch_size=4))
    with Acting("dataloader:workers=3", tmp_path):
        loader = data.DataLoader(Stream(), batch_size=4)
        assert loader.num_workers == 1
        assert same(plain, epochs(loader))


def test_a_loader_without_workers_is_given_nothing_for_them(tmp_path: Path) -> None:
    """What torch takes only together with workers goes with them."""
    how = {"num_workers": 2, "multiprocessing_context": "spawn", "timeout": 9}
    with Acting("dataloader:workers=0", tmp_path):
        loader = data.DataLoader(Rows(8), prefetch_factor=4, **how)
        assert len(list(loader)) == 8
    assert (loader.num_workers, loader.timeout, loader.prefetch_factor) == (0, 0, None)


@pytest.mark.parametrize(
    ("settings", "how", "reason"),
    [
        ("workers=2", {"num_workers": 2}, "has these settings already"),
        ("whole", {}, "does not give plain rows of a TensorDataset"),
        (
            "sharing=file_system",
            {"num_workers": 1, "multiprocessing_context": "spawn"},
            "only workers that are forked",
        ),
    ],
)
def test_what_a_loader_cannot_be_given_is_said(
    settings: str, how: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    """Nothing changes, and the sentence says why."""
    with Acting(f"dataloader:{settings}", tmp_path) as acting:
        data.DataLoader(Rows(8), **how)
    assert not acting.said("engaged")
    assert reason in acting.said("refused")[0]


class Net(nn.Module):  # type: ignore[misc] # torch is not typed here
    """Two branches and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        """Rows in, rows out."""
        return self.head(torch.tanh(self.a(x)) * torch.tanh(self.b(x)))


class Chain(nn.Module):  # type: ignore[misc] # torch is not typed here
    """Layers that feed each other, and something to switch on."""

    def __init__(self, effect: Callable[[Any], Any] = lambda x: x) -> None:
        super().__init__()
        self.a, self.b, self.effect = nn.Linear(8, 8), nn.Linear(8, 2), effect

    def forward(self, x: Any) -> Any:
        """Rows in, rows out."""
        return self.effect(self.b(torch.tanh(self.a(x))))


def trained(
    make: Callable[[], Any],
    optimizer: Callable[[Any], Any],
    **backward: bool,
) -> list[Any]:
    """Losses and final parameters of a short training."""
    torch.manual_seed(2)
    model, loss_of = make(), nn.MSELoss()
    stepping = optimizer(model.parameters())
    schedule = torch.optim.lr_scheduler.StepLR(stepping, 3)
    found = []
    for _ in range(8):
        x = torch.randn(6, 8)
        stepping.zero_grad()
        loss = loss_of(model(x), x[:, :2])
        loss.backward(**backward)
        stepping.step()
        schedule.step()
        found.append(loss.detach())
    with torch.no_grad():
        found.append(model.eval()(torch.ones(2, 8)))
    return [*found, *(each.detach() for each in model.parameters())]


def sgd(parameters: Any) -> Any:
    """An optimizer with state."""
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread within each operation, so that sums have one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_branches_of_the_only_module_run_side_by_side(tmp_path: Path) -> None:
    """Losses and parameters have the same bits; it says so after two plain steps."""
    plain = trained(Net, sgd)
    with Acting("parallel-forward:workers=2", tmp_path) as acting:
        assert same(plain, trained(Net, sgd))
    assert acting.said("engaged") == ["independent branches of Net run side by side"]
    assert acting.said("summary") == ["7 calls of a module ran in 2 threads"]


@pytest.mark.parametrize(
    ("workers", "make", "retains", "reason"),
    [
        (2, Chain, False, "each layer of Chain feeds the next"),
        (2, lambda: Chain(lambda x: x + torch.rand(())), False, "Chain draws random"),
        (1, Net, False, "workers=1"),
        (2, Net, True, "graph of one backward again"),
    ],
)
@pytest.mark.usefixtures("one_thread")
def test_modules_that_would_change_are_left_alone(
    workers: int, make: Callable[[], Any], retains: bool, reason: str, tmp_path: Path
) -> None:
    """The sentence says why, and every number stays."""
    plain = trained(make, sgd, retain_graph=retains)
    with Acting(f"parallel-forward:workers={workers}", tmp_path) as acting:
        assert same(plain, trained(make, sgd, retain_graph=retains))
    assert not acting.said("engaged")
    assert reason in acting.said("refused")[0]


def test_several_modules_a_step_run_their_own_branches(tmp_path: Path) -> None:
    """Each of them is one of its own; which run beside others the loop tells."""
    models = Net(), Chain()
    with Acting("parallel-forward:workers=2", tmp_path) as acting:
        for _ in range(4):
            x = torch.randn(4, 8)
            (models[0](x) + models[1](x)).sum().backward()
    assert acting.said("engaged") == ["independent branches of Net run side by side"]
    assert acting.said("refused")[0].startswith("each layer of Chain feeds the next")


def test_a_failing_module_raises_its_own_exception(tmp_path: Path) -> None:
    """What the user's module raises comes from the plain call."""
    wrong = torch.randn(4, 7)
    with Acting("parallel-forward:workers=2", tmp_path) as acting:
        model = Net()
        for _ in range(4):
            loss = model(torch.randn(4, 8)).sum()
            loss.backward()
        with pytest.raises(RuntimeError, match="shapes"):
            model(wrong)
        assert model(torch.randn(4, 8)).shape == (4, 2)
    assert not acting.said("failed")


Making = Callable[[Any], Any]


class Mine(torch.optim.Adam):  # type: ignore[misc] # torch is not typed here
    """A user's own, whose settings are fewer than its parent's."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, lr=0.01)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (sgd, "optimizer = torch.optim.SGD(..., foreach=True)"),
        (torch.optim.Adam, "optimizer = torch.optim.Adam(..., foreach=True)"),
        (torch.optim.AdamW, "torch.optim.AdamW(..., foreach=True)"),
        (torch.optim.Adadelta, "torch.optim.Adadelta(..., foreach=True)"),
        (Mine, 'for group in optimizer.param_groups: group["foreach"] = True'),
    ],
)
def test_an_optimizer_steps_in_torch_s_own_form(
    make: Making, line: str, tmp_path: Path
) -> None:
    """The schedule works, and every bit is the plain step's."""
    plain = trained(Net, make)
    with Acting("parallel-update", tmp_path) as acting:
        assert same(plain, trained(Net, make))
        assert acting.said("engaged")[0].endswith("updates with foreach=True")
    assert line in acting.said("keep")[0]
    assert acting.said("summary") == ["8 optimizer steps were made with foreach=True"]
    assert same(plain, trained(Net, make))


def test_fused_is_for_who_asks_for_it(tmp_path: Path) -> None:
    """It rounds otherwise than the plain step; what has none is left alone."""
    with Acting("parallel-update:fused", tmp_path) as acting:
        trained(Net, torch.optim.Adam)
        trained(Net, torch.optim.Adadelta)
    assert acting.said("engaged") == ["Adam updates with fused=True"]
    assert "torch.optim.Adam(..., fused=True)" in acting.said("keep")[0]
    assert acting.said("refused")[0].startswith("Adadelta has no fused")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: torch.optim.Adam(p, fused=True), "Adam has fused=True already"),
        (lambda p: torch.optim.SGD(p, foreach=True), "SGD has foreach=True already"),
        (lambda p: torch.optim.Muon(p, lr=0.1), "Muon has no foreach"),
        (
            lambda p: torch.optim.Adafactor([nn.Parameter(torch.ones(1) * 1j)]),
            "Adafactor cannot use foreach=True here: Adafactor does not",
        ),
    ],
)
def test_optimizers_without_another_form_are_left_alone(
    make: Making, reason: str, tmp_path: Path
) -> None:
    """The sentence says why, and no bit is another one."""

    def stepped() -> list[Any]:
        weights = nn.Parameter(torch.eye(4))
        stepping = make([weights])
        for group in stepping.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.ones_like(parameter)
        with contextlib.suppress(RuntimeError):  # Adafactor's own
            stepping.step()
        return [weights.detach()]

    plain = stepped()
    with Acting("parallel-update", tmp_path) as acting:
        assert same(plain, stepped())
    assert acting.said("refused")[0].startswith(reason)
    assert not acting.said("engaged")


@pytest.mark.filterwarnings("ignore:Sparse invariant")  # torch's own, once
def test_a_gradient_that_comes_late_is_asked_for_anew(tmp_path: Path) -> None:
    """Sparse ones, first seen after two steps: the numbers are the plain step's."""

    def stepped() -> list[Any]:
        dense, rows = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(4, 2))
        stepping = torch.optim.Adagrad([dense, rows])
        for number in range(4):
            dense.grad = torch.ones(3)
            if number > 1:
                rows.grad = torch.ones(4, 2).to_sparse(1)
            stepping.step()
        return [dense.detach(), rows.detach()]

    plain = stepped()
    with Acting("parallel-update", tmp_path) as acting:
        assert same(plain, stepped())
    assert acting.said("summary") == ["4 optimizer steps were made with foreach=True"]


def trained_by_hand(acts: bool, folder: Path) -> tuple[list[Any], Any]:
    """A training with all that scripts do to optimizers, begun before the hooks."""
    torch.manual_seed(2)
    model, extra = Net(), nn.Parameter(torch.ones(8))
    stepping = torch.optim.Adam(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)

    def closure() -> Any:
        stepping.zero_grad()
        loss = model(torch.ones(2, 8) * extra).square().sum()
        loss.backward()
        return loss

    losses = [stepping.step(closure)]
    with contextlib.ExitStack() as stack:
        if acts:
            stack.enter_context(Acting("parallel-update", folder))
        losses += [stepping.step(closure) for _ in range(3)]
        stepping.add_param_group({"params": [extra], "lr": 0.1})
        losses += [stepping.step(closure) for _ in range(2)]
        saved = copy.deepcopy(stepping.state_dict())
        stepping.load_state_dict(saved)
        for _ in range(3):
            stepping.zero_grad()
            scaler.scale(model(extra).square().sum()).backward()
            scaler.step(stepping)
            scaler.update()
        state = stepping.state_dict()
    return [*losses, *map(torch.Tensor.detach, (*model.parameters(), extra))], state


def test_all_that_scripts_do_to_optimizers_goes_on(tmp_path: Path) -> None:
    """Closures, groups added later, loaded state, scaled gradients; nothing stays."""
    plain, state = trained_by_hand(False, tmp_path)
    ours, our_state = trained_by_hand(True, tmp_path)
    assert same(plain, ours)
    assert our_state["param_groups"] == state["param_groups"]
