"""What holds a simulated loop back, in words."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from made_plans import fetched

from debottleneck.prediction.demand import Demand, Part
from debottleneck.prediction.limits import beyond_mb, limit
from debottleneck.prediction.replay import Replayed
from debottleneck.recording.machine import Machine
from debottleneck.strategies.spec import parse

TWO = Machine(cores=2)
EASY = Replayed(1e6, busy=1.0, threads=3, switch_ns=inf)
PREFETCH, FORWARD = parse("prefetch:workers=2"), parse("parallel-forward:workers=2")
SERVED = replace(EASY, starved=0.5, helpers_outside=0.9, at_once=1.98)
REST = "limited by the rest of the step"
LONGEST = "limited by the longest of the calls"
SLOWER = "threads would make it slower:"


@pytest.mark.parametrize(
    ("run", "strategies", "gain", "said"),
    [
        (EASY, PREFETCH, 1.5, REST),
        (replace(EASY, busy=1.9), PREFETCH, 1.5, "limited by 2 cores"),
        (replace(EASY, gil=0.3), PREFETCH, 1.1, "limited by the GIL at 3 threads"),
        (replace(EASY, helpers_gil=0.3), PREFETCH, 0.6, f"{SLOWER} the GIL changes"),
        (EASY, FORWARD, 0.9, f"{SLOWER} handing work over costs more than it saves"),
        (SERVED, PREFETCH, 2.0, "limited by the source, 2 at once"),
        (replace(EASY, starved=0.5), PREFETCH, 1.2, "limited by the loads, which take"),
        (replace(EASY, starved=0.5), FORWARD, 1.2, LONGEST),
        (replace(EASY, outside=0.9), FORWARD, 4.0, LONGEST),
        (replace(EASY, outside=0.9), PREFETCH, 2.9, REST),
        (EASY, (), 1.0, ""),
    ],
)
def test_the_first_thing_that_is_full_is_named(
    run: Replayed, strategies: object, gain: float, said: str
) -> None:
    """One clause, of the mean of all runs."""
    said_of_it = limit([run, run], strategies, gain, TWO)  # type: ignore[arg-type] # strategies
    assert said_of_it.startswith(said) if said else not said_of_it


def test_without_a_gil_nothing_is_limited_by_it() -> None:
    """A free-threaded interpreter has none to wait for."""
    found = limit([replace(EASY, gil=0.3)], PREFETCH, 1.5, Machine(cores=2, gil=False))
    assert "GIL" not in found


def test_memory_is_that_of_batches_threads_and_processes() -> None:
    """As many batches as are in hand, and what a process does not share."""
    load = Part("load", "load_batch", 1e6, 0.0, 0.0, 0.0, 0.0, 1)
    loop = fetched(Demand(((load,),), 1e6), size=10_000_000)
    threads = beyond_mb(loop, parse("prefetch:workers=2,depth=4"))
    assert threads == pytest.approx(3 + 6 * 10)
    apart = beyond_mb(loop, parse("prefetch:workers=2,depth=4,where=process"))
    assert apart == pytest.approx(threads + 2 * 9)
    assert beyond_mb(loop, ()) == 0
