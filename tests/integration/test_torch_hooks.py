"""PyTorch's own stages: what each part of a loop marks, and that it still computes."""

from __future__ import annotations

import json

import pytest
from marking import Marked, run_marked

pytestmark = pytest.mark.torch

PARTS = '''
import json
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from debottleneck.agent import torch as hooks

def mean_of(model, batch):
    return model(batch).mean()

torch.manual_seed(0)
plain = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
before = mean_of(plain, torch.ones(2, 4))
hooks.install(torch)
assert torch.equal(before, mean_of(plain, torch.ones(2, 4)))
said = {}

class Rows(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        wait(1_000_000)
        return torch.full((4,), float(index))

class Slow(nn.Module):
    """A layer of our own within another one, on the clock."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 1)

    def forward(self, x):
        wait(1_000_000)
        return self.inner(x)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.slow = Slow()

    def forward(self, x):
        wait(1_000_000)
        return self.slow(x)

def part(function):
    """Mark the part by a step function of its name, apart from the others."""
    wait(10_000_000)
    site = sites.site_of("log", function.__name__, function.__name__, 1, "api")
    marks.leave(marks.enter(site))
    wait(10_000_000)
    said[function.__name__] = function()

model, batch = Net(), torch.ones(2, 4)
target = torch.zeros(2, 1)

@part
def loader():
    return [batch.tolist()[0][0] for batch in DataLoader(Rows(), batch_size=2)]

@part
def forward():
    return list(model(batch).shape)

@part
def loss_module():
    return nn.MSELoss()(model(batch), target).shape == ()

@part
def loss_function():
    wait(1_000_000)
    return float(nn.functional.mse_loss(target, target))

@part
def loss_in_the_model():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.loss = nn.MSELoss()

        def forward(self, x):
            wait(1_000_000)
            found = self.loss(x, x)
            wait(1_000_000)
            return found

    return float(Whole()(batch))

@part
def backward():
    model(batch).sum().backward()
    return model.slow.inner.weight.grad is not None

@part
def grad():
    return len(torch.autograd.grad(model(batch).sum(), list(model.parameters())))

@part
def optimizer():
    made = torch.optim.SGD(model.parameters(), lr=0.5)
    old = model.slow.inner.bias.clone()
    wait(1_000_000)
    made.step()
    wait(1_000_000)
    made.zero_grad()
    return bool((model.slow.inner.bias != old).all())

@part
def second_optimizer():
    made = torch.optim.AdamW(model.parameters())
    rate = torch.optim.lr_scheduler.StepLR(made, 1, gamma=0.1)
    made.step()
    rate.step()
    return round(rate.get_last_lr()[0], 6)

@part
def optimizer_within_one():
    class Twice(torch.optim.SGD):
        def step(self, closure=None):
            wait(1_000_000)
            super().step(closure)
            wait(1_000_000)
            return super().step(closure)

    seen = []
    made = Twice(model.parameters(), lr=0.1)
    made.register_step_pre_hook(lambda *given: seen.append("pre"))
    made.register_step_post_hook(lambda *given: seen.append("post"))
    made.step()
    return seen

@part
def failing_step():
    class Broken(torch.optim.SGD):
        def step(self, closure=None):
            raise ArithmeticError("broken")

    try:
        Broken(model.parameters(), lr=1).step()
    except ArithmeticError as error:
        return str(error)

@part
def after_a_failing_step():
    wait(1_000_000)
    return list(model(batch).shape)

@part
def failing_model():
    try:
        model(torch.ones(2, 3))
    except RuntimeError:
        wait(1_000_000)
        return list(model(batch).shape)

@part
def device():
    moved = batch.to("cpu"), batch.to(torch.device("cpu")), model.to("cpu")
    return moved[0].tolist() == batch.tolist() and moved[2] is model

@part
def dtype():
    return str(batch.to(torch.float64).dtype)

@part
def jit():
    traced = torch.jit.trace(nn.Linear(4, 1), batch)
    return list(traced(batch).shape)

@part
def checkpointed():
    from torch.utils.checkpoint import checkpoint
    out = checkpoint(model, batch.requires_grad_(), use_reentrant=False)
    out.sum().backward()
    return list(out.shape)

@part
def pickled():
    import copy, io
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return type(copy.deepcopy(model)).__name__

print(json.dumps(said))
'''


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Marked:
    """One process with PyTorch that runs every part once."""
    warned = (
        "import warnings\nwarnings.resetwarnings()\nwarnings.simplefilter('ignore')"
    )
    return run_marked(tmp_path_factory.mktemp("torch"), warned + PARTS)


def marked(parts: Marked, name: str) -> list[str]:
    """The marks between a part's own and the next part's."""
    marks = parts.threads[parts.pid, parts.pid]
    place = [i for i, mark in enumerate(marks) if mark.name == name]
    rest = marks[place[-1] + 1 :]
    texts = []
    for mark in rest:
        if mark.text == "+log":
            break
        texts.append(mark.text)
    return texts


def pairs(*stages: str) -> list[str]:
    """Each stage entered and left."""
    return [sign + stage for stage in stages for sign in "+-"]


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("forward", ["forward"]),
        ("loss_module", ["forward", "loss"]),
        ("loss_function", ["loss"]),
        ("backward", ["forward", "backward"]),
        ("grad", ["forward", "backward"]),
        ("optimizer", ["update", "update"]),
        ("second_optimizer", ["update"]),
        ("optimizer_within_one", ["update"]),
        ("failing_step", ["update"]),
        ("after_a_failing_step", ["forward"]),
        ("failing_model", ["forward", "forward"]),
        ("device", ["transfer*3"]),
        ("dtype", []),
        ("pickled", []),
    ],
)
def test_each_part_marks_its_stage(parts: Marked, name: str, stages: list[str]) -> None:
    """Outermost calls alone; what is no stage marks nothing."""
    expected = []
    for stage in stages:
        word, _, calls = stage.partition("*")
        expected += [f"+{word}", f"-{word}" + (f"*{calls}" if calls else "")]
    assert marked(parts, name) == expected


def test_a_loader_waits_once_a_batch(parts: Marked) -> None:
    """Rows and collate belong to the wait; the end of the data is one too."""
    found = marked(parts, "loader")
    assert found[:4] == pairs("load", "load")
    assert set(found) == {"+load", "-load"}
    assert len(found) <= 6


def test_a_loss_within_a_model_is_loss(parts: Marked) -> None:
    """A loss module called by the model's forward is not forward."""
    found = marked(parts, "loss_in_the_model")
    assert found == ["+forward", "+loss", "-loss", "-forward"]


def test_a_recomputed_forward_belongs_to_backward(parts: Marked) -> None:
    """Checkpointing runs the model again below `backward`."""
    found = marked(parts, "checkpointed")
    assert found[:2] == pairs("forward")
    assert found.count("+backward") == found.count("-backward") == 1
    assert found[-1] == "-backward"


def test_the_script_computes_as_before(parts: Marked) -> None:
    """Results, shapes and errors of every part are PyTorch's own."""
    assert json.loads(parts.output) == {
        "loader": [0.0, 2.0],
        "forward": [2, 1],
        "loss_module": True,
        "loss_function": 0.0,
        "loss_in_the_model": 0.0,
        "backward": True,
        "grad": 2,
        "optimizer": True,
        "second_optimizer": 0.0001,
        "optimizer_within_one": ["pre", "pre", "post", "pre", "post", "post"],
        "failing_step": "broken",
        "after_a_failing_step": [2, 1],
        "failing_model": [2, 1],
        "device": True,
        "dtype": "torch.float64",
        "jit": [2, 1],
        "checkpointed": [2, 1],
        "pickled": "Net",
    }


def test_nothing_stays_open(parts: Marked) -> None:
    """Every stage that was entered was left, errors included."""
    texts = [mark.text for mark in parts.threads[parts.pid, parts.pid]]
    entered = sum(text.startswith("+") for text in texts)
    assert entered == sum(text.startswith("-") for text in texts)


def test_zero_grad_is_named_so(parts: Marked) -> None:
    """By its name the loop knows that it bounds no step."""
    names = [mark.name for mark in parts.threads[parts.pid, parts.pid]]
    assert "torch.optim.Optimizer.zero_grad" in names
    assert "torch.optim.SGD.step" in names
    assert "torch.optim.AdamW.step" in names
