"""Rounds of interleaved trials in random order, the plain script in each."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from debottleneck.trials import verdict
from debottleneck.trials.entrants import Entrant
from debottleneck.trials.result import FAILED
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


def watch_nothing(text: str, done: int, left: int) -> None:
    """For those who do not want to know."""


@dataclass
class Course:
    """How far the comparison has come.

    Attributes:
        watch: Is told of each trial.
        ends_s: When the budget is used up, by `clock`; None for no budget.
        clock: Seconds, monotonic.
        over: True once a trial had no room in the budget.
        done: Trials that have ended.
        later: Trials expected after the present phase.
        last_s: How long the last trial of each kind took.
    """

    watch: Watch = watch_nothing
    ends_s: float | None = None
    clock: Callable[[], float] = time.monotonic
    over: bool = False
    done: int = 0
    later: int = 0
    last_s: dict[str, float] = field(default_factory=dict)

    def allows(self, kind: str) -> bool:
        """Whether the budget has room for another trial like the last of its kind."""
        if self.ends_s is not None and not self.over:
            longest = max(self.last_s.values(), default=0.0)
            expected = self.last_s.get(kind, longest)
            self.over = self.clock() + expected > self.ends_s
        return not self.over

    def run(
        self, text: str, kind: str, left: int, one: Callable[[], Measured]
    ) -> Measured:
        """Run a trial, timed and told of.

        Args:
            text: What it is, for the user.
            kind: Trials of the same kind take about as long.
            left: Trials of this phase, this one included.
            one: Runs it.
        """
        self.watch(text, self.done, left + self.later)
        begun = self.clock()
        measured = one()
        self.last_s[kind] = self.clock() - begun
        self.done += 1
        return measured


@dataclass(frozen=True)
class Rules:
    """How the rounds are played.

    Attributes:
        rounds: How many at most.
        rows: Candidates that the intervals hold for at once.
        seed: Of the order and of the intervals.
    """

    rounds: int
    rows: int
    seed: int


@dataclass
class Played:
    """What came of the rounds beside the entrants' own pairs.

    Attributes:
        plain: The plain script's trials.
        begun: Rounds begun.
        failures: Why the plain script's trials failed.
    """

    plain: list[Measured] = field(default_factory=list)
    begun: int = 0
    failures: list[str] = field(default_factory=list)


def play(
    entrants: Sequence[Entrant],
    one: RunOne,
    rules: Rules,
    course: Course,
    played: Played,
) -> None:
    """Run rounds until every verdict is clear, or rounds or budget are used up.

    Args:
        entrants: Those that still run; their pairs grow.
        one: Runs a trial.
        rules: How many rounds.
        course: The budget; is told of every trial.
        played: Grows; whatever ends the rounds, what was measured is in it.
    """
    rng = random.Random(rules.seed)
    for number in range(rules.rounds):
        running = [each for each in entrants if each.runs]
        gave_up = len(played.failures) >= MOST_PLAIN_FAILURES
        if not running or gave_up or course.over:
            return
        _Round(number, running, one, rules, course, played).play(rng)
        if number + 1 >= POLICY.min_rounds:
            _decide(running, rules)


def _decide(running: Sequence[Entrant], rules: Rules) -> None:
    for entrant in running:
        interval = entrant.speedup(rules.rows, rules.seed)
        enough = len(entrant.pairs) >= POLICY.min_rounds
        if interval is not None and enough and verdict.is_clear(interval):
            entrant.decided = True


@dataclass
class _Round:
    """One round: everybody once, in a random order."""

    number: int
    running: Sequence[Entrant]
    one: RunOne
    rules: Rules
    course: Course
    played: Played

    def play(self, rng: random.Random) -> None:
        """Run it; what it has when it is cut short is paired nevertheless."""
        self.played.begun += 1
        order: list[Entrant | None] = [None, *self.running]
        rng.shuffle(order)
        plain: Measured | None = None
        own: list[tuple[Entrant, Measured]] = []
        try:
            for place, entrant in enumerate(order):
                spec = entrant.spec if entrant else PLAIN
                if not self.course.allows(spec):
                    return
                measured = self._trial(spec, place)
                if entrant is None:
                    plain = self._accept(measured)
                elif entrant.admit(measured):
                    own.append((entrant, measured))
        finally:
            if plain is not None:
                _pair(plain, own)

    def _trial(self, spec: str, place: int) -> Measured:
        size = len(self.running) + 1
        still = sum(entrant.runs for entrant in self.running) + 1
        left = size - place + (self.rules.rounds - self.number - 1) * still
        begun = self.played.begun - 1
        text = f"round {self.number + 1} of {self.rules.rounds}: {spec or 'plain'}"
        return self.course.run(text, spec, left, lambda: self.one(spec, begun))

    def _accept(self, measured: Measured) -> Measured | None:
        if measured.failure:
            self.played.failures.append(measured.failure)
            return None
        self.played.plain.append(measured)
        return measured


def _pair(plain: Measured, own: list[tuple[Entrant, Measured]]) -> None:
    for entrant, measured in own:
        if measured.rule == plain.rule:
            entrant.pairs.append(Pair(plain, measured))
        else:
            why = f"its steps cannot be matched: {measured.rule}, not: {plain.rule}"
            entrant.leave(FAILED, why)
