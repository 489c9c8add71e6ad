"""Rounds of interleaved trials in random order, the plain script in each."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from debottleneck.trials import verdict
from debottleneck.trials.entrants import Entrant
from debottleneck.trials.result import FAILED
from debottleneck.trials.save import GATE_ROUND
from debottleneck.trials.trial import Measured
from debottleneck.trials.verdict import POLICY, Pair

PLAIN = ""
"""The specification of no strategy."""

MOST_PLAIN_FAILURES = 2
"""A plain script that fails more often than this is not worth waiting for."""

RunOne = Callable[[str, int], Measured]
"""(specification, round) -> what the trial showed."""

Watch = Callable[[str, int, int], None]
"""Told before each trial: what it is, trials done, trials to come (an estimate)."""


@dataclass
class Course:
    """Runs the trials of a comparison one by one, and knows how far it has come.

    Attributes:
        run_one: Runs a trial.
        watch: Is told of each trial.
        ends_s: When the budget is used up, by `clock`; None for no budget.
        clock: Seconds, monotonic.
        over: True once a trial had no room in the budget.
        done: Trials that have ended.
        later: Trials expected after the present phase.
        last_s: How long the last trial of each specification took, and the gate's.
        rounds: Rounds begun.
        disturbed: Those of them in which other work told in a trial.
        plain: The plain script's trials in them.
        failures: Why some of the plain script's trials failed.
    """

    run_one: RunOne
    watch: Watch = lambda text, done, left: None
    ends_s: float | None = None
    clock: Callable[[], float] = time.monotonic
    over: bool = False
    done: int = 0
    later: int = 0
    last_s: dict[str | int, float] = field(default_factory=dict)
    rounds: int = 0
    disturbed: int = 0
    plain: list[Measured] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def allows(self, spec: str, number: int = 0) -> bool:
        """Whether the budget has room for another trial like the last of its kind."""
        if self.ends_s is not None and not self.over:
            longest = max(self.last_s.values(), default=0.0)
            expected = self.last_s.get(_kind(spec, number), longest)
            self.over = self.clock() + expected > self.ends_s
        return not self.over

    def run(self, spec: str, number: int, text: str, to_come: int) -> Measured:
        """Run a trial, timed and told of.

        Args:
            spec: Its strategies.
            number: Its round, `GATE_ROUND` for the equality gate.
            text: What it is, for the user.
            to_come: Trials of this phase, this one included.
        """
        self.watch(text, self.done, to_come + self.later)
        begun = self.clock()
        measured = self.run_one(spec, number)
        self.last_s[_kind(spec, number)] = self.clock() - begun
        self.done += 1
        return measured


def _kind(spec: str, number: int) -> str | int:
    """Trials of the same kind take about as long."""
    return GATE_ROUND if number == GATE_ROUND else spec


def play(
    entrants: Sequence[Entrant], course: Course, *, rounds: int, rows: int, seed: int
) -> None:
    """Run rounds until every verdict is clear, or rounds or budget are used up.

    Rounds that other work disturbed are repeated, as many as there are to be at most.
    Whatever ends them, what was measured is in the course and the entrants' pairs.

    Args:
        entrants: Those that still run; their pairs grow.
        course: Runs every trial, within the budget.
        rounds: How many at most.
        rows: Candidates that the intervals hold for at once.
        seed: Of the order.
    """
    rng, before = random.Random(seed), course.disturbed
    for number in range(2 * rounds):
        most = rounds + min(course.disturbed - before, rounds)
        running = [entrant for entrant in entrants if entrant.runs]
        gave_up = len(course.failures) >= MOST_PLAIN_FAILURES
        if not running or gave_up or course.over or number == most:
            return
        order: list[Entrant | None] = [None, *running]
        rng.shuffle(order)
        _play_round(number, most, order, course)
        _decide(entrants, number + 1, rows)


def _decide(entrants: Sequence[Entrant], played: int, rows: int) -> None:
    """Who needs no more rounds: its word is clear, or another setting is far ahead."""
    speeds = [
        (entrant, interval)
        for entrant in entrants
        if not entrant.left and (interval := entrant.speedup(rows))
    ]
    for entrant, interval in speeds:
        if min(played, len(entrant.pairs)) >= POLICY.min_rounds and entrant.shown:
            entrant.decided = entrant.decided or verdict.is_clear(interval)
        elif not any(pair.disturbed for pair in entrant.pairs):
            ahead = max(
                other.low for rival, other in speeds if rival.name == entrant.name
            )
            certain = verdict.is_clear(interval, POLICY.certain)
            entrant.decided = certain or ahead > interval.high


def _play_round(
    number: int, rounds: int, order: Sequence[Entrant | None], course: Course
) -> None:
    """Everybody once; what there is when it is cut short is paired nevertheless."""
    course.rounds += 1
    plain: Measured | None = None
    own: list[tuple[Entrant, Measured]] = []
    disturbed = False
    try:
        for place, entrant in enumerate(order):
            spec = entrant.spec if entrant else PLAIN
            if not course.allows(spec):
                return
            text = f"round {number + 1} of {rounds}: {spec or 'plain'}"
            still = sum(entrant is None or entrant.runs for entrant in order)
            to_come = len(order) - place + (rounds - number - 1) * still
            measured = course.run(spec, course.rounds - 1, text, to_come)
            disturbed = disturbed or measured.disturbed
            if entrant is not None:
                if entrant.admit(measured):
                    own.append((entrant, measured))
            elif measured.failure:
                course.failures.append(measured.failure)
            else:
                course.plain.append(measured)
                plain = measured
    finally:
        course.disturbed += disturbed
        if plain is not None:
            _pair(plain, own)


def _pair(plain: Measured, own: Sequence[tuple[Entrant, Measured]]) -> None:
    for entrant, measured in own:
        if measured.rule == plain.rule:
            entrant.pairs.append(Pair(plain, measured))
        else:
            reason = f"its steps cannot be matched: {measured.rule}, not: {plain.rule}"
            entrant.leave(FAILED, reason)
