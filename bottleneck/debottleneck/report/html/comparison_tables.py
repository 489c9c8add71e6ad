"""Tables of a comparison's page: its trials, and the stages of both recordings."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from debottleneck import words
from debottleneck.report import comparison_words
from debottleneck.report.evidence import Side
from debottleneck.report.html.tables import DASH, Cell, Table, words_rank
from debottleneck.report.quantities import (
    NOTHING,
    clean,
    in_order,
    interval,
    number,
    table_digits,
)
from debottleneck.report.text.comparison import BASELINE
from debottleneck.trials.result import Comparison, Trial

HEADS = ("strategy", "verdict", "numbers")
NUMBERS = (
    "step, ms",
    "speed-up",
    "95 % interval",
    "memory, MB",
    "CPU a step, ms",
    "rounds",
)


def trials(comparison: Comparison) -> Table:
    """The comparison's rows; the plain script is the first."""
    rows, base = comparison.trials, comparison.baseline_ms
    digits = _digits(base.value if base else None)
    cpu_digits = _digits(comparison.baseline_cpu_ms)
    predicted = any(trial.predicted is not None for trial in rows)
    numbers = (*NUMBERS, *("predicted",) * predicted)
    heads = (
        *(Cell(head) for head in HEADS),
        *(Cell(head, kind="num") for head in numbers),
        Cell("remark"),
    )
    lines = [_plain_row(comparison, digits, cpu_digits)]
    lines += [_trial_row(trial, digits, cpu_digits) for trial in rows]
    guesses = [None, *(trial.predicted for trial in rows)]
    remarks = [_plain_remark(comparison, digits), *map(_remark, rows)]
    body = tuple(
        (*line, *(_predicted(guess),) * predicted, Cell(remark, kind="text"))
        for line, guess, remark in zip(lines, guesses, remarks, strict=True)
    )
    caption = (
        "Every trial against the plain script, best first. Memory is the peak of all "
        "its processes beyond the plain script's; CPU time is of all threads."
    )
    return Table("trials-table", caption, heads, body)


def _digits(scale: float | None) -> int:
    return table_digits(scale or 1.0)


def _plain_row(
    comparison: Comparison, digits: int, cpu_digits: int
) -> tuple[Cell, ...]:
    base = comparison.baseline_ms
    return (
        Cell(BASELINE, "", "code"),
        Cell(NOTHING),
        Cell(NOTHING),
        _measured(base.value if base else None, digits),
        Cell(NOTHING, 1.0, "num"),
        Cell(NOTHING, 1.0, "num"),
        Cell(number(comparison.baseline_memory_mb, 0), 0.0, "num"),
        _measured(comparison.baseline_cpu_ms, cpu_digits),
        _measured(comparison.rounds, 0),
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
        Cell(clean(trial.spec), clean(trial.spec), "code"),
        Cell(trial.verdict, trial.verdict),
        Cell(comparison_words.numbers(trial)),
        _measured(trial.step_ms, digits),
        Cell(comparison_words.speedup(ratio), value, "num"),
        Cell(comparison_words.bounds(ratio, DASH), low, "num"),
        Cell(comparison_words.memory(extra), -1e9 if extra is None else extra, "num"),
        _measured(trial.cpu_ms, cpu_digits),
        _measured(trial.rounds, 0),
    )


def _predicted(ratio: float | None) -> Cell:
    if ratio is None:
        return Cell(NOTHING, -1.0, "num")
    return Cell(f"{ratio:.2f}x", ratio, "num")


def _remark(trial: Trial) -> str:
    return "; ".join(clean(text) for text in (trial.why, *trial.did) if text)


def _measured(value: float | None, digits: int) -> Cell:
    return Cell(number(value, digits), -1.0 if value is None else value, "num")


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
