"""An accelerator beside the steps: busy, idle for input, or following the host.

Events in its queue tell when it came to each mark of some steps. In a row that gives it
nothing to do it passes at once what was queued before, so the time from one of the
row's marks to the next is time in which it idles; in all others it computes, or waits
for the host to give it more: where it has come up with the host before and after, that
cannot be told apart without looking into it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from debottleneck.analysis.frames import bounds, holding
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import WAITS_ASIDE
from debottleneck.words import BETWEEN_STAGES

CAUGHT_UP_NS = 50_000
"""A device that is no farther behind follows the host."""

GIVES_NOTHING = ("load", "augment", *BETWEEN_STAGES[1:])
"""Stages that launch nothing there, as far as is known: an evaluation does."""


@dataclass(frozen=True)
class DeviceUse:
    """Parts of the time of steps, 0 to 1.

    Attributes:
        steps: How many were timed.
        busy: The device has work.
        idle: Row -> it has none, and the host is in that row, which gives it none.
        follows: It does at once what the host gives it: it may idle in between.
    """

    steps: int
    busy: float
    idle: Mapping[str, float]
    follows: float

    @property
    def idles(self) -> float:
        """All of `idle`."""
        return sum(self.idle.values())


def sites_aside(recording: Recording) -> dict[str, frozenset[int]]:
    """Cause -> sites of the target's own process at which it waits for that."""
    own = recording.sites[recording.sites["pid"] == recording.facts.pid]
    numbers = own.groupby("kind")["site"]
    return {
        kind: frozenset(sites.tolist())
        for kind, sites in numbers
        if kind in WAITS_ASIDE
    }


def device_use(
    recording: Recording, trainer: int, segments: pd.DataFrame, lines: pd.DataFrame
) -> DeviceUse | None:
    """None where no accelerator was timed.

    Args:
        recording: With the steps in which it was.
        trainer: The thread.
        segments: Its own.
        lines: The table `rows`.
    """
    steps = [s for s in recording.facts.device if s["tid"] == trainer and s["times"]]
    ordered = segments.sort_values("start_ns")
    nothing = {*GIVES_NOTHING, *lines.loc[lines["side"] == "input", "row"]}
    sums: Counter[tuple[str, str]] = Counter()
    for step in steps:
        host, there = np.array(step["times"], np.int64).reshape(-1, 2).T
        behind = there - host
        behind = behind - behind.min()
        index = holding(*bounds(ordered), (host[:-1] + host[1:]) // 2)
        rows = np.where(index >= 0, ordered["stage"].to_numpy(object)[index], "")
        near = (behind[:-1] < CAUGHT_UP_NS) & (behind[1:] < CAUGHT_UP_NS)
        for row, took, follows in zip(rows, np.diff(there), near, strict=True):
            kind = "idle" if row in nothing else "follows" if follows else "busy"
            sums[kind, str(row)] += max(int(took), 0)
    total = sum(sums.values())
    if not total:
        return None
    part: Counter[str] = Counter()
    for (kind, _), took in sums.items():
        part[kind] += took
    idle = {row: ns / total for (kind, row), ns in sums.items() if kind == "idle"}
    return DeviceUse(len(steps), part["busy"] / total, idle, part["follows"] / total)
