"""Iterations of the chosen loop as steps: divided, gathered, thinned. NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

MOST_ITERATIONS = 20_000_000
"""What a loop's marks say beyond this is damaged: a day has no more steps."""

REGULAR = 0.8
"""Of the optimizer's steps so many come after the same number of iterations."""

FEWEST_UPDATES = 3
"""Steps of the optimizer that show a rhythm."""


def divided(bounds: Ints, count: Ints) -> tuple[Ints, Ints, Flags]:
    """Each stretch from one of the bounds to the next, in so many equal iterations.

    Returns:
        Where they begin and end, and which ones were a stretch by themselves.
    """
    total = int(count.sum())
    if total > MOST_ITERATIONS:
        nothing = np.empty(0, np.int64)
        return nothing, nothing, nothing.astype(np.bool_)
    lengths = np.diff(bounds)
    piece = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
    each = np.repeat(lengths / count, count)
    start = np.repeat(bounds[:-1], count) + (piece * each).astype(np.int64)
    ends = np.append(start[1:], bounds[-1])
    kept = ends > start
    marked = np.repeat(count == 1, count)
    return start[kept], ends[kept], marked[kept]


def gathered(start: Ints, end: Ints, updates: Ints) -> tuple[int, Ints, Ints]:
    """Iterations that gather gradients for one optimizer's step are one step together.

    Returns:
        How many iterations make a step, and where those begin and end; 1 where each
        has an update or no rhythm shows. What comes before the first whole step, or
        after the last one, is in none.
    """
    holders = np.unique(np.searchsorted(start, updates, "right") - 1)
    holders = holders[holders >= 0]
    gaps = np.diff(holders)
    if len(holders) < FEWEST_UPDATES or (size := int(np.median(gaps))) < 2:
        return 1, start, end
    if np.mean(gaps == size) < REGULAR:
        return 1, start, end
    begins = np.append(max(holders[0] + 1 - size, 0), holders[:-1] + 1)
    return size, start[begins], end[holders]


def thinned(start: Ints, marked: Flags, left: Ints) -> Flags:
    """Of the first and last iterations of entries each was marked; now only some are.

    As many of them count as marked as of all others, evenly: what comes but once an
    entry would weigh too much beside those.
    """
    last = np.unique(np.searchsorted(start, left, "right") - 1)
    ends = [last[last >= 0], last[last < len(start) - 1] + 1]
    others = np.ones(len(start), np.bool_)
    others[np.concatenate(ends)] = False
    part = marked[others].mean() if others.any() else 1.0
    counting = marked.copy()
    for some in ends:
        counted = np.rint(np.arange(len(some) + 1) * part)
        counting[some[np.diff(counted) == 0]] = False
    return counting
