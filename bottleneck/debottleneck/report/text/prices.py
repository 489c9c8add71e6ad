"""A machine's prices as text and as JSON, for `bottleneck calibrate`."""

from __future__ import annotations

import json
from pathlib import Path

from rich.text import Text

from debottleneck.recording.machine import Machine
from debottleneck.report.text.tables import (
    heading,
    new_console,
    paragraph,
    plain_table,
    tidy,
)
from debottleneck.report.words.prices import PRICES
from debottleneck.report.words.quantities import clean

SCHEMA = 1
"""Version of the JSON document."""

TITLE = "What this machine costs a loop with several threads"
USE = (
    "Recordings made from now on with this interpreter carry these prices, and "
    "predictions rest on them. Measure again (--again) when the machine is quiet, or "
    "when it has changed."
)


def text(machine: Machine, python: str, file: Path, *, width: int = 80) -> str:
    """The prices as a table.

    Args:
        machine: What was measured.
        python: The interpreter that it was measured with.
        file: Where it is kept.
        width: Columns to fit; only paths may be longer.
    """
    console = new_console(width, colour=False)
    known = machine.as_dict()
    with console.capture() as captured:
        heading(console, TITLE)
        table = plain_table("price", "value", "unit", "what it is", left=1)
        for column in table.columns[2:]:
            column.justify = "left"
        table.columns[3].no_wrap = False
        for price in PRICES:
            value = price.text(known)
            table.add_row(price.label, value, price.unit, price.meaning)
        console.print(table)
        console.print()
        paragraph(console, USE)
        for label, said in (
            ("Measured", machine.measured or "never: these are an ordinary machine's"),
            ("With", python),
            ("Kept in", str(file)),
        ):
            console.print(Text(f"{label:<10}{clean(said)}"), soft_wrap=True)
    return tidy(captured.get())


def document(machine: Machine, python: str, file: Path) -> str:
    """The same for scripts, in the units that the names say.

    Keys: `schema`, `measured` (ISO 8601), `python`, `file`, and `prices`, a list of
    `name` (a field of `machine.Machine`), `value`, `unit`, `meaning`.
    """
    known = machine.as_dict()
    whole = {
        "schema": SCHEMA,
        "measured": machine.measured or None,
        "python": python,
        "file": str(file),
        "prices": [
            {
                "name": price.name,
                "value": known[price.name],
                "unit": "ns" if price.name.endswith("_ns") else price.unit,
                "meaning": price.meaning,
            }
            for price in PRICES
        ],
    }
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"
