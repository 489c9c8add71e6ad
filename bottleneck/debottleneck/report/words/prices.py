"""A machine's prices with their units and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from debottleneck.report.words.quantities import NOTHING, clean, number

NANOSECONDS = {"us": 1e3, "ms": 1e6}
"""Of a field of a machine, in a unit that is shown."""


@dataclass(frozen=True)
class Price:
    """One of them.

    Attributes:
        name: A field of `machine.Machine`.
        unit: As it is shown, "" for none.
        meaning: What it is the price of.
    """

    name: str
    unit: str
    meaning: str

    @property
    def label(self) -> str:
        """What people call it."""
        name = self.name.removesuffix("_per_byte").removesuffix("_ns")
        return name.replace("gil", "GIL").replace("_", " ")

    def text(self, machine: Mapping[str, Any]) -> str:
        """The value as people read it, without its unit; "-" where it is not known."""
        price = machine.get(self.name)
        if price is None:
            return NOTHING
        if isinstance(price, bool):
            return "yes" if price else "no"
        value = float(price) / NANOSECONDS.get(self.unit, 1)
        return f"{value:.0f}" if value == round(value) else number(value)

    def with_unit(self, machine: Mapping[str, Any]) -> str:
        """The value with its unit."""
        text = clean(self.text(machine))
        if not self.unit or text == NOTHING:
            return text
        return f"{text}{'' if self.unit == 'x' else ' '}{self.unit}"


PRICES = (
    Price("cores", "", "usable ones, a CPU quota included"),
    Price("gil", "", "whether this interpreter has a GIL"),
    Price(
        "switch_interval_ns",
        "ms",
        "after so long a thread that waits for the GIL asks for it",
    ),
    Price("wake_ns", "us", "from waking a thread until it runs, on an idle core"),
    Price("wake_soon_ns", "us", "the same where it has waited for a short time only"),
    Price("awake_ns", "us", "so long an idle core is ready to go on at once"),
    Price("signal_ns", "us", "what waking a thread costs the one that does it"),
    Price("switch_ns", "us", "two threads taking turns on one core, each turn"),
    Price(
        "cold_ns",
        "us",
        "what Python code loses at most that begins on a core that was idle",
    ),
    Price("refill_most_ns", "us", "the same where the GIL came from another core"),
    Price(
        "call_ns",
        "us",
        "a call given to a pool thread and its result taken, CPU time of both",
    ),
    Price("message_ns", "us", "the same to a process, CPU time of each side"),
    Price(
        "copy_ns_per_byte", "ns/byte", "an array copied into shared memory, CPU time"
    ),
    Price("fork_ns", "ms", "a process forked and ended, once"),
    Price(
        "slow_python", "x", "how many times as long Python takes with all cores busy"
    ),
    Price("slow_compute", "x", "native code that stays in its caches, likewise"),
    Price("slow_memory", "x", "native code that streams through memory, likewise"),
)
"""In the order in which they are shown."""


def pairs(machine: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each price's name, and its value with the unit and the meaning."""
    return [
        (price.label, f"{price.with_unit(machine)}: {price.meaning}")
        for price in PRICES
    ]
