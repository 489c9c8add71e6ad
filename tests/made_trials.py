"""Trials that were never run: step times by hand, and a script whose clock is ours."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from debottleneck.analysis.result import Prediction, Predictions
from debottleneck.strategies.rewriting.notes import ENGAGED, REFUSED
from debottleneck.strategies.spec import Strategies, written
from debottleneck.trials.rounds import Course
from debottleneck.trials.trial import Measured

RULE = "a step begins at each load"
MS = 1_000_000
LIMIT = "limited by the GIL"


def measured(
    steps_ms: Sequence[float], *, failure: str = "", rule: str = RULE, **more: Any
) -> Measured:
    """A trial with these steps."""
    step_ns = np.array([round(ms * MS) for ms in steps_ms], np.int64)
    start_ns = np.concatenate([[0], np.cumsum(step_ns)[:-1]]).astype(np.int64)
    return Measured(step_ns, start_ns[: len(step_ns)], rule, failure=failure, **more)


def note(strategy: str, state: str = ENGAGED, text: str = "", t_ns: int = 0) -> dict:
    """One line of a strategy."""
    return {"t_ns": t_ns, "pid": 1, "strategy": strategy, "state": state, "text": text}


def predictions(
    asked: Sequence[Strategies], said: Mapping[str, tuple[float, float]]
) -> Predictions:
    """What `predict` would say of a plain step of 10 ms.

    Args:
        asked: Of which strategies; sorted as they come.
        said: Specification -> speed-up and its upper bound.
    """
    rows = []
    for strategies in asked:
        gain, high = said[written(strategies)]
        low = gain * gain / high
        steps = 10.0 / gain, 10.0 / high, 10.0 / low
        rows.append(
            Prediction(
                written(strategies), *steps, gain, low, high, "limited by the GIL"
            )
        )
    plain = Prediction("", 10.0, 10.0, 10.0, 1.0, 1.0, 1.0)
    rows.sort(key=lambda row: -row.speedup)
    return Predictions(plain, tuple(rows), (), 1.0, {})


class FakeScript:
    """What `run_trial` would show of a script, on a clock that only it advances.

    Args:
        step_ms: Specification -> its step; "" is the plain script.
        noise: Relative standard deviation between runs.
        refused: Specification -> why it does not apply.
        failing: Specification -> rounds (from 0) in which it fails.
        plan: By which each strategy rewrites a loop.
        busy: Rounds in which other work keeps half a core busy.
    """

    def __init__(
        self,
        step_ms: Mapping[str, float],
        *,
        noise: float = 0.0,
        refused: Mapping[str, str] | None = None,
        failing: Mapping[str, Sequence[int]] | None = None,
        steps: int = 40,
        plan: Mapping[str, Any] | None = None,
        busy: Container[int] = (),
    ) -> None:
        self.step_ms = step_ms
        self._plan = {"plan": plan} if plan else {}
        self.now = 0.0
        self.ran: list[tuple[str, int]] = []
        self.interrupt_at = -1
        self._noise = noise
        self._refused = refused or {}
        self._failing = failing or {}
        self._steps = steps
        self._busy = busy
        self._rng = np.random.default_rng(7)

    def one(self, spec: str, number: int) -> Measured:
        """Run it."""
        if len(self.ran) == self.interrupt_at:
            raise KeyboardInterrupt
        self.ran.append((spec, number))
        around = np.exp(self._rng.normal(0, self._noise)) if self._noise else 1.0
        step = self.step_ms[spec] * float(around)
        self.now += step * self._steps / 1e3
        names = [part.partition(":")[0] for part in spec.split("+") if part]
        refused = self._refused.get(spec)
        notes = tuple(
            note(name, REFUSED, refused) if refused else {**note(name), **self._plan}
            for name in names
        )
        failure = "broke" if number in self._failing.get(spec, ()) else ""
        others = step * self._steps / 2e3 if number in self._busy else 0.0
        cpu = np.array([(0, 0, 0), (step * self._steps * MS, 0, others)], np.float64)
        return measured([step] * self._steps, failure=failure, notes=notes, cpu=cpu)

    def course(self, budget_s: float | None = None, **how: Any) -> Course:
        """A course by its clock."""
        return Course(self.one, ends_s=budget_s, clock=lambda: self.now, **how)


def script(path: Path, text: str) -> Path:
    """Write a script; its path."""
    path.write_text(text, encoding="utf-8")
    return path
