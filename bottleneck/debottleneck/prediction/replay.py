"""One simulated run: steps drawn from the measured ones, and the time of a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from debottleneck.prediction.apply import setup
from debottleneck.prediction.demand import Demand
from debottleneck.prediction.engine import Simulation
from debottleneck.prediction.programs import MOST_CYCLES, SimulatedLoop, Step
from debottleneck.recording.machine import Machine
from debottleneck.strategies.spec import PREFETCH, Strategies

NEIGHBOURS = 4
"""Steps that are drawn together: consecutive steps resemble each other."""


@dataclass(frozen=True)
class Replayed:
    """What one simulated run showed.

    Attributes:
        step_ns: Mean steady-state step.
        busy: Mean number of cores at work.
        starved: Part of the time that the trainer waits for other threads.
        gil: Part of the time that it waits for the GIL.
        helpers_gil: Of the others' time that they do not wait for work.
        helpers_outside: The part of it that they wait for the outside.
        at_once: How many of them wait for the outside, on average.
        threads: All threads, the trainer too.
        outside: Part of the time that the trainer waits for the outside.
        switch_ns: Mean time between two hand-overs of the trainer's GIL.
    """

    step_ns: float
    busy: float = 0.0
    starved: float = 0.0
    gil: float = 0.0
    helpers_gil: float = 0.0
    helpers_outside: float = 0.0
    at_once: float = 0.0
    threads: int = 1
    outside: float = 0.0
    switch_ns: float = math.inf


def drawn(demand: Demand, count: int, rng: np.random.Generator) -> list[int]:
    """Numbers of measured steps, some neighbours at a time, with replacement."""
    size = min(NEIGHBOURS, len(demand.steps))
    starts = rng.integers(len(demand.steps) - size + 1, size=-(-count // size))
    return [int(start) + i for start in starts for i in range(size)][:count]


def replay(
    demand: Demand,
    machine: Machine,
    strategies: Strategies,
    picks: Sequence[int],
    seed: int = 0,
) -> Replayed:
    """Simulate these steps.

    Args:
        demand: The recorded loop.
        machine: What it runs on.
        strategies: () for the loop as it is.
        picks: Numbers of the steps, in order.
        seed: Of how stretches of code between releases of the GIL differ.
    """
    steps = [demand.steps[pick] for pick in picks]
    if not strategies and not demand.producers:
        return _alone(steps, machine)
    setting = setup(SimulatedLoop(demand, steps, machine, Random(seed)), strategies)
    simulation = Simulation(machine)
    total = max(simulation.run(setting.threads), 1.0)
    marks = np.array(setting.threads[0].marks)
    first = min(setting.fill, len(picks) // 2)
    first += (len(marks) - 1 - first) % setting.burst
    counted = marks[min(first, len(marks) - 2) :]
    main, others = setting.threads[0], setting.threads[1:]
    active = max(sum(max(total - thread.blocked_ns, 0.0) for thread in others), 1.0)
    outside = sum(thread.outside_ns for thread in others)
    step_ns = float(counted[-1] - counted[0]) / (len(counted) - 1)
    one_gil = all(thread.gil is main.gil for thread in others)
    return Replayed(
        step_ns=max(step_ns, _least(steps, machine, one_gil), 1.0),
        busy=simulation.busy_ns / total,
        starved=main.blocked_ns / total,
        gil=main.gil_ns / total,
        helpers_gil=sum(thread.gil_ns for thread in others) / active,
        helpers_outside=outside / active,
        at_once=outside / total,
        threads=len(setting.threads),
        outside=main.outside_ns / total,
        switch_ns=total / max(main.gil.switches - 1, 1e-9) if main.gil else math.inf,
    )


def _least(steps: Sequence[Step], machine: Machine, one_gil: bool) -> float:
    """What a step takes however far ahead others are: its work, on all cores.

    Where all threads share the GIL its Python code runs one after the other, too. Of
    few steps most may be made before the first one that is counted.
    """
    parts = [part for step in steps for part in step]
    work = sum(part.work for part in parts) / max(machine.cores, 1.0)
    python = sum(part.python for part in parts) * (one_gil and machine.gil)
    return max(work, python) / len(steps)


def _alone(steps: Sequence[Step], machine: Machine) -> Replayed:
    """One thread alone waits for nobody: its steps are as long as their parts."""
    pace, _ = machine.paces(1)
    work = sum(part.work for step in steps for part in step) / pace
    waits = sum(part.length - part.work for step in steps for part in step)
    total = max(work + waits, 1.0)
    step_ns, busy = total / len(steps), work * pace / total
    return Replayed(step_ns, busy=busy, outside=waits / total)


def operations(demand: Demand, strategies: Strategies, picks: Sequence[int]) -> float:
    """About how many operations a step has, for how long a run may be."""
    names = {strategy.name for strategy in strategies}
    plans = [plan for plan in demand.plans if plan.strategy in names - {PREFETCH}]
    shared = {piece.line for plan in plans for piece in plan.pieces}
    count = 0.0
    for pick in picks[: 4 * NEIGHBOURS]:
        for part in demand.steps[pick]:
            fine = bool(demand.producers) or PREFETCH in names or part.line in shared
            count += 2 + 2 * min(part.releases, MOST_CYCLES) * fine
    return count / max(min(len(picks), 4 * NEIGHBOURS), 1) if strategies else 0.0
