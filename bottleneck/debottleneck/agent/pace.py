"""How long iterations take, and how much longer marked ones: how many are marked."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

COST = 0.015
"""The part of a loop's time that its marks may take."""

MARK_NS = 1000.0
"""A mark takes about so long, what decides about it included."""

EACH_NS, TURN_NS, MOST_TURN_NS = 5_000.0, 20_000.0, 200_000.0
"""So much longer is an iteration that is marked, where each is; where one in thirteen
is, or an entry: what marks has left the caches in between (5 and 24 us were measured).
Where some go unmarked it is measured anew, and believed up to the last of these."""

LONGEST_STRETCH, MOST_PASSED = 1000, 40
"""Iterations without marks in a row, and entries that pass as a whole, at most."""

LAST = 15
"""So many iterations say how long they take, all but the longest: in one another
process may have had the core."""

ENOUGH = 8
"""Marked iterations from which on it is measured what their marks cost."""


class Pace:
    """What was seen of one loop's iterations and entries."""

    __slots__ = ("_busy", "_entries", "_marked", "_rest", "_turns", "_written")

    def __init__(self) -> None:
        self._turns, self._entries = deque[float](maxlen=LAST), deque[int](maxlen=LAST)
        self._marked = self._rest = self._written = 0
        self._busy = [0, 0]

    def book(
        self, took: int, busy: int, iterations: int, written: int, *, marked: bool
    ) -> None:
        """Add what passed between two marks of the loop.

        Args:
            took: Nanoseconds, those of the marks in between taken off.
            busy: Nanoseconds on a core, those of the marks included.
            iterations: How many were completed.
            written: How many marks were written in between.
            marked: Whether it was one, with its statements.
        """
        if marked:
            self._marked += 1
            self._written += written
        else:
            self._rest += iterations
        self._busy[marked] += busy
        if iterations:
            self._turns.append(took / iterations)

    def left(self, took: int) -> None:
        """Add an entry of so many nanoseconds."""
        self._entries.append(took)

    @property
    def turn_ns(self) -> float:
        """What an iteration takes where nothing keeps the thread off the core."""
        return _usual(self._turns)

    @property
    def entry_ns(self) -> float:
        """Likewise an entry."""
        return _usual(self._entries)

    def stretch(self) -> int:
        """How many iterations are to go unmarked after each one that is marked."""
        cost = MARK_NS * (1 + self._written / max(self._marked, 1))
        allowed = COST * max(self.turn_ns, 1.0)
        if cost + EACH_NS <= allowed:
            return 0
        return min(round(self._longer(cost) / allowed), LONGEST_STRETCH)

    def passes(self, rows: int) -> int:
        """How many entries are to pass as a whole after each one that is marked."""
        cost = TURN_NS + MARK_NS * 2 * rows
        return min(round(cost / (COST * max(self.entry_ns, 1.0))), MOST_PASSED)

    def _longer(self, cost: float) -> float:
        """Nanoseconds by which marks make an iteration longer; `cost` is theirs alone.

        Measured on the core, once enough iterations of both kinds were seen.
        """
        longer = cost + TURN_NS
        if self._rest and self._marked >= ENOUGH:
            rest, marked = self._busy
            longer = marked / self._marked - rest / self._rest
            self._marked = self._rest = self._written = 0
            self._busy = [0, 0]
        return min(max(longer, cost), cost + MOST_TURN_NS)


def _usual(lengths: Sequence[float]) -> float:
    """The mean without the largest of several; 0 of none."""
    if len(lengths) < 2:
        return sum(lengths)
    return (sum(lengths) - max(lengths)) / (len(lengths) - 1)
