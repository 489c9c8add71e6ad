from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from debottleneck.strategies import pools
from debottleneck.strategies.parallel_forward import parallel_forward


@pytest.fixture(autouse=True)
def pools_end() -> Iterator[None]:
    """Threads are kept for the next call; a test ends them."""
    yield
    pools.close_all()


def adder(amount: int) -> Callable[[int], int]:
    """A branch that adds."""
    return lambda value: value + amount


def failing(error: BaseException) -> Callable[[object], object]:
    """A branch that raises."""

    def branch(value: object) -> object:
        raise error

    return branch


def test_nothing_to_do_and_nobody_to_do_it() -> None:
    """No branches have no results; no worker is refused."""
    assert parallel_forward([], 1) == []
    with pytest.raises(ValueError, match="at least one"):
        parallel_forward([adder(1)], 1, workers=0)


def test_everything_has_ended_when_an_exception_arrives() -> None:
    """A branch that runs when another fails is waited for."""
    running, ended = threading.Event(), threading.Event()

    def first(_: object) -> None:
        assert running.wait(30)
        raise ValueError("stop")

    def second(_: object) -> None:
        running.set()
        time.sleep(0.05)
        ended.set()

    with pytest.raises(ValueError, match="stop"):
        parallel_forward([first, second], 0, workers=2)
    assert ended.is_set()


def test_no_branch_begins_after_one_has_failed() -> None:
    """As in sequence, what comes after the failure is not called."""
    called: list[int] = []
    rest = [lambda _, i=i: called.append(i) for i in range(50)]
    with pytest.raises(ZeroDivisionError):
        parallel_forward([failing(ZeroDivisionError())] * 2 + rest, 0, workers=2)
    assert len(called) <= 1


def test_the_traceback_names_the_branch() -> None:
    """The user's frame is in the traceback, whichever thread it was on."""
    with pytest.raises(ValueError) as caught:
        parallel_forward([adder(1), failing(ValueError("x"))], 0, workers=2)
    frames = [entry.name for entry in caught.traceback]
    assert frames[-1] == "branch"


def test_nested_calls_do_not_block() -> None:
    """A branch that calls it again runs in sequence, on however few threads."""

    def outer(value: int) -> int:
        return sum(parallel_forward([adder(1)] * 4, value, workers=2))

    assert parallel_forward([outer] * 6, 1, workers=2) == [8] * 6


def test_the_caller_counts_as_a_worker_for_its_share() -> None:
    """So that nothing within is shared anew on any thread; then it is none."""
    both = threading.Barrier(2, timeout=10)

    def branch(_: object) -> tuple[int, bool]:
        both.wait()
        return threading.get_ident(), pools.is_worker()

    here = threading.get_ident()
    made = dict(parallel_forward([branch] * 2, 0, workers=2))
    assert here in made
    assert set(made.values()) == {True}
    assert not pools.is_worker()


def test_context_variables_are_carried() -> None:
    """A branch sees the caller's context variables, on any thread."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("v", default="no")
    variable.set("yes")
    met = threading.Barrier(2, timeout=30)

    def branch(_: object) -> str:
        met.wait()
        return variable.get()

    assert parallel_forward([branch] * 2, 0, workers=2) == ["yes", "yes"]


@pytest.mark.torch
def test_torch_settings_are_carried() -> None:
    """Grad mode, inference mode and autocast are the caller's on every thread."""
    torch = pytest.importorskip("torch")
    met = threading.Barrier(2, timeout=30)

    def branch(_: object) -> tuple[bool, bool, bool]:
        met.wait()
        grad, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        return grad, inference, torch.is_autocast_enabled("cpu")

    assert parallel_forward([branch] * 2, 0, workers=2) == [(True, False, False)] * 2
    with torch.no_grad(), torch.autocast("cpu"):
        found = parallel_forward([branch] * 2, 0, workers=2)
    assert found == [(False, False, True)] * 2
    with torch.inference_mode():
        found = parallel_forward([branch] * 2, 0, workers=2)
    assert found == [(False, True, False)] * 2


@pytest.mark.torch
def test_torch_modules_under_autograd() -> None:
    """Outputs and gradients of modules are those of the plain loop."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = [torch.nn.Linear(8, 8) for _ in range(4)]
    batch = torch.randn(5, 8)

    def gradients(outputs: list[object]) -> list[object]:
        for layer in layers:
            layer.zero_grad()
        torch.stack(outputs).square().sum().backward()
        return [p.grad.clone() for layer in layers for p in layer.parameters()]

    plain = gradients([layer(batch) for layer in layers])
    found = gradients(parallel_forward(layers, batch, workers=3))
    assert all(torch.equal(a, b) for a, b in zip(plain, found, strict=True))
