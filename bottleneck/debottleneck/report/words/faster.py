"""What rows' being faster brings, in words: the same in text, JSON and page."""

from __future__ import annotations

from debottleneck.analysis.result import Faster, RowCurve, VirtualSpeedups
from debottleneck.report.words.quantities import clean, interval, percent

TITLE, SAID = "What to make faster", 25
"""And the percent that the sentence of a row speaks of."""

HELD = (
    "Experimental. Tried in the running loop: for each pass of the row all its other "
    "threads were held back, as if the row alone had become faster. That it would then "
    "hold the GIL, a core or the memory's bandwidth for less time does not show."
)
ALONE = "One thread alone runs the loop: what a row takes less, the step takes less."
NONE = (
    "No row was tried often enough: the run was too short or too uneven, its steps "
    "are too short, or no row takes a good part of them. Profile for longer."
)


def sentence(curve: RowCurve) -> str:
    """What a row's being faster brings, and what is the limit beyond."""
    row = clean(curve.row)
    if curve.knee == 0:
        return f"To make `{row}` faster gains nothing: {curve.limit} is the limit."
    point = next(p for p in curve.points if p.percent == SAID)
    beyond = f"; beyond {curve.knee} % {curve.limit} is the limit" * bool(curve.limit)
    less = f"If `{row}` took {SAID} % less, the step would take"
    return f"{less} {gain(point)} less{beyond}."


def in_short(faster: VirtualSpeedups) -> str:
    """What the row brings that brings most, or why none was tried, on one line."""
    said = sentence(faster.rows[0]) if faster.rows else NONE
    return said.partition(";")[0].rstrip(".") + "."


def gain(point: Faster, between: str = " to ") -> str:
    """The part of the step that goes, with its interval."""
    bounds = interval(100 * point.low, 100 * point.high, 0, between)
    return f"{percent(point.gain, 0)} ({bounds})"


def notes(faster: VirtualSpeedups) -> list[str]:
    """What the curves rest on, and what they do not show."""
    if not faster.rows:
        return [NONE]
    said = [HELD if any(row.blocks for row in faster.rows) else ALONE]
    if faster.unheld:
        names = ", ".join(clean(name) for name in faster.unheld)
        said.append(f"Not held back, as they mark nothing: {names}.")
    return said
