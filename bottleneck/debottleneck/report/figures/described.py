"""What figures show, in a sentence, for who cannot see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from debottleneck.analysis.result import Analysis, Predictions
from debottleneck.report.figures import causes, predictions, sides, timeline
from debottleneck.report.words import predictions as prediction_words
from debottleneck.report.words.quantities import (
    NOTHING,
    clean,
    count,
    number,
    percent,
)
from debottleneck.trials.sides import Sides


def heat(analysis: Analysis) -> str:
    """The two largest cells of the table of milliseconds by row and cause."""
    values, whole_ms = causes.cells(analysis)
    cells = values.stack().sort_values(ascending=False).head(2)
    named = [f"{row}/{cause} {number(ms)} ms" for (row, cause), ms in cells.items()]
    largest = clean(", then ".join(named))
    of = f"{number(whole_ms)} ms a {analysis.loop.unit}"
    return f"Heat map of causes: largest is {largest}, of {of}."


def bars(analysis: Analysis) -> str:
    """Mean milliseconds of each row, the longest first."""
    ranked = analysis.stages.sort_values("ms_per_step", ascending=False)
    means = _listed(zip(ranked.stage, ranked.ms_per_step, strict=True))
    steps = count(len(analysis.steps), "step")
    return f"Stacked bars of step time by part, {steps}. Means: {means or NOTHING}."


def distribution(analysis: Analysis) -> str:
    """Median and 95th percentile."""
    loop = analysis.loop
    quiet = int((analysis.steps.block == "quiet").sum())
    return (
        f"Histogram of the times of {count(quiet, 'quiet step')}: median "
        f"{number(loop.step_median_ms)} ms, 95th percentile {number(loop.step_p95_ms)} "
        "ms."
    )


def strip(analysis: Analysis, window: timeline.StepWindow) -> str:
    """How long the step was, and the trainer's rows in it."""
    segments = timeline.segments_in(analysis, window)
    mine = segments[segments.tid == analysis.loop.trainer_tid]
    sums = mine.groupby("name").ms.sum().sort_values(ascending=False)
    return (
        f"Timeline of the threads in step {window.step:,}, "
        f"{number(window.milliseconds)} ms; training thread: {_listed(sums.items())}."
    )


def _listed(named: Iterable[tuple[Any, Any]]) -> str:
    return ", ".join(f"{clean(name)} {number(float(ms))} ms" for name, ms in named)


def flame(analysis: Analysis, stage: str) -> str:
    """The row, and the line with most of its samples."""
    lines = analysis.lines[analysis.lines.stage == stage]
    top = lines.sort_values("share", ascending=False).head(1).to_dict("records")
    most = [f"; most samples in {r['function']}, {percent(r['share'])}" for r in top]
    return clean(f"Flame graph of {stage}{''.join(most)}.")


def curves(predicted: Predictions) -> str:
    """Each strategy's two ends, and its best."""
    lines = []
    for curve in predictions.curves(predicted):
        rows = dict(zip(curve.workers, curve.rows, strict=True))
        best = max(rows, key=lambda workers: rows[workers].speedup)
        shown = sorted({curve.workers[0], curve.workers[-1], best})
        points = (f"{prediction_words.speedup(rows[n])} with {n}" for n in shown)
        lines.append(f"{curve.name} {', '.join(points)}")
    return (
        "Lines of predicted speed-up over workers, 1x is the loop as recorded: "
        f"{'; '.join(lines) or NOTHING}."
    )


def side(shown: Sides, id: str, sentence: Callable[[Analysis], str] | None) -> str:
    """What is said of one side after its name; of its timeline by default."""
    chosen = next(side for side in shown.found if side.id == id)
    if sentence is not None:
        return f"{chosen.label}: {sentence(chosen.analysis)}"
    window = sides.windows(shown.found)[id]
    return f"{chosen.label}: {strip(chosen.analysis, window)}"
