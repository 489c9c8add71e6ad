from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from debottleneck.strategies import pools
from debottleneck.strategies.parallel_update import parallel_update


@pytest.fixture(autouse=True)
def pools_end() -> Iterator[None]:
    """Threads are kept for the next call; a test ends them."""
    yield
    pools.close_all()


def descend(parameter: np.ndarray, gradient: np.ndarray) -> None:
    """One step of gradient descent."""
    parameter -= np.float64(0.1) * gradient


def test_as_many_gradients_as_parameters() -> None:
    """A missing gradient, or no worker, is refused before anything is updated."""
    value = np.ones(2)
    parallel_update(descend, iter(()), iter(()))
    with pytest.raises(ValueError, match="at least one"):
        parallel_update(descend, [value], [value], workers=0)
    with pytest.raises(ValueError, match="shorter"):
        parallel_update(descend, [value, value], [value])
    assert value.tolist() == [1, 1]


def test_an_exception_arrives() -> None:
    """What an update raises is raised, when all that ran have ended."""

    def update(parameter: np.ndarray, number: int) -> None:
        if number == 1:
            raise KeyError("second")

    with pytest.raises(KeyError, match="second"):
        parallel_update(update, [np.zeros(1) for _ in range(3)], range(3), workers=3)


def test_updates_run_at_once() -> None:
    """Updates that wait for each other come through; what they return is dropped."""
    met = threading.Barrier(2, timeout=30)
    values = [np.zeros(3), np.zeros(3)]
    assert parallel_update(lambda p, g: met.wait(), values, values, workers=2) is None  # type: ignore[func-returns-value]
