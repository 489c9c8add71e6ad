"""Single rows of the self-check, measured: shares with margins, no milliseconds."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from debottleneck.selfcheck.cases import LOADER, TRAINER, Case
from debottleneck.selfcheck.measure import rows_of
from debottleneck.selfcheck.result import NOT_JUDGED, SKIPPED

pytestmark = [
    pytest.mark.each_python,
    pytest.mark.skipif(
        not os.path.exists("/proc/self/schedstat"), reason="needs /proc with schedstat"
    ),
]

MARGIN = 8.0
"""Percentage points; the machine that runs the tests need not be quiet."""

KERNEL = pytest.mark.slow  # causes that it tells, whatever Python runs

CASES = (
    Case(("python", "network", "sleep"), 0.75, TRAINER, 3.0),
    Case(("native", "lock", "ipc"), 0.75, TRAINER, 3.0),
    pytest.param(Case(("disk",), 0.4, TRAINER, 2.0), marks=KERNEL),
    Case(("gil",), 0.4, TRAINER, 2.0),
    pytest.param(Case(("runqueue",), 0.4, TRAINER, 2.0), marks=KERNEL),
    pytest.param(Case(("throttle",), 0.4, TRAINER, 2.0), marks=KERNEL),
    Case(("gc", "memory"), 0.75, TRAINER, 3.0),
    Case(("network", "sleep", "lock"), 0.75, LOADER, 3.0),
    pytest.param(Case(("disk",), 0.4, LOADER, 2.0), marks=KERNEL),
)
"""Every cause in the trainer, and those that a loader thread may wait for."""


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: "-".join((case.place, *case.causes))
)
def test_planted_shares_are_found(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each cause is told apart and attributed within the margin of its truth."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows, problems = rows_of(case, sys.executable)
    if rows[0].verdict == SKIPPED:
        pytest.skip(rows[0].note)
    assert problems == ()
    assert [row.cause for row in rows] == list(case.causes)
    for row in rows:
        assert row.truth > 0
        assert row.verdict == NOT_JUDGED or abs(row.error) < MARGIN
        assert row.low <= row.error <= row.high
    assert list(tmp_path.iterdir()) == []
