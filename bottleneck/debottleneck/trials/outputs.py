"""What the stages of one run returned, as `agent.outputs` wrote it down."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from debottleneck.recording import spool
from debottleneck.words import STEP_STAGES

Floats = NDArray[np.float64]

COMPUTE = ("forward", "loss", "backward", "update")
LOADS_PER_UPDATE = 0.1
"""With fewer loads than this an update, loads do not bound the steps, as in `loop`."""

MAIN = 0
"""Number of the main thread."""


@dataclass(frozen=True)
class Output:
    """What one stage call gave.

    Attributes:
        t_ns: When it returned, monotonic.
        thread: `MAIN`, or another number for each other thread.
        stage: The stage's name, or "step".
        name: The function's qualified name.
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
    """

    events: tuple[Output, ...] = ()
    ended: bool = False

    @property
    def trained(self) -> tuple[Output, ...]:
        """Those of the thread that computes most, the main one if in doubt."""
        counts = Counter(e.thread for e in self.events if e.stage in COMPUTE)
        score = {**counts, MAIN: counts[MAIN] + 0.5}
        trainer = max(score, key=lambda thread: score[thread])
        return tuple(event for event in self.events if event.thread == trainer)


def read(folder: Path, pid: int) -> Outputs:
    """Read what a process left; empty when it wrote nothing.

    Args:
        folder: The run's spool folder.
        pid: The script's process.
    """
    try:
        text = spool.outputs_file(folder, pid).read_text(encoding="utf-8")
    except OSError:
        return Outputs()
    lines = list(_parsed(text.splitlines()))
    events = tuple(_output(line) for line in lines if "stage" in line)
    return Outputs(events, ended=any("end" in line for line in lines))


def _parsed(lines: Iterable[str]) -> Iterable[Mapping[str, Any]]:
    """The lines up to one that was cut off when the script was killed."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return


def _output(line: Mapping[str, Any]) -> Output:
    values = np.frombuffer(base64.b64decode(line["values"]), dtype=np.float64)
    bounds = np.cumsum(line["lengths"], dtype=np.int64)[:-1]
    sketches = tuple(np.split(values, bounds)) if line["lengths"] else ()
    return Output(
        t_ns=line["t_ns"],
        thread=line["thread"],
        stage=line["stage"],
        name=line["name"],
        leaves=line["leaves"],
        rest=line["rest"],
        bits=line["bits"],
        norms=tuple(line["norms"]),
        sketches=sketches,
    )


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
