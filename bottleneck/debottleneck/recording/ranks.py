"""What a process tells of the others that it trains with."""

from __future__ import annotations

from typing import TypedDict

from debottleneck.recording.tables import Id, Time


class Rank(TypedDict):
    """Which one of how many processes that train together, and on which machine.

    `boot` is the kernel's number of its start: processes with the same have one clock.
    """

    rank: Id
    world: Id
    host: str
    boot: str


class Meeting(TypedDict):
    """A collective that all ranks leave at once, numbered alike in each of them."""

    number: Id
    end_ns: Time
