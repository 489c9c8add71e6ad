"""A machine's prices on the terminal, for `bottleneck calibrate`."""

from __future__ import annotations

from pathlib import Path

from debottleneck.recording.machine import Machine
from debottleneck.report.text.tables import (
    heading,
    new_console,
    paragraph,
    plain_table,
    tidy,
    verbatim,
)
from debottleneck.report.words.prices import PRICES
from debottleneck.report.words.quantities import clean

TITLE = "What this machine costs a loop with several threads"
HEADERS = ("price", "value", "unit", "what it is")
USE = (
    "Recordings made from now on with this interpreter carry these prices, and "
    "predictions rest on them. Measure again (--again) when the machine is quiet, or "
    "when it has changed."
)


def render(machine: Machine, python: str, file: Path, *, width: int = 80) -> str:
    """The prices as a table.

    Args:
        machine: What was measured.
        python: The interpreter that it was measured with.
        file: Where it is kept.
        width: Columns to fit; only paths may be longer.
    """
    console = new_console(width)
    values = machine.as_dict()
    with console.capture() as captured:
        heading(console, TITLE)
        rows = [(p.label, p.text(values), p.unit, p.meaning) for p in PRICES]
        console.print(plain_table(HEADERS, rows, left=1, right=2))
        console.print()
        paragraph(console, USE)
        labelled = {
            "Measured": machine.measured or "never: these are an ordinary machine's",
            "With": python,
            "Kept in": str(file),
        }
        verbatim(console, (f"{k:<10}{clean(v)}" for k, v in labelled.items()))
    return tidy(captured.get())
