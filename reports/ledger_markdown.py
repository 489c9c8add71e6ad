"""The ledger in Markdown: how good predictions are, every one, causes of misses."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import ledger
import pandas as pd

from debottleneck.report.words.comparison import error
from debottleneck.report.words.quantities import NOTHING, clean, count, interval, number

UNKNOWN = "cause not yet found"

MOST_MEDIAN, MOST_WORST, LEAST_INSIDE = 0.05, 0.15, 0.8
"""Targets of the predictions: median and largest error of the step time, the part of
measured speed-ups within their predicted interval."""

NEEDS_CAUSE = 0.1
"""A step time or a speed-up predicted with a larger error has its cause found and
written down."""

HEADS = (
    "workload",
    "strategy",
    "machine",
    "predicted (90 %)",
    "measured (95 %)",
    "error",
    "predicted step, ms",
    "measured step, ms",
    "error of the step",
    "inside?",
)
NO_PREDICTIONS = "No strategy was both predicted and measured yet.\n"
MISSES_TOP = f"""
Where the step or the speed-up was missed by more than {100 * NEEDS_CAUSE:.0f} %, the
cause:

"""

ENDS = ("", "_low", "_high")


def render(table: pd.DataFrame) -> str:
    """The ledger in Markdown: how good it is, a line for each row, causes of misses."""
    summary = ledger.summary(table)
    if summary is None:
        return NO_PREDICTIONS
    lines = [HEADS, ("---",) * len(HEADS)]
    lines += [_row(row) for row in table.to_dict("records")]
    text = f"{against_targets(summary)}\n\n"
    text += "".join(f"| {' | '.join(line)} |\n" for line in lines)
    errors = table[["step_error", "speedup_error"]].abs()
    missed = table[errors.max(axis=1) > NEEDS_CAUSE]
    if missed.empty:
        return text
    return text + MISSES_TOP + "".join(map(_miss, missed.to_dict("records")))


def against_targets(summary: ledger.Summary) -> str:
    """How good the predictions are, beside how good they ought to be."""
    parts = (
        (
            f"median error of the step time {100 * summary.median:.1f} %",
            f"at most {100 * MOST_MEDIAN:.0f} %",
            summary.median <= MOST_MEDIAN,
        ),
        (
            f"the worst {100 * summary.worst:.1f} %",
            f"at most {100 * MOST_WORST:.0f} %",
            summary.worst <= MOST_WORST,
        ),
        (
            f"{100 * summary.inside:.0f} % inside their interval",
            f"at least {100 * LEAST_INSIDE:.0f} %",
            summary.inside >= LEAST_INSIDE,
        ),
    )
    targets = "; ".join(
        f"{what} (target: {target}, {'met' if met else 'missed'})"
        for what, target, met in parts
    )
    return f"{count(summary.count, 'prediction')}: {targets}."


def _row(row: Mapping[Hashable, Any]) -> tuple[str, ...]:
    """A line of the ledger's table."""
    sides = ("predicted", "measured")
    ratios = [[row[f"{side}_speedup{end}"] for end in ENDS] for side in sides]
    steps = [[row[f"{side}{end}_ms"] for end in ENDS] for side in sides]
    cores = row["cores"]
    place = [row["machine"], "" if pd.isna(cores) else count(int(cores), "core")]
    cells = (
        str(row["workload"]),
        f"`{clean(row['spec'])}`",
        clean(", ".join(filter(None, place))) or NOTHING,
        *(f"{v:.2f}x ({low:.2f} to {high:.2f})" for v, low, high in ratios),
        error(row["speedup_error"]),
        *(f"{number(v)} ({interval(low, high)})" for v, low, high in steps),
        error(row["step_error"]),
        "yes" if row["inside"] else "no",
    )
    return tuple(cell.replace("|", "\\|") for cell in cells)


def _miss(row: Mapping[Hashable, Any]) -> str:
    """The line of a prediction that was far off."""
    step, ratio = error(row["step_error"]), error(row["speedup_error"])
    cause = clean(row["cause"]) or _drift(row) or _covered(row) or UNKNOWN
    lead = f"* {row['workload']}, `{clean(row['spec'])}`"
    return f"{lead} (step {step}, speed-up {ratio}): {cause}\n"


def _drift(row: Mapping[Hashable, Any]) -> str:
    """Where the speed-up was right the machine was not as fast as when profiled."""
    if abs(row["speedup_error"]) > NEEDS_CAUSE:
        return ""
    then = row["predicted_ms"] * row["predicted_speedup"]
    now = row["measured_ms"] * row["measured_speedup"]
    return (
        f"the machine: the plain script itself took {number(now)} ms in the rounds, "
        f"{number(then)} ms when it was profiled"
    )


def _covered(row: Mapping[Hashable, Any]) -> str:
    """Where the rounds differ so much that they do not contradict the prediction."""
    low, high = row["measured_speedup_low"], row["measured_speedup_high"]
    if not low <= row["predicted_speedup"] <= high:
        return ""
    return (
        "the rounds: they differ so much that what was measured "
        f"({low:.2f}x to {high:.2f}x) holds what was predicted"
    )
