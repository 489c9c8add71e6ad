"""What a comparison's page and figures are drawn from: recordings and trials.

Both kinds of comparison, measured by `bottleneck compare` or made of saved
recordings, arrive here in the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis
from debottleneck.collect.assemble import load as load_recording
from debottleneck.errors import RecordingError
from debottleneck.recording import Recording
from debottleneck.report.quantities import clean
from debottleneck.report.sentences import sentence
from debottleneck.trials import save
from debottleneck.trials.result import Comparison
from debottleneck.trials.save import Measurements


@dataclass(frozen=True)
class Side:
    """One recording: "before" or "after", what it is of, and its analysis."""

    id: str
    label: str
    analysis: Analysis

    @property
    def step_ms(self) -> float:
        """Its mean step, 0 without steps."""
        return self.analysis.loop.step_ms if self.analysis.loop.found else 0.0


@dataclass(frozen=True)
class Evidence:
    """What stands behind a comparison.

    Attributes:
        sides: The plain script's recording and the winner's, those that could be read.
        gaps: Why others could not, as sentences.
        measured: Every trial's times and losses; empty tables if they are lost.
    """

    sides: tuple[Side, ...] = ()
    gaps: tuple[str, ...] = ()
    measured: Measurements = field(default_factory=Measurements)

    @property
    def found(self) -> tuple[Side, ...]:
        """The sides in which a training loop was found."""
        return tuple(side for side in self.sides if side.analysis.loop.found)


def as_it_is(recording: Recording) -> Recording:
    """The recording, unchanged."""
    return recording


def read(
    comparison: Comparison, change: Callable[[Recording], Recording] = as_it_is
) -> Evidence:
    """Open and analyse what a saved comparison refers to.

    Args:
        comparison: What was compared.
        change: Applied to each recording before it is analysed.
    """
    sides: list[Side] = []
    gaps: list[str] = []
    for id, label, path in _places(comparison):
        try:
            recording = change(load_recording(path))
            sides.append(Side(id, label, analyse(recording)))
        except RecordingError as error:
            gaps.append(sentence(f"{label} cannot be shown: {error}"))
    folder = comparison.folder
    measured = Measurements() if folder is None else save.measurements(folder)
    return Evidence(tuple(sides), tuple(gaps), measured)


def labels(comparison: Comparison) -> Mapping[str, str]:
    """What stands above each side."""
    return {"before": "The plain script", "after": f"With {clean(comparison.best)}"}


def _places(comparison: Comparison) -> list[tuple[str, str, Path]]:
    paths = {"before": comparison.before, "after": comparison.after}
    return [
        (id, label, path)
        for id, label in labels(comparison).items()
        if (path := paths[id]) is not None
    ]


def trial_steps(measured: Measurements) -> pd.DataFrame:
    """Every timed step of every round: spec, round, step, ms."""
    counted = measured.trials[measured.trials["round"] != save.GATE_ROUND]
    both = measured.steps.merge(counted[["trial", "spec", "round"]], on="trial")
    return both.assign(ms=both.wall_ns / 1e6)[["spec", "round", "step", "ms"]]
