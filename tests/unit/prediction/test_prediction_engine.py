"""The simulation against loops whose answer is known exactly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

import pytest
from made_machines import FREE

from debottleneck.prediction.engine import (
    GIVE,
    HOLD,
    NATIVE,
    TAKE,
    WAIT,
    Counter,
    Gil,
    Op,
    Simulation,
    Thread,
    refill_ns,
)
from debottleneck.recording.machine import Machine

MS = 1e6


def ended(machine: Machine, *threads: Thread) -> float:
    """When the first thread has ended, milliseconds."""
    return Simulation(machine).run(threads) / MS


def thread(ops: Iterable[Op], gil: Gil | None = None) -> Thread:
    """A thread that makes these operations."""
    return Thread(iter(ops), gil)


def test_python_code_of_two_threads_takes_turns() -> None:
    """Perfect serialisation: as long as one thread's after the other's."""
    gil = Gil()
    work: list[Op] = [(HOLD, 30 * MS)]
    assert ended(FREE, thread(work, gil), thread(work, gil)) == pytest.approx(55)
    gil = Gil()
    second = thread([*work, (GIVE, done := Counter())], gil)
    assert ended(FREE, thread([(TAKE, done)]), thread(work, gil), second) == (
        pytest.approx(60)
    )


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 8])
def test_cores_are_shared_evenly(cores: int) -> None:
    """Four threads on fewer cores take as much longer as there are fewer."""
    machine = replace(FREE, cores=cores)
    work: list[Op] = [(NATIVE, 30 * MS)]
    threads = [thread(work) for _ in range(4)]
    assert ended(machine, *threads) == pytest.approx(30 * max(4 / cores, 1))


@pytest.mark.parametrize("parallel", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_amdahls_law(parallel: float, workers: int) -> None:
    """A serial part and a divisible one: 1 / ((1 - p) + p / n)."""
    machine, done = replace(FREE, cores=workers), Counter()
    share: list[Op] = [(NATIVE, parallel * 100 * MS / workers)]
    helpers = [thread([*share, (GIVE, done)]) for _ in range(workers - 1)]
    waits: list[Op] = [(TAKE, done)] * (workers - 1)
    serial: list[Op] = [(NATIVE, (1 - parallel) * 100 * MS)]
    found = ended(machine, thread([*share, *waits, *serial]), *helpers)
    assert found == pytest.approx(100 * ((1 - parallel) + parallel / workers))


def test_all_cores_busy_slows_down() -> None:
    """Native and Python code each by their own factor, alone by none."""
    machine = replace(FREE, slow_native=1.5, slow_python=1.2)
    native: list[Op] = [(NATIVE, 30 * MS)]
    python: list[Op] = [(HOLD, 30 * MS)]
    assert ended(machine, thread(native)) == pytest.approx(30)
    assert ended(machine, thread(native), thread(native)) == pytest.approx(45)
    two = thread(python, Gil()), thread(python, Gil())
    assert ended(machine, *two) == pytest.approx(36)


@pytest.mark.parametrize("buffer", [0, 1, 2, 6])
def test_two_random_stages_and_a_buffer(buffer: int) -> None:
    """Exponential times of the same mean: (B + 2) / (B + 3) of the pace (Buzacott).

    The buffer is beside what either stage works on; the first one is never starved,
    and blocked when what it has made finds no room.
    """
    rng, items, room, count = Random(buffer), Counter(), Counter(buffer + 1), 40_000

    def make() -> Iterator[Op]:
        while True:
            yield WAIT, rng.expovariate(1) * MS
            yield TAKE, room
            yield GIVE, items

    def use() -> Iterator[Op]:
        for _ in range(count):
            yield TAKE, items
            yield WAIT, rng.expovariate(1) * MS
            yield GIVE, room

    pace = count / ended(FREE, thread(use()), thread(make()))
    assert pace == pytest.approx((buffer + 2) / (buffer + 3), rel=0.02)


@pytest.mark.parametrize("fetchers", [1, 2, 4, 8])
def test_a_source_that_serves_one_at_a_time(fetchers: int) -> None:
    """M/M/1 with so many customers who think in between (machine repair model).

    Source: Gross and Harris, "Fundamentals of Queueing Theory", finite-source queues.
    """
    think_ms, serve_ms, each = 4.0, 1.0, 40_000 // fetchers
    rng, source = Random(fetchers), Counter(1)

    def fetch(count: int) -> Iterator[Op]:
        for _ in range(count):
            yield WAIT, rng.expovariate(1) * think_ms * MS
            yield TAKE, source
            yield WAIT, rng.expovariate(1) * serve_ms * MS
            yield GIVE, source

    first = thread(fetch(each))
    took = ended(FREE, first, *(thread(fetch(10**9)) for _ in range(fetchers - 1)))
    load = serve_ms / think_ms
    states = [
        math.factorial(fetchers) / math.factorial(fetchers - n) * load**n
        for n in range(fetchers + 1)
    ]
    busy = 1 - 1 / sum(states)
    assert each / took == pytest.approx(busy / serve_ms / fetchers, rel=0.03)


def test_the_convoy_behind_python_code() -> None:
    """A thread back from a short wait gets the GIL a switch interval later."""
    gil, count = Gil(), 40
    short: list[Op] = [(WAIT, 1 * MS), (HOLD, 0.1 * MS)] * count
    alone = ended(FREE, thread(short, Gil()))
    beside = ended(FREE, thread(short, gil), thread([(HOLD, 1e12)], gil))
    assert alone == pytest.approx(1.1 * count)
    assert beside == pytest.approx((1.1 + 5) * count)


def test_a_thread_that_gives_the_gil_up_often_is_no_convoy() -> None:
    """The waiter comes at the next release, not after an interval."""
    gil, count = Gil(), 40
    short: list[Op] = [(WAIT, 1 * MS), (HOLD, 0.1 * MS)] * count
    polite: list[Op] = [(HOLD, 0.2 * MS), (NATIVE, 0.2 * MS)] * 10_000
    beside = ended(FREE, thread(short, gil), thread(polite, gil))
    assert beside < (1.1 + 0.4) * count


def test_a_waiter_may_come_too_late() -> None:
    """The GIL is free while it wakes: who comes back first has it again."""
    gil, slow = Gil(), replace(FREE, wake_ns=1 * MS, wake_soon_ns=1 * MS)
    rng = Random(0)
    quick: list[Op] = [
        (kind, rng.uniform(0.05, 0.15) * MS)
        for _ in range(300)
        for kind in (HOLD, NATIVE)
    ]
    waiter = thread([(HOLD, 1 * MS)], gil)
    took = ended(slow, thread(quick, gil), waiter)
    assert waiter.gil_ns > 2 * MS
    assert took < 60 + 3


def test_waking_costs_and_takes_time() -> None:
    """The waker pays, the woken one comes later, and its first code is cold."""
    prices = {"wake_ns": 50e3, "signal_ns": 10e3, "cold_ns": 30e3, "awake_ns": 0.0}
    machine, gil, done = replace(FREE, **prices), Gil(), Counter()
    helper = thread([(TAKE, done), (HOLD, 1 * MS), (GIVE, back := Counter())], Gil())
    asks = thread([(HOLD, 1 * MS), (GIVE, done), (HOLD, 1 * MS), (TAKE, back)], gil)
    took = ended(machine, asks, helper)
    assert took == pytest.approx(1 + 0.05 + 1 + 0.03 + 0.05, rel=1e-3)
    assert asks.blocked_ns / MS == pytest.approx(took - 2.01 - 0.05, rel=0.05)


def test_code_after_a_hand_over_takes_longer_up_to_a_bound() -> None:
    """In proportion at first, never more than it costs in all."""
    assert refill_ns(0, 40e3) == 0
    assert refill_ns(100, 40e3) == pytest.approx(200, rel=0.01)
    assert refill_ns(1e9, 40e3) == pytest.approx(40e3)
    assert refill_ns(1e6, 0) == 0


def test_no_gil_lets_python_code_run_at_once() -> None:
    """A free-threaded interpreter: only cores are shared."""
    work: list[Op] = [(HOLD, 30 * MS)]
    assert ended(FREE, thread(work), thread(work)) == pytest.approx(30)


def test_threads_that_wait_for_each_other_are_an_error() -> None:
    """Nobody can go on: that is a mistake of the program, not an endless loop."""
    with pytest.raises(RuntimeError, match="waits for another"):
        ended(FREE, thread([(TAKE, Counter())]))
    forever = thread([(HOLD, 1.0)] * 1000, Gil())
    with pytest.raises(RuntimeError, match="come to an end"):
        Simulation(FREE).run([forever], most_events=10)


def test_cores_at_work_are_counted() -> None:
    """For the sentence that says what is full."""
    simulation = Simulation(FREE)
    work: list[Op] = [(NATIVE, 30 * MS), (WAIT, 10 * MS)]
    whole = simulation.run([thread(work), thread([(NATIVE, 10 * MS)])])
    assert whole / MS == pytest.approx(40)
    assert simulation.busy_ns / MS == pytest.approx(40)
