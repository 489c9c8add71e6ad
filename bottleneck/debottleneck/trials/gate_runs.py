"""The equality gate's runs: two plain ones, and one of each candidate."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from debottleneck.agent.state import Extent
from debottleneck.trials import gate
from debottleneck.trials.entrants import Entrant
from debottleneck.trials.result import Judgement
from debottleneck.trials.rounds import PLAIN, Course
from debottleneck.trials.save import GATE_ROUND
from debottleneck.trials.state import States
from debottleneck.trials.trial import Measured, engaged_ns
from debottleneck.words import STAGES, STEP

STEPS = 25
"""Steps whose numbers are compared at least, where the script does as many; a strategy
acts after two or three of them."""

MOST_STEPS = 20_000
SECONDS = 10.0
"""The plain script's time that is gone through, and `LONGER` as much, where a budget
has room for it, until what is loaded has come to its end once, so that a whole epoch
is among it."""

LONGER = 2
OF_BUDGET = 1 / 12
"""What one run may take of a budget; there are some four of them."""

_ANCHORS = {
    **{words: stage for stage in STAGES for words in (stage, f"{stage} pass")},
    "step function": STEP,
    "step()": "load",
}
"""How a rule ends -> the stage at which a step begins, where no loop is known."""

TRIALS = 4
"""It is no longer than so many trials: who asks for short ones is in haste."""


def extent(steps: int, step_s: float, budget_s: float | None, rule: str) -> Extent:
    """How far the first plain run goes.

    Args:
        steps: Of a timed trial.
        step_s: The plain script's.
        budget_s: Of the whole comparison, None for as long as it takes.
        rule: By what a step begins, a sentence, where no loop is known.
    """
    room_s = math.inf if budget_s is None else OF_BUDGET * budget_s
    fitting = math.ceil(min(SECONDS, room_s) / max(step_s, 1e-6))
    limit = max(STEPS, min(fitting, TRIALS * steps, MOST_STEPS))
    most = max(limit, min(LONGER * limit, room_s / max(step_s, 1e-6)))
    anchors = [stage for words, stage in _ANCHORS.items() if rule.endswith(words)]
    return Extent(limit, math.ceil(most), anchor="".join(anchors[:1]))


def as_far(extent: Extent, states: States) -> Extent:
    """How far the others go: as far as the first plain run went, or to their end."""
    done = 0 if states.ended else states.steps - 1
    return replace(extent, limit=done, most=done)


def most_steps(extent: Extent) -> int:
    """Marked steps after which a run is ended whose own count shows none."""
    return 2 * extent.most or sys.maxsize


@dataclass(frozen=True)
class PlainRuns:
    """The plain script twice, and whether it agrees with itself.

    Attributes:
        held: What their variables held, None if one failed.
        deterministic: False when their numbers differ.
        why: A sentence if nothing can be verified by them, else "".
    """

    held: tuple[States, States] | None = None
    deterministic: bool = True
    why: str = ""


def run_plain(course: Course) -> PlainRuns:
    """Run the plain script twice, outside all timing."""
    runs = [_run(course, PLAIN, 2 - count) for count in range(2)]
    failures = [run.failure for run in runs if run.failure]
    if failures:
        failure = f"the numbers could not be verified: the script {failures[0]}"
        return PlainRuns(why=failure)
    first, second = (run.states for run in runs)
    if first is None or second is None:
        return PlainRuns(why="the numbers could not be verified")
    judgement = gate.judge(first, second, first)
    if judgement.numbers == "unverified":
        agree = not judgement.why.startswith(gate.DIFFERS)
        return PlainRuns((first, second), agree, judgement.why)
    return PlainRuns((first, second))


def check(entrants: Sequence[Entrant], plain: PlainRuns, course: Course) -> None:
    """Run each candidate once, outside all timing, and judge it; some leave here."""
    for count, entrant in enumerate(entrants):
        if not course.allows(entrant.spec, GATE_ROUND):
            return
        measured = _run(course, entrant.spec, len(entrants) - count)
        if entrant.admit(measured):
            entrant.judge(_judgement(measured, plain))


def _judgement(measured: Measured, plain: PlainRuns) -> Judgement:
    if plain.held is None:
        return Judgement("unverified", plain.why)
    if measured.states is None:
        return Judgement("unverified", "nothing was written down to compare")
    begun_ns = engaged_ns(measured.notes)
    return gate.judge(*plain.held, measured.states, engaged_ns=begun_ns)


def _run(course: Course, spec: str, to_come: int) -> Measured:
    text = f"checking the numbers: {spec or 'plain'}"
    return course.run(spec, GATE_ROUND, text, to_come)
