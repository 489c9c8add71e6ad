"""Intervals of known samples."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from debottleneck.analysis.statistics import mean_interval, raked, ratio_interval


def test_interval_of_normal_samples_agrees_with_theory() -> None:
    """Its width is about that of the normal approximation."""
    values = np.random.default_rng(1).normal(10.0, 2.0, size=(400, 50))
    mean, low, high = mean_interval(values)
    assert mean == pytest.approx(values.mean(axis=0))
    assert np.median(high - low) == pytest.approx(2 * 1.96 * 2.0 / 20, rel=0.15)


def test_the_interval_covers_the_truth_as_often_as_stated() -> None:
    """Of 400 skewed samples about 95 % of the intervals hold the true mean."""
    rng = np.random.default_rng(2)
    samples = rng.exponential(1.0, size=(60, 400))
    _, low, high = mean_interval(samples)
    assert 0.90 <= np.mean((low <= 1.0) & (high >= 1.0)) <= 0.97


@pytest.mark.parametrize("steps", [60, 200, 1000])
@pytest.mark.parametrize("alike", [0.0, 0.5, 0.84])
def test_steps_that_resemble_their_neighbours_are_covered(
    steps: int, alike: float
) -> None:
    """AR(1) steps, as strongly alike as any that were seen; 600 runs of them."""
    _, low, high = mean_interval(autoregressive(steps, alike, runs=600))
    assert 0.90 <= np.mean((low <= 0) & (high >= 0)) <= 0.975


def test_the_interval_is_of_this_run() -> None:
    """Runs that drift apart are each covered, and not what they have in common."""
    drift = np.random.default_rng(4).normal(0, 1.0, 600)
    _, low, high = mean_interval(autoregressive(500, 0.84, runs=600) + drift)
    assert 0.90 <= np.mean((low <= drift) & (high >= drift)) <= 0.975
    assert np.mean((low <= 0) & (high >= 0)) < 0.6


def autoregressive(steps: int, alike: float, runs: int) -> NDArray[np.float64]:
    """Steps of mean 0 and variance 1, a run in each column."""
    rng = np.random.default_rng(3)
    rows = [rng.standard_normal(runs)]
    for fresh in rng.standard_normal((steps - 1, runs)):
        rows.append(alike * rows[-1] + (1 - alike**2) ** 0.5 * fresh)
    return np.array(rows)


def test_no_steps_have_no_mean() -> None:
    """Empty samples give NaN of the right shape."""
    assert all(np.isnan(part) for part in mean_interval(np.empty(0)))
    parts = mean_interval(np.empty((0, 3)))
    assert [part.shape for part in parts] == [(3,)] * 3
    assert all(np.isnan(part).all() for part in parts)


def test_one_step_has_a_mean_and_no_bounds() -> None:
    """A single step says nothing of its spread."""
    mean, low, high = mean_interval(np.array([[1.5, 2.0]]))
    assert mean.tolist() == [1.5, 2.0]
    assert np.isnan([low, high]).all()
    ratio, *bounds = ratio_interval([3.0], [2.0, 2.0, 2.0])
    assert ratio == 1.5
    assert np.isnan(bounds).all()


def test_slow_drift_widens_the_interval_of_a_long_run() -> None:
    """Blocks of consecutive steps keep the likeness of neighbours."""
    noise = np.random.default_rng(4).normal(size=100)
    alike = np.repeat(noise, 100)
    shuffled = np.random.default_rng(5).permutation(alike)
    widths = [
        float(high - low) for _, low, high in map(mean_interval, [alike, shuffled])
    ]
    assert widths[0] > 2 * widths[1]


def test_a_long_run_needs_little_memory() -> None:
    """Of 20,000 steps of 60 columns no second copy is made, and every step counts."""
    values = np.random.default_rng(6).random((20_000, 60))
    mean_interval(values[:10])
    tracemalloc.start()
    mean, _, _ = mean_interval(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < values.nbytes
    np.testing.assert_allclose(mean, values.mean(axis=0))


def test_the_same_sample_has_the_same_interval() -> None:
    """A report that is drawn again shows the same numbers."""
    values = np.random.default_rng(7).random(30)
    assert mean_interval(values) == mean_interval(values)
    assert ratio_interval(values, values) == ratio_interval(values, values)


def test_ratio_of_a_slowed_instrument() -> None:
    """A slowdown of a fifth is found, and its interval contains it."""
    rng = np.random.default_rng(8)
    quiet = rng.normal(10.0, 0.3, size=200)
    under = rng.normal(12.0, 0.3, size=40)
    ratio, low, high = ratio_interval(under, quiet)
    assert ratio == pytest.approx(1.2, abs=0.03)
    assert low < 1.2 < high
    assert high - low < 0.1


def test_ratio_of_long_runs_is_exact_in_its_middle() -> None:
    """More values than are resampled still all count for the ratio itself."""
    a, b = np.arange(1.0, 5002.0), np.arange(1.0, 3002.0)
    ratio, low, high = ratio_interval(a, b)
    assert ratio == pytest.approx(2501 / 1501)
    assert low <= ratio <= high


@pytest.mark.parametrize(("a", "b"), [([], [1.0]), ([1.0], []), ([1.0, 2.0], [0.0])])
def test_ratio_without_a_basis_is_nan(a: list[float], b: list[float]) -> None:
    """Empty samples, or a median of 0 below the line, give no number."""
    assert all(np.isnan(part) for part in ratio_interval(a, b))


def test_weights_make_kinds_as_frequent_as_they_are_known_to_be() -> None:
    """Of kinds that go together too; what has none of them keeps the rest."""
    kinds = np.array([[1, 1], [1, 0], [0, 0], [0, 0], [0, 0]], bool)
    weights = raked(kinds, np.array([0.2, 0.1]))
    assert weights.mean() == pytest.approx(1)
    assert (weights @ kinds / 5).tolist() == pytest.approx([0.2, 0.1], abs=1e-3)
    mean, low, high = mean_interval(kinds[:, 0] * 10.0, weights)
    assert float(mean) == pytest.approx(2.0, abs=0.01)
    assert low <= mean <= high
