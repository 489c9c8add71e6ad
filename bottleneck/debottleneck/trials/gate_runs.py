"""The equality gate's runs: two plain ones, and one of each candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from debottleneck.trials import gate
from debottleneck.trials.entrants import Entrant
from debottleneck.trials.gate_outputs import Outputs
from debottleneck.trials.result import Judgement
from debottleneck.trials.rounds import PLAIN, Course
from debottleneck.trials.save import GATE_ROUND
from debottleneck.trials.trial import Measured, engaged_ns

STEPS = 25
"""Steps whose numbers are compared; a strategy acts after two or three of them."""


@dataclass(frozen=True)
class PlainRuns:
    """The plain script twice, and whether it agrees with itself.

    Attributes:
        outputs: What both returned, None if one failed.
        deterministic: False when their numbers differ.
        why: A sentence if nothing can be verified by them, else "".
    """

    outputs: tuple[Outputs, Outputs] | None = None
    deterministic: bool = True
    why: str = ""


def run_plain(course: Course) -> PlainRuns:
    """Run the plain script twice, outside all timing."""
    runs = [_run(course, PLAIN, 2 - count) for count in range(2)]
    failures = [run.failure for run in runs if run.failure]
    if failures:
        failure = f"the numbers could not be verified: the script {failures[0]}"
        return PlainRuns(why=failure)
    first, second = (run.outputs for run in runs)
    if first is None or second is None:
        return PlainRuns(why="the numbers could not be verified")
    judgement = gate.judge(first, second, first)
    if judgement.numbers == "unverified":
        return PlainRuns((first, second), False, judgement.why)
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
    if plain.outputs is None:
        return Judgement("unverified", plain.why)
    if measured.outputs is None:
        return Judgement("unverified", "nothing was written down to compare")
    begun_ns = engaged_ns(measured.notes)
    return gate.judge(*plain.outputs, measured.outputs, engaged_ns=begun_ns)


def _run(course: Course, spec: str, to_come: int) -> Measured:
    text = f"checking the numbers: {spec or 'plain'}"
    return course.run(spec, GATE_ROUND, text, to_come)
