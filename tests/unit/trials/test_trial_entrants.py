"""A candidate's way through the comparison, and which of them is best."""

from __future__ import annotations

import pytest
from made_trials import measured, note

from debottleneck.strategies.rewriting.notes import ENGAGED, REFUSED, SUMMARY
from debottleneck.strategies.rewriting.notes import FAILED as WENT_WRONG
from debottleneck.strategies.spec import parse
from debottleneck.trials import result
from debottleneck.trials.entrants import (
    NOTHING_DONE,
    Entrant,
    best_of,
    name_of,
    settings_of,
)
from debottleneck.trials.gate_runs import drawn_otherwise
from debottleneck.trials.result import Interval, Judgement, Predicted, Trial
from debottleneck.trials.state import History
from debottleneck.trials.verdict import Pair


def ran(spec: str, *notes: dict, ms: float = 5.0, rounds: int = 3) -> Entrant:
    """A candidate that ran some rounds beside a plain step of 10 ms."""
    entrant = Entrant(parse(spec), Judgement("same"))
    own = measured([ms] * 40, notes=notes, memory_mb=60.0)
    if entrant.admit(own):
        entrant.pairs = [Pair(measured([10.0] * 40), own)] * rounds
    return entrant


def test_a_row_of_one_that_won() -> None:
    """Speed, memory beyond the plain script's, settings and what it did."""
    notes = note("prefetch"), note("prefetch", SUMMARY, "38 of 40 loads made ahead")
    row = ran("prefetch:workers=4,depth=8", *notes).row(1, 50.0)
    assert row.verdict == result.FASTER
    assert row.speedup is not None
    assert row.speedup.value == pytest.approx(2.0)
    assert row.step_ms == pytest.approx(5.0)
    assert row.settings == {"workers": 4, "depth": 8}
    assert row.memory_mb == pytest.approx(10.0)
    assert row.did == ("38 of 40 loads made ahead",)
    assert row.rounds == 3


def test_several_strategies_name_their_settings_and_words() -> None:
    """Of a combination each setting and sentence says whose it is."""
    notes = [note(name, SUMMARY, "worked") for name in ("prefetch", "parallel-update")]
    notes += [note("prefetch"), note("parallel-update")]
    row = ran("prefetch:workers=4+parallel-update", *notes).row(1, None)
    assert row.strategy == "prefetch+parallel-update"
    assert row.settings == {"prefetch.workers": 4}
    assert row.did == ("prefetch: worked", "parallel-update: worked")


@pytest.mark.parametrize(
    ("notes", "verdict", "why"),
    [
        ([], result.NOT_APPLICABLE, NOTHING_DONE),
        ([(REFUSED, "no load")], result.NOT_APPLICABLE, "no load"),
        ([(REFUSED, "no load"), (WENT_WRONG, "lost")], result.FAILED, "lost"),
        ([(REFUSED, "one of two"), (ENGAGED, "load")], result.FASTER, ""),
        ([(ENGAGED, "load"), (WENT_WRONG, "lost")], result.FASTER, ""),
    ],
)
def test_what_its_strategy_says(
    notes: list[tuple[str, str]], verdict: str, why: str
) -> None:
    """It counts once it acted somewhere; else its own reason is the row's."""
    said = [note("prefetch", *each) for each in notes]
    row = ran("prefetch", *said).row(1, None)
    assert (row.verdict, row.why) == (verdict, why)


def test_half_a_combination_does_not_count() -> None:
    """If one of two does not apply, the row says which."""
    notes = note("prefetch"), note("parallel-update", REFUSED, "one update a step")
    row = ran("prefetch+parallel-update", *notes).row(1, None)
    assert row.verdict == result.NOT_APPLICABLE
    assert row.why == "parallel-update: one update a step"


@pytest.mark.parametrize(
    ("judgement", "verdict", "runs"),
    [
        (Judgement("different", "the loss of step 4"), result.DIFFERENT, False),
        (Judgement("unverified", "set its seeds"), result.UNVERIFIED, True),
    ],
)
def test_numbers_count_before_speed(
    judgement: Judgement, verdict: str, runs: bool
) -> None:
    """However fast it is: its speed is shown, and why it is no winner."""
    entrant = ran("prefetch", note("prefetch"))
    entrant.judge(judgement)
    row = entrant.row(1, None)
    assert (row.verdict, row.why, entrant.runs) == (verdict, judgement.why, runs)
    assert row.speedup is not None


def test_what_the_gate_refuses_says_what_it_would_have_gained() -> None:
    """As it was predicted."""
    entrant = ran("prefetch", note("prefetch"))
    entrant.predicted = Predicted(5.0, 4.0, 6.0, 2.0, 1.7, 2.5)
    entrant.judge(Judgement("different", "the loss of step 4"))
    why = entrant.row(1, None).why
    assert why == "the loss of step 4; predicted 2.00x (1.70 to 2.50)"


def test_what_is_undecided_says_how_much_is_missing() -> None:
    """In rounds like those that it had."""
    row = ran("prefetch", note("prefetch"), ms=9.9, rounds=2).row(1, None)
    assert row.verdict == result.UNDECIDED
    assert row.why.startswith("about ")
    assert row.why.endswith(" more rounds would decide")


def test_without_a_round_it_is_undecided() -> None:
    """What never ran claims nothing."""
    row = Entrant(parse("prefetch")).row(1, None)
    assert row.verdict == result.UNDECIDED
    assert row.why
    assert (row.step_ms, row.speedup, row.cpu_ms) == (None, None, None)


def faster(spec: str, ratio: float) -> Trial:
    """A row that is faster."""
    strategies = parse(spec)
    interval = Interval(ratio, ratio * 0.95, ratio * 1.05)
    how = name_of(strategies), settings_of(strategies)
    return Trial(*how, spec, result.FASTER, speedup=interval)


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([], None),
        ([("prefetch:workers=2", 1.9), ("prefetch:workers=8", 3.0)], 1),
        ([("prefetch:workers=8", 3.0), ("prefetch:workers=4", 2.95)], 1),
        ([("prefetch:workers=2", 2.0), ("prefetch", 2.0)], 0),
        ([("prefetch:where=process", 2.0), ("prefetch:workers=8", 1.98)], 1),
        ([("prefetch+parallel-update", 2.0), ("prefetch", 1.98)], 1),
        ([("prefetch+parallel-update", 2.4), ("prefetch", 1.98)], 0),
    ],
)
def test_the_best_is_the_cheapest_of_the_fastest(
    rows: list[tuple[str, float]], best: int | None
) -> None:
    """Three per cent are not worth threads, processes or another strategy."""
    trials = [faster(*row) for row in rows]
    assert best_of(trials) is (None if best is None else trials[best])


def test_what_is_not_faster_is_never_best() -> None:
    """Unverified, different or slower rows do not win, however fast."""
    row = faster("prefetch", 9.0)
    others = [v for v in result.VERDICTS if v != result.FASTER]
    rows = [Trial("prefetch", {}, "prefetch", v, speedup=row.speedup) for v in others]
    assert best_of(rows) is None


def history(*states: int) -> History:
    """Of a generator that was in these states."""
    return History([*range(len(states))], [[state] for state in states])


@pytest.mark.parametrize(
    ("path", "own", "said"),
    [
        ("random (generator)", (1, 8, 9), "the global random generator `random`"),
        ("rng (generator)", (7, 8, 9), "`rng`"),
        ("rng (generator)", (1, 3, 4), ""),  # ahead of the plain run
        ("weights", (7, 8, 9), ""),
    ],
)
def test_draws_in_another_order_are_told(
    path: str, own: tuple[int, ...], said: str
) -> None:
    """By states that the generator never has in the plain script."""
    plain = {path: history(1, 2, 3)}
    assert drawn_otherwise(plain, {path: history(*own)}) == said
