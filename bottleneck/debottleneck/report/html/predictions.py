"""What strategies should gain: a section of a run's page, and a page of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from debottleneck.analysis.result import Prediction, Predictions
from debottleneck.recording.recording import Recording
from debottleneck.report.figures import predictions as figures
from debottleneck.report.html import sheet
from debottleneck.report.html.tables import DASH, Cell, Table
from debottleneck.report.words import predictions as words
from debottleneck.report.words import prices
from debottleneck.report.words.quantities import (
    NOTHING,
    clean,
    home,
    number,
    short,
    table_digits,
)
from debottleneck.report.words.strategies import named, pieces
from debottleneck.version import __version__

CAPTION = (
    "Each strategy in its best setting, predicted from this recording alone. The step "
    "and the speed-up should be measured within their 90 % interval; memory is "
    "roughly what it takes beyond the plain script."
)
NUMBERS = ("speed-up", "90 % interval", "step, ms", "memory, MB")


def render(
    found: Predictions, recording: Recording, plotly_src: str | None = None
) -> str:
    """A page of its own.

    Args:
        found: What to show.
        recording: What it was made from.
        plotly_src: Where it finds plotly's file, by default in itself: `sheet.finish`.
    """
    drawing = sheet.Drawing()
    facts = recording.facts
    context = {
        "title": short(facts.script, home(facts)) or "a run",
        "command": " ".join(map(clean, facts.command)),
        "created": clean(facts.created),
        "version": __version__,
        "headline": words.headline(found),
        "outcome": words.outcome(found) if found.question else "",
        "plain": words.plain_line(found),
        "question": clean(found.question),
        "predicted": section(found, recording, drawing, alone=True),
        "prices": prices.pairs(found.machine),
        "measured": clean(found.machine.get("measured") or ""),
    }
    return sheet.finish("predictions.html.j2", context, drawing, plotly_src)


def section(
    found: Predictions, recording: Recording, drawing: sheet.Drawing, alone: bool
) -> dict[str, Any]:
    """What the section's template needs.

    Args:
        found: What to show.
        recording: What it was made from.
        drawing: The page's figures; the curve is added.
        alone: With the loop as it is in the first row.
    """
    rows = (found.plain, *found.rows) if alone else found.rows
    drawn = figures.curve(found)
    return {
        "table": _table(found, rows),
        "none": words.NONE if words.best(found) is None else "",
        "notes": words.notes(found),
        "commands": words.next_lines(found, recording),
        "curve": None if drawn is None else drawing.add("predictions", drawn),
        "label": _label(found),
        "settings": _settings(found),
    }


def _table(found: Predictions, rows: Sequence[Prediction]) -> Table:
    digits = table_digits(max((row.step_ms for row in rows), default=1.0))
    heads = (
        Cell("strategy"),
        Cell("worth trying"),
        *(Cell(name, kind="num") for name in NUMBERS),
        Cell("why no faster", kind="text"),
    )
    body = tuple(_row(row, found, digits) for row in rows)
    return Table("predictions-table", CAPTION, heads, body)


def _row(row: Prediction, found: Predictions, digits: int) -> tuple[Cell, ...]:
    return (
        _strategy(row.spec),
        Cell(words.worth(row, found) if row.spec else NOTHING),
        Cell(words.speedup(row), round(row.speedup, 6), "num"),
        Cell(words.bounds(row, DASH), round(row.low, 6), "num"),
        Cell(number(row.step_ms, digits), round(row.step_ms, 6), "num"),
        Cell(
            words.memory(row) if row.spec else NOTHING,
            -1.0 if row.memory_mb is None else round(row.memory_mb, 3),
            "num",
        ),
        Cell(words.why(row), kind="text"),
    )


def _strategy(spec: str) -> Cell:
    """What people call it, and below how it is written."""
    name, written = named(spec) if spec else words.AS_IT_IS, clean(spec)
    if not spec or name == written:
        return Cell(name, written or name, "name")
    parts = [part for one in pieces(written) for part in one]
    broken = Markup("<wbr>").join(parts)
    return Cell(Markup("{}<br><code>{}</code>").format(name, broken), written, "name")


def _settings(found: Predictions) -> Table:
    """The curve in numbers."""
    rows = tuple(
        (
            Cell(clean(row.spec), kind="code"),
            Cell(words.speedup(row), round(row.speedup, 6), "num"),
            Cell(words.bounds(row, DASH), round(row.low, 6), "num"),
        )
        for each in figures.curves(found)
        for row in each.rows
    )
    heads = (Cell("setting"), *(Cell(name, kind="num") for name in NUMBERS[:2]))
    caption = "Predicted speed-up of every setting that was looked at."
    return Table("settings-table", caption, heads, rows, sortable=False)


def _label(found: Predictions) -> str:
    """The curve for who cannot see it: each line's two ends, and its best."""
    said = [_ends(each) for each in figures.curves(found)]
    return (
        "Lines of predicted speed-up over workers, 1x is the loop as recorded: "
        f"{'; '.join(said) or NOTHING}."
    )


def _ends(each: figures.Curve) -> str:
    pairs = list(zip(each.workers, each.rows, strict=True))
    best = max(pairs, key=lambda pair: pair[1].speedup)
    shown = dict([pairs[0], pairs[-1], best])
    points = (f"{words.speedup(shown[n])} with {n}" for n in sorted(shown))
    return f"{each.name} {', '.join(points)}"
