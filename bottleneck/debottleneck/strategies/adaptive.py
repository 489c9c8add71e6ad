"""`workers="auto"`: the smallest number of threads that keeps the trainer fed."""

from __future__ import annotations

import math
from statistics import median

MOST = 32
"""More threads than this wait on each other more than on the source."""
SHORTEST_PERIOD = 6
"""Batches that a number of workers is judged by, at least."""
STARVING_CALLS = 0.1
"""Share of calls that had to wait from which the trainer starves ..."""
STARVING_TIME = 0.03
"""... if waiting is also this share of the time."""
AS_FAST = 1.05
"""A time a batch within this factor of the best is as good."""
STARVED_PERIODS = 3
"""So many starving periods in a row, and the search begins again."""
CALM_PERIODS = 16
"""So many periods later one less is tried; then twice as many later."""
LONGEST_SKIP = 64


class Adaptive:
    """Searches while the loop runs: doubles, then halves the interval.

    It judges a number of workers by the time a batch: the mean wait, plus the median
    of what the trainer did between, so that a pause between two batches does not
    count. The search begins again when the trainer starves after all, and now and
    then, later and later, to see whether one less would do.

    Args:
        depth: Batches that may be ready, which hide a change for a while.
        most: Never more workers than this.
    """

    def __init__(self, depth: int, most: int = MOST) -> None:
        self.workers = 1
        self._depth, self._most = depth, most
        self._tried: dict[int, tuple[float, bool]] = {}  # time a batch, whether it fed
        self._settled = False
        self._starved = self._calm = 0
        self._patience, self._skip = CALM_PERIODS, 1
        self.begin()

    def begin(self) -> None:
        """An iteration begins; what was found before stays."""
        self._last_ns: int | None = None
        self._waits: list[int] = []
        self._between: list[int] = []

    def batch(self, now_ns: int, waited_ns: int) -> int:
        """A batch was handed over.

        Args:
            now_ns: When.
            waited_ns: How long the trainer waited for it; 0 if it was ready.

        Returns:
            How many workers there should be from now on.
        """
        last, self._last_ns = self._last_ns, now_ns
        if last is None:
            return self.workers
        if self._skip:
            self._skip -= 1
            return self.workers
        self._waits.append(waited_ns)
        self._between.append(max(0, now_ns - last - waited_ns))
        if len(self._waits) >= max(SHORTEST_PERIOD, 2 * self.workers):
            self._end_period()
        return self.workers

    def _end_period(self) -> None:
        waited = sum(self._waits) / len(self._waits)
        time = waited + median(self._between)
        calls = sum(wait > 0 for wait in self._waits) / len(self._waits)
        starving = calls >= STARVING_CALLS and waited >= STARVING_TIME * time
        self._waits, self._between = [], []
        if not self._settled or self._begins_again(starving, time):
            self._search(starving, time)

    def _search(self, starving: bool, time: float) -> None:
        now, tried = self.workers, self._tried
        helps = time * AS_FAST < min((t for t, _ in tried.values()), default=math.inf)
        tried[now] = time, not starving
        if starving and helps and now == max(tried):
            if now < self._most:
                self._change(min(2 * now, self._most))
            else:
                self._settle(now)
            return
        enough = min(t for t, _ in tried.values()) * AS_FAST
        good = min(number for number, (t, fed) in tried.items() if fed or t <= enough)
        bad = max((number for number in tried if number < good), default=0)
        if good - bad > 1:
            self._change((good + bad) // 2)
        else:
            self._settle(good)

    def _settle(self, workers: int) -> None:
        self._settled = True
        self._starved = self._calm = 0
        self._change(workers)

    def _begins_again(self, starving: bool, time: float) -> bool:
        """Whether it starves after all; now and then one less is tried."""
        usual, fed = self._tried[self.workers]
        other = not usual / 1.25 < time < usual * 1.25
        worse = starving and (fed or other)
        self._starved = self._starved + 1 if worse else 0
        self._calm += 1
        if self._starved >= STARVED_PERIODS:
            self._patience, self._tried, self._settled = CALM_PERIODS, {}, False
        elif self._calm >= self._patience and self.workers > 1:
            self._patience, self._settled = 2 * self._patience, False
            self._tried = {self.workers: (time, not starving)}
            self._change(self.workers - 1)
            return False
        return not self._settled

    def _change(self, workers: int) -> None:
        """Leave out the batches that the previous number made."""
        fewer = workers < self.workers
        rest = self._depth + self.workers if fewer else workers
        self._skip = min(LONGEST_SKIP, rest) if workers != self.workers else 0
        self.workers = workers
