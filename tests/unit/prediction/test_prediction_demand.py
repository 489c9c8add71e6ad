"""From a recording to what its steps ask for, and to predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from made_plans import recorded
from made_rows import FILE, Script
from made_runs import FACTS, MS, PID, marks, running, sites, table, threads, wait, waits

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.frames import COLUMNS
from debottleneck.analysis.result import WORTH, Analysis
from debottleneck.prediction.demand import Demand, Part, Producer, demand_of
from debottleneck.prediction.predict import (
    machine_of,
    predict,
    wobble_of,
    work_share,
)
from debottleneck.prediction.replay import operations
from debottleneck.prediction.verdict import judged
from debottleneck.recording.machine import Machine
from debottleneck.recording.recording import Recording, empty
from debottleneck.recording.spool import BURST_READS
from debottleneck.report.words.predictions import outcome
from debottleneck.strategies.rewriting.plan import (
    HEAVY,
    STAYS,
    TURNS,
    Piece,
    Plan,
    Reason,
)
from debottleneck.strategies.spec import PREFETCH, parse

STEPS, LENGTH = 40, 20.0
LOAD, FORWARD, BESIDE = 12.0, 6.0, 2.0
"""Of each step: 12 ms waiting for the network, 6 ms native, 2 ms Python between."""

ENVIRONMENT = {"cores": 4, "cpu_quota": None}


DETAILS = [(0, "", ""), (1, "recvfrom", "peer")]


def words() -> list[tuple[Any, ...]]:
    """The marks; the load takes no CPU time, its wait is all of it."""
    found: list[tuple[Any, ...]] = []
    for step in range(STEPS):
        at, cpu = LENGTH * step, (LENGTH - LOAD) * step
        found += [(at, "+load", cpu), (at + LOAD, "-load", cpu)]
        found.append((at + LOAD + BESIDE, "+forward", cpu + BESIDE))
        end = at + LOAD + BESIDE + FORWARD
        found.append((end, "-forward", cpu + BESIDE + FORWARD))
    return found


def samples() -> list[tuple[int, ...]]:
    """A tick each millisecond: network, then Python, then native code."""
    rows = []
    for step in range(STEPS):
        for ms in range(int(LENGTH)):
            start, end = LENGTH * step + ms, LENGTH * step + ms + 1
            if ms < LOAD:
                rows.append(wait(start, end, "network", detail=1))
            else:
                holder = PID if ms < LOAD + BESIDE else 0
                rows.append(running(start, end, holder=holder))
    return rows


def bursts(releases: int) -> pd.DataFrame:
    """One burst a millisecond: half of the readings held, so many releases."""
    rows = [
        (PID, round((ms + 0.5) * MS), 24_000, BURST_READS // 2, releases)
        for ms in range(int(LENGTH) * STEPS)
    ]
    return table("bursts", rows)


def recording(**tables: pd.DataFrame) -> Recording:
    """The run above, with further tables."""
    whole = {
        "sites": sites(),
        "threads": threads((PID, "MainThread")),
        "marks": marks({PID: words()}),
        "waits": waits(samples()),
        "details": table("details", DETAILS),
        **tables,
    }
    facts = replace(FACTS, environment=ENVIRONMENT)
    return Recording.of(facts, whole)


def analysed(**tables: pd.DataFrame) -> Analysis:
    """Its analysis."""
    return analyse(recording(**tables))


def demanded(**tables: pd.DataFrame) -> Demand:
    """What it asks for."""
    found = demand_of(analysed(**tables))
    assert found is not None
    return found


def test_steps_are_outermost_calls_and_what_lies_between() -> None:
    """In order, with their names, each with its kinds of time."""
    loop = demanded()
    for step in loop.steps:
        assert [(part.stage, part.name) for part in step] == [
            ("load", "load_fn"),
            ("other", ""),
            ("forward", "forward_fn"),
        ]
        load, between, forward = step
        assert load.outside == pytest.approx(LOAD * MS)
        assert load.python == load.native == load.lock == 0
        assert between.python == pytest.approx(BESIDE * MS, rel=0.1)
        assert forward.native == pytest.approx(FORWARD * MS, rel=0.1)
    assert loop.step_ns == pytest.approx(LENGTH * MS)


@pytest.mark.parametrize(("state", "lock"), [("gil", 0.0), ("lock", LOAD)])
def test_waits_for_threads_are_not_waits_for_the_outside(
    state: str, lock: float
) -> None:
    """The GIL is the simulation's own; another thread's lock is kept apart."""
    rows = [
        wait(LENGTH * step + ms, LENGTH * step + ms + 1, state, holder=7)
        for step in range(STEPS)
        for ms in range(int(LOAD))
    ]
    rows += [row for row in samples() if row[3] % round(LENGTH * MS) > LOAD * MS]
    load = demanded(waits=waits(sorted(rows, key=lambda row: row[2]))).steps[5][0]
    assert load.outside == 0
    assert load.lock == pytest.approx(lock * MS)


@pytest.mark.parametrize("releases", [0, 1, 3])
def test_releases_are_counted_by_bursts(releases: int) -> None:
    """A rate for each stage, with what falls between two readings."""
    loop = demanded(bursts=bursts(releases))
    _, between, _ = loop.steps[5]
    seen = between.releases
    raw = releases / 24_000 * BESIDE * MS
    assert raw <= seen <= 2 * raw
    assert (seen > 0) == (releases > 0)


def planned(*plans: Plan, **tables: pd.DataFrame) -> Analysis:
    """The same run as a loop of lines, with what strategies said of it."""
    made = Script()
    for _ in range(STEPS):
        made.turn()
        made.line(11, "x = fetch(i)", 0)
        made.stage("load", 0, sleep=LOAD)
        made.line(12, "y = net(x)", BESIDE)
        made.stage("forward", FORWARD)
    made.turn()
    made.left()
    shown = {"waits": waits(samples()), "details": table("details", DETAILS)}
    whole = made.recording(**{**shown, **tables})
    said = tuple(recorded(plan) for plan in plans or (AHEAD,))
    facts = replace(whole.facts, environment=ENVIRONMENT, plans=said)
    return analyse(replace(whole, facts=facts))


PIECES = (
    Piece(11, HEAVY, LOAD * MS, 0.1 * MS, "load_fn"),
    Piece(12, STAYS, FORWARD * MS, FORWARD * MS, "forward_fn", ("forward",)),
)
AHEAD = Plan(PREFETCH, FILE, 10, pieces=PIECES, workers=2)


def test_plans_are_those_of_the_loop_that_trains() -> None:
    """The last of each; of loops within it by the statement that they are in."""
    within = ((10, 12), (3, 8))
    turns = (Piece(80, TURNS, 3 * MS, 3 * MS),)
    inner = Plan("parallel-forward", "net.py", 80, pieces=turns, turns=4, around=within)
    others = (
        replace(AHEAD, reason=Reason("not this one")),
        replace(AHEAD, line=3, reason=Reason("another loop")),
        replace(inner, line=90, around=((3, 8),)),
    )
    loop = demand_of(planned(*others, AHEAD, inner))
    assert loop is not None
    assert [plan.strategy for plan in loop.plans] == [PREFETCH, "parallel-forward"]
    assert loop.plans[0] == replace(AHEAD, depth=1)
    assert loop.plans[1].pieces == (replace(turns[0], line=12),)
    assert {(part.line, part.stage) for part in loop.parts} == {
        *((11, "load"), (12, "train.py:12"), (12, "forward"))
    }


def test_a_recording_without_plans_predicts_no_strategy() -> None:
    """It says so in a sentence; the loop as it is can be asked about."""
    analysis = planned()
    facts = replace(analysis.recording.facts, plans=())
    old = replace(analysis, recording=replace(analysis.recording, facts=facts))
    found, elsewhere = predict(old), predict(analysed())
    assert found is not None
    assert elsewhere is not None
    assert found.rows == elsewhere.rows == ()
    assert "profile the script again" in outcome(found)
    assert "none of the script's own" in outcome(elsewhere)
    assert found.plain.step_ms == pytest.approx(LENGTH)


def test_a_refused_plan_says_what_it_would_gain() -> None:
    """With the edit that lets it act, else nothing; not to be tried as it is."""
    for edit in ("hand over a copy", ""):
        reason = Reason("both sides use seen", edit)
        found = predict(planned(replace(AHEAD, reason=reason)))
        assert found is not None
        (row,) = found.rows
        assert (row.why_not, row.edit) == ("both sides use seen", edit)
        assert row.speedup > WORTH if edit else row.speedup == 1.0
        assert not row.worth
        assert found.gaining == []


def test_step_functions_alone_are_steps_of_one_part() -> None:
    """With no stage marked, all of a step lies between calls."""
    loop = demanded(sites=sites().assign(stage="step"))
    assert {part.stage for step in loop.steps for part in step} == {"other"}


def test_a_run_without_steps_is_not_predicted() -> None:
    """There is nothing to replay."""
    found = analysed(marks=marks({PID: []}))
    assert demand_of(found) is None
    assert predict(found) is None
    assert judged(found).predictions is None


def test_a_prediction_is_an_interval_around_what_the_model_says() -> None:
    """Two fetches in flight halve the wait; the bounds hold the middle."""
    found = predict(planned(), [parse("prefetch:workers=2")])
    assert found is not None
    (row,) = found.rows
    assert row.spec == "prefetch:workers=2"
    assert row.low < row.speedup < row.high
    assert row.step_low < row.step_ms < row.step_high
    assert row.step_ms * row.speedup == pytest.approx(LENGTH)
    assert row.speedup == pytest.approx(LENGTH / (BESIDE + FORWARD), rel=0.1)
    assert row.worth
    assert not row.hopeless
    assert found.replayed == pytest.approx(1, abs=0.01)
    assert found.plain.speedup == pytest.approx(1)


def test_the_same_seed_gives_the_same_predictions() -> None:
    """Every draw is from it."""
    analysis, asked = planned(bursts=bursts(1)), [parse("prefetch:workers=2")]
    first = predict(analysis, asked, seed=3)
    assert predict(analysis, asked, seed=3) == first
    assert predict(analysis, asked, seed=4) != first


def test_without_names_each_strategy_has_its_best_setting() -> None:
    """The fastest first; of settings about as fast the one with fewest threads."""
    found = predict(planned())
    assert found is not None
    assert found.rows[0].spec.startswith("prefetch:workers=2")
    gains = [row.speedup for row in found.rows]
    assert gains == pytest.approx(sorted(gains, reverse=True), rel=0.05)
    best = next(row for row in found.rows if row.worth)
    assert best.speedup >= WORTH
    assert all(settings for settings in found.settings)


def test_prices_are_the_recordings_and_cores_its_environments() -> None:
    """A quota counts; without a calibration an ordinary machine is assumed."""
    analysis = analysed()
    assert machine_of(analysis) == Machine(cores=4)
    facts = replace(
        analysis.recording.facts,
        machine={"wake_ns": 1.0, "cores": 99, "something newer": 1},
        environment={"cores": 8, "cpu_quota": 1.5},
    )
    changed = replace(analysis, recording=replace(analysis.recording, facts=facts))
    assert machine_of(changed) == Machine(cores=1.5, wake_ns=1.0)


def test_simulated_operations_are_bounded() -> None:
    """However often the GIL is given up, and however many steps there are."""
    loop = demanded(bursts=bursts(6))
    strategies = parse("prefetch:workers=8")
    assert operations(loop, strategies, range(16)) < 10_000
    assert operations(loop, (), range(16)) == 0


def test_a_machine_that_wobbles_widens_the_intervals() -> None:
    """Half seconds that differ say how much runs will; equal ones add nothing."""
    steady = analysed()
    assert wobble_of(steady) == pytest.approx(0, abs=1e-6)
    walls = [LENGTH * MS * (1.3 if i // 8 % 2 else 1.0) for i in range(200)]
    ends = pd.Series(walls).cumsum()
    steps = pd.DataFrame(
        {
            "step": range(200),
            "start_ns": (ends - walls).astype("int64"),
            "end_ns": ends.astype("int64"),
            "wall_ns": pd.Series(walls).astype("int64"),
            "block": "quiet",
        }
    )
    assert 0 < wobble_of(replace(steady, steps=steps)) <= 0.15
    assert wobble_of(replace(steady, steps=steps.iloc[:20])) == 0


def test_loops_that_work_are_less_certain_than_loops_that_wait() -> None:
    """The machine is as fast as it happens to be, a wait as long as it was."""
    loop = demanded()
    assert work_share(loop) == pytest.approx((BESIDE + FORWARD) / LENGTH, rel=0.05)


def test_without_waits_nothing_is_known_of_python_and_native() -> None:
    """Nobody sampled who holds the GIL: the prediction says so by its width."""
    blind = planned(waits=empty("waits"))
    loop = demand_of(blind)
    assert loop is not None
    assert not loop.python_known
    asked = [parse("prefetch:workers=2")]
    wide, narrow = predict(blind, asked), predict(planned(), asked)
    assert wide is not None
    assert narrow is not None
    (unsure,), (sure,) = wide.rows, narrow.rows
    assert unsure.high / unsure.low >= sure.high / sure.low


def lines() -> Script:
    """A loop of lines: one that makes batches and calls an opened function, stages."""
    made = Script()
    for _ in range(STEPS):
        made.turn()
        made.line(11, "x = read(i)", 1, side="input", sleep=4)
        called = made.enter("read", 60, 70)
        made.line(61, "open(path)", 2, within=called, side="input")
        made.leave(called)
        made.line(12, "y = net(x)", 0.5)
        made.stage("forward", 3)
        made.line(13, "W -= y", 2, side="train")
    made.turn()
    made.left()
    return made


def test_the_parts_of_a_step_are_lines_and_calls() -> None:
    """Each line by its row's name, calls of stages between them."""
    loop = demand_of(analyse(lines().recording()))
    assert loop is not None
    names = ["train.py:11", "train.py:61", "train.py:12", "forward", "train.py:13"]
    assert {tuple(part.stage for part in step) for step in loop.steps} == {(*names,)}
    assert {part.name for part in loop.parts} == {"", "read", "forward_fn"}
    lengths = [part.length / MS for part in loop.steps[3]]
    assert lengths == pytest.approx([5, 2, 0.5, 3, 2])


def test_an_evaluation_is_one_part_whatever_it_calls() -> None:
    """Its forward calls are no calls for a strategy."""

    def stages(made: Script) -> set[str]:
        loop = demand_of(analyse(made.recording()))
        assert loop is not None
        return {part.stage for part in loop.parts}

    made = lines()
    for _ in range(10):
        made.turn()
        made.line(12, "y = net(x)", 0.5)
        made.stage("backward", 3)
        made.turn()
        made.left()
        made.line(45, "test(net)", 1)
        made.stage("loss", 3)
    assert stages(made) == {
        *("train.py:11", "train.py:61", "train.py:12", "train.py:13"),
        *("forward", "backward", "evaluate"),
    }


def test_a_step_function_alone_is_a_loop_to_replay() -> None:
    """Nothing else is marked: all of the step is between calls."""
    made = [(20.0 * n + at, word) for n in range(9) for at, word in STEP_CALL]
    analysis = analyse(
        Recording.of(FACTS, {"sites": sites(), "marks": marks({PID: made})})
    )
    assert analysis.loop.rule == "a step begins at each call of the step function"
    causes = pd.DataFrame([("other", "trainer", "sleep", *[20.0, 1.0] * 4)])
    causes.columns = [*COLUMNS["causes"]]
    loop = demand_of(replace(analysis, causes=causes))
    assert loop is not None
    assert {tuple(part.stage for part in step) for step in loop.steps} == {("other",)}
    assert predict(replace(analysis, causes=causes)) is not None


STEP_CALL = [(10.0, "+step"), (20.0, "-step")]


def test_producers_without_a_load_are_left_out() -> None:
    """Nobody takes what they make: the wait is as long as it was."""
    alone = [(at, word.replace("load", "loss"), cpu) for at, word, cpu in words()]
    makers = [running(n, n + 1, tid=101) for n in range(int(LENGTH) * STEPS)]
    loop = demanded(
        marks=marks({PID: alone}),
        threads=threads((PID, "MainThread"), (101, "loader-0")),
        waits=waits([*samples(), *makers]),
    )
    assert loop.producers == ()


def test_who_does_not_explain_the_waits_makes_no_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A loop that is simulated ten times too long was misunderstood."""
    analysis, asked = planned(), [parse("prefetch:workers=2")]
    slow = Part("load", "", 0.0, 0.0, 10 * LENGTH * MS, 0.0, 0.0)
    true = demand_of(analysis)
    assert true is not None
    waits = tuple(tuple(replace(p, takes=True) for p in step) for step in true.steps)
    wrong = replace(true, steps=waits, producers=(Producer(slow, apart=True),))
    expected = predict(analysis, asked)
    monkeypatch.setattr("debottleneck.prediction.predict.demand_of", lambda _: wrong)
    assert predict(analysis, asked) == expected


def test_rare_work_is_replayed_as_often_as_it_is_done() -> None:
    """Also where an instrument happened to slow most of the steps with it."""
    made = Script()
    for step in range(40):
        made.turn()
        if step % 5 == 0:
            made.line(11, "print(evaluate(net))", 10)
        made.line(12, "net.train(x)", 4)
    made.turn()
    made.left()
    starts = analyse(made.recording()).steps["start_ns"].tolist()
    slowed = [("stacks", starts[n] + 1, starts[n] + 2) for n in (5, 10, 15, 20)]
    demand = demand_of(analyse(made.recording(blocks=table("blocks", slowed))))
    assert demand is not None
    mean = sum(part.length for part in demand.parts) / len(demand.steps)
    assert mean == pytest.approx(demand.step_ns, rel=0.05)
    assert mean == pytest.approx(6 * MS, rel=0.05)
