"""Tables of a comparison's page: its trials, and the rows of both recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import pandas as pd
from markupsafe import Markup

from debottleneck.recording.environment import Difference
from debottleneck.report.html.tables import (
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
from debottleneck.report.rows import ShownRows
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
from debottleneck.trials import result
from debottleneck.trials.result import Comparison, Trial
from debottleneck.trials.sides import Side

SIGNS = {result.FASTER: "\N{CHECK MARK}", result.SLOWER: "\N{DOWNWARDS ARROW}"}
SIGNS |= dict.fromkeys((result.DIFFERENT, result.FAILED), "\N{MULTIPLICATION SIGN}")
"""Beside the words, so that the eye finds them without a colour."""

OF_TRIALS = (
    "Every trial against the plain script, best first. Memory is the peak of all its "
    "processes beyond the plain script's; CPU is the time of all threads in a step."
)
OF_RECORDINGS = (
    "Every recording beside the first, best first. A speed-up is the first one's mean "
    "quiet step over the other's."
)
OF_PREDICTIONS = (
    "Speed-ups and steps as predicted from the plain script's profile alone, and as "
    "measured; an error is the predicted value over the measured one, less 1. Inside "
    "says whether the measured speed-up lies in the predicted interval."
)


def trials(comparison: Comparison) -> Table:
    """The comparison's rows; the plain script is the first."""
    base = comparison.baseline_ms
    digits = table_digits(base.value if base else 1.0)
    cpu_digits = table_digits(comparison.baseline_cpu_ms or 1.0)
    columns = [
        Field("recording" if comparison.recorded else "strategy", "name", _name),
        Field("verdict", "outcome", _verdict),
        Field("numbers", "", comparison_words.numbers),
        Field("speed-up", "num", _speedup),
        Field("95 % interval", "num", _bounds),
        Field("step, ms", "num", lambda trial: numeric(trial.step_ms, digits)),
        Field("memory, MB", "num", _memory),
        Field("CPU, ms", "num", lambda trial: numeric(trial.cpu_ms, cpu_digits)),
        Field("rounds", "num", lambda trial: numeric(trial.rounds, 0)),
        Field("remark", "text", _remark),
    ]
    bounds = base and interval(base.low, base.high, digits)
    plain: list[Value] = [
        comparison_words.baseline(comparison),
        NOTHING,
        NOTHING,
        (NOTHING, 1.0),
        (NOTHING, 1.0),
        numeric(base.value if base else None, digits),
        (number(comparison.baseline_memory_mb, 0), 0.0),
        numeric(comparison.baseline_cpu_ms, cpu_digits),
        numeric(comparison.rounds, 0),
        "not measured" if base is None else f"95 % interval of its step {bounds} ms",
    ]
    caption = OF_RECORDINGS if comparison.recorded else OF_TRIALS
    rows = [plain, *([c.value(trial) for c in columns] for trial in comparison.trials)]
    columns = [c._replace(value=itemgetter(at)) for at, c in enumerate(columns)]
    return _filled(build("trials-table", caption, columns, rows))


def _filled(table: Table) -> Table:
    """Only the columns in which something stands."""
    columns = enumerate(zip(*table.rows, strict=True))
    kept = [at for at, cells in columns if any(c.text != NOTHING for c in cells)]
    headers, *rows = (
        tuple(row[at] for at in kept) for row in (table.headers, *table.rows)
    )
    return replace(table, headers=headers, rows=tuple(rows))


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


def _speedup(trial: Trial) -> tuple[str, float | str]:
    ratio = trial.speedup
    return comparison_words.speedup(ratio), sorted_by(ratio.value if ratio else None)


def _bounds(trial: Trial) -> Value:
    ratio = trial.speedup
    bounds = comparison_words.bounds(ratio, DASH)
    return bounds, sorted_by(ratio.low if ratio else None)


def _memory(trial: Trial) -> Value:
    extra = trial.memory_mb
    return comparison_words.memory(extra), -1e9 if extra is None else extra


def _remark(trial: Trial) -> str:
    return "; ".join(clean(text) for text in (trial.why, *trial.did) if text)


def predictions(comparison: Comparison) -> Table | None:
    """What was predicted beside what was measured; None without predictions."""
    base = comparison.baseline_ms
    digits = table_digits(base.value if base else 1.0)
    rows = [trial for trial in comparison.trials if trial.predicted and trial.speedup]
    if not rows:
        return None

    def predicted(trial: Any) -> Value:
        said = trial.predicted
        return comparison_words.predicted(said, DASH), said.speedup

    def step(trial: Any) -> Value:
        said = trial.predicted
        bounds = interval(said.step_low, said.step_high, digits, DASH)
        return f"{number(said.step_ms, digits)} ({bounds})", said.step_ms

    columns = [
        Field("strategy", "name", _name),
        Field("predicted (90 %)", "num", predicted),
        Field("measured (95 %)", "num", _measured),
        Field("error", "num", lambda trial: _error(trial.speedup_error)),
        Field("step predicted, ms (90 %)", "num", step),
        Field("step measured, ms", "num", lambda t: numeric(t.step_ms, digits)),
        Field("error", "num", lambda trial: _error(trial.step_error)),
        Field("inside", "", lambda trial: "yes" if trial.inside else "no"),
        Field("expected limit", "text", lambda t: clean(t.predicted.limit) or NOTHING),
    ]
    return build("predictions-table", OF_PREDICTIONS, columns, rows)


def _measured(trial: Trial) -> Value:
    bounds = comparison_words.bounds(trial.speedup, DASH)
    return f"{comparison_words.speedup(trial.speedup)} ({bounds})", _speedup(trial)[1]


def _error(share: float | None) -> Value:
    """How far a prediction is off; sorted by how far, whichever way."""
    return comparison_words.error(share), sorted_by(share and abs(share))


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
