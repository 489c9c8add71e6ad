"""What the stages of one run returned, as `agent.outputs` wrote it down.

Read into `Outputs`, numbered by steps, and the loss curve drawn from them.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from debottleneck.agent.state import COMPUTE
from debottleneck.recording import spool
from debottleneck.trials.state import States, parsed
from debottleneck.trials.state import read as read_state
from debottleneck.trials.written import Files
from debottleneck.words import STEP, STEP_STAGES

Floats = NDArray[np.float64]

LOADS_PER_UPDATE = 0.1
"""With fewer loads than this an update, loads do not bound the steps, as in `loop`."""

MAIN = 0
"""Number of the main thread."""

LOSS = "loss"
STAND_INS = ("forward", "backward", STEP, "update")
"""Stages that may return the loss where none is called that, in this order."""

NEARLY_EVERY = 0.9
"""A stand-in returns one number in this part of the steps; what returns one now and
then is no loss."""

FEWEST_POINTS = 2
"""One step draws no curve."""

Curve = Mapping[int, float]
"""Step from 1 -> its loss, the mean where a step has several."""

Loss = tuple[str, int, float]
"""The run's strategies, "" for the plain script; step from 1; value."""


@dataclass(frozen=True)
class Output:
    """What one stage call gave.

    Attributes:
        t_ns: When it returned, monotonic.
        thread: `MAIN`, or another number for each other thread.
        stage: The stage's name, or "step".
        name: The function's qualified name.
        step: Of the training loop, from 1; -1 where that loop was not known.
        leaves: How many arrays, numbers and texts it holds.
        rest: Digest of all but the floats: structure, shapes, integers, text.
        bits: Digest of the floats' bytes.
        norms: L2 norm of each float array.
        sketches: Values of each, whose distance tells that of the arrays.
    """

    t_ns: int
    thread: int
    stage: str
    name: str
    leaves: int
    rest: str
    bits: str
    norms: tuple[float, ...]
    sketches: tuple[Floats, ...]
    step: int = -1

    @property
    def number(self) -> float | None:
        """The number it is, such as a loss; None if it holds anything else."""
        if self.leaves == 1 and len(self.sketches) == 1 and len(self.sketches[0]) == 1:
            return float(self.sketches[0][0])
        return None


@dataclass(frozen=True)
class Outputs:
    """One run's outputs in order of time.

    Attributes:
        events: Of every thread that trains.
        ended: Whether the script ran to its own end; else it was stopped somewhere.
        state: What its variables held, None where that was not written down.
        files: What it wrote.
    """

    events: tuple[Output, ...] = ()
    ended: bool = False
    state: States | None = None
    files: Files = ()

    @property
    def trained(self) -> tuple[Output, ...]:
        """Those of the thread that computes most, the main one if in doubt."""
        counts = Counter(e.thread for e in self.events if e.stage in COMPUTE)
        score = {**counts, MAIN: counts[MAIN] + 0.5}
        trainer = max(score, key=lambda thread: score[thread])
        return tuple(event for event in self.events if event.thread == trainer)


def read(folder: Path, pid: int, files: Files = ()) -> Outputs:
    """Read what a process left; empty when it wrote nothing.

    Args:
        folder: The run's spool folder.
        pid: The script's process.
        files: What it wrote to others.
    """
    try:
        text = spool.outputs_file(folder, pid).read_text(encoding="utf-8")
    except OSError:
        return Outputs()
    lines = list(parsed(text.splitlines()))
    events = tuple(_output(line) for line in lines if "stage" in line)
    ended = any("end" in line for line in lines)
    return Outputs(events, ended, read_state(folder, pid), files)


_AS_WRITTEN = ("t_ns", "thread", "stage", "name", "leaves", "rest", "bits")


def _output(line: Mapping[str, Any]) -> Output:
    values = np.frombuffer(base64.b64decode(line["values"]), dtype=np.float64)
    bounds = np.cumsum(line["lengths"], dtype=np.int64)[:-1]
    sketches = tuple(np.split(values, bounds)) if line["lengths"] else ()
    plain = {name: line[name] for name in _AS_WRITTEN}
    step = line.get("step", -1)
    return Output(**plain, norms=tuple(line["norms"]), sketches=sketches, step=step)


def steps_of(events: Sequence[Output]) -> list[int]:
    """The step that each output belongs to, counted from 1; 0 before the first."""
    if all(event.step >= 0 for event in events):
        return [event.step for event in events]
    return number_steps([event.stage for event in events])


def number_steps(stages: Sequence[str]) -> list[int]:
    """The step that each stage belongs to, counted from 1; 0 before the first.

    A step begins at the first load after a computation; in a loop that does not load,
    at the first kind of computation after another kind.

    Args:
        stages: Of the trainer's outputs in order.
    """
    by_loads = _numbered(stages, "load")
    updates = sum(
        stage == "update" != before
        for before, stage in zip(["", *stages], stages, strict=False)
    )
    loads = by_loads[-1] if by_loads else 0
    if loads >= max(2, LOADS_PER_UPDATE * updates):
        return by_loads
    first = next((stage for stage in stages if stage in COMPUTE), "")
    return _numbered(stages, first)


def _numbered(stages: Sequence[str], opening: str) -> list[int]:
    alone = set(stages) & set(STEP_STAGES) == {opening}
    number, computed, numbers = 0, True, []
    for stage in stages:
        if stage == opening and (computed or alone):
            number, computed = number + 1, False
        elif stage in COMPUTE and stage != opening:
            computed = True
        numbers.append(number)
    return numbers


def loss_curves(run: Outputs) -> dict[str, Curve]:
    """Stage -> the number it returned in each step, of stages that could be the loss.

    Args:
        run: What its stages returned; of no use afterwards.
    """
    events = run.trained
    numbers = steps_of(events)
    curves = {}
    for stage in (LOSS, *STAND_INS):
        own = [(n, e) for n, e in zip(numbers, events, strict=True) if e.stage == stage]
        steps = max(numbers, default=0)
        if stage == STEP:  # it is a whole step, and may be the only thing marked
            own = list(zip(count(1), (event for _, event in own), strict=False))
            steps = max(steps, len(own))
        curve = _means((number, _loss(event)) for number, event in own)
        share = 0 if stage == LOSS else NEARLY_EVERY
        if len(curve) >= max(FEWEST_POINTS, share * steps):
            curves[stage] = curve
    return curves


def _loss(event: Output) -> float | None:
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


def loss_rows(runs: Mapping[str, Mapping[str, Curve]]) -> list[Loss]:
    """The curves that can be laid on top of each other: all of the same stage.

    Args:
        runs: A run's strategies -> what `loss_curves` gave for it; "" is the plain
            script, which decides the stage.
    """
    stage = next(iter(runs.get("", {})), "")
    return [
        (spec, step, value)
        for spec, curves in runs.items()
        for step, value in sorted(curves.get(stage, {}).items())
    ]
