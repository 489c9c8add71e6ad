"""Rounds of trials that were never run: order, early ends, budget, Ctrl-C."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from made_trials import FakeScript

from debottleneck.strategies.spec import parse
from debottleneck.trials.entrants import Entrant
from debottleneck.trials.result import FAILED, FASTER, NOT_APPLICABLE, Judgement
from debottleneck.trials.rounds import Course, play
from debottleneck.trials.trial import Measured

FAST, SLOW, SAME = "prefetch:workers=4", "parallel-forward", "parallel-update"
STEPS = {"": 10.0, FAST: 4.0, SLOW: 15.0, SAME: 10.0}


def entrants(*specs: str) -> list[Entrant]:
    """Candidates that the gate has let through."""
    return [Entrant(parse(spec), Judgement("same")) for spec in specs]


def played(
    script: FakeScript,
    candidates: list[Entrant],
    *,
    rounds: int = 5,
    seed: int = 0,
    course: Course | None = None,
) -> Course:
    """Play the rounds."""
    course = course or script.course()
    play(candidates, course, rounds=rounds, rows=len(candidates), seed=seed)
    return course


def test_every_round_has_everybody_once() -> None:
    """The plain script and each candidate, as long as nothing is clear."""
    script = FakeScript(STEPS, noise=0.3)
    candidates = entrants(FAST, SAME)
    assert played(script, candidates).rounds == 5
    for number in range(3):
        ran = [spec for spec, at in script.ran if at == number]
        assert sorted(ran) == sorted(["", FAST, SAME])
    assert [len(entrant.pairs) for entrant in candidates] == [5, 5]


def test_the_order_is_random_and_the_seeds() -> None:
    """Rounds differ in order; the same seed gives the same orders."""
    runs = {}
    for seed in (0, 0, 1):
        script = FakeScript(STEPS, noise=0.3)
        played(script, entrants(FAST, SLOW, SAME), seed=seed)
        runs.setdefault(seed, []).append(script.ran)
    assert runs[0][0] == runs[0][1]
    assert runs[0][0] != runs[1][0]
    orders = {
        tuple(spec for spec, at in runs[0][0] if at == number) for number in range(3)
    }
    assert len(orders) > 1


def test_pairs_are_of_one_round() -> None:
    """Whatever the order, a candidate is held against its own round's plain run."""
    script = FakeScript({"": 10.0, FAST: 5.0}, noise=0.2)
    (candidate,) = entrants(FAST)
    plain = played(script, [candidate]).plain
    assert [pair.plain for pair in candidate.pairs] == plain


def test_a_clear_verdict_runs_no_more() -> None:
    """After three rounds that agree the others go on alone."""
    script = FakeScript({"": 10.0, FAST: 6.0})
    (candidate,) = entrants(FAST)
    assert played(script, [candidate]).rounds == 3
    assert candidate.decided
    assert candidate.row(1, None).verdict == FASTER


def test_one_round_is_enough_of_a_large_gain_in_peace() -> None:
    """Eight times as fast would be faster with an interval ten times as wide."""
    script = FakeScript({"": 16.0, FAST: 2.0})
    (candidate,) = entrants(FAST)
    assert played(script, [candidate]).rounds == 1
    assert candidate.row(1, None).verdict == FASTER


def test_a_setting_stops_once_another_is_far_ahead() -> None:
    """More workers lead: those with less need no rounds of their own."""
    few = "prefetch:workers=2"
    script = FakeScript({"": 10.0, FAST: 4.0, few: 7.0, SAME: 10.0}, noise=0.05)
    leader, behind, other = entrants(FAST, few, SAME)
    played(script, [leader, behind, other])
    assert len(behind.pairs) == 1
    assert len(leader.pairs) >= 3
    assert len(other.pairs) > 1


@pytest.mark.parametrize(
    ("busy", "rounds", "used"),
    [
        ([], 3, 3),
        ([0, 2], 5, 3),  # repeated until three were left in peace
        (range(99), 6, 6),  # the machine is busy: all count, as nothing else is there
    ],
)
def test_disturbed_rounds_are_repeated(busy: Any, rounds: int, used: int) -> None:
    """What other work told in is not averaged in, where there is anything else."""
    script = FakeScript({"": 10.0, FAST: 6.0}, busy=busy)
    (candidate,) = entrants(FAST)
    course = played(script, [candidate])
    assert (course.rounds, course.disturbed) == (
        rounds,
        sum(n in busy for n in range(rounds)),
    )
    assert (len(candidate.used), candidate.row(1, None).rounds) == (used, used)


def test_disturbed_rounds_come_on_top() -> None:
    """Of five rounds that decide nothing as many again, at most."""
    for busy, rounds in ([1], 6), (range(99), 10):
        script = FakeScript(STEPS, noise=0.3, busy=busy)
        assert played(script, entrants(SAME)).rounds == rounds


@pytest.mark.parametrize(
    ("how", "row", "trials"),
    [
        ({"refused": {FAST: "fed in turn"}}, (NOT_APPLICABLE, "fed in turn", 0), 1),
        ({"failing": {FAST: [1]}}, (FAILED, "broke", 1), 2),
    ],
)
def test_what_cannot_go_on_leaves_at_once(
    how: dict[str, Any], row: tuple[str, str, int], trials: int
) -> None:
    """With its own reason, and takes no more time; the others go on."""
    script = FakeScript(STEPS, noise=0.2, **how)
    broken, other = entrants(FAST, SAME)
    assert played(script, [broken, other]).rounds == 5
    found = broken.row(2, None)
    assert (found.verdict, found.why, found.rounds) == row
    assert (found.step_ms is None) == (found.rounds == 0)
    assert [spec for spec, _ in script.ran].count(FAST) == trials
    assert len(other.pairs) == 5


@pytest.mark.parametrize(
    ("failing", "rounds", "pairs"), [([1], 5, 4), (range(9), 2, 0)]
)
def test_a_plain_failure_costs_its_round(
    failing: list[int], rounds: int, pairs: int
) -> None:
    """The others have nothing to be held against; after two it is not worth while."""
    script = FakeScript(STEPS, noise=0.2, failing={"": failing})
    (candidate,) = entrants(SAME)
    course = played(script, [candidate])
    assert (course.rounds, len(candidate.pairs)) == (rounds, pairs)
    assert course.failures == ["broke"] * min(len(failing), 2)


def test_the_budget_ends_it_before_a_trial() -> None:
    """No trial is begun that would end after the budget."""
    script = FakeScript(STEPS, noise=0.1)
    (candidate,) = entrants(SAME)
    course = played(script, [candidate], course=script.course(budget_s=2.5))
    assert course.over
    assert script.now <= 2.5
    assert course.rounds < 5
    assert len(candidate.pairs) >= 2


def test_ctrl_c_keeps_whole_pairs() -> None:
    """What ran before the interrupt is paired, also in the round that it cut."""
    script = FakeScript(STEPS, noise=0.1)
    candidates = entrants(FAST, SAME)
    script.interrupt_at = 5
    course = script.course()
    with pytest.raises(KeyboardInterrupt):
        played(script, candidates, course=course)
    assert course.rounds == 2
    cut = {spec for spec, at in script.ran if at == 1}
    expected = [1 + ("" in cut and spec in cut) for spec in (FAST, SAME)]
    assert [len(entrant.pairs) for entrant in candidates] == expected


def test_other_steps_cannot_be_matched() -> None:
    """A candidate whose steps are bounded by another rule is not compared."""
    script = FakeScript(STEPS)

    def one(spec: str, number: int) -> Measured:
        trial = script.one(spec, number)
        return replace(trial, rule="a step ends with each update") if spec else trial

    (candidate,) = entrants(FAST)
    played(script, [candidate], course=Course(one))
    assert candidate.left == FAILED
    assert "cannot be matched" in candidate.why
    assert script.ran.count((FAST, 0)) == 1


def test_the_watch_counts_down() -> None:
    """Each trial is told of beforehand, with what is done and what is left."""
    trials: list[tuple[str, int, int]] = []
    script = FakeScript(STEPS, noise=0.3)
    course = script.course(watch=lambda *trial: trials.append(trial), later=1)
    played(script, entrants(FAST, SAME), course=course)
    assert [done for _, done, _ in trials] == list(range(len(trials)))
    assert (trials[0][2], trials[-1][2]) == (16, 2)
    assert trials[0][0].startswith("round 1 of 5: ")
