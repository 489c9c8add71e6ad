"""Single rows of the self-check, measured: shares with margins, no milliseconds."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from debottleneck.selfcheck.cases import LOADER, TRAINER, Case
from debottleneck.selfcheck.measure import rows_of
from debottleneck.selfcheck.result import SKIPPED

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(
        not os.path.exists("/proc/self/schedstat"), reason="needs /proc with schedstat"
    ),
]

MARGIN = 7.0
"""Percentage points; the machine that runs the tests need not be quiet."""


@pytest.mark.parametrize("place", [TRAINER, LOADER])
@pytest.mark.parametrize("cause", ["network", "sleep", "lock", "disk"])
def test_planted_share_is_found(
    cause: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was planted at 40 % is attributed within the margin of its truth."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows, problems = rows_of(Case((cause,), 0.4, place, 2.0), sys.executable)
    (row,) = rows
    if row.verdict == SKIPPED:
        pytest.skip(row.note)
    assert problems == ()
    assert row.truth > 0.15
    assert abs(row.error) < MARGIN
    assert row.low <= row.error <= row.high
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cause", ["python", "native", "gil", "runqueue", "ipc"])
def test_planted_share_is_found_in_the_trainer(cause: str) -> None:
    """The causes of which the counters and not the samples say how much."""
    (row,) = rows_of(Case((cause,), 0.4, TRAINER, 2.0), sys.executable)[0]
    assert row.truth > 0.15
    assert abs(row.error) < MARGIN


def test_mixture_is_told_apart() -> None:
    """Three causes in one stage, each within the margin."""
    mixture = ("python", "network", "sleep")
    rows, _ = rows_of(Case(mixture, 0.75, TRAINER, 5.0), sys.executable)
    assert [row.cause for row in rows] == list(mixture)
    assert all(abs(row.error) < MARGIN for row in rows)
