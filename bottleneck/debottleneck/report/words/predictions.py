"""What predictions say in words: the cells of their table, and sentences about them.

Text, JSON and page say the same because they take it from here.
"""

from __future__ import annotations

import shlex

from debottleneck.analysis.result import WORTH, Prediction, Predictions
from debottleneck.recording.recording import Recording
from debottleneck.report.redact.texts import ARGUMENTS
from debottleneck.report.strategy_words import named
from debottleneck.report.words.quantities import NOTHING, clean, interval, number

NONE = f"No strategy is predicted to gain {WORTH:.2f}x or more."
AS_IT_IS = "as it is"
"""What the loop without a strategy is called in a table."""

BY = "90 %"
"""How much of what will be measured the intervals hold."""

FAR_OFF = 0.1
"""A simulated plain loop that is farther from the measured one is spoken of."""

ASSUMED = (
    "This machine was not measured: prices of an ordinary machine were assumed. "
    "`bottleneck calibrate` measures it; recordings made after that have its prices."
)
INDENT = 11
"""Letters of a label before a command, as in a report's last lines."""


def is_worth(row: Prediction, found: Predictions) -> bool:
    """Whether it should be tried: what the question alone gains is not its merit."""
    return row.worth and row.speedup >= WORTH * found.plain.speedup


def best(found: Predictions) -> Prediction | None:
    """The row to try first, None if none is worth it."""
    return next((row for row in found.rows if is_worth(row, found)), None)


def worth(row: Prediction, found: Predictions) -> str:
    """The same in a word."""
    return "yes" if is_worth(row, found) else "no"


def speedup(row: Prediction) -> str:
    """How many times faster than the loop as it was recorded."""
    return f"{row.speedup:.{_digits(row)}f}x"


def bounds(row: Prediction, between: str = " to ") -> str:
    """The bounds of what will be measured."""
    return interval(row.low, row.high, _digits(row), between)


def _digits(row: Prediction) -> int:
    """Two; enough that what is not worth a trial does not read as if it were."""
    if row.speedup < WORTH <= round(row.speedup, 2):
        return 3
    return 1 if row.low >= 10 else 2


def memory(row: Prediction) -> str:
    """Megabytes beyond the plain script's, with their sign."""
    return NOTHING if row.memory_mb is None else f"{row.memory_mb:+,.0f}"


def why(row: Prediction) -> str:
    """What keeps it from being faster, or from acting at all."""
    if row.why_not:
        return f"would not act: {clean(row.why_not)}"
    return clean(row.limit) or NOTHING


def headline(found: Predictions) -> str:
    """What comes of the question, or the best strategy, in one sentence."""
    if found.question:
        return plain_line(found)
    chosen = best(found)
    return NONE if chosen is None else _best_line(chosen)


def plain_line(found: Predictions) -> str:
    """The loop as it is under the question's assumptions."""
    row = found.plain
    said = f"The loop as it is{_question(found)}: {number(row.step_ms)} ms a step"
    if found.question:
        said += f", {speedup(row)} as fast as recorded ({bounds(row)})"
    return f"{said}."


def outcome(found: Predictions) -> str:
    """The best strategy in one sentence, or that there is none."""
    chosen = best(found)
    return NONE if chosen is None else _best_line(chosen)


def _best_line(row: Prediction) -> str:
    return (
        f"Predicted best: {named(row.spec)}, {number(row.step_ms)} ms a step, "
        f"{speedup(row)} as fast as recorded ({bounds(row)})."
    )


def _question(found: Predictions) -> str:
    return f", with {clean(found.question)}" if found.question else ""


def notes(found: Predictions) -> list[str]:
    """Sentences that qualify the table."""
    said = []
    if abs(found.replayed - 1) > FAR_OFF:
        said.append(
            f"The simulated plain loop takes {100 * found.replayed:.0f} % of the "
            "measured step, so the model does not see all that happens in it: take "
            "these predictions with care."
        )
    if not found.machine.get("measured"):
        said.append(ASSUMED)
    return said


def next_lines(found: Predictions, recording: Recording) -> list[str]:
    """What to type next: measure the best, ask what if; of no what-if itself."""
    if found.question:
        return []
    chosen, lines = best(found), []
    if chosen is not None:
        lines.append(_line("Try first", _compare(chosen, recording)))
    lines.append(_line("What if", what_if(found, recording)))
    return lines


def _line(label: str, command: str) -> str:
    return f"{label:<{INDENT}}{command}"


def _compare(row: Prediction, recording: Recording) -> str:
    """The command that measures this strategy on the same script."""
    given = recording.facts.command
    script = [word if word == ARGUMENTS else shlex.quote(word) for word in given]
    lead = shlex.join(["bottleneck", "compare", "--strategy", row.spec])
    return clean(" ".join((lead, *script)))


def what_if(found: Predictions, recording: Recording) -> str:
    """The command that asks what another machine would change."""
    place = "RECORDING" if recording.path is None else shlex.quote(str(recording.path))
    cores = max(1, round(float(found.machine.get("cores") or 1)))
    lead = f"bottleneck predict {place} --cores {2 * cores}"
    return clean(f"{lead}  # or --no-gil, --source-speed 2")
