"""What is counted and not sampled: collections, page faults, time stopped by a quota.

Collections are told by Python with their times, so they are laid on a thread's rows
exactly. Of page faults the kernel counts how many, tick by tick, and the thread's time
in the kernel by clock ticks. Faults are laid on the rows that a tick overlaps by the
rates that make all counts likeliest, and take what faults cost on this machine, but no
more than the time in the kernel: what is not shown to be faults stays `native`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from debottleneck.analysis.attribution import Counted, ratio, sums
from debottleneck.analysis.frames import Flags, Floats, Ints, bounds, holding, of_thread
from debottleneck.analysis.timeline import Lookup
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import EVERY_THREAD

DEARER = 2.0
"""A fault may cost so many times as much as here: caches are cold, threads that share
an address space wait for each other. The time in the kernel is the nearer bound."""

ROUNDS = 20
"""Rates hardly change any more after so many (Richardson 1972, Lucy 1974)."""

MANY_TIMES = 8
"""A young collection that takes so many times as long as the usual one was kept from
its core: a young generation is of much the same size each time."""


@dataclass(frozen=True)
class ThreadCounts:
    """The counts of one thread, tables in order of time.

    Attributes:
        collections: Its rows of that table.
        counters: Likewise; they grew from `start_ns` to `end_ns`, and `delay_ns` is
            how long the quota stopped the thread.
        price_ns: What a page fault costs here, 0 if unknown.
    """

    collections: pd.DataFrame
    counters: pd.DataFrame
    price_ns: float

    @classmethod
    def of(
        cls, recording: Recording, pid: int, tid: int, waits: pd.DataFrame
    ) -> ThreadCounts:
        """Of one thread, with its rows of `waits` in order of time."""
        collections = _on_core(of_thread(recording.collections, pid, tid))
        counters = of_thread(recording.counters, pid, tid).sort_values("t_ns")
        names = {"t_ns": "end_ns", "throttled_ns": "delay_ns"}
        counters = counters.rename(columns=names)
        start, end = waits["start_ns"].to_numpy(np.int64), counters["end_ns"]
        tick = np.searchsorted(start, end - 1, side="right") - 1
        since = start[tick] if len(start) else end
        counters = counters.assign(start_ns=np.minimum(since, end))
        return cls(collections, counters, _price(recording))

    def collecting(self, times: Ints) -> Flags:
        """Whether the thread was in a collection at each time."""
        return np.asarray(holding(*bounds(self.collections), times) >= 0)

    def on_grid(self, lookup: Lookup, step_of_segment: Ints, steps: int) -> Counted:
        """Laid on steps and rows.

        Args:
            lookup: The thread's segments.
            step_of_segment: For each its row on the grid, -1 for none.
            steps: Rows of the grid.
        """
        count = len(lookup.rows)

        def summed(segment: Ints, amount: Floats) -> Floats:
            step = step_of_segment[segment]
            cell = step * count + lookup.stage[segment]
            inside = step >= 0
            return sums(cell[inside], amount[inside], steps * count).reshape(-1, count)

        start, end = bounds(self.collections)
        number, segment, length = lookup.overlaps(start, end)
        busy = self.collections["cpu_ns"].to_numpy() / np.maximum(end - start, 1)
        gc = summed(segment, length * busy[number])
        last = lookup.index(self.counters["end_ns"].to_numpy(np.int64) - 1)
        grown = self.counters[np.append(step_of_segment, -1)[last] >= 0]
        number, segment, length = lookup.overlaps(*bounds(grown))
        counted = _faults(grown)
        share = _likeliest(counted, number, segment, length, lookup, step_of_segment)
        faults = summed(segment, counted[number] * share)
        return Counted(gc, faults * self._fault_ns(grown, np.ones(len(grown))))

    def by_row(
        self, ticks: Ints, row: Ints, weight: Callable[[Ints, Ints], Floats], count: int
    ) -> Counted:
        """Laid on rows alone, each where it ended, as far as it counts.

        Args:
            ticks: Ends of the thread's samples, ascending; there is one.
            row: What it was doing at each.
            weight: Starts and ends -> the part of each interval that counts.
            count: How many rows there are.
        """

        def summed(table: pd.DataFrame, amount: Floats) -> Floats:
            tick = np.searchsorted(ticks, table["end_ns"].to_numpy(np.int64))
            return sums(row[np.minimum(tick, len(row) - 1)], amount, count)[None]

        part = weight(*bounds(self.collections))
        gc = summed(self.collections, self.collections["cpu_ns"].to_numpy() * part)
        part = weight(*bounds(self.counters))
        faults = summed(self.counters, _faults(self.counters) * part)
        return Counted(gc, faults * self._fault_ns(self.counters, part))

    def _fault_ns(self, grown: pd.DataFrame, weight: Floats) -> float:
        """What a fault took: its price, but all no more than the time in the kernel."""
        total = float((_faults(grown) * weight).sum())
        system = float((grown["system_ns"].to_numpy() * weight).sum())
        most = DEARER * self.price_ns
        return min(most, system / total) if total > 0 else 0.0


def _on_core(collections: pd.DataFrame) -> pd.DataFrame:
    """With `cpu_ns` of young ones, told by the wall clock: some lost their core."""
    young = collections["generation"] == 0
    usual = collections.loc[young, "cpu_ns"].median()
    most = collections["cpu_ns"].clip(upper=MANY_TIMES * usual)
    cpu = collections["cpu_ns"].where(~young, most)
    return collections.assign(cpu_ns=cpu).sort_values("start_ns")


def _faults(grown: pd.DataFrame) -> Floats:
    counts: Floats = (grown["minor"] + grown["major"]).to_numpy(np.float64)
    return counts


def _price(recording: Recording) -> float:
    """The mean price of a fault, by how many brought a huge page while it was measured.

    Nobody says which process had those: they are taken for the run's.
    """
    sampler = recording.facts.rates.get("sampler", {})
    usual, huge = sampler.get("fault_ns", 0.0), sampler.get("huge_fault_ns", 0.0)
    counters, first = recording.counters, recording.marks["t_ns"].min()
    counters = counters[~(counters["t_ns"] <= first)]  # all where nothing is marked
    of_all = counters["tid"] == EVERY_THREAD
    number = float(counters.loc[of_all, "minor"].sum())
    total = float(counters.loc[~of_all, ["minor", "major"]].to_numpy().sum())
    return float(usual + huge * min(number / total, 1.0)) if total > 0 else 0.0


def _likeliest(
    amount: Floats,
    number: Ints,
    segment: Ints,
    length: Floats,
    lookup: Lookup,
    step_of_segment: Ints,
) -> Floats:
    """The part of each interval's amount that belongs to each segment it overlaps.

    Where amounts are drawn at a rate that each row of the loop has while it is on a
    core, these are the likeliest rates.

    Args:
        amount: (intervals,) what was counted.
        number: (overlaps,) the interval of each.
        segment: (overlaps,) its segment.
        length: (overlaps,) nanoseconds that both share.
        lookup: The segments.
        step_of_segment: -1 for those that do not count.
    """
    wall = np.maximum(lookup.end - lookup.start, 1)
    cpu = lookup.table["cpu_ns"].to_numpy(np.float64)
    stage, count = lookup.stage[segment], len(lookup.rows)
    counts = step_of_segment >= 0
    exposed = sums(lookup.stage[counts], cpu[counts], count)
    core, rate = length * (cpu / wall)[segment] + 1.0, np.ones(count)
    for _ in range(ROUNDS):
        weight = core * rate[stage]
        share = ratio(weight, sums(number, weight, len(amount))[number])
        rate = ratio(sums(stage, share * amount[number], count), exposed)
    return share
