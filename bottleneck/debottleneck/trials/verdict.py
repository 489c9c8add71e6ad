"""From paired rounds to a speed-up with its interval, and to one word.

In each round the plain script and the one with a strategy ran; the logarithm of the
ratio of their mean steps is one observation. The interval is Student's t over rounds:
it holds how much runs differ, which more steps of one run cannot show. Rounds that
agree by chance are not believed beyond what their own steps tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from debottleneck.analysis.statistics import error_of_mean, student_t
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
    # Repeated runs differ by 8 % (FACTS), two standard deviations: assumed where there
    # are fewer rounds.
    run_to_run: float = 0.04
    # A verdict that would stand with an interval twice as wide needs no more rounds.
    clear: float = 2.0
    # Nor one or two, in peace, more if it would with an interval ten times as wide.
    certain: float = 10.0
    # All rows together are wrong in so many comparisons of a hundred.
    error: float = 0.05
    # Caches, allocators and threads are cold in the first steps of any run.
    least_left_out: int = 2


POLICY = VerdictPolicy()

KNOWN = 1000
"""Degrees of freedom of a spread that is not estimated."""


@dataclass(frozen=True)
class Pair:
    """The plain script and the one with a strategy, of the same round."""

    plain: Measured
    own: Measured

    @property
    def disturbed(self) -> bool:
        """Whether other work tells in either of them."""
        return self.plain.disturbed or self.own.disturbed

    @property
    def common(self) -> int:
        """Steps that both of them have."""
        return min(len(self.plain.step_ns), len(self.own.step_ns))


Run = TypeVar("Run", Pair, Measured)


def undisturbed(found: Sequence[Run]) -> list[Run]:
    """Those that count: all where too few were left in peace."""
    quiet = [one for one in found if not one.disturbed]
    return quiet if len(quiet) >= POLICY.min_rounds else list(found)


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


def speedup(pairs: Sequence[Counted], *, rows: int = 1, burst: int = 1) -> Interval:
    """How many times faster a step is with the strategy.

    A step's time is the mean and not the median: a prefetch is bursty, its batches
    come several at once after a wait, and the median sees one or the other only.

    Args:
        pairs: Steps of at least one round, as `counted` gives them.
        rows: Candidates of the comparison: the intervals hold for all at once
            (Bonferroni), else one of twenty idle strategies would win by chance.
        burst: Of the strategy, steps that come at once after a wait.

    Returns:
        Plain mean step / own mean step; above 1 is faster.
    """
    logs = [math.log(plain.sum() / own.sum()) for plain, own in pairs]
    within = [
        math.hypot(_within(plain, burst), _within(own, burst)) for plain, own in pairs
    ]
    spread = _Spread.of(logs, within, math.sqrt(2) * POLICY.run_to_run)
    return _interval(spread, rows)


def apart(
    plain: Sequence[Ints],
    own: Sequence[Ints],
    *,
    rows: int = 1,
    bursts: tuple[int, int] = (1, 1),
) -> Interval:
    """How many times faster the steps of other runs are, that were not run in rounds.

    Of fewer than `POLICY.min_rounds` of a side nobody sees how much its runs differ;
    the usual spread is assumed. Both sides' spreads are joined as Welch does.

    Args:
        plain: Steps of each run that the others are compared with, ns.
        own: Steps of each of the others.
        rows: Sides compared with it: the intervals hold for all at once (Bonferroni).
        bursts: Of each, steps that come at once after a wait: only whole ones count.
    """
    one, other = (
        _of_runs(runs, n) for runs, n in zip((plain, own), bursts, strict=True)
    )
    variance = one.variance + other.variance
    parts = one.variance**2 / one.freedom + other.variance**2 / other.freedom
    freedom = max(int(variance**2 / parts), 1) if parts else one.freedom
    return _interval(_Spread(one.mean - other.mean, variance, freedom), rows)


def typical(runs: Sequence[Ints]) -> Interval:
    """Mean step over rounds, each a run's steps in ns: milliseconds, 95 % interval."""
    spread = _of_runs(runs, 1)
    return _interval(replace(spread, mean=spread.mean - math.log(1e6)), 1)


@dataclass(frozen=True)
class _Spread:
    """A mean of logarithms, its variance and the degrees of freedom of that."""

    mean: float
    variance: float
    freedom: int

    @classmethod
    def of(
        cls, logs: Sequence[float], within: Sequence[float], assumed: float
    ) -> _Spread:
        """Of one logarithm a round.

        Args:
            logs: Of at least one round.
            within: Standard error of each, as the steps of the round tell.
            assumed: How much rounds differ where there are too few to see it.
        """
        count, known = len(logs), float(np.mean(np.square(within)))
        if count < POLICY.min_rounds:
            return cls(fmean(logs), (assumed**2 + known) / count, KNOWN)
        seen = float(np.var(logs, ddof=1))
        return cls(fmean(logs), max(seen, known) / count, count - 1)


def _of_runs(runs: Sequence[Ints], burst: int) -> _Spread:
    whole = [
        steps[len(steps) % burst if len(steps) >= burst else 0 :] for steps in runs
    ]
    logs = [math.log(float(steps.mean())) for steps in whole]
    within = [_within(steps, burst) for steps in whole]
    return _Spread.of(logs, within, POLICY.run_to_run)


def _within(steps: Ints, burst: int) -> float:
    """Standard error of a run's mean step, of which it is a part: of whole bursts."""
    whole = steps[len(steps) % burst :].reshape(-1, burst)
    times = whole.mean(axis=1) if len(whole) > 1 else steps.astype(np.float64)
    return error_of_mean(times) / float(times.mean())


def _interval(spread: _Spread, rows: int) -> Interval:
    half = math.sqrt(spread.variance) * student_t(
        POLICY.error / rows / 2, spread.freedom
    )
    bounds = (spread.mean, spread.mean - half, spread.mean + half)
    return Interval(*(math.exp(min(max(bound, -300), 300)) for bound in bounds))


def word(interval: Interval) -> str:
    """Faster, slower, no difference that matters, or not decided yet."""
    if 1 / POLICY.same <= interval.low and interval.high <= POLICY.same:
        return SAME_SPEED
    if interval.low > 1:
        return FASTER
    return SLOWER if interval.high < 1 else UNDECIDED


def is_clear(interval: Interval, times: float = POLICY.clear) -> bool:
    """Whether the word would be the same with an interval so many times as wide."""
    found = word(interval)
    beyond = abs(math.log(interval.value)) > times * _half(interval)
    return found == SAME_SPEED or (found != UNDECIDED and beyond)


def _half(interval: Interval) -> float:
    """Half of its width, in logarithms."""
    return math.log(interval.value) - math.log(max(interval.low, 1e-300))


def rounds_to_come(interval: Interval, rounds: int) -> int:
    """How many more rounds would decide, about: widths shrink with the root of them."""
    value, half = abs(math.log(interval.value)), _half(interval)
    goal = max(value, math.log(POLICY.same) - value)
    return max(math.ceil(rounds * ((half / goal) ** 2 - 1)), 1)
