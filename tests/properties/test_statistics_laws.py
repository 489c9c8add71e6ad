"""Laws of intervals."""

from __future__ import annotations

import numpy as np
from depth import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from debottleneck.analysis.statistics import mean_interval, ratio_interval

Floats = NDArray[np.float64]

NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)
POSITIVE = st.floats(1e-3, 1e6)
SHAPES = st.one_of(
    st.tuples(st.integers(2, 40)), st.tuples(st.integers(2, 20), st.integers(1, 4))
)
SAMPLES = arrays.arrays(np.float64, SHAPES, elements=NUMBERS)
TIMES = arrays.arrays(np.float64, st.integers(2, 40), elements=POSITIVE)
CLOSE = {"rtol": 1e-9, "atol": 1e-5}

quick = settings(max_examples=cases(60))


@quick
@given(SAMPLES)
def test_bounds_enclose_the_mean(values: Floats) -> None:
    """Low <= mean <= high, and the mean is NumPy's."""
    mean, low, high = mean_interval(values)
    assert np.all(low <= mean)
    assert np.all(mean <= high)
    np.testing.assert_allclose(mean, values.mean(axis=0), **CLOSE)


@quick
@given(SAMPLES, NUMBERS)
def test_a_shift_moves_all_three(values: Floats, shift: float) -> None:
    """Adding a constant to each step adds it to mean and bounds."""
    for moved, part in zip(
        mean_interval(values + shift), mean_interval(values), strict=True
    ):
        np.testing.assert_allclose(moved, part + shift, **CLOSE)


@quick
@given(SAMPLES, st.floats(1e-3, 1e3))
def test_a_scale_scales_all_three(values: Floats, scale: float) -> None:
    """A change of unit changes nothing else."""
    for scaled, part in zip(
        mean_interval(values * scale), mean_interval(values), strict=True
    ):
        np.testing.assert_allclose(scaled, part * scale, rtol=1e-9, atol=1e-2)


@quick
@given(NUMBERS, st.integers(2, 2500))
def test_equal_steps_have_no_width(value: float, steps: int) -> None:
    """Constant steps give their value, exactly, however many."""
    mean, low, high = mean_interval(np.full(steps, value))
    assert low == mean == high == value


@quick
@given(TIMES, TIMES)
def test_ratio_lies_within_its_bounds(a: Floats, b: Floats) -> None:
    """Low <= ratio <= high, and the ratio is that of the medians."""
    ratio, low, high = ratio_interval(a, b)
    assert low <= ratio <= high
    np.testing.assert_allclose(ratio, np.median(a) / np.median(b))


@quick
@given(TIMES)
def test_ratio_of_equal_constants_is_one(a: Floats) -> None:
    """Steps as long as their neighbours are slowed by nothing."""
    flat = np.full_like(a, a[0])
    assert ratio_interval(flat, flat) == (1.0, 1.0, 1.0)
