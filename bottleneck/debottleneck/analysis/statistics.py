"""Intervals of means and of ratios; NumPy only, the same for a seed.

Consecutive steps resemble each other (their lag-1 correlation reaches 0.84), so a mean
is judged by blocks of neighbouring steps: batch means, Student's t, and what likeness
is left between neighbouring blocks (Law, "Simulation Modeling and Analysis", 2015,
sections 4.4 and 9.5.3). Medians are judged by a percentile bootstrap: Efron and
Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
"""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from debottleneck.analysis.frames import Flags, Floats

BLOCKS = 30
"""Of neighbouring steps: enough for a spread, long enough to keep likeness inside."""

MOST_ALIKE, FEWEST = 0.75, 3
"""Correlation of neighbouring blocks that is reckoned with at most, and how many blocks
without likeness they are worth at least."""

MOST_VALUES, RESAMPLES = 1000, 400
"""Values that are resampled at most, and resampled ratios that bounds are read from."""

ROUNDS, LEAST = 10, 1e-9
"""Times that each kind's frequency is set right, and what it is at least before."""

LEVEL = 0.95
BOUNDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
"""Quantiles of them that an interval reaches to."""


def raked(kinds: Flags, frequent: Floats) -> Floats:
    """Weights of a sample, mean 1, by which kinds are as frequent as they are known.

    Iterative proportional fitting: Deming and Stephan, "On a least squares adjustment
    of a sampled frequency table" (1940).

    Args:
        kinds: (sample, kinds) what each is of; no column all true or all false.
        frequent: (kinds,) between 0 and 1.
    """
    weights = np.ones(len(kinds))
    for column, share in list(zip(kinds.T, frequent, strict=True)) * ROUNDS:
        part = np.clip(weights[column].sum() / weights.sum(), LEAST, 1 - LEAST)
        weights *= np.where(column, share / part, (1 - share) / (1 - part))
    return np.asarray(weights / weights.mean())


def mean_interval(
    blocks: ArrayLike, weights: Floats | None = None
) -> tuple[Floats, Floats, Floats]:
    """Mean over steps of this run with its interval of 95 %, for each column at once.

    Args:
        blocks: One value a step, shape (steps,), or one row a step, (steps, k).
        weights: (steps,) what each counts; by default all the same.

    Returns:
        Mean, lower and upper bound, in the unit of `blocks`, each of shape () or
        (k,). No steps give NaN; a single step has a mean and no bounds.
    """
    values: NDArray[np.number] = np.asarray(blocks)
    shape = values.shape[1:]
    if len(values) == 0:
        return _nothing(shape), _nothing(shape), _nothing(shape)
    origin = values[0].astype(np.float64)
    if len(values) == 1:
        return origin, _nothing(shape), _nothing(shape)
    if weights is None:
        weights = np.ones(len(values))
    sums, counts = _block_sums(values, origin, weights)
    above = sums.sum(axis=0) / counts.sum()
    error, freedom = _error((sums - above * counts[:, np.newaxis]) / counts.mean())
    half = (np.interp(freedom, np.arange(1, BLOCKS), _times()) * error).reshape(shape)
    mean = origin + above.reshape(shape)
    return mean, mean - half, mean + half


def error_of_mean(values: ArrayLike) -> float:
    """Standard error of the mean of consecutive values, (n,); 0 of a single one."""
    array = np.asarray(values, np.float64)
    if len(array) < 2:
        return 0.0
    sums, counts = _block_sums(array, array[0], np.ones(len(array)))
    apart = (sums - sums.sum() / len(array) * counts[:, np.newaxis]) / counts.mean()
    return float(_error(apart)[0][0])


def _error(apart: Floats) -> tuple[Floats, Floats]:
    """Standard error of a mean and its degrees of freedom, from blocks less that mean.

    Where neighbouring blocks are alike the mean is as uncertain as that of fewer ones.

    Args:
        apart: (blocks, k).
    """
    count = len(apart)
    squares = np.maximum((apart * apart).sum(axis=0), np.finfo(np.float64).tiny)
    alike = (apart[1:] * apart[:-1]).sum(axis=0) / squares + 1 / count  # biased by that
    alike = np.clip(alike, 0.0, MOST_ALIKE)
    worth = count * (1 - alike) / (1 + alike)
    error = np.sqrt(squares / (count - 1) / worth) * apart.any(axis=0)
    return error, np.maximum(worth, min(FEWEST, count)) - 1


@cache
def _times() -> Floats:
    """Standard errors to either side of a mean, by its degrees of freedom from 1 on."""
    tail = (1 - LEVEL) / 2
    return np.array([student_t(tail, freedom) for freedom in range(1, BLOCKS)])


def student_t(tail: float, freedom: int) -> float:
    """The value that Student's t exceeds with probability `tail`, by bisection."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        if _t_within(middle, freedom) < 1 - 2 * tail:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan(low)


def _t_within(angle: float, freedom: int) -> float:
    """P(|t| < sqrt(freedom) tan(angle)), Abramowitz and Stegun 26.7.3 and 26.7.4."""
    odd = freedom % 2
    cosine = math.cos(angle)
    term, total = (cosine, cosine) if odd else (1.0, 1.0)
    for k in range(2 + odd, freedom - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    if not odd:
        return math.sin(angle) * total
    rest = math.sin(angle) * total if freedom > 1 else 0.0
    return 2 / math.pi * (angle + rest)


def ratio_interval(a: ArrayLike, b: ArrayLike) -> tuple[float, float, float]:
    """Ratio of the medians of two independent samples, with its interval of 95 %.

    For an instrument's slowdown, `a` are the steps under it and `b` their quiet
    neighbours. Of more than 1000 values 1000 are resampled, evenly picked: the
    interval is then somewhat wider than it need be.

    Args:
        a: Positive values, shape (m,).
        b: Positive values, shape (n,), in the same unit.

    Returns:
        median(a) / median(b), lower and upper bound. NaN where a sample is empty
        or the median of `b` is 0; no bounds where a sample has a single value.
    """
    above = np.asarray(a, dtype=np.float64)
    below = np.asarray(b, dtype=np.float64)
    nan = float("nan")
    if not above.size or not below.size or not np.median(below):
        return nan, nan, nan
    ratio = float(np.median(above) / np.median(below))
    if above.size == 1 or below.size == 1:
        return ratio, nan, nan
    rng = np.random.default_rng(0)
    bottoms = _resampled_medians(rng, below)
    tops = _resampled_medians(rng, above)
    drawn = tops[bottoms != 0] / bottoms[bottoms != 0]
    if not drawn.size:
        return ratio, nan, nan
    low, high = np.quantile(drawn, BOUNDS)
    return ratio, min(float(low), ratio), max(float(high), ratio)


def _nothing(shape: tuple[int, ...]) -> Floats:
    return np.full(shape, np.nan)


def _block_sums(
    values: NDArray[np.number], origin: Floats, weights: Floats
) -> tuple[Floats, Floats]:
    """Sum above `origin` and weight of the steps of each block: (n, k) and (n,).

    Measured from the first step, so that equal steps give sums of exactly 0.
    """
    count = min(len(values), BLOCKS)
    edges = np.linspace(0, len(values), count + 1).astype(np.int64)
    flat = values.reshape(len(values), -1)
    base = origin.reshape(-1)
    sums = [
        weights[start:end] @ np.subtract(flat[start:end], base)
        for start, end in itertools.pairwise(edges)
    ]
    return np.asarray(sums), np.add.reduceat(weights, edges[:-1])


def _resampled_medians(rng: np.random.Generator, values: Floats) -> Floats:
    """Medians of values drawn with replacement, (resamples,)."""
    size = min(len(values), MOST_VALUES)
    kept = values[np.linspace(0, len(values) - 1, size).astype(np.int64)]
    picks = rng.integers(size, size=(RESAMPLES, size))
    medians: Floats = np.median(kept[picks], axis=1)
    return medians
