"""How many workers `workers="auto"` settles on, on a machine made of arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mode

import pytest

from debottleneck.strategies.adaptive import MOST, Adaptive

MS = 1_000_000


class Machine:
    """A trainer and its loaders, in steady state, without waiting for any of it.

    Args:
        adaptive: What decides.
        fetch_ns: Time of a fetch, given how many run at once.
        compute_ns: What the trainer does with each batch.
    """

    def __init__(
        self, adaptive: Adaptive, fetch_ns: Callable[[int], float], compute_ns: int
    ) -> None:
        self.adaptive = adaptive
        self.fetch_ns = fetch_ns
        self.compute_ns = compute_ns
        self.now_ns = 0
        self.tried: list[int] = []

    def run(self, batches: int) -> int:
        """The usual number of workers after so many batches."""
        for _ in range(batches):
            workers = self.adaptive.workers
            apart = self.fetch_ns(workers) / workers
            waited = max(0, round(apart - self.compute_ns))
            self.now_ns += self.compute_ns + waited
            self.adaptive.batch(self.now_ns, waited)
            self.tried.append(self.adaptive.workers)
        return mode(self.tried[-100:])


@pytest.mark.parametrize(
    ("fetch_ms", "compute_ms", "fewest"),
    [(1, 5, 1), (9, 5, 2), (20, 5, 4), (30, 5, 6), (100, 5, 20), (60, 2, 30)],
)
def test_the_smallest_number_that_feeds(
    fetch_ms: int, compute_ms: int, fewest: int
) -> None:
    """A load that only waits takes as many as its time fills, within rounding."""
    machine = Machine(Adaptive(2), lambda workers: fetch_ms * MS, compute_ms * MS)
    assert fewest * 0.95 - 0.5 <= machine.run(600) <= fewest


@pytest.mark.parametrize(
    ("fetch_ns", "compute_ms", "workers", "most"),
    [
        (lambda workers: 10.0 * MS * workers, 2, 1, 2),
        (lambda workers: 40.0 * MS * max(1, workers / 4), 1, 4, 8),
        (lambda workers: 1000.0 * MS, 1, MOST, MOST),
    ],
)
def test_threads_that_do_not_help_are_given_up(
    fetch_ns: Callable[[int], float], compute_ms: int, workers: int, most: int
) -> None:
    """The GIL lets one work, the source serves four, and there is an upper bound."""
    machine = Machine(Adaptive(2), fetch_ns, compute_ms * MS)
    assert machine.run(600) == workers
    assert max(machine.tried) == most


def test_it_adapts_both_ways() -> None:
    """A load that becomes slower gets more, one that becomes faster fewer."""
    machine = Machine(Adaptive(2), lambda workers: 9.0 * MS, 5 * MS)
    assert machine.run(200) == 2
    machine.fetch_ns = lambda workers: 29.0 * MS
    assert machine.run(400) == 6
    machine.fetch_ns = lambda workers: 4.0 * MS
    assert machine.run(3000) == 1


def test_a_pause_is_not_the_loaders() -> None:
    """An evaluation between two batches does not look like a slow load."""
    machine = Machine(Adaptive(2), lambda workers: 20.0 * MS, 5 * MS)
    for step in range(400):
        if step % 10 == 0:
            machine.now_ns += 1000 * MS
        machine.run(1)
    assert machine.adaptive.workers == 4


def test_little_is_tried_once_it_is_found() -> None:
    """After it settled, few batches are fetched with another number."""
    machine = Machine(Adaptive(2), lambda workers: 20.0 * MS, 5 * MS)
    machine.run(2000)
    late = machine.tried[200:]
    assert sum(workers != 4 for workers in late) < len(late) * 0.1
