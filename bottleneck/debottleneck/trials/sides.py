"""What a comparison's page and figures are drawn from: recordings and trials.

Both kinds of comparison, measured by `bottleneck compare` or made of saved
recordings, arrive here in the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis
from debottleneck.errors import RecordingError
from debottleneck.recording.assemble import load as load_recording
from debottleneck.recording.environment import Difference, differences
from debottleneck.recording.recording import Recording
from debottleneck.report.strategy_words import capital, named
from debottleneck.report.words.quantities import clean
from debottleneck.report.words.run import sentence
from debottleneck.trials import save
from debottleneck.trials.result import Comparison
from debottleneck.trials.save import Measurements

__all__ = [
    "Difference",
    "Evidence",
    "Side",
    "as_it_is",
    "labels",
    "read",
    "trial_steps",
]


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
        differences: What the surroundings of both recordings do not share.
    """

    sides: tuple[Side, ...] = ()
    gaps: tuple[str, ...] = ()
    measured: Measurements = field(default_factory=Measurements)
    differences: tuple[Difference, ...] = ()

    @property
    def found(self) -> tuple[Side, ...]:
        """The sides in which a training loop was found."""
        return tuple(side for side in self.sides if side.analysis.loop.found)


def as_it_is(recording: Recording) -> Recording:
    """The recording, unchanged."""
    return recording


def read(
    comparison: Comparison,
    change: Callable[[Recording], Recording] = as_it_is,
    measured: Measurements | None = None,
) -> Evidence:
    """Open and analyse what a comparison refers to.

    Args:
        comparison: What was compared.
        change: Applied to each recording before it is analysed.
        measured: Its tables; by default read from its folder, empty without one.
    """
    sides: list[Side] = []
    gaps: list[str] = []
    for id, label, path in _places(comparison):
        try:
            recording = change(load_recording(path))
            sides.append(Side(id, label, analyse(recording)))
        except RecordingError as error:
            gaps.append(sentence(f"{label} cannot be shown: {error}"))
    if measured is None:
        folder = comparison.folder
        measured = Measurements() if folder is None else save.measurements(folder)
    return Evidence(tuple(sides), tuple(gaps), measured, _differences(sides))


def _differences(sides: Sequence[Side]) -> tuple[Difference, ...]:
    if len(sides) < 2:
        return ()
    one, other = (side.analysis.recording.facts.environment for side in sides)
    return differences(one, other)


def labels(comparison: Comparison) -> Mapping[str, str]:
    """What stands above each side; `after` is the best row's recording."""
    if comparison.recorded:
        best = next((trial.spec for trial in comparison.trials), "")
        return {"before": clean(comparison.baseline), "after": clean(best)}
    return {"before": "The plain script", "after": capital(named(comparison.best))}


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
