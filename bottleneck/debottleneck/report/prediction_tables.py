"""Tables of predictions: strategies in their best setting, and in all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from debottleneck.analysis.result import (
    Prediction,
    Predictions,
    RowCurve,
    VirtualSpeedups,
)
from debottleneck.recording.spool import PERCENTS
from debottleneck.report.comparison_tables import strategy
from debottleneck.report.tables import (
    DASH,
    Field,
    Table,
    Value,
    build,
    numeric,
    sorted_by,
)
from debottleneck.report.words import faster as faster_words
from debottleneck.report.words import predictions as words
from debottleneck.report.words.quantities import NOTHING, clean, table_digits

CAPTION = (
    "Each strategy in its best setting, predicted from this recording alone. The step "
    "and the speed-up should be measured within their 90 % interval; memory is "
    "roughly what it takes beyond the plain script."
)

FASTER = (
    "How much less a step takes where a row takes so much less, with the 95 % interval."
)


def _speedup(row: Prediction) -> Value:
    said = f"{words.speedup(row)} ({words.bounds(row, DASH)})"
    return said, sorted_by(row.speedup)


def faster(found: VirtualSpeedups) -> Table:
    """What the step gains where a row takes less."""

    def gain(at: int) -> Callable[[RowCurve], Value]:
        return lambda row: (
            faster_words.gain(row.points[at], DASH),
            sorted_by(row.points[at].gain),
        )

    columns = [
        Field("row", "stage", lambda row: clean(row.row)),
        Field("pass, ms", "num", lambda row: numeric(row.pass_ms)),
        *(Field(f"{p} % less", "num", gain(at)) for at, p in enumerate(PERCENTS)),
    ]
    return build("faster-table", FASTER, columns, found.rows)


SPEEDUP = Field(f"speed-up ({words.BY})", "num", _speedup)


def strategies(predicted: Predictions, rows: Sequence[Prediction]) -> Table:
    """Some rows of predictions."""
    digits = table_digits(max((row.step_ms for row in rows), default=1.0))

    def name(row: Prediction) -> Value:
        return strategy(row.spec) if row.spec else (words.AS_IT_IS, words.AS_IT_IS)

    def worth(row: Prediction) -> str:
        return words.worth(row) if row.spec else NOTHING

    def memory(row: Prediction) -> Value:
        return words.memory(row) if row.spec else NOTHING, sorted_by(row.memory_mb)

    def why(row: Prediction) -> str:
        return words.why(row) if row.spec else "as recorded"

    columns = [
        Field("strategy", "name", name),
        Field("try", "", worth),
        SPEEDUP,
        Field("step, ms", "num", lambda row: numeric(row.step_ms, digits)),
        Field("memory, MB", "num", memory),
        Field(
            "why no faster", "text", lambda r: words.why(r) if r.spec else "as recorded"
        ),
    ]
    return build("predictions-table", CAPTION, columns, rows)


def settings(predicted: Predictions) -> Table:
    """Every setting of the strategies that have several."""
    rows = [row for family in predicted.settings if family[1:] for row in family]
    columns = [Field("setting", "code", lambda row: clean(row.spec)), SPEEDUP]
    caption = "Predicted speed-up of every setting that was looked at."
    return build("settings-table", caption, columns, rows, sortable=False)
