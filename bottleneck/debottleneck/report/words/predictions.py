"""What predictions say in words: the cells of their table, and sentences about them.

Text, JSON and page say the same because they take it from here.
"""

from __future__ import annotations

import shlex

from debottleneck.analysis.result import (
    WORTH,
    Prediction,
    Predictions,
    digits_of,
)
from debottleneck.recording.recording import Recording
from debottleneck.report.redacted_texts import ARGUMENTS
from debottleneck.report.words.quantities import NOTHING, clean, interval, number
from debottleneck.report.words.strategies import named

NONE = f"No strategy is predicted to gain {WORTH:.2f}x or more."
NONE_ACTS = f"No strategy that would act is predicted to gain {WORTH:.2f}x or more."
AS_IT_IS = "as it is"
"""What the loop without a strategy is called in a table."""

BY = "90 %"
"""How much of what will be measured the intervals hold."""

ASSUMED = "This machine was not measured: prices of an ordinary machine were assumed."
CALIBRATE = (
    "`bottleneck calibrate` measures it; recordings made after that have its prices."
)
INDENT = 11
"""Letters of a label before a command, as in a report's last lines."""


def worth(row: Prediction) -> str:
    """Whether it should be tried, in a word: as it is, after an edit, or not."""
    edit = "edit" if row.edit and row.speedup >= WORTH else "no"
    return "yes" if row.worth else edit


def speedup(row: Prediction) -> str:
    """How many times faster than the loop as it was recorded."""
    return f"{row.speedup:.{digits_of(row.speedup, row.low)}f}x"


def bounds(row: Prediction, between: str = " to ") -> str:
    """The bounds of what will be measured."""
    return interval(row.low, row.high, digits_of(row.speedup, row.low), between)


def memory(row: Prediction) -> str:
    """Megabytes beyond the plain script's, with their sign."""
    return NOTHING if row.memory_mb is None else f"{row.memory_mb:+,.0f}"


def why(row: Prediction) -> str:
    """What keeps it from being faster, or from acting at all."""
    if row.why_not:
        return f"would not act: {clean(row.why_not)}"
    return clean(row.limit) or NOTHING


def plain_line(predictions: Predictions) -> str:
    """The loop as it is under the question's assumptions."""
    row, question = predictions.plain, clean(predictions.question)
    if not question:
        return f"The loop as it is: {number(row.step_ms)} ms a step."
    return f"The loop as it is, with {question}: {_as_fast(row)}"


def outcome(predictions: Predictions) -> str:
    """The best strategy in one sentence, or that there is none."""
    row = predictions.best
    if row is None and predictions.unplanned:
        return f"No strategy can be predicted: {clean(predictions.unplanned)}."
    if row is None and predictions.gaining:
        return "No strategy is recommended."
    if row is None:
        idle = any(row.edit and row.speedup >= WORTH for row in predictions.rows)
        return NONE_ACTS if idle else NONE
    return f"Predicted best: {named(row.spec)}, {_as_fast(row)}"


def _as_fast(row: Prediction) -> str:
    return (
        f"{number(row.step_ms)} ms a step, {speedup(row)} as fast as recorded "
        f"({bounds(row)})."
    )


def notes(predictions: Predictions) -> list[str]:
    """Sentences that qualify the table."""
    sentences = []
    if predictions.doubt and predictions.rows:
        doubt = clean(predictions.doubt)
        sentences.append(f"Do not rely on these predictions: {doubt}.")
    if predictions.untold:
        specs = ", ".join(f"`{clean(spec)}`" for spec in predictions.untold)
        sentences.append(
            f"`bottleneck compare` also tries what cannot be told: {specs}."
        )
    if not predictions.machine.get("measured"):
        sentences.append(f"{ASSUMED} {CALIBRATE}")
    return sentences


def next_commands(predictions: Predictions, recording: Recording) -> dict[str, str]:
    """What to type next: measure the best, ask what if; of no what-if itself."""
    if predictions.question:
        return {}
    commands = {}
    if predictions.best:
        commands["Try first"] = compare(recording, predictions.best)
    place = "RECORDING" if recording.path is None else shlex.quote(str(recording.path))
    cores = max(1, round(float(predictions.machine.get("cores") or 1)))
    lead = f"bottleneck predict {place} --cores {2 * cores}"
    commands["What if"] = f"{lead}  # or --no-gil, --source-speed 2"
    return {label: clean(text) for label, text in commands.items()}


def next_lines(predictions: Predictions, recording: Recording) -> list[str]:
    """The same with labels before them."""
    commands = next_commands(predictions, recording)
    return [f"{label:<{INDENT}}{text}" for label, text in commands.items()]


def compare(recording: Recording, row: Prediction | None = None) -> str:
    """The command that tries one strategy on the recorded script, or what may help."""
    chosen = ["--strategy", row.spec] if row else []
    given = recording.facts.command
    script = [word if word == ARGUMENTS else shlex.quote(word) for word in given]
    return " ".join((shlex.join(["bottleneck", "compare", *chosen]), *script))
