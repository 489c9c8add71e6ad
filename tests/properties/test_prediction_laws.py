"""What holds for every simulated loop, whatever its steps."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from depth import cases
from hypothesis import given, settings
from hypothesis import strategies as st

from debottleneck.prediction.apply import setup
from debottleneck.prediction.demand import Demand, Part
from debottleneck.prediction.engine import Simulation
from debottleneck.prediction.programs import SimulatedLoop
from debottleneck.prediction.replay import replay
from debottleneck.recording.machine import Machine
from debottleneck.strategies.spec import Strategies, parse

MS = 1e6
PRICED = Machine(cores=2)
FREE = Machine(
    cores=2,
    gil=False,
    wake_ns=0,
    wake_soon_ns=0,
    signal_ns=0,
    cold_ns=0,
    refill_most_ns=0,
    call_ns=0,
    message_ns=0,
    copy_ns_per_byte=0,
    slow_python=1,
    slow_native=1,
)

pytestmark = pytest.mark.slow
TIMES = st.floats(0.0, 5.0)
RELEASES = st.floats(0.0, 12.0)
COUNT = 24


@st.composite
def parts(draw: st.DrawFn, stage: str, waits: bool = True) -> Part:
    """A call of a stage that takes some milliseconds of each kind."""
    python, native = draw(TIMES) * MS, draw(TIMES) * MS
    outside = draw(TIMES) * MS if waits else 0.0
    return Part(stage, f"{stage}_fn", python, native, outside, 0.0, draw(RELEASES))


@st.composite
def loops(draw: st.DrawFn, waits: bool = True) -> Demand:
    """Loops of a load, some forward calls, and some updates."""
    steps = []
    calls, updates = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    for _ in range(draw(st.integers(1, 3))):
        step = [draw(parts("load", waits))]
        step += [draw(parts("forward", waits)) for _ in range(calls)]
        step += [draw(parts("update", waits)) for _ in range(updates)]
        step.append(Part("other", "", 1e3, 0.0, 0.0, 0.0, 0.0))
        steps.append(tuple(step))
    whole = sum(map(length, (part for step in steps for part in step)))
    return Demand(tuple(steps), whole / len(steps))


def length(part: Part) -> float:
    """How long it takes by itself, ns."""
    return part.python + part.native + part.outside


SPECS = st.sampled_from(
    (
        "",
        "prefetch:workers=2",
        "prefetch:workers=8",
        "prefetch:workers=2,where=process",
        "parallel-forward",
        "parallel-forward:workers=2",
        "parallel-update:workers=3",
        "prefetch:workers=2+parallel-forward",
    )
)


def step_ns(
    loop: Demand, machine: Machine, spec: str, seed: int = 0, count: int = COUNT
) -> float:
    """The simulated step."""
    picks = [i % len(loop.steps) for i in range(count)]
    strategies: Strategies = parse(spec) if spec else ()
    return replay(loop, machine, strategies, picks, seed).step_ns


@settings(max_examples=cases(25))
@given(loops(), SPECS, st.integers(0, 9))
def test_the_same_seed_gives_the_same_step(loop: Demand, spec: str, seed: int) -> None:
    """Nothing else is random."""
    first = step_ns(loop, PRICED, spec, seed)
    assert step_ns(loop, PRICED, spec, seed) == first


@settings(max_examples=cases(25))
@given(loops())
def test_the_plain_loop_takes_as_long_as_its_parts(loop: Demand) -> None:
    """One thread alone waits for nobody and pays for nothing."""
    steps = [loop.steps[i % len(loop.steps)] for i in range(COUNT)]
    mean = sum(sum(map(length, step)) for step in steps) / COUNT
    assert abs(step_ns(loop, PRICED, "") - mean) <= 1e-6 * mean + 1
    made = setup(SimulatedLoop(loop, steps, PRICED, Random(0)), ())
    took = Simulation(PRICED).run(made.threads)
    assert abs(took / COUNT - mean) <= 1e-6 * mean + 1


@settings(max_examples=cases(25))
@given(loops(waits=False), SPECS, st.integers(1, 4), st.integers(1, 4))
def test_more_cores_never_slow_a_loop_down(
    loop: Demand, spec: str, cores: int, more: int
) -> None:
    """Without a GIL, and where all cores are as fast as one.

    Loops that wait are left out: when a wait ends earlier another call may be begun
    first, and the longest last (Graham's anomaly); real schedulers do so too.
    """
    few = step_ns(loop, replace(FREE, cores=cores), spec)
    many = step_ns(loop, replace(FREE, cores=cores + more), spec)
    assert many <= few * (1 + 1e-6) + 1


@settings(max_examples=cases(30))
@given(loops(), st.integers(1, 8))
def test_prefetch_never_beats_its_ceiling(loop: Demand, workers: int) -> None:
    """No step is shorter than its rest, nor all loads than their share of workers."""
    found = step_ns(loop, FREE, f"prefetch:workers={workers}")
    counted = [loop.steps[i % len(loop.steps)] for i in range(COUNT)]
    rest = min(sum(map(length, step[1:])) for step in counted)
    assert found >= rest * (1 - 1e-6)
    plain = step_ns(loop, FREE, "")
    work = sum(p.python + p.native for step in counted for p in step) / COUNT
    assert found >= min(work / FREE.cores, plain) * 0.9 - 1


@settings(max_examples=cases(30))
@given(loops(), st.sampled_from(("parallel-forward", "parallel-update:workers=3")))
def test_parallel_calls_never_beat_the_longest(loop: Demand, spec: str) -> None:
    """A step takes its other parts, and of the calls at least the longest."""
    stage = spec.partition(":")[0].removeprefix("parallel-")
    found = step_ns(loop, PRICED, spec)
    bounds = []
    for step in loop.steps:
        calls = [length(part) for part in step if part.stage == stage]
        others = sum(length(part) for part in step if part.stage != stage)
        bounds.append(others + max(calls))
    assert found >= min(bounds) * (1 - 1e-6)


@settings(max_examples=cases(30))
@given(parts("load"), parts("forward"), st.integers(1, 4))
def test_depth_beyond_the_need_changes_nothing(
    load: Part, forward: Part, workers: int
) -> None:
    """Equal steps never use more than the workers have in hand."""
    loop = Demand(((load, forward),), length(load) + length(forward))
    many = replace(FREE, cores=16)
    steps = [
        step_ns(loop, many, f"prefetch:workers={workers},depth={depth}", count=200)
        for depth in (2 * workers, 4 * workers)
    ]
    assert abs(steps[0] - steps[1]) <= 0.03 * max(steps) + 1


@settings(max_examples=cases(25))
@given(st.floats(0.5, 64), st.integers(1, 200), st.floats(1, 3), st.floats(1, 3))
def test_paces_are_at_most_a_core_each(
    cores: float, computing: int, python: float, native: float
) -> None:
    """Threads never get more than a core each, nor all together more than there are."""
    machine = Machine(cores=cores, slow_python=python, slow_native=native)
    for pace in machine.paces(computing):
        assert 0 < pace <= 1
        assert pace * computing <= cores * (1 + 1e-9)
