"""The equality gate's runs: two plain ones, and one of each candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from debottleneck.trials import gate, save
from debottleneck.trials.entrants import Entrant
from debottleneck.trials.result import Judgement
from debottleneck.trials.rounds import PLAIN, Course, RunOne
from debottleneck.trials.trial import Measured, engaged_ns

STEPS = 25
"""Steps whose numbers are compared; a strategy acts after two or three of them."""

KIND = "gate"


@dataclass(frozen=True)
class PlainRuns:
    """The plain script twice, and whether it agrees with itself.

    Attributes:
        runs: Both of them, fewer if one failed.
        deterministic: False when their numbers differ.
        why: A sentence if nothing can be verified by them, else "".
    """

    runs: tuple[Measured, ...]
    deterministic: bool
    why: str = ""


@dataclass(frozen=True)
class Gate:
    """Runs and judges, outside all timing.

    Attributes:
        one: Runs a trial.
        course: Is told of each.
    """

    one: RunOne
    course: Course

    def plain_runs(self) -> PlainRuns:
        """Run the plain script twice."""
        runs = tuple(self._run(PLAIN, "plain", 2 - count) for count in range(2))
        failures = [run.failure for run in runs if run.failure]
        if failures:
            why = f"the numbers could not be verified: the script {failures[0]}"
            return PlainRuns((), True, why)
        first, second = (run.outputs for run in runs)
        if first is None or second is None:
            return PlainRuns((), True, "the numbers could not be verified")
        found = gate.judge(first, second, first)
        if found.numbers == "unverified":
            return PlainRuns(runs, False, found.why)
        return PlainRuns(runs, True)

    def judge(self, entrants: Sequence[Entrant], plain: PlainRuns) -> None:
        """Run each candidate once and judge it; some leave here."""
        for count, entrant in enumerate(entrants):
            if not self.course.allows(KIND):
                return
            measured = self._run(entrant.spec, entrant.spec, len(entrants) - count)
            if entrant.admit(measured):
                entrant.judge(self._judgement(measured, plain))

    def _judgement(self, measured: Measured, plain: PlainRuns) -> Judgement:
        if len(plain.runs) < 2:
            return Judgement("unverified", plain.why)
        first, second = (run.outputs for run in plain.runs)
        if first is None or second is None or measured.outputs is None:
            return Judgement("unverified", "nothing was written down to compare")
        begun = engaged_ns(measured.notes)
        return gate.judge(first, second, measured.outputs, engaged_ns=begun)

    def _run(self, spec: str, text: str, left: int) -> Measured:
        return self.course.run(
            f"checking the numbers: {text}",
            KIND,
            left,
            lambda: self.one(spec, save.GATE_ROUND),
        )
