"""A machine's prices with their units and what they mean, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from debottleneck.recording.machine import Machine
from debottleneck.report.text.tables import (
    heading,
    new_console,
    paragraph,
    plain_table,
    tidy,
    verbatim,
)
from debottleneck.report.words.quantities import NOTHING, clean, number

TITLE = "What this machine costs a loop with several threads"
USE = (
    "Recordings made from now on with this interpreter carry these prices, and "
    "predictions rest on them. Measure again (--again) when the machine is quiet, or "
    "when it has changed."
)

NANOSECONDS = {"us": 1e3, "ms": 1e6}
"""Of a field of a machine, in a unit that is shown."""

PRICES = (
    ("cores", "", "usable ones, a CPU quota included"),
    ("gil", "", "whether this interpreter has a GIL"),
    ("switch_interval_ns", "ms", "a thread that waits for the GIL asks after so long"),
    ("wake_ns", "us", "from waking a thread until it runs, on an idle core"),
    ("wake_soon_ns", "us", "the same where it has waited for a short time only"),
    ("awake_ns", "us", "so long an idle core is ready to go on at once"),
    ("signal_ns", "us", "what waking a thread costs the one that does it"),
    ("cold_ns", "us", "what Python code loses at most on a core that was idle"),
    ("refill_most_ns", "us", "the same where the GIL came from another core"),
    ("call_ns", "us", "a call given to a pool thread and its result, CPU of both"),
    ("message_ns", "us", "the same to a process, CPU time of each side"),
    ("copy_ns_per_byte", "ns/byte", "an array into shared memory, CPU time"),
    ("slow_python", "x", "times as long Python takes with all cores busy"),
    ("slow_compute", "x", "native code that stays in its caches, likewise"),
    ("slow_memory", "x", "native code that streams through memory, likewise"),
)
"""Field of a machine, unit and meaning, in the order in which they are shown."""


def rows(machine: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Each price's name, value, unit and meaning, as people read them."""
    for field, unit, meaning in PRICES:
        price, text = machine.get(field), NOTHING
        if isinstance(price, bool):
            text = "yes" if price else "no"
        elif price is not None:
            value = float(price) / NANOSECONDS.get(unit, 1)
            text = f"{value:.0f}" if value == round(value) else number(value)
        name = field.removesuffix("_per_byte").removesuffix("_ns").replace("_", " ")
        yield name.replace("gil", "GIL"), clean(text), unit, meaning


def render(machine: Machine, python: str, file: Path, width: int) -> str:
    """The prices, at most `width` columns wide."""
    console = new_console(width)
    with console.capture() as captured:
        heading(console, TITLE)
        headers = ("price", "value", "unit", "what it is")
        console.print(plain_table(headers, rows(machine.as_dict()), left=1, right=2))
        console.print()
        paragraph(console, USE)
        labelled = {
            "Measured": machine.measured or "never: these are an ordinary machine's",
            "With": python,
            "Kept in": str(file),
        }
        verbatim(console, (f"{k:<10}{clean(v)}" for k, v in labelled.items()))
    return tidy(captured.get())
