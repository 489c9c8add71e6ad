"""A machine's prices as JSON, for `bottleneck calibrate --format json`.

Keys: `schema`, `measured` (ISO 8601), `python`, `file`, and `prices`, a list of
`name` (a field of `recording.machine.Machine`), `value`, `unit`, `meaning`.
"""

from __future__ import annotations

from pathlib import Path

from debottleneck.recording.machine import Machine
from debottleneck.report.machine.strict import dumps
from debottleneck.report.words.prices import PRICES

SCHEMA = 1
"""Version of the document."""


def render(machine: Machine, python: str, file: Path) -> str:
    """The document, in the units that the names say.

    Args:
        machine: What was measured.
        python: The interpreter that it was measured with.
        file: Where it is kept.
    """
    values = machine.as_dict()
    prices = [
        {
            "name": price.name,
            "value": values[price.name],
            "unit": "ns" if price.name.endswith("_ns") else price.unit,
            "meaning": price.meaning,
        }
        for price in PRICES
    ]
    document = {
        "schema": SCHEMA,
        "measured": machine.measured or None,
        "python": python,
        "file": str(file),
        "prices": prices,
    }
    return dumps(document)
