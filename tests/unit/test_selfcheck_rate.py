"""The wait sampler's own bound: how it lowers and raises its rate."""

from __future__ import annotations

import pytest

from debottleneck.collect.sampler import MOST_CPU, SLOWEST_NS, tuned_period

ASKED = 5e6


def test_rate_falls_to_where_the_bound_holds() -> None:
    """Four times too much CPU: four times the period, in one step."""
    assert tuned_period(ASKED, ASKED, 4 * MOST_CPU) == pytest.approx(4 * ASKED)


def test_rate_has_a_floor() -> None:
    """However many threads there are, some samples are taken."""
    assert tuned_period(SLOWEST_NS / 2, ASKED, 0.9) == SLOWEST_NS


def test_rate_never_exceeds_what_was_asked() -> None:
    """An idle sampler stays at the asked rate."""
    assert tuned_period(ASKED, ASKED, 0.0) == ASKED


def test_rate_recovers() -> None:
    """A rate that was lowered for a moment comes back when there is room."""
    period = 3 * ASKED
    for _ in range(10):
        period = tuned_period(period, ASKED, 0.02)
    assert period == ASKED


def test_rate_rests_near_the_bound() -> None:
    """Between too much and room for more nothing changes."""
    assert tuned_period(2 * ASKED, ASKED, 0.045) == 2 * ASKED
