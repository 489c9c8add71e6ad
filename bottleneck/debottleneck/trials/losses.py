"""The loss of each step, from the equality gate's runs.

A stage that returns one number a step gives the curve: `loss`, or what returns the
loss where no function of that name does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from debottleneck.trials.outputs import Output, Outputs, number_steps
from debottleneck.words import STEP

LOSS = "loss"

STAND_INS = ("forward", "backward", STEP, "update")
"""Stages that may return the loss in its place, in this order."""

NEARLY_EVERY = 0.9
"""A stand-in returns one number in this part of the steps; what returns one now and
then is no loss."""

FEWEST = 2
"""One step draws no curve."""

Curve = Mapping[int, float]
"""Step from 1 -> its number, the mean where a step has several."""

Row = tuple[str, int, float]
"""The run's strategies, "" for the plain script; step from 1; value."""


def curves_of(run: Outputs) -> dict[str, Curve]:
    """Stage -> the number it returned in each step, of stages that could be the loss.

    Args:
        run: What its stages returned; of no use afterwards.
    """
    events = run.trained
    numbers = number_steps([event.stage for event in events])
    last = max(numbers, default=0)
    found = {}
    for stage in (LOSS, *STAND_INS):
        own = [(n, e) for n, e in zip(numbers, events, strict=True) if e.stage == stage]
        if stage == STEP:  # it is a whole step, and may be the only thing marked
            own = list(zip(count(1), (event for _, event in own), strict=False))
        curve = _means((n, _number(event)) for n, event in own)
        steps = max(last, len(own) if stage == STEP else 0)
        least = FEWEST if stage == LOSS else max(FEWEST, NEARLY_EVERY * steps)
        if len(curve) >= least:
            found[stage] = curve
    return found


def _number(event: Output) -> float | None:
    """What it returned if that is a number; a loss may come with its gradient."""
    if event.number is not None or event.stage != LOSS:
        return event.number
    single = [values for values in event.sketches if len(values) == 1]
    return float(single[0][0]) if len(single) == 1 else None


def _means(pairs: Iterable[tuple[int, float | None]]) -> Curve:
    by_step: dict[int, list[float]] = {}
    for step, value in pairs:
        if step and value is not None:
            by_step.setdefault(step, []).append(value)
    return {step: sum(values) / len(values) for step, values in by_step.items()}


def rows(runs: Mapping[str, Mapping[str, Curve]]) -> Sequence[Row]:
    """The curves that can be laid on top of each other: all of the same stage.

    Args:
        runs: A run's strategies -> what `curves_of` gave for it; "" is the plain
            script, which decides the stage.
    """
    stage = next(iter(runs.get("", {})), "")
    return [
        (spec, step, value)
        for spec, curves in runs.items()
        for step, value in sorted(curves.get(stage, {}).items())
    ]
