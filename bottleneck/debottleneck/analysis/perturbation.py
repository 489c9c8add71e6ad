"""Time that marks take, taken out of the recording: rows are as without them.

Malony, Reed and Wijshoff, "Performance measurement intrusion and perturbation
analysis", IEEE TPDS 3(4), 1992: what an instrument takes is removed from the times of
events. What lies between the marks that begin an iteration is the agent's own. What
each other mark takes is measured in the run itself, where most iterations are not
marked: marked ones are longer by that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from debottleneck.analysis.frames import Flags, Floats, Ints, bounds, of_thread
from debottleneck.recording.columns import COLUMNS
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import ENTER, LOOP, STEP_END, STEP_START

FEWEST = 30
"""Iterations of each kind, and stretches, that tell what marks take."""

SURE = 4.0
"""It must be so many times its standard error, else the cost of a mark that the agent
measured before the script ran is taken for it."""


def unperturbed(recording: Recording) -> Recording:
    """The same run on a clock that stands still while the trainer makes marks.

    Where rows were delayed on purpose times stay as they are.
    """
    chosen = recording.loops[recording.loops["rank"] == 0]
    chosen = chosen[chosen["pid"] == recording.facts.pid]
    if chosen.empty or recording.facts.delays:
        return recording
    tid = int(chosen["tid"].iloc[0])
    marks = of_thread(recording.marks, recording.facts.pid, tid)
    marks = marks.sort_values("t_ns", kind="stable")
    clock = _clock(recording, marks)
    return recording if clock is None else _on(recording, clock, tid)


@dataclass(frozen=True)
class _Clock:
    """It stops at each `start` and goes on at `end`, in order; both in nanoseconds."""

    start: Ints
    end: Ints

    def at(self, times: Ints) -> Ints:
        """What it shows at these times."""
        stood = np.append(0, np.cumsum(self.end - self.start))
        index = np.searchsorted(self.start, times, side="right")
        still = np.append(0, self.end)[index] - times
        return np.asarray(times - stood[index] + np.maximum(still, 0))


def _clock(recording: Recording, marks: pd.DataFrame) -> _Clock | None:
    """None where nothing is to be taken out."""
    times = marks["t_ns"].to_numpy(np.int64)
    if len(times) < 2:
        return None
    sites = recording.sites[recording.sites["pid"] == recording.facts.pid]
    loops = sites.loc[sites["kind"] == LOOP, "site"]
    loops = loops[loops.isin(marks["site"].unique())]
    own = _own(recording, marks, loops)
    length = np.diff(times)
    each = np.rint(_each_mark(recording, marks, own, loops)[:-1]).astype(np.int64)
    taken = np.where(own[:-1], length, np.clip(length - 1, 0, each))
    starts = times[:-1][taken > 0]
    return _Clock(starts, starts + taken[taken > 0]) if len(starts) else None


def _own(recording: Recording, marks: pd.DataFrame, loops: pd.Series) -> Flags:
    """Whether what follows a mark is the agent's: up to the loop's first statement."""
    sites = recording.sites[recording.sites["pid"] == recording.facts.pid]
    place = sites.groupby(["file", "line"]).ngroup().set_axis(sites["site"])
    here = marks["site"].map(place)
    turns = marks["edge"].isin((STEP_START, STEP_END))
    enters = marks["edge"].shift(-1, fill_value=STEP_START) == ENTER
    return np.asarray(
        marks["site"].isin(loops) & turns & enters & (here.shift(-1) == here)
    )


def _each_mark(
    recording: Recording, marks: pd.DataFrame, own: Flags, loops: pd.Series
) -> Floats:
    """(marks,) nanoseconds that each takes; 0 where each iteration is marked.

    Of a loop those in its marked iterations, loops within it first. By what a marked
    iteration is longer than its marks take in a row, what follows each is slower:
    they have displaced some of the caches.
    """
    cpu = marks["cpu_ns"].to_numpy(np.int64)
    passed = np.append(0, np.cumsum(np.where(own[:-1], 0, np.diff(cpu))))
    alone = (recording.facts.rates.get("mark_pair_us") or 0.0) * 1e3 / 2
    each, left = np.zeros(len(marks)), ~own
    used = np.append(np.diff(passed), 0)
    found = [_iterations(recording, marks, own, site) for site in loops]
    for loop in sorted((f for f in found if f), key=lambda loop: loop.length(passed)):
        taken, others = (np.append(0, np.cumsum(c)) for c in (each, left))
        count = (others[loop.last] - others[loop.first])[: loop.single]
        net = passed[loop.last] - passed[loop.first]
        net = net - (taken[loop.last] - taken[loop.first])
        single, plain = net[: loop.single], net[loop.single :] / loop.count
        longer = single.mean() - plain.mean()
        spread = np.sqrt(single.var() / len(single) + plain.var() / len(plain))
        sure = longer >= SURE * spread and count.any()
        inside = np.zeros(len(marks) + 1, np.int64)
        np.add.at(inside, loop.first[: loop.single], 1)
        np.add.at(inside, loop.last[: loop.single], -1)
        of_it = left & (np.cumsum(inside)[:-1] > 0)
        each[of_it] = alone
        if sure:
            itself = longer / count.mean()
            each[of_it] = itself = min(alone or itself, itself)
            by_marks = itself * count.mean()
            slower = (longer - by_marks) / max(single.mean() - by_marks, 1.0)
            each[of_it] += slower * np.maximum(used[of_it] - itself, 0)
        left &= ~of_it
    return each


@dataclass(frozen=True)
class _Iterations:
    """Of one loop: those that are marked, and stretches of others.

    Attributes:
        first: (single + stretches,) mark that begins each.
        last: Mark that ends it.
        single: How many are one iteration that is marked; they come first.
        count: (stretches,) iterations of the others.
    """

    first: Ints
    last: Ints
    single: int
    count: Ints

    def length(self, passed: Ints) -> float:
        """Of a marked iteration, by that clock."""
        return float((passed[self.last] - passed[self.first])[: self.single].mean())


def _iterations(
    recording: Recording, marks: pd.DataFrame, own: Flags, site: int
) -> _Iterations | None:
    """None where there are too few to compare."""
    codes, edges = marks["site"].to_numpy(), marks["edge"].to_numpy()
    at = np.flatnonzero((codes == site) & np.isin(edges, (STEP_START, STEP_END)))
    first, last = at[:-1], at[1:]
    whole = own[first] & ~_disturbed(recording, marks, first, last)
    count = marks["calls"].to_numpy(np.int64)[last]
    silent = codes[np.minimum(first + 1, len(codes) - 1)] == site
    single = np.flatnonzero(whole & ~silent & (count == 1))
    stretches = np.flatnonzero(whole & silent & (count > 1))
    if min(len(single), len(stretches)) < FEWEST:
        return None
    both = np.append(single, stretches)
    return _Iterations(first[both], last[both], len(single), count[stretches])


def _disturbed(
    recording: Recording, marks: pd.DataFrame, first: Ints, last: Ints
) -> Flags:
    """Whether another instrument was at work between two marks."""
    times = marks["t_ns"].to_numpy(np.int64)
    start, end = (np.sort(edge) for edge in bounds(recording.blocks))
    begun = np.searchsorted(start, times[last], side="left")
    over = np.searchsorted(end, times[first], side="right")
    return np.asarray(begun > over)


def _on(recording: Recording, clock: _Clock, trainer: int) -> Recording:
    """The recording by that clock; of CPU time the trainer's is less."""
    tables = {}
    for name, columns in COLUMNS.items():
        table: pd.DataFrame = getattr(recording, name)
        times = [c for c in columns if c in ("t_ns", "start_ns", "end_ns")]
        if not times or table.empty:
            continue
        stood = {c: table[c] - clock.at(table[c].to_numpy(np.int64)) for c in times}
        less = {}
        if name == "marks":
            less["cpu_ns"] = stood["t_ns"] * (table["tid"] == trainer)
        elif name == "waits":
            passed = stood["end_ns"] - stood["start_ns"]
            passed *= table["tid"] == trainer
            less["oncpu_ns"] = np.minimum(passed, table["oncpu_ns"])
        new = {c: table[c] - taken for c, taken in (stood | less).items()}
        tables[name] = table.assign(**new)
    return replace(recording, **tables)
