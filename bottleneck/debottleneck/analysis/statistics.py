"""Bootstrap intervals of means and of ratios; NumPy only, the same for a seed.

Percentile bootstrap: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993),
chapter 13. Consecutive steps resemble each other; long runs are averaged in blocks
of consecutive steps first, and the blocks resampled, which keeps that likeness
inside the block (batch means; ibid., section 8.6, on block resampling).
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from debottleneck.analysis.frames import Flags, Floats

MAX_BLOCKS = 1000
"""Blocks that are resampled at most: bounds time and memory of long runs."""

RESAMPLES = 400
"""Resampled means or ratios that an interval is read from."""

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
    """Mean over steps with its bootstrap interval of 95 %, for each column at once.

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
    mean = sums.sum(axis=0) / counts.sum()
    low, high = np.quantile(_resampled_means(sums, counts), BOUNDS, axis=0)
    return (
        origin + mean.reshape(shape),
        origin + np.minimum(low, mean).reshape(shape),
        origin + np.maximum(high, mean).reshape(shape),
    )


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
    count = min(len(values), MAX_BLOCKS)
    edges = np.linspace(0, len(values), count + 1).astype(np.int64)
    flat = values.reshape(len(values), -1)
    base = origin.reshape(-1)
    sums = [
        weights[start:end] @ np.subtract(flat[start:end], base)
        for start, end in itertools.pairwise(edges)
    ]
    return np.asarray(sums), np.add.reduceat(weights, edges[:-1])


def _resampled_means(sums: Floats, counts: Floats) -> Floats:
    """Means of blocks drawn with replacement, (resamples, k)."""
    size = len(counts)
    rng = np.random.default_rng(0)
    times = rng.multinomial(size, np.full(size, 1 / size), size=RESAMPLES)
    weights = times.astype(np.float64)
    means: Floats = (weights @ sums) / (weights @ counts)[:, np.newaxis]
    return means


def _resampled_medians(rng: np.random.Generator, values: Floats) -> Floats:
    """Medians of values drawn with replacement, (resamples,)."""
    size = min(len(values), MAX_BLOCKS)
    kept = values[np.linspace(0, len(values) - 1, size).astype(np.int64)]
    picks = rng.integers(size, size=(RESAMPLES, size))
    medians: Floats = np.median(kept[picks], axis=1)
    return medians
