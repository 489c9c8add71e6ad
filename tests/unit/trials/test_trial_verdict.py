"""Speed-ups, their intervals and verdicts: arithmetic on steps made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from depth import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from made_trials import measured

from debottleneck.analysis.statistics import student_t
from debottleneck.strategies.spec import parse
from debottleneck.trials.result import (
    FASTER,
    SAME_SPEED,
    SLOWER,
    UNDECIDED,
    Interval,
)
from debottleneck.trials.verdict import (
    POLICY,
    Pair,
    apart,
    counted,
    is_clear,
    left_out,
    rounds_to_come,
    speedup,
    typical,
    warmup_of,
    word,
)


def pairs(ratios: list[float], steps: int = 40, plain_ms: float = 10.0) -> list:
    """Counted steps of rounds in which the ratio was exactly this."""
    made = [
        Pair(measured([plain_ms] * steps), measured([plain_ms / ratio] * steps))
        for ratio in ratios
    ]
    return counted(made, parse("parallel-update"))


@pytest.mark.parametrize(
    ("tail", "freedom", "value"),
    [
        (0.025, 1, 12.706),
        (0.025, 2, 4.303),
        (0.025, 3, 3.182),
        (0.025, 4, 2.776),
        (0.025, 30, 2.042),
        (0.005, 9, 3.250),
        (0.0005, 5, 6.869),
        (0.025, 1000, 1.962),
    ],
)
def test_students_t(tail: float, freedom: int, value: float) -> None:
    """The quantiles are those of the printed tables."""
    assert student_t(tail, freedom) == pytest.approx(value, abs=6e-4)


def test_the_speedup_is_the_mean_ratio_of_the_rounds() -> None:
    """Rounds of 2x and 8x are 4x in the mean: ratios multiply."""
    assert speedup(pairs([2.0, 8.0, 4.0])).value == pytest.approx(4.0)


def test_exact_rounds_have_no_width() -> None:
    """Three rounds that agree to the nanosecond leave nothing to doubt."""
    found = speedup(pairs([2.5, 2.5, 2.5]))
    assert (found.low, found.high) == pytest.approx((2.5, 2.5), rel=1e-6)


@pytest.mark.parametrize("rounds", [1, 2])
def test_few_rounds_assume_how_rounds_differ(rounds: int) -> None:
    """One round or two cannot show it, so their interval is not believed."""
    found = speedup(pairs([1.05] * rounds))
    assert found.low < 1 < found.high
    assert word(found) == UNDECIDED
    assert speedup(pairs([2.0] * rounds)).low > 1.5


def test_the_mean_and_not_the_median() -> None:
    """A prefetch of four: three batches come at once, the fourth is waited for."""
    bursty = measured([0.1, 0.1, 0.1, 9.7] * 20)
    steady = [Pair(measured([10.0] * 80), bursty)] * 3
    found = speedup(counted(steady, parse("prefetch:workers=4")), burst=4)
    assert found.value == pytest.approx(4.0)
    assert found.high / found.low < 1.01


def test_only_whole_bursts_are_counted() -> None:
    """The window holds a multiple of the burst, and the same steps on both sides."""
    pair = Pair(measured(range(1, 31)), measured(range(1, 28)))
    ((plain, own),) = counted([pair], parse("prefetch:workers=8,depth=1"))
    assert len(plain) == len(own) == 16
    assert np.array_equal(plain, own)


def test_more_rows_widen_every_interval() -> None:
    """The intervals hold for all candidates at once."""
    made = pairs([1.8, 2.0, 2.2, 2.1])
    alone, among = speedup(made), speedup(made, rows=8)
    assert among.low < alone.low
    assert among.high > alone.high
    assert among.value == alone.value


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (Interval(2.0, 1.9, 2.1), FASTER),
        (Interval(1.01, 1.005, 1.015), SAME_SPEED),
        (Interval(2.0, 0.99, 4.0), UNDECIDED),
        (Interval(1.5, 1.0, 2.2), UNDECIDED),
        (Interval(0.5, 0.4, 0.6), SLOWER),
        (Interval(0.99, 0.985, 0.995), SAME_SPEED),
        (Interval(0.5, 0.2, 1.01), UNDECIDED),
        (Interval(1.0, 0.98, 1.02), SAME_SPEED),
        (Interval(1.0, 0.96, 1.02), UNDECIDED),
        # A clear verdict would stand with twice the width, or lies within 3 %.
        (Interval(4.0, 3.8, 4.2), True),
        (Interval(1.2, 1.05, 1.37), False),
        (Interval(1.0, 0.99, 1.01), True),
        (Interval(1.0, 0.9, 1.11), False),
        (Interval(0.5, 0.49, 0.51), True),
    ],
)
def test_words(interval: Interval, expected: str | bool) -> None:
    """Faster and slower need an interval without 1, no difference one within 3 %."""
    decided = is_clear if isinstance(expected, bool) else word
    assert decided(interval) == expected


@pytest.mark.parametrize(
    ("interval", "more"),
    [
        # Of half the width the interval excludes 1, or lies within 3 % of it.
        (Interval(1.1, 1.1 / 1.21, 1.1 * 1.21), 12),
        (Interval(1.0, 1 / 1.03**2, 1.03**2), 12),
        (Interval(1.1, 0.999, 1.21), 1),
    ],
)
def test_rounds_that_are_missing(interval: Interval, more: int) -> None:
    """Intervals are half as wide after four times as many rounds."""
    assert rounds_to_come(interval, 4) == more


def test_both_sides_leave_out_the_same_steps() -> None:
    """The longest of warm-up, engagement and the filling of the prefetch counts."""
    plain = measured([50.0, 50.0, 50.0] + [10.0] * 97)
    own = measured([10.0] * 100, engaged=2)
    pair = [Pair(plain, own)]
    assert warmup_of(plain) == 3
    assert left_out(pair, parse("parallel-update")) == 3
    assert left_out(pair, parse("prefetch:workers=4,depth=6")) == 12
    assert left_out(pair, parse("prefetch:workers=2")) == 8
    late = [Pair(plain, measured([10.0] * 100, engaged=7))]
    assert left_out(late, parse("parallel-update")) == 7


@pytest.mark.parametrize(
    ("spec", "drop"),
    [("prefetch:workers=8,depth=64", 14), ("parallel-update", POLICY.least_left_out)],
)
def test_never_more_than_half_is_left_out(spec: str, drop: int) -> None:
    """A prefetch as deep as the run is still measured; two at least are left out."""
    pair = [Pair(measured([10.0] * 30), measured([10.0] * 28))]
    assert left_out(pair, parse(spec)) == drop


def test_typical_step() -> None:
    """Mean over the rounds in milliseconds, with bounds around it."""
    runs = [measured([ms] * 10).step_ns for ms in (9.0, 10.0, 11.0)]
    found = typical(runs)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx((9 * 10 * 11) ** (1 / 3))


FACTORS = st.floats(0.2, 5.0, allow_nan=False)
NOISY = st.lists(
    st.lists(st.integers(10_000, 10_000_000), min_size=6, max_size=30),
    min_size=1,
    max_size=5,
)


def both(rounds: list[list[int]], more: float = 0, kind: type = int) -> list:
    """Each round's steps, and the same ones turned round and a little longer."""
    return [(np.array(s, kind), np.array(s[::-1], kind) + more) for s in rounds]


@settings(max_examples=cases(40))
@given(NOISY)
def test_equal_samples_contain_one(rounds: list[list[int]]) -> None:
    """The ratio of a run to itself is 1, whatever the run."""
    ratio = speedup([(np.array(steps), np.array(steps)) for steps in rounds])
    assert ratio.low <= 1 <= ratio.high
    assert ratio.value == pytest.approx(1.0)
    assert word(ratio) in (SAME_SPEED, UNDECIDED)


@settings(max_examples=cases(40))
@given(NOISY, st.integers(2, 50), FACTORS)
def test_the_interval_moves_with_the_ratio(
    rounds: list[list[int]], scale: int, factor: float
) -> None:
    """The unit does not matter; faster by a factor moves value and bounds by it."""
    pairs = both(rounds, 1, float)
    moved = [(plain * scale, own * scale / factor) for plain, own in pairs]
    one, other = speedup(pairs), speedup(moved)
    for name in ("value", "low", "high"):
        assert getattr(other, name) == pytest.approx(getattr(one, name) * factor)


@settings(max_examples=cases(40))
@given(NOISY)
def test_swapping_sides_inverts(rounds: list[list[int]]) -> None:
    """What is twice as fast one way is half as fast the other."""
    pairs = both(rounds, 5)
    there = speedup(pairs)
    back = speedup([(own, plain) for plain, own in pairs])
    assert there.value * back.value == pytest.approx(1.0)
    assert there.low <= there.value <= there.high
    assert there.low * back.high == pytest.approx(1.0)


def test_noise_alone_is_seldom_called_faster() -> None:
    """Of 200 candidates that change nothing, at most a handful of one in forty."""
    rng = np.random.default_rng(1)

    def run() -> np.ndarray:
        level = 10e6 * math.exp(rng.normal(0, 0.04))
        return np.maximum(level * (1 + rng.normal(0, 0.1, 40)), 1).astype(np.int64)

    words = [word(speedup([(run(), run()) for _ in range(5)])) for _ in range(200)]
    assert words.count(FASTER) <= 10
    assert words.count(SLOWER) <= 10


def alike(rng: np.random.Generator, mean_ms: float, steps: int = 300) -> np.ndarray:
    """A run of steps that resemble their neighbours (AR(1), 0.84), in nanoseconds."""
    noise = [rng.standard_normal()]
    for fresh in rng.standard_normal(steps - 1):
        noise.append(0.84 * noise[-1] + math.sqrt(1 - 0.84**2) * fresh)
    return (mean_ms * 1e6 * np.exp(0.05 * np.array(noise))).astype(np.int64)


def drifting(rng: np.random.Generator, runs: int, mean_ms: float = 10.0) -> list:
    """Runs that differ by 4 %."""
    return [alike(rng, mean_ms * math.exp(rng.normal(0, 0.04))) for _ in range(runs)]


@pytest.mark.parametrize("rounds", [1, 2, 3, 6])
def test_rounds_cover_what_they_claim(rounds: int) -> None:
    """A speed-up of 1.25, runs apart and mean steps are held 90 to 98 times of 100."""
    rng, inside = np.random.default_rng(5), np.zeros(3)
    for _ in range(TIMES):
        plain, own = drifting(rng, rounds), drifting(rng, rounds, 8.0)
        ratio = speedup(list(zip(plain, own, strict=True)))
        loose, mean = apart(plain, own), typical(plain)
        inside += [ratio.low <= 1.25 <= ratio.high, loose.low <= 1.25 <= loose.high,
                   mean.low <= 10.0 <= mean.high]  # fmt: skip
    assert (inside >= 0.90 * TIMES).all(), inside
    assert (inside <= 0.98 * TIMES).all(), inside


TIMES = 250
