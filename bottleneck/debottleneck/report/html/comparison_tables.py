"""Tables of a comparison's page: its trials, and the stages of both recordings."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup

from debottleneck import words
from debottleneck.recording.environment import Difference
from debottleneck.report.html.tables import DASH, Cell, Table, words_rank
from debottleneck.report.words import comparison as comparison_words
from debottleneck.report.words.quantities import (
    NOTHING,
    clean,
    in_order,
    interval,
    number,
    table_digits,
)
from debottleneck.report.words.strategies import named, pieces
from debottleneck.trials.result import (
    DIFFERENT,
    FAILED,
    FASTER,
    SLOWER,
    Comparison,
    Interval,
    Predicted,
    Trial,
)
from debottleneck.trials.sides import Side

SIGNS = {FASTER: "\N{CHECK MARK}", SLOWER: "\N{DOWNWARDS ARROW}"}
SIGNS |= dict.fromkeys((DIFFERENT, FAILED), "\N{MULTIPLICATION SIGN}")
"""Beside the words, so that the eye finds them without a colour."""

NUMBERS = (
    "speed-up",
    "95 % interval",
    "step, ms",
    "memory, MB",
    "CPU, ms",
    "rounds",
)


OF_TRIALS = (
    "Every trial against the plain script, best first. Memory is the peak of all its "
    "processes beyond the plain script's; CPU is the time of all threads in a step."
)
OF_RECORDINGS = (
    "Every recording beside the first, best first. A speed-up is the first one's mean "
    "quiet step over the other's."
)


PREDICTIONS = (
    "predicted (90 %)",
    "measured (95 %)",
    "error",
    "step predicted, ms (90 %)",
    "step measured, ms",
    "error",
)
OF_PREDICTIONS = (
    "Speed-ups and steps as predicted from the plain script's profile alone, and as "
    "measured; an error is the predicted value over the measured one, less 1. Inside "
    "says whether the measured speed-up lies in the predicted interval."
)


def trials(comparison: Comparison) -> Table:
    """The comparison's rows; the plain script is the first."""
    rows, base = comparison.trials, comparison.baseline_ms
    digits = _digits(base.value if base else None)
    cpu_digits = _digits(comparison.baseline_cpu_ms)
    heads = (
        Cell("recording" if comparison.recorded else "strategy"),
        *(Cell(head) for head in ("verdict", "numbers")),
        *(Cell(head, kind="num") for head in NUMBERS),
        Cell("remark", kind="text"),
    )
    body = (
        _plain_row(comparison, digits, cpu_digits),
        *(_trial_row(trial, digits, cpu_digits) for trial in rows),
    )
    kept = _filled(body)
    return Table(
        "trials-table",
        OF_RECORDINGS if comparison.recorded else OF_TRIALS,
        tuple(heads[at] for at in kept),
        tuple(tuple(row[at] for at in kept) for row in body),
    )


def _filled(rows: Sequence[Sequence[Cell]]) -> list[int]:
    """Columns in which something stands."""
    columns = enumerate(zip(*rows, strict=True))
    return [at for at, cells in columns if any(c.text != NOTHING for c in cells)]


def _digits(scale: float | None) -> int:
    return table_digits(scale or 1.0)


def _plain_row(
    comparison: Comparison, digits: int, cpu_digits: int
) -> tuple[Cell, ...]:
    base = comparison.baseline_ms
    return (
        Cell(comparison_words.baseline(comparison), ""),
        Cell(NOTHING),
        Cell(NOTHING),
        Cell(NOTHING, 1.0, "num"),
        Cell(NOTHING, 1.0, "num"),
        _measured(base.value if base else None, digits),
        Cell(number(comparison.baseline_memory_mb, 0), 0.0, "num"),
        _measured(comparison.baseline_cpu_ms, cpu_digits),
        _measured(comparison.rounds, 0),
        Cell(_plain_remark(comparison, digits), kind="text"),
    )


def _plain_remark(comparison: Comparison, digits: int) -> str:
    base = comparison.baseline_ms
    if base is None:
        return "not measured"
    return f"95 % interval of its step {interval(base.low, base.high, digits)} ms"


def _trial_row(trial: Trial, digits: int, cpu_digits: int) -> tuple[Cell, ...]:
    ratio, extra = trial.speedup, trial.memory_mb
    value, low = (ratio.value, ratio.low) if ratio else (-1.0, -1.0)
    return (
        _name(trial),
        Cell(_marked(trial.verdict), trial.verdict, "outcome"),
        Cell(comparison_words.numbers(trial)),
        Cell(comparison_words.speedup(ratio), value, "num"),
        Cell(comparison_words.bounds(ratio, DASH), low, "num"),
        _measured(trial.step_ms, digits),
        Cell(comparison_words.memory(extra), -1e9 if extra is None else extra, "num"),
        _measured(trial.cpu_ms, cpu_digits),
        _measured(trial.rounds, 0),
        Cell(_remark(trial), kind="text"),
    )


def _name(trial: Trial) -> Cell:
    """What people call it, and below how it is written."""
    name, spec = named(trial.spec), clean(trial.spec)
    if name == spec:
        return Cell(name, spec, "name")
    parts = [piece for one in pieces(spec) for piece in one]
    broken = Markup("<wbr>").join(parts)
    return Cell(Markup("{}<br><code>{}</code>").format(name, broken), spec, "name")


def _marked(verdict: str) -> str:
    sign = SIGNS.get(verdict)
    return f"{sign} {verdict}" if sign else verdict


def _remark(trial: Trial) -> str:
    return "; ".join(clean(text) for text in (trial.why, *trial.did) if text)


def _measured(value: float | None, digits: int) -> Cell:
    return Cell(number(value, digits), -1.0 if value is None else value, "num")


def predictions(comparison: Comparison) -> Table | None:
    """What was predicted beside what was measured; None without predictions."""
    base = comparison.baseline_ms
    digits = _digits(base.value if base else None)
    rows = tuple(
        _predicted(trial, trial.predicted, trial.speedup, digits)
        for trial in comparison.trials
        if trial.predicted is not None and trial.speedup is not None
    )
    if not rows:
        return None
    heads = (
        Cell("strategy"),
        *(Cell(head, kind="num") for head in PREDICTIONS),
        Cell("inside"),
        Cell("expected limit", kind="text"),
    )
    return Table("predictions-table", OF_PREDICTIONS, heads, rows)


def _predicted(
    trial: Trial, said: Predicted, ratio: Interval, digits: int
) -> tuple[Cell, ...]:
    step = interval(said.step_low, said.step_high, digits, DASH)
    bounds = comparison_words.bounds(ratio, DASH)
    measured = f"{comparison_words.speedup(ratio)} ({bounds})"
    return (
        _name(trial),
        Cell(comparison_words.predicted(said, DASH), said.speedup, "num"),
        Cell(measured, ratio.value, "num"),
        _error(trial.speedup_error),
        Cell(f"{number(said.step_ms, digits)} ({step})", said.step_ms, "num"),
        _measured(trial.step_ms, digits),
        _error(trial.step_error),
        Cell("yes" if trial.inside else "no"),
        Cell(clean(said.limit) or NOTHING, kind="text"),
    )


def _error(share: float | None) -> Cell:
    """How far a prediction is off; sorted by how far, whichever way."""
    known = -1.0 if share is None else abs(share)
    return Cell(comparison_words.error(share), known, "num")


def differences(found: Sequence[Difference]) -> Table:
    """What differs between the places where both recordings were made."""
    rows = tuple(
        (
            Cell(clean(one.what)),
            Cell(clean(one.before) or NOTHING, kind="text"),
            Cell(clean(one.after) or NOTHING, kind="text"),
            Cell("yes" if one.matters else "no"),
        )
        for one in found
    )
    heads = tuple(map(Cell, ("what", "before", "after", "can change the times")))
    caption = "What differed between the two recordings."
    return Table("differences-table", caption, heads, rows)


def stages(found: Sequence[Side]) -> Table:
    """Each stage's time with and without the strategy, and the difference."""
    tables = [side.analysis.stages.set_index("stage") for side in found]
    names = in_order((n for table in tables for n in table.index), words.STAGES)
    digits = table_digits(min(side.step_ms for side in found))
    rows = []
    for name in names:
        cells = [_stage_time(table, name, digits) for table in tables]
        times = [_time(table, name) for table in tables]
        first = Cell(name, words_rank(name), "stage")
        rows.append((first, *sum(cells, ()), *_change(times, digits)))
    total: list[Cell] = [Cell("step")]
    for side in found:
        loop = side.analysis.loop
        bounds = interval(loop.step_low, loop.step_high, digits, DASH)
        total += [_measured(loop.step_ms, digits), Cell(bounds, kind="num")]
    total += _change([side.step_ms for side in found], digits)
    heads = [Cell("stage")]
    for side in found:
        name = f"{side.id}, ms" if len(found) == 2 else "ms"
        heads += [Cell(name, kind="num"), Cell("95 %", kind="num")]
    heads += [Cell("difference", kind="num")] * (len(found) == 2)
    caption = "Each stage of the training thread, in ms per step of the recordings."
    return Table("stages-table", caption, tuple(heads), tuple(rows), tuple(total))


def _time(table: pd.DataFrame, name: str) -> float:
    """A stage's time; 0 in a recording whose steps never enter it."""
    return float(table.ms_per_step[name]) if name in table.index else 0.0


def _stage_time(table: pd.DataFrame, name: str, digits: int) -> tuple[Cell, ...]:
    if name not in table.index:
        return (_measured(0.0, digits), Cell(NOTHING, -1.0, "num"))
    low, high = float(table.low[name]), float(table.high[name])
    bounds = Cell(interval(low, high, digits, DASH), low, "num")
    return (_measured(_time(table, name), digits), bounds)


def _change(times: Sequence[float], digits: int) -> tuple[Cell, ...]:
    if len(times) < 2:
        return ()
    change = round(times[1] - times[0], digits) or 0.0
    text = f"{change:+,.{digits}f}" if change else number(change, digits)
    return (Cell(text, change, "num"),)
