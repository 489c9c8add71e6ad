"""What a comparison's page and figures are drawn from: recordings and trials.

Both kinds of comparison, measured by `bottleneck compare` or made of saved
recordings, arrive here in the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis
from debottleneck.errors import RecordingError
from debottleneck.prediction.verdict import judged
from debottleneck.recording.assemble import load as load_recording
from debottleneck.recording.environment import Difference, differences
from debottleneck.recording.recording import Recording
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
class Sides:
    """What stands behind a comparison.

    Attributes:
        sides: The plain script's recording and the winner's, those that could be read.
        gaps: Why others could not.
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


def unchanged(recording: Recording) -> Recording:
    """The recording as it is."""
    return recording


def read(
    comparison: Comparison,
    labels: Mapping[str, str],
    change: Callable[[Recording], Recording] = unchanged,
    measured: Measurements | None = None,
) -> Sides:
    """Open and analyse what a comparison refers to; its trials stand for predictions.

    Args:
        comparison: What was compared.
        labels: What stands above "before" and "after".
        change: Applied to each recording before it is analysed.
        measured: Its tables; by default read from its folder, empty without one.
    """
    sides: list[Side] = []
    gaps: list[str] = []
    tried = (
        {} if comparison.recorded else {t.spec: t.outcome for t in comparison.trials}
    )
    for id, path in (("before", comparison.before), ("after", comparison.after)):
        if path is None:
            continue
        try:
            recording = change(load_recording(path))
            analysis = judged(analyse(recording), tried)
            sides.append(Side(id, labels[id], replace(analysis, predictions=None)))
        except RecordingError as error:
            gaps.append(f"{labels[id]} cannot be shown: {error}")
    if measured is None:
        folder = comparison.folder
        measured = Measurements() if folder is None else save.measurements(folder)
    return Sides(tuple(sides), tuple(gaps), measured, _differences(sides))


def _differences(sides: Sequence[Side]) -> tuple[Difference, ...]:
    if len(sides) < 2:
        return ()
    one, other = (side.analysis.recording.facts.environment for side in sides)
    return differences(one, other)


def trial_steps(measured: Measurements) -> pd.DataFrame:
    """Every timed step of every round: spec, round, step, ms."""
    counted = measured.trials[measured.trials["round"] != save.GATE_ROUND]
    both = measured.steps.merge(counted[["trial", "spec", "round"]], on="trial")
    return both.assign(ms=both.wall_ns / 1e6)[["spec", "round", "step", "ms"]]
