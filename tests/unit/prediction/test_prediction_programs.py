"""Strategies as simulated threads, on loops whose gain is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

import made_machines
import pytest

from debottleneck.prediction.apply import setup, simulated, why_not
from debottleneck.prediction.candidates import families
from debottleneck.prediction.demand import Demand, Form, Part, Producer
from debottleneck.prediction.parallel import runs
from debottleneck.prediction.prefetch import inputs
from debottleneck.prediction.programs import SimulatedLoop
from debottleneck.prediction.replay import replay
from debottleneck.recording.machine import Machine
from debottleneck.strategies.spec import parse

MS = 1e6
FREE = replace(made_machines.FREE, cores=4)
COUNT = 64
APART = "where=process"


def part(
    stage: str,
    name: str = "",
    python: float = 0.0,
    native: float = 0.0,
    outside: float = 0.0,
    releases: float = 0.0,
) -> Part:
    """A call; times in milliseconds."""
    times = (python * MS, native * MS, outside * MS)
    return Part(stage, name or f"{stage}_fn", *times, 0.0, releases)


def demand(*parts: Part, forms: Mapping[str, Form] | None = None) -> Demand:
    """A loop of equal steps."""
    step_ns = sum(p.python + p.native + p.outside for p in parts)
    return Demand((parts,) * 8, step_ns, forms=forms or {})


def step_ms(loop: Demand, spec: str = "", machine: Machine = FREE) -> float:
    """The simulated step with a strategy, "" for none."""
    picks = [i % len(loop.steps) for i in range(COUNT)]
    return replay(loop, machine, parse(spec) if spec else (), picks).step_ns / MS


FETCHED = demand(part("load", outside=12), part("forward", native=3))
HEAVY = demand(part("load", python=12), part("forward", python=3))
BRANCHES = demand(part("load", native=1), *[part("forward", "b", native=4)] * 4)
UPDATES = demand(part("forward", native=2), *[part("update", outside=5)] * 4)


@pytest.mark.parametrize(("workers", "expected"), [(1, 12), (2, 6), (3, 4), (4, 3)])
def test_prefetch_divides_waits_until_the_rest_is_longer(
    workers: int, expected: float
) -> None:
    """So many waits at once, and never less than the rest of the step."""
    spec = f"prefetch:workers={workers},depth=8"
    assert step_ms(FETCHED, spec) == pytest.approx(expected, rel=0.03)
    assert step_ms(FETCHED, "prefetch:workers=16") == pytest.approx(3, rel=0.03)


def test_a_source_that_serves_two_at_once_ends_the_gain() -> None:
    """More fetches in flight only wait for each other."""
    machine = replace(FREE, source_limit=2)
    assert step_ms(FETCHED, "prefetch:workers=8", machine) == pytest.approx(6, rel=0.03)


def test_prefetch_in_threads_gains_nothing_for_python_code() -> None:
    """The GIL lets one run at a time; a process has its own."""
    assert step_ms(HEAVY, "prefetch:workers=2") == pytest.approx(15, rel=0.05)
    apart = step_ms(HEAVY, "prefetch:workers=2,where=process")
    assert apart == pytest.approx(6, rel=0.05)
    free = replace(FREE, gil=False)
    assert step_ms(HEAVY, "prefetch:workers=2", free) == pytest.approx(6, rel=0.05)


def test_processes_share_cores_too() -> None:
    """Two processes and the trainer on one core take as long as the loop did."""
    one = replace(FREE, cores=1)
    found = step_ms(HEAVY, "prefetch:workers=2,where=process", one)
    assert found == pytest.approx(15, rel=0.05)


def test_messages_to_a_process_cost_both_sides() -> None:
    """The trainer's process and the other one pay for each batch."""
    priced = replace(FREE, message_ns=1 * MS)
    loop = demand(part("load", python=2), part("forward", python=2))
    plain = step_ms(loop, "prefetch:workers=1,where=process")
    assert step_ms(loop, "prefetch:workers=1,where=process", priced) > plain + 0.9


@pytest.mark.parametrize(("workers", "expected"), [(2, 9), (4, 5)])
def test_parallel_forward_divides_calls_among_workers(
    workers: int, expected: float
) -> None:
    """Four calls of 4 ms by two or by four, the trainer among them."""
    found = step_ms(BRANCHES, f"parallel-forward:workers={workers}")
    assert found == pytest.approx(expected, rel=0.02)


def test_parallel_forward_takes_only_calls_on_the_same_arguments() -> None:
    """Of four calls two are siblings: the others stay one after the other."""
    forms = {"b": Form("siblings", 2, 0)}
    steps = (part("load", native=1), *[part("forward", "b", native=4)] * 2)
    loop = demand(*steps, *[part("forward", "head", native=4)] * 2, forms=forms)
    found = step_ms(loop, "parallel-forward:workers=4")
    assert found == pytest.approx(1 + 4 + 8, rel=0.02)


def test_parallel_update_waits_for_the_longest() -> None:
    """Four waits of 5 ms at once, two at once with one helper."""
    assert step_ms(UPDATES, "parallel-update") == pytest.approx(7, rel=0.02)
    assert step_ms(UPDATES, "parallel-update:workers=2") == pytest.approx(17, rel=0.02)


def test_a_torch_optimizer_s_own_forms_are_not_simulated() -> None:
    """Nobody knows how fast they are: no setting is proposed, and none has a row."""
    step = part("update", "torch.optim.Adam.step", native=8)
    loop = demand(step, part("update", "torch.optim.Optimizer.zero_grad", native=1))
    assert not simulated(loop, parse("prefetch+parallel-update"))
    assert simulated(loop, parse("prefetch"))
    assert simulated(UPDATES, parse("parallel-update"))
    assert families(loop, 4) == []


def test_elements_of_a_batch_are_shared_with_the_trainer() -> None:
    """Two make the images of one batch; the trainer is one of them."""
    forms = {"load_batch": Form("elements", 32, 0)}
    load = part("load", "load_batch", native=32)
    loop = demand(load, part("forward", native=2), forms=forms)
    found = step_ms(loop, "prefetch:workers=2,where=process")
    assert found == pytest.approx(18, rel=0.1)


def test_the_scripts_own_producers_are_replayed() -> None:
    """A trainer that starves beside a slow thread does so in the simulation."""
    slow = Producer(part("load", outside=20), apart=False)
    plain = demand(part("load"), part("forward", native=3))
    loop = replace(plain, producers=(slow,))
    assert step_ms(loop) == pytest.approx(20, rel=0.02)
    assert step_ms(replace(plain, producers=(slow, slow))) == pytest.approx(
        10, rel=0.02
    )
    assert step_ms(loop, "prefetch:workers=4") == pytest.approx(20, rel=0.02)


def test_producers_that_hold_the_gil_are_moved_to_processes() -> None:
    """Beside two threads of Python code the trainer waits; moved, it does not."""
    busy = Producer(part("load", python=12), apart=False)
    train = part("forward", python=0.5, native=3, releases=8)
    loop = replace(demand(part("load"), train), producers=(busy, busy))
    contended = step_ms(loop)
    assert contended > 12
    moved = step_ms(loop, "prefetch:where=process")
    assert moved == pytest.approx(6, rel=0.05)


def test_two_strategies_act_together() -> None:
    """Each takes its own parts of the step."""
    loop = demand(part("load", outside=6), *[part("forward", "b", native=4)] * 2)
    both = step_ms(loop, "prefetch:workers=4+parallel-forward:workers=2")
    assert both == pytest.approx(4, rel=0.05)


def test_the_fill_is_as_long_as_what_is_ahead() -> None:
    """Steps whose batches came for nothing are not counted, bursts only whole."""
    loop = demand(part("load", outside=12), part("forward", native=3))

    made = setup(
        SimulatedLoop(loop, loop.steps, FREE, Random(0)), parse("prefetch:workers=3")
    )
    assert (made.fill, made.burst) == (2 + 6, 3)


def test_runs_end_at_another_stage() -> None:
    """Code between calls belongs to them, another stage does not."""
    step = [
        part(s, s) for s in ("load", "forward", "other", "forward", "loss", "forward")
    ]
    assert runs(step, "forward", "", 0) == {1: 4}
    assert runs(step, "forward", "forward", 2) == {1: 4}
    assert runs(step, "forward", "head", 2) == {}


def test_inputs_are_loads_with_what_prepares_their_batch() -> None:
    """Augmenting after a load belongs to it, other work ends it."""
    words = ("load", "other", "augment", "forward", "augment", "load")
    step = [part(word) for word in words]
    assert inputs(step, ("load",)) == {0: 1, 5: 6}
    assert inputs(step, ("load", "augment")) == {0: 3, 5: 6}


def called(loop: Demand, name: str, form: str) -> Demand:
    """The loop, one of whose functions is called in this form."""
    return replace(loop, forms={name: Form(form, 0, 0)})


@pytest.mark.parametrize(
    ("loop", "spec", "why"),
    [
        (FETCHED, "prefetch", ""),
        (UPDATES, "prefetch", "no function of the script marks a load"),
        (FETCHED, "parallel-forward", "one forward call a step"),
        (FETCHED, "parallel-update", "one update call a step"),
        (BRANCHES, "parallel-forward", ""),
        (called(BRANCHES, "b", "chain"), "parallel-forward", "no two"),
        (called(UPDATES, "update_fn", "returns"), "parallel-update", "returns a value"),
        (called(FETCHED, "load_fn", "varies"), "prefetch", "do not advance"),
        (called(FETCHED, "load_fn", "buffer"), "prefetch", "the same array"),
        (called(FETCHED, "load_fn", "stream"), f"prefetch:{APART}", "of this process"),
        (called(FETCHED, "load_fn", "api"), "prefetch", "marks its load itself"),
        (replace(FETCHED, inputs=("load", "augment")), "prefetch", "beside the load"),
    ],
)
def test_what_would_not_act_says_why(loop: Demand, spec: str, why: str) -> None:
    """One sentence, from the recording alone."""
    (strategy,) = parse(spec)
    found = why_not(loop, strategy)
    assert why in found
    assert bool(why) == bool(found)
