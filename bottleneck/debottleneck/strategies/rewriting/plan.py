"""`Plan`: what is done with a loop, or why nothing is; made once, quoted everywhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Plan:
    """How one loop is rewritten.

    Attributes:
        strategy: A word of `spec.STRATEGIES`.
        file: Where the loop stands.
        line: Of its `for` or `while`.
        order: Flat lines that run ahead in order, in one thread.
        heavy: Flat lines that run ahead in `workers` threads or processes.
        places: The user's lines that run ahead, in order; heavy ones last.
        ahead_ns: Time of all that runs ahead, a step.
        heavy_ns: The part of it that is heavy.
        stays_ns: Time of what stays, a step.
        workers: Threads or processes for the heavy lines.
        where: "thread" or "process".
        depth: Items that are ready or under way, at most.
        reason: Why the loop stays as it is; "" if it is rewritten.
        worth: Flat lines ahead that take time, -1 for the loop's own iterable.
        unwritten: Why it cannot be written in lines of the library; "" if it can.
        closed: The plan without what it opens of the functions that are called.
    """

    strategy: str
    file: str
    line: int
    order: tuple[int, ...] = ()
    heavy: tuple[int, ...] = ()
    places: tuple[int, ...] = ()
    ahead_ns: float = 0.0
    heavy_ns: float = 0.0
    stays_ns: float = 0.0
    workers: int = 1
    where: str = "thread"
    depth: int = 1
    reason: str = ""
    worth: tuple[int, ...] = ()
    unwritten: str = ""
    closed: Plan | None = None

    @property
    def in_order_ns(self) -> float:
        """Time of what runs ahead in one thread, a step."""
        return self.ahead_ns - self.heavy_ns

    @property
    def bound_ns(self) -> float:
        """The shortest step that it allows."""
        return max(
            self.in_order_ns, self.ahead_ns / max(self.workers, 1), self.stays_ns
        )

    def as_json(self) -> dict[str, Any]:
        """For the tool, which reads it from the notes."""
        return asdict(self)
