"""How far tests search: quickly on every run, or all the way when it is asked for."""

from __future__ import annotations

import os

DEEP = "BOTTLENECK_DEEP_TESTS" in os.environ


def cases(whole: int) -> int:
    """How many random cases a law is tried with: a quarter of the whole, 10 at least.

    Hypothesis draws others each time, so that many runs see as much as a deep one.
    """
    return whole if DEEP else max(whole // 4, min(whole, 10))
