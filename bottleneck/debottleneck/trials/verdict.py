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
from debottleneck.strategies.spec import PREFETCH, Strategies, burst_of, prefetch_size
from debottleneck.trials.result import (
    FASTER,
    SAME_SPEED,
    SLOWER,
    UNDECIDED,
    Interval,
)
from debottleneck.trials.trial import Measured

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Counted = tuple[Ints, Ints]
"""The plain script's steps and the other's, nanoseconds, equally many."""


@dataclass(frozen=True)
class VerdictPolicy:
    """When a difference counts; the line beside each argues it."""

    # Less than this nobody notices, and repeated runs differ by it for no reason.
    same: float = 1.03
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


POLICY = VerdictPolicy()


@dataclass(frozen=True)
class Pair:
    """The plain script and the one with a strategy, of the same round."""

    plain: Measured
    own: Measured

    @property
    def common(self) -> int:
        """Steps that both of them have."""
        return min(len(self.plain.step_ns), len(self.own.step_ns))


def left_out(pairs: Sequence[Pair], strategies: Strategies) -> int:
    """First steps that are not counted, on both sides of every pair.

    The warm-up of the plain script, the steps until the strategy acted, and the ones
    whose batches a prefetch had fetched while it filled up, which come for nothing.
    """
    filled = 0
    for strategy in strategies:
        if strategy.name == PREFETCH:
            filled = sum(prefetch_size(strategy))
    acting = [pair.own.engaged + filled for pair in pairs]
    drop = max([plain_left_out([pair.plain for pair in pairs]), *acting])
    shortest = min((pair.common for pair in pairs), default=0)
    return min(drop, shortest // 2)


def plain_left_out(runs: Sequence[Measured]) -> int:
    """First steps of runs of the plain script that are not counted: the warm-up."""
    return max([POLICY.least_left_out, *map(warmup_of, runs)])


def warmup_of(measured: Measured) -> int:
    """The warm-up of a run by itself, as the analysis chooses it."""
    wall = measured.step_ns
    return choose_warmup(wall, np.ones(len(wall), np.bool_), None)[0]


def plain_counted(runs: Sequence[Measured]) -> list[Ints]:
    """The steps that count of each run of the plain script by itself, ns."""
    drop = plain_left_out(runs)
    return [run.step_ns[min(drop, len(run.step_ns) // 2) :] for run in runs]


def counted(pairs: Sequence[Pair], strategies: Strategies) -> list[Counted]:
    """The steps of each pair that count: the same on both sides, as data may differ.

    Of steps that come in bursts only whole bursts are counted, as one more or less of
    the waits between them would show in the mean.

    Args:
        pairs: Of rounds in which both ran.
        strategies: Those of the second side.
    """
    drop, burst = left_out(pairs, strategies), burst_of(strategies)
    windows = []
    for pair in pairs:
        end = pair.common
        first = min(drop, end // 2)
        first += (end - first) % burst if end - first >= burst else 0
        windows.append((pair.plain.step_ns[first:end], pair.own.step_ns[first:end]))
    return windows


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
    logs = np.array([math.log(plain.sum() / own.sum()) for plain, own in pairs])
    drawn = [
        [_resampled(steps, burst, seed + i)[0] for steps in pair]
        for i, pair in enumerate(pairs)
    ]
    spread = np.log([plain / own for plain, own in drawn])
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
    sums, counts = _resampled(plain, bursts[0], seed)
    own_sums, own_counts = _resampled(own, bursts[1], seed + 1)
    drawn = np.log((sums / counts) / (own_sums / own_counts))
    log = math.log(float(plain.mean()) / float(own.mean()))
    return _interval(np.array([log]), drawn[np.newaxis], rows, seed)


def _resampled(steps: Ints, burst: int, seed: int) -> tuple[Floats, Floats]:
    """Blocks of whole bursts, resampled: their sums and how many steps they hold.

    Returns:
        Both of shape (resamples,); the same seed draws the same blocks.
    """
    bursts = max(1, len(steps) // burst)
    count = min(POLICY.blocks, bursts)
    starts = np.linspace(0, bursts, count + 1).astype(np.int64)[:-1] * burst
    sums = np.add.reduceat(steps.astype(np.float64), starts)
    times = _draws(count, seed).astype(np.float64)
    return times @ sums, times @ np.diff([*starts, len(steps)])


def _draws(count: int, seed: int) -> Ints:
    """How often each of so many is drawn, in each resample, (resamples, count)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=POLICY.resamples)


def typical(runs: Sequence[Ints], *, seed: int = 0) -> Interval:
    """Mean step over rounds, each a run's steps in ns: milliseconds, 95 % interval."""
    logs = np.log([float(steps.mean()) / 1e6 for steps in runs])
    as_drawn = np.broadcast_to(logs[:, np.newaxis], (len(logs), POLICY.resamples))
    return _interval(logs, as_drawn, 1, seed)


def _interval(logs: Floats, spread: Floats, rows: int, seed: int) -> Interval:
    """Of mean logarithms (rounds,) and resampled ones (rounds, resamples)."""
    count = len(logs)
    drawn = np.einsum("kr,rk->k", _draws(count, seed) / count, spread)
    error, tail = float(np.std(drawn)), POLICY.error / rows / 2
    if count < POLICY.min_rounds:
        error = math.hypot(error, POLICY.round_to_round / math.sqrt(count))
        half = error * student_t(tail, 1000)
    else:  # resampling n values understates their variance by (n - 1) / n
        half = error * math.sqrt(count / (count - 1)) * student_t(tail, count - 1)
    middle = float(logs.mean())
    bounds = (middle, middle - half, middle + half)
    return Interval(*(math.exp(min(max(bound, -300), 300)) for bound in bounds))


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
    """Faster, slower, no difference that matters, or not decided yet."""
    if 1 / POLICY.same <= interval.low and interval.high <= POLICY.same:
        return SAME_SPEED
    if interval.low > 1:
        return FASTER
    return SLOWER if interval.high < 1 else UNDECIDED


def is_clear(interval: Interval) -> bool:
    """Whether more rounds would hardly change the word."""
    found = word(interval)
    beyond = abs(math.log(interval.value)) > POLICY.clear * _half(interval)
    return found == SAME_SPEED or (found != UNDECIDED and beyond)


def _half(interval: Interval) -> float:
    """Half of its width, in logarithms."""
    return math.log(interval.value) - math.log(max(interval.low, 1e-300))


def rounds_to_come(interval: Interval, rounds: int) -> int:
    """How many more rounds would decide, about: widths shrink with the root of them.

    Args:
        interval: Of a row that is undecided.
        rounds: In which it ran.
    """
    value, half = abs(math.log(interval.value)), _half(interval)
    goal = max(value, math.log(POLICY.same) - value)
    return max(math.ceil(rounds * ((half / goal) ** 2 - 1)), 1)
