"""Tables of a comparison: its trials, and the rows of both recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from markupsafe import Markup

from debottleneck.recording.environment import Difference
from debottleneck.report.rows import ShownRows
from debottleneck.report.tables import (
    DASH,
    Field,
    Table,
    Value,
    bounded,
    build,
    numeric,
    row_field,
    sorted_by,
)
from debottleneck.report.words import comparison as words
from debottleneck.report.words.quantities import (
    NOTHING,
    clean,
    in_order,
    interval,
    number,
    table_digits,
)
from debottleneck.report.words.strategies import named, pieces
from debottleneck.trials import result
from debottleneck.trials.result import Comparison, Interval, Trial
from debottleneck.trials.sides import Side

SIGNS = {result.FASTER: "\N{CHECK MARK}", result.SLOWER: "\N{DOWNWARDS ARROW}"}
SIGNS |= dict.fromkeys((result.DIFFERENT, result.FAILED), "\N{MULTIPLICATION SIGN}")
"""Beside the words, so that the eye finds them without a colour."""

OF_TRIALS = (
    "Every trial against the plain script, best first. Memory is the peak of all its "
    "processes beyond the plain script's; CPU is the time of all threads in a step; an "
    "error is the predicted step over the measured one, less 1."
)
OF_RECORDINGS = (
    "Every recording beside the first, best first. A speed-up is the first one's mean "
    "quiet step over the other's."
)
ERROR = "error"
"""Heading of how far the predicted step is off."""


def trials(comparison: Comparison) -> Table:
    """The comparison's rows; the plain script is the first."""
    base = comparison.baseline_ms
    base_ms = None if base is None else base.value
    digits, cpu_digits = (
        table_digits(max((v for v in values if v is not None), default=1.0))
        for values in (
            [base_ms, *(t.step_ms for t in comparison.trials)],
            [comparison.baseline_cpu_ms, *(t.cpu_ms for t in comparison.trials)],
        )
    )
    plain_mb = number(comparison.baseline_memory_mb, 0)
    bounds = base and f"95 % interval of its step {_of(base, digits)} ms"
    plain = Trial(
        "",
        {},
        spec=words.baseline(comparison),
        verdict=NOTHING,
        numbers=NOTHING,
        why=bounds or "not measured",
        step_ms=base_ms,
        cpu_ms=comparison.baseline_cpu_ms,
    )

    def memory(trial: Trial) -> Value:
        if trial is plain:
            return plain_mb, 0.0
        extra = trial.memory_mb
        return words.memory(extra), -1e9 if extra is None else extra

    columns = [
        Field("recording" if comparison.recorded else "strategy", "name", _name),
        Field("verdict", "outcome", _verdict),
        Field("numbers", "", words.numbers),
        Field("speed-up (95 %)", "num", _speedup),
        Field("predicted (90 %)", "num", _predicted),
        Field(ERROR, "num", _error),
        Field("step, ms", "num", lambda trial: numeric(trial.step_ms, digits)),
        Field("memory, MB", "num", memory),
        Field("CPU, ms", "num", lambda trial: numeric(trial.cpu_ms, cpu_digits)),
        Field("remark", "text", _remark),
    ]
    caption = OF_RECORDINGS if comparison.recorded else OF_TRIALS
    return _filled(build("trials-table", caption, columns, [plain, *comparison.trials]))


def _filled(table: Table) -> Table:
    """Only the columns in which something stands."""
    columns = enumerate(zip(*table.rows, strict=True))
    kept = [at for at, cells in columns if any(c.text != NOTHING for c in cells)]
    headers, *rows = (
        tuple(row[at] for at in kept) for row in (table.headers, *table.rows)
    )
    return replace(table, headers=headers, rows=tuple(rows))


def _of(ratio: Interval, digits: int) -> str:
    return interval(ratio.low, ratio.high, digits)


def _name(trial: Trial) -> Value:
    return strategy(trial.spec)


def strategy(spec: str) -> Value:
    """What people call it, and below how it is written."""
    name, written = named(spec), clean(spec)
    if name == written:
        return name, written
    broken = Markup("<wbr>").join(piece for one in pieces(written) for piece in one)
    return Markup("{}<br><code>{}</code>").format(name, broken), written


def _verdict(trial: Trial) -> Value:
    marked = " ".join(filter(None, (SIGNS.get(trial.verdict), trial.verdict)))
    return marked, trial.verdict


def _speedup(trial: Trial) -> Value:
    ratio = trial.speedup
    if ratio is None:
        return NOTHING, sorted_by(None)
    said = f"{words.speedup(ratio)} ({words.bounds(ratio, DASH)})"
    return said, sorted_by(ratio.value)


def _predicted(trial: Trial) -> Value:
    said = trial.predicted
    return words.predicted(said, DASH), sorted_by(said.speedup if said else None)


def _error(trial: Trial) -> Value:
    """How far the predicted step is off; sorted by how far, whichever way."""
    error = trial.step_error
    return words.error(error), sorted_by(error and abs(error))


def _remark(trial: Trial) -> str:
    return "; ".join(clean(text) for text in (trial.why, *trial.did) if text)


def differences(between: Sequence[Difference]) -> Table:
    """What differs between the places where both recordings were made."""
    columns = [
        Field("what", "", lambda one: clean(one.what)),
        Field("before", "text", lambda one: clean(one.before) or NOTHING),
        Field("after", "text", lambda one: clean(one.after) or NOTHING),
        Field("can change the times", "", lambda one: "yes" if one.matters else "no"),
    ]
    caption = "What differed between the two recordings."
    return build("differences-table", caption, columns, between)


def stages(sides: Sequence[Side]) -> Table:
    """Each row's time with and without the strategy, and the difference."""
    tables = [side.analysis.stages.set_index("stage") for side in sides]
    shown = ShownRows.of(*(side.analysis for side in sides))
    names = in_order((n for table in tables for n in table.index), shown.order)
    digits = table_digits(min(side.step_ms for side in sides))
    rows = [(name, [_time(table, name) for table in tables]) for name in names]
    loops = [side.analysis.loop for side in sides]
    total = ("step", [(loop.step_ms, loop.step_low, loop.step_high) for loop in loops])
    columns = [row_field(shown, 0)]
    for at, side in enumerate(sides):
        name = f"{side.id}, ms" if len(sides) == 2 else "ms"
        columns += _side_columns(name, at, digits)
    if len(sides) == 2:
        columns.append(Field("difference", "num", lambda row: _change(row, digits)))
    caption = f"Each {shown.noun} of the training thread, in ms per step."
    return build("stages-table", caption, columns, rows, total=total)


def _side_columns(name: str, at: int, digits: int) -> list[Field]:
    def bounds(row: Any) -> Value:
        _, low, high = row[1][at]
        return bounded(low, high, digits)

    time = Field(name, "num", lambda row: numeric(row[1][at][0], digits))
    return [time, Field("95 %", "num", bounds)]


def _time(table: pd.DataFrame, name: str) -> tuple[float, ...]:
    """A row's time and its bounds; 0 in a recording whose steps never enter it."""
    if name not in table.index:
        return 0.0, float("nan"), float("nan")
    return tuple(map(float, table.loc[name, ["ms_per_step", "low", "high"]]))


def _change(row: Any, digits: int) -> Value:
    before, after = (times[0] for times in row[1])
    change = round(after - before, digits) or 0.0
    return f"{change:+,.{digits}f}" if change else number(change, digits), change
