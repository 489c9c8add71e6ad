"""From paired rounds to a speed-up with its interval, and to one word.

In each round the plain script and the one with a strategy ran; the ratio of their
mean steps is one observation. Its logarithms are averaged over the rounds, and their
standard error is bootstrapped in two levels, rounds and blocks of consecutive steps
within them (Davison and Hinkley, "Bootstrap Methods and their Application", 1997,
section 3.8). The interval takes Student's t for the number of rounds: percentiles of
a bootstrap from three or five values are too narrow (Hesterberg, "What Teachers
Should Know About the Bootstrap", 2015, section 4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from debottleneck.analysis.steps import choose_warmup
from debottleneck.strategies.spec import PREFETCH, Strategies, prefetch_size
from debottleneck.trials.result import FASTER, SAME_SPEED, SLOWER, Interval
from debottleneck.trials.trial import Measured

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Counted = tuple[Ints, Ints]
"""The plain script's steps and the other's, nanoseconds, equally many."""


@dataclass(frozen=True)
class Policy:
    """When a difference counts; the line beside each argues it."""

    # Less than this nobody notices, and repeated runs differ by it for no reason.
    least: float = 1.02
    # Of settings this close the cheapest is kept: their order is chance.
    as_good: float = 0.97
    # Two rounds cannot say how much rounds differ.
    min_rounds: int = 3
    # Repeated runs differ by 8 % (FACTS), two standard deviations, and a ratio has two
    # of them: 4 % times the root of 2, assumed where there are fewer rounds.
    round_to_round: float = 0.06
    # A verdict that would stand with an interval twice as wide needs no more rounds.
    clear: float = 2.0
    # All rows together are wrong in so many comparisons of a hundred.
    error: float = 0.05
    # Enough blocks for a spread, long enough to keep the likeness of neighbours.
    blocks: int = 20
    resamples: int = 1000
    # Caches, allocators and threads are cold in the first steps of any run.
    least_left_out: int = 2


POLICY = Policy()


@dataclass(frozen=True)
class Pair:
    """The plain script and the one with a strategy, of the same round."""

    plain: Measured
    own: Measured


def left_out(pairs: Sequence[Pair], strategies: Strategies) -> int:
    """First steps that are not counted, on both sides of every pair.

    The warm-up of the plain script, the steps until the strategy acted, and the ones
    whose batches a prefetch had fetched while it filled up, which come for nothing.
    """
    filled = 0
    for strategy in strategies:
        if strategy.name == PREFETCH:
            filled = sum(prefetch_size(strategy))
    found = [POLICY.least_left_out]
    for pair in pairs:
        found += [warmup_of(pair.plain), pair.own.engaged + filled]
    shortest = min((_common(pair) for pair in pairs), default=0)
    return min(max(found), shortest // 2)


def warmup_of(measured: Measured) -> int:
    """The warm-up of a run by itself, as the analysis chooses it."""
    wall = measured.step_ns
    return choose_warmup(wall, np.ones(len(wall), np.bool_), None)[0]


def _common(pair: Pair) -> int:
    return min(len(pair.plain.step_ns), len(pair.own.step_ns))


def counted(pairs: Sequence[Pair], drop: int, burst: int = 1) -> list[Counted]:
    """The steps of each pair that count: the same on both sides, as data may differ.

    Args:
        pairs: Of rounds in which both ran.
        drop: First steps left out of each.
        burst: Steps that come at once after a wait: only whole bursts are counted,
            as one more or less of the waits would show in the mean.
    """
    found = []
    for pair in pairs:
        end = _common(pair)
        first = min(drop, end // 2)
        first += (end - first) % burst if end - first >= burst else 0
        plain, own = pair.plain.step_ns[first:end], pair.own.step_ns[first:end]
        found.append((plain, own))
    return found


def speedup(
    pairs: Sequence[Counted], *, rows: int = 1, burst: int = 1, seed: int = 0
) -> Interval:
    """How many times faster a step is with the strategy.

    A step's time is the mean and not the median: a prefetch is bursty, its batches
    come several at once after a wait, and the median sees one or the other only.

    Args:
        pairs: Steps of at least one round, as `counted` gives them.
        rows: Candidates of the comparison: the intervals hold for all at once
            (Bonferroni), else one of twenty idle strategies would win by chance.
        burst: Least steps of a block; as many as come at once.
        seed: The same seed gives the same interval.

    Returns:
        Plain mean step / own mean step; above 1 is faster.
    """
    drawn = [_drawn(pair, burst, seed + i) for i, pair in enumerate(pairs)]
    logs = np.array([log for log, _ in drawn])
    spread = np.array([sample for _, sample in drawn])
    return _interval(logs, spread, rows, seed)


def apart(
    plain: Ints,
    own: Ints,
    *,
    rows: int = 1,
    bursts: tuple[int, int] = (1, 1),
    seed: int = 0,
) -> Interval:
    """How many times faster the steps of another run are, each having run once.

    The runs may be of any length: each side's blocks of steps are resampled by
    themselves. How much runs differ from each other cannot be seen in one of each; the
    usual spread is assumed, as for fewer rounds than `POLICY.min_rounds`.

    Args:
        plain: Steps of the run that the other is compared with, ns.
        own: Steps of the other.
        rows: Runs compared with it: the intervals hold for all at once (Bonferroni).
        bursts: Of each, steps that come at once after a wait: only whole ones count.
        seed: The same seed gives the same interval.
    """
    plain, own = (
        steps[len(steps) % burst if len(steps) >= burst else 0 :]
        for steps, burst in zip((plain, own), bursts, strict=True)
    )
    drawn = np.log(_means(plain, bursts[0], seed) / _means(own, bursts[1], seed + 1))
    log = math.log(float(plain.mean()) / float(own.mean()))
    return _interval(np.array([log]), drawn[np.newaxis], rows, seed)


def _means(steps: Ints, burst: int, seed: int) -> Floats:
    """Mean steps of resampled blocks of whole bursts, (resamples,)."""
    burst = min(burst, len(steps))
    bursts = len(steps) // burst
    count = min(POLICY.blocks, bursts)
    edges = np.linspace(0, bursts, count + 1).astype(np.int64) * burst
    sums = np.add.reduceat(steps.astype(np.float64), edges[:-1])
    rng = np.random.default_rng(seed)
    times = rng.multinomial(count, np.full(count, 1 / count), size=POLICY.resamples)
    means: Floats = (times @ sums) / (times @ np.diff(edges))
    return means


def typical(runs: Sequence[Ints], *, seed: int = 0) -> Interval:
    """Mean step over rounds, each a run's steps in ns: milliseconds, 95 % interval."""
    logs = np.log([float(steps.mean()) / 1e6 for steps in runs])
    as_drawn = np.broadcast_to(logs[:, np.newaxis], (len(logs), POLICY.resamples))
    return _interval(logs, as_drawn, 1, seed)


def _drawn(pair: Counted, burst: int, seed: int) -> tuple[float, Floats]:
    """One round's logarithm of the ratio, and resampled ones, (resamples,)."""
    bursts = max(1, len(pair[0]) // burst)
    count = min(POLICY.blocks, bursts)
    edges = np.linspace(0, bursts, count + 1).astype(np.int64)[:-1] * burst
    plain, own = (np.add.reduceat(side.astype(np.float64), edges) for side in pair)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(count, np.full(count, 1 / count), size=POLICY.resamples)
    resampled: Floats = np.log((times @ plain) / (times @ own))
    return math.log(plain.sum() / own.sum()), resampled


def _interval(logs: Floats, spread: Floats, rows: int, seed: int) -> Interval:
    count, resamples = spread.shape
    rng = np.random.default_rng(seed)
    times = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    drawn = np.einsum("kr,rk->k", times / count, spread)
    error, tail = float(np.std(drawn)), POLICY.error / rows / 2
    if count < POLICY.min_rounds:
        error = math.hypot(error, POLICY.round_to_round / math.sqrt(count))
        half = error * student_t(tail, 1000)
    else:  # resampling n values understates their variance by (n - 1) / n
        half = error * math.sqrt(count / (count - 1)) * student_t(tail, count - 1)
    middle = float(logs.mean())
    bounds = (middle, middle - half, middle + half)
    return Interval(*(math.exp(min(max(each, -300), 300)) for each in bounds))


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


def word(interval: Interval) -> str:
    """Faster, slower, or no difference that could be shown."""
    if interval.low > 1 and interval.value >= POLICY.least:
        return FASTER
    if interval.high < 1 and interval.value <= 1 / POLICY.least:
        return SLOWER
    return SAME_SPEED


def is_clear(interval: Interval) -> bool:
    """Whether more rounds would hardly change the word."""
    value, low = math.log(interval.value), math.log(interval.low)
    within = 1 / POLICY.least < interval.low and interval.high < POLICY.least
    return within or abs(value) > max(
        POLICY.clear * (value - low), math.log(POLICY.least)
    )
