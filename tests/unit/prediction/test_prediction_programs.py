"""Strategies as simulated threads, on loops whose gain is known."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import made_machines
import pytest
from made_plans import fetched, numbered, shared

from debottleneck.prediction.apply import setup, simulated
from debottleneck.prediction.candidates import families
from debottleneck.prediction.demand import Demand, Part, Producer
from debottleneck.prediction.parallel import SharedTurns
from debottleneck.prediction.programs import SimulatedLoop
from debottleneck.prediction.replay import replay
from debottleneck.prediction.sides import NO_PLAN, NO_TURNS, PartsBySide, why_not
from debottleneck.recording.machine import Machine
from debottleneck.strategies.rewriting.plan import (
    HEAVY,
    ORDER,
    STAYS,
    Piece,
    Plan,
)
from debottleneck.strategies.spec import FORWARD, PREFETCH, UPDATE, parse, written

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
    line: int = 0,
) -> Part:
    """A call; times in milliseconds."""
    times = (python * MS, native * MS, outside * MS)
    takes = stage == "load"
    return Part(stage, name or f"{stage}_fn", *times, 0.0, releases, line, takes)


def demand(*parts: Part) -> Demand:
    """A loop of equal steps, each part in a line of its own."""
    step_ns = sum(p.python + p.native + p.outside for p in parts)
    return Demand((numbered(parts),) * 8, step_ns)


def step_ms(
    loop: Demand, spec: str = "", machine: Machine = FREE, count: int = COUNT
) -> float:
    """The simulated step with a strategy, "" for none."""
    picks = [i % len(loop.steps) for i in range(count)]
    return replay(loop, machine, parse(spec) if spec else (), picks).step_ns / MS


LOADED = demand(part("load", outside=12), part("forward", native=3))
FETCHED = fetched(LOADED)
HEAVILY = fetched(demand(part("load", python=12), part("forward", python=3)))
BRANCHED = demand(part("load", native=1), part("forward", native=16))
BRANCHES = shared(BRANCHED, FORWARD, 2, turns=4)
UPDATES = shared(
    demand(part("forward", native=2), part("update", outside=20)), UPDATE, 2, turns=4
)


@pytest.mark.parametrize(("workers", "expected"), [(1, 12), (2, 6), (3, 4), (4, 3)])
def test_prefetch_divides_waits_until_the_rest_is_longer(
    workers: int, expected: float
) -> None:
    """So many waits at once, and never less than the rest of the step."""
    spec = f"prefetch:workers={workers},depth=8"
    assert step_ms(FETCHED, spec) == pytest.approx(expected, rel=0.03)
    assert step_ms(FETCHED, "prefetch:workers=16") == pytest.approx(3, rel=0.03)


def test_prefetch_in_threads_gains_nothing_for_python_code() -> None:
    """The GIL lets one run at a time; a process has its own."""
    assert step_ms(HEAVILY, "prefetch:workers=2") == pytest.approx(15, rel=0.05)
    apart = step_ms(HEAVILY, "prefetch:workers=2,where=process")
    assert apart == pytest.approx(6, rel=0.05)
    free = replace(FREE, gil=False)
    assert step_ms(HEAVILY, "prefetch:workers=2", free) == pytest.approx(6, rel=0.05)


@pytest.mark.parametrize("count", [8, 20, 40, 50])
def test_what_was_made_before_the_first_step_is_no_gain(count: int) -> None:
    """Of few steps sixteen threads make all at the same time, and long before."""
    assert step_ms(HEAVILY, "prefetch:workers=16", count=count) >= 15
    apart = step_ms(HEAVILY, "prefetch:workers=16,where=process", count=count)
    assert apart >= 15 / FREE.cores


def test_processes_share_cores_too() -> None:
    """Two processes and the trainer on one core take as long as the loop did."""
    one = replace(FREE, cores=1)
    found = step_ms(HEAVILY, "prefetch:workers=2,where=process", one)
    assert found == pytest.approx(15, rel=0.05)


def test_messages_to_a_process_cost_both_sides() -> None:
    """The trainer's process and the other one pay for each batch."""
    priced = replace(FREE, message_ns=1 * MS)
    loop = fetched(demand(part("load", python=2), part("forward", python=2)))
    plain = step_ms(loop, "prefetch:workers=1,where=process")
    assert step_ms(loop, "prefetch:workers=1,where=process", priced) > plain + 0.9


@pytest.mark.parametrize(("workers", "expected"), [(2, 9), (4, 5)])
def test_parallel_forward_divides_calls_among_workers(
    workers: int, expected: float
) -> None:
    """Four calls of 4 ms by two or by four, the trainer among them."""
    found = step_ms(BRANCHES, f"parallel-forward:workers={workers}")
    assert found == pytest.approx(expected, rel=0.02)


def test_parallel_update_waits_for_the_longest() -> None:
    """Four waits of 5 ms at once, each that waits in a thread of its own."""
    for spec in ("parallel-update", "parallel-update:workers=2"):
        assert step_ms(UPDATES, spec) == pytest.approx(7, rel=0.02)


def test_what_torch_does_itself_is_not_simulated() -> None:
    """Nobody knows how fast it is, nor what settings do: none has a row."""
    step = part("update", "torch.optim.Adam.step", native=8)
    loop = demand(step, part("update", "torch.optim.Optimizer.zero_grad", native=1))
    assert not simulated(loop, parse("prefetch+parallel-update"))
    assert simulated(loop, parse("prefetch"))
    assert simulated(UPDATES, parse("parallel-update"))
    assert families(loop, 4) == []
    assert not simulated(UPDATES, parse("gc:off"))


def test_lines_in_order_are_no_faster_with_more_workers() -> None:
    """One thread makes them, or one process; the rest is beside it."""
    loop = fetched(LOADED, ORDER)
    for spec in ("prefetch:workers=8", f"prefetch:workers=8,{APART}"):
        assert step_ms(loop, spec) == pytest.approx(12, rel=0.03)


def test_a_call_within_a_call_is_divided_as_its_plan_was_measured() -> None:
    """One line, nothing named: its waiting is the load's, most of its work is not."""
    step = demand(part("other", " ", python=1, native=4, outside=12))
    pieces = (
        Piece(1, ORDER, 0.5 * MS, 0.5 * MS, "permuted"),
        Piece(1, HEAVY, 12.5 * MS, 0.5 * MS, "gather"),
        Piece(1, STAYS, 4 * MS, 4 * MS, "digest"),
    )
    loop = replace(step, plans=(Plan(PREFETCH, "train.py", 1, pieces=pieces),))
    assert step_ms(loop) == pytest.approx(17, rel=0.01)
    assert step_ms(loop, "prefetch:workers=8") == pytest.approx(4.5, rel=0.3)


def test_parts_go_where_what_they_call_goes() -> None:
    """By the name of a call, by its stage of training, by its line."""
    pieces = (
        Piece(3, HEAVY, MS, MS, "load"),
        Piece(3, STAYS, 3 * MS, MS, "fit", ("forward",)),
        Piece(5, ORDER, MS, MS, "draw"),
    )
    parts = [
        part("load", "Data.load", native=2, line=3),
        part("forward", "Net.forward", native=2, line=3),
        part("other", " ", python=2, line=5),
        part("other", " ", python=2, line=6),
        part("other", " ", python=2, line=1),
    ]
    sides = PartsBySide(Plan(PREFETCH, "train.py", 3, pieces=pieces), parts)
    found = [set(sides.divide(each)) for each in parts]
    assert found == [{HEAVY}, {STAYS}, {ORDER}, {ORDER}, {STAYS}]


def test_the_scripts_own_producers_are_replayed() -> None:
    """A trainer that starves beside a slow thread does so in the simulation."""
    slow = Producer(part("load", outside=20), apart=False)
    plain = demand(part("load"), part("forward", native=3))
    loop = replace(plain, producers=(slow,))
    assert step_ms(loop) == pytest.approx(20, rel=0.02)
    assert step_ms(replace(plain, producers=(slow, slow))) == pytest.approx(
        10, rel=0.02
    )
    ahead = fetched(loop, ORDER)
    assert step_ms(ahead, "prefetch:workers=4") == pytest.approx(20, rel=0.02)


def test_producers_that_hold_the_gil_slow_the_trainer() -> None:
    """Beside two threads of Python code the trainer waits for both to make one."""
    busy = Producer(part("load", python=12), apart=False)
    train = part("forward", python=0.5, native=3, releases=8)
    loop = replace(demand(part("load"), train), producers=(busy, busy))
    assert step_ms(loop) > 12


def test_a_process_takes_the_gil_from_the_scripts_own_producers() -> None:
    """What their plan says is made elsewhere; one more thread ahead of them is not."""
    busy = Producer(part("load", python=12), apart=False)
    train = part("forward", python=0.5, native=3, releases=8)
    pieces = (Piece(9, ORDER, 12 * MS, 12 * MS), Piece(9, STAYS, 0.0, 0.0, "put"))
    plan = Plan(PREFETCH, "train.py", 8, pieces=pieces, feeds=True)
    own = Plan(PREFETCH, "train.py", 1, reason="both use seen")
    loop = replace(demand(part("load"), train), producers=(busy, busy))
    loop = replace(loop, plans=(own, plan))
    assert step_ms(loop, "prefetch") > 12
    assert step_ms(loop, "prefetch:where=process") == pytest.approx(6, rel=0.1)
    assert [why_not(loop, *parse(f"prefetch{s}")) for s in ("", ":where=process")] == [
        "both use seen", "",
    ]  # fmt: skip


def test_workers_help_the_scripts_own_producer() -> None:
    """Its slow source is asked by several threads at once."""
    slow = Producer(part("load", outside=20), apart=False)
    pieces = (Piece(9, HEAVY, 20 * MS, 0.0), Piece(9, STAYS, 0.0, 0.0, "put"))
    plan = Plan(PREFETCH, "train.py", 8, pieces=pieces, feeds=True)
    plain = demand(part("load"), part("forward", native=3))
    loop = replace(plain, producers=(slow,), plans=(plan,))
    assert step_ms(loop, "prefetch:workers=4") == pytest.approx(5, rel=0.1)


def test_two_strategies_act_together() -> None:
    """Each takes its own parts of the step."""
    plain = demand(part("load", outside=6), part("forward", "b", native=8))
    loop = shared(fetched(plain), FORWARD, 2, turns=2)
    both = step_ms(loop, "prefetch:workers=4+parallel-forward:workers=2")
    assert both == pytest.approx(4, rel=0.05)


def test_the_fill_is_as_long_as_what_is_ahead() -> None:
    """Steps whose batches came for nothing are not counted, bursts only whole."""
    simulated_loop = SimulatedLoop(FETCHED, FETCHED.steps, FREE, Random(0))
    made = setup(simulated_loop, parse("prefetch:workers=3"))
    assert (made.fill, made.burst) == (2 + 6, 3)


@pytest.mark.parametrize(
    ("loop", "spec", "why"),
    [
        (FETCHED, "prefetch", ""),
        (UPDATES, "prefetch", NO_PLAN),
        (fetched(LOADED, reason="both use seen"), "prefetch", "both use seen"),
        (FETCHED, "parallel-forward", NO_TURNS),
        (BRANCHES, "parallel-forward", ""),
        (
            shared(BRANCHED, FORWARD, 2, 4, reason="its turns share w"),
            "parallel-forward",
            "of the loop in line 2, its turns share w",
        ),
    ],
)
def test_what_would_not_act_says_why(loop: Demand, spec: str, why: str) -> None:
    """In the words of its plan, and it gains nothing."""
    (strategy,) = parse(spec)
    assert why_not(loop, strategy) == why
    if why:
        assert step_ms(loop, spec) == pytest.approx(step_ms(loop), rel=0.01)


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        (FETCHED, [f"prefetch:workers={n}" for n in (1, 2, 4, 8, 16)]),
        (HEAVILY, [f"prefetch:workers={n}" for n in (1, 2)]),
        (fetched(LOADED, ORDER), ["prefetch:workers=1"]),
        (fetched(LOADED, reason="both use seen"), ["prefetch"]),
        (BRANCHES, ["parallel-forward:workers=2"]),
        (UPDATES, ["parallel-update"]),
        (LOADED, []),
    ],
)
def test_settings_are_those_that_a_plan_allows(
    loop: Demand, expected: list[str]
) -> None:
    """Waits get more threads than cores, work as many; processes where they can."""
    found = [written(each) for family in families(loop, 2) for each in family]
    assert [spec for spec in found if APART not in spec] == expected
    apart = any(APART in spec for spec in found)
    assert apart == (expected[:1] in (["prefetch:workers=1"], ["prefetch"]))
    able = fetched(LOADED, apart=False)
    assert APART not in str(families(able, 2))


def test_turns_are_simulated_as_wholes_however_many_marks_they_have() -> None:
    """Else a statement of a thousand marks that enters a loop so often has no end."""
    marks, entries, turns = 1000, 50, 4
    parts = [part("forward", native=0.01, line=1) for _ in range(marks)]
    loop = shared(Demand((tuple(parts),) * 8, 10 * MS), FORWARD, 1, turns=turns)
    (plan,) = loop.plans
    simulation = SimulatedLoop(loop, loop.steps[:1], FREE, Random(0))
    made = SharedTurns(simulation, None, replace(plan, entries=entries), 2)
    operations = [*made.make(parts)]
    assert len(operations) < 4 * (marks + entries * turns)
