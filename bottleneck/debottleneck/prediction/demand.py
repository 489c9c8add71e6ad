"""What each step of a recording asks for: Python, native code, waiting; call by call.

The quiet steps' segments are gathered into outermost calls of stages and the gaps
between them, in order. A segment's CPU time is exact; it is divided into Python and
native code by its stage's share, and what it spent off a core by its stage's causes.
Waiting for the GIL and for a core is left out: the simulation brings forth its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.analysis.attribution import ratio, sums
from debottleneck.analysis.frames import (
    Floats,
    Ints,
    bounds,
    holding,
    of_thread,
    quiet_steps,
)
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.rows import RowNames
from debottleneck.analysis.steps import with_stages
from debottleneck.analysis.timeline import Lookup, marks_by_thread
from debottleneck.analysis.trainer import frequencies
from debottleneck.prediction.planned import functions_of, lines_at, plans_of
from debottleneck.recording.loop import BETWEEN, Marks, outermost
from debottleneck.recording.spool import BURST_READS, ENTER, LEAVE, STATES
from debottleneck.recording.tables import LONGEST_NS
from debottleneck.strategies.rewriting.plan import Plan

OUTSIDE = ("disk", "network", "ipc", "sleep", "unattributed")
"""Waits for something that is not a thread of this loop."""

LIKE = {
    **{"gc": "python", "memory": "native", "throttle": "runqueue"},
    **dict.fromkeys(("device", "collective"), "sleep"),
}
"""What is counted, and what a simulation takes it for."""

MOST_STEPS = 400
"""Steps that are replayed, picked from more."""

PRIOR_NS = 200e3
"""Burst readings of a stage outweigh those of all stages beyond this much time."""

MOST_SEEN = 0.95
"""Releases seen, of those that readings of no correlation would show: beyond this
they come too fast to be counted."""

RUNNING = STATES.index("running")
FEWEST_SHARE = 0.02
"""A thread that does less than this of the time makes no batches."""

MOST_IDLE = 0.15
"""Nor does one that has nothing to do for so long while the trainer waits."""


@dataclass(frozen=True)
class Part:
    """An outermost call of a stage, or a row's code between two calls.

    Attributes:
        stage: A word of `words.STAGES`, or the name of a line's row.
        name: What is called, or which opened function of the user's it is of; else "".
        python: Nanoseconds on a core with the GIL.
        native: Without it.
        outside: Waiting for something that is no thread of the loop.
        lock: Waiting for another thread.
        releases: How many times it gives the GIL up.
        line: Of the loop's own statement that it lies in, 0 if that is not known.
        takes: Whether it takes what other threads make, if any do.
    """

    stage: str
    name: str
    python: float
    native: float
    outside: float
    lock: float
    releases: float
    line: int = 0
    takes: bool = False

    @property
    def work(self) -> float:
        """Nanoseconds on a core."""
        return self.python + self.native

    @property
    def length(self) -> float:
        """Nanoseconds that it takes by itself."""
        return self.work + self.outside + self.lock


@dataclass(frozen=True)
class Producer:
    """A thread that makes the trainer's batches: its work for one of them.

    Attributes:
        work: As a part of a step.
        apart: Whether it lives in a process of its own.
    """

    work: Part
    apart: bool


@dataclass(frozen=True)
class Demand:
    """A loop, ready to be replayed.

    Attributes:
        steps: The parts of each step, in order.
        step_ns: Measured mean of the quiet steps.
        producers: Threads and processes that make batches.
        plans: What strategies would do with it; of a loop within it the line of its
            piece is that of the statement that the loop is in.
        python_known: False where `python` and `native` could not be told apart.
    """

    steps: tuple[tuple[Part, ...], ...]
    step_ns: float
    producers: tuple[Producer, ...] = ()
    plans: tuple[Plan, ...] = ()
    python_known: bool = True

    @property
    def parts(self) -> list[Part]:
        """Those of all steps."""
        return [part for step in self.steps for part in step]


def fraction(parts: Sequence[Part], amounts: Iterable[float]) -> float:
    """What these amounts are of the time that the parts take."""
    total = sum(part.length for part in parts)
    return sum(amounts) / total if total else 0.0


@dataclass(frozen=True)
class _Mix:
    """Of each row, by number: shares of on-CPU and of off-CPU time, releases."""

    python: Floats
    outside: Floats
    lock: Floats
    rate: Floats
    known: bool
    rows: RowNames


def demand_of(analysis: Analysis) -> Demand | None:
    """The loop of an analysis; None when it has no steps to replay."""
    if not analysis.loop.found or analysis.causes.empty:
        return None
    recording, trainer = analysis.recording, analysis.loop.trainer_tid
    key = (recording.facts.pid, trainer)
    own = of_thread(recording.marks, *key)
    threads = marks_by_thread(replace(recording, marks=own))
    if key not in threads:
        return None
    mix = _mix(analysis)
    steps = _taking(_steps(analysis, threads[key][0], mix))
    if not steps:
        return None
    return Demand(
        steps=steps,
        step_ns=analysis.loop.step_ms * 1e6,
        producers=_producers(analysis, mix, steps),
        plans=plans_of(recording),
        python_known=mix.known,
    )


def _taking(steps: Sequence[Sequence[Part]]) -> tuple[tuple[Part, ...], ...]:
    """The steps, with what takes from other threads: loads, else the long waits."""
    loads = any(part.stage == "load" for step in steps for part in step)
    found = []
    for step in steps:
        most = max(part.lock for part in step)
        least = max(most, FEWEST_SHARE * sum(part.length for part in step))
        found.append(
            tuple(
                replace(p, takes=p.stage == "load" if loads else p.lock >= least)
                for p in step
            )
        )
    return tuple(found)


def _mix(analysis: Analysis) -> _Mix:
    rows = RowNames.of(analysis.rows)
    grid = np.zeros((len(rows), 10))
    own = analysis.causes[analysis.causes["role"] == "trainer"]
    causes = ["python", "native", *OUTSIDE, "lock", "gil", "runqueue"]
    column = {cause: number for number, cause in enumerate(causes)}
    for row in own.itertuples(index=False):
        cause = LIKE.get(row.cause, row.cause)
        grid[rows.number[row.stage], column[cause]] += row.ms_per_step
    on_core, off = grid[:, :2].sum(axis=1), grid[:, 2:].sum(axis=1)
    sampled = bool(on_core.sum() > 0)
    python = ratio(grid[:, 0], on_core, _total(grid[:, 0], on_core))
    return _Mix(
        python,
        ratio(grid[:, 2:7].sum(axis=1), off),
        ratio(grid[:, 7], off),
        _releases(analysis, rows),
        sampled,
        rows,
    )


def _total(part: Floats, total: Floats) -> float:
    return float(part.sum() / total.sum()) if total.sum() > 0 else 0.5


def _releases(analysis: Analysis, rows: RowNames) -> Floats:
    """Times the GIL is given up, a nanosecond on a core, by stage.

    A stage that bursts hardly met has the rate of all stages together.
    """
    recording = analysis.recording
    bursts = recording.bursts[recording.bursts["pid"] == recording.facts.pid]
    own = of_thread(analysis.segments, recording.facts.pid, analysis.loop.trainer_tid)
    if bursts.empty or own.empty:
        return np.zeros(len(rows))
    at = bursts["t_ns"].to_numpy(np.int64)
    index = Lookup(own, rows)
    places = index.index(at)
    counted = (places >= 0) & _runs(analysis, at)
    stage = index.stage[np.maximum(places, 0)][counted]
    spans = bursts["span_ns"].to_numpy(np.float64)[counted]
    times = bursts["releases"].to_numpy(np.float64)[counted]
    held = bursts["held"].to_numpy(np.float64)[counted] / BURST_READS
    span = sums(stage, spans, len(rows))
    count = sums(stage, times, len(rows))
    seen = sums(stage, minlength=len(rows))
    share = ratio(sums(stage, held, len(rows)), seen)
    rate = ratio(count * _missed(count, share, seen), span)
    typical = float((rate * span).sum() / span.sum()) if span.sum() > 0 else 0.0
    return np.asarray((rate * span + typical * PRIOR_NS) / (span + PRIOR_NS))


def _missed(count: Floats, share: Floats, bursts: Floats) -> Floats:
    """By what to multiply releases seen, as some fall between two readings.

    Of a process that goes on and off at random, on for `p` of the time, readings in a
    row differ from on to off with probability p (1 - p) (1 - exp(-x)), where x
    p (1 - p) changes from on to off happen in truth.
    """
    chance = share * (1 - share)
    seen = ratio(count, bursts * (BURST_READS - 1) * chance)
    seen = np.clip(seen, 0.0, MOST_SEEN)
    return np.where(seen > 0, -np.log1p(-seen) / np.where(seen > 0, seen, 1.0), 1.0)


def _runs(analysis: Analysis, at: Ints) -> NDArray[np.bool_]:
    """Whether the trainer's sample of that tick shows it running."""
    recording = analysis.recording
    own = of_thread(recording.waits, recording.facts.pid, analysis.loop.trainer_tid)
    own = own.sort_values("end_ns")
    ends = own["end_ns"].to_numpy(np.int64)
    if not len(ends):
        return np.ones(len(at), np.bool_)
    place = np.minimum(np.searchsorted(ends, at), len(ends) - 1)
    state: NDArray[np.bool_] = own["state"].to_numpy(np.int64)[place] == RUNNING
    return state


def _steps(analysis: Analysis, marks: Marks, mix: _Mix) -> tuple[tuple[Part, ...], ...]:
    pid = analysis.recording.facts.pid
    own = of_thread(analysis.segments, pid, analysis.loop.trainer_tid)
    own = own.sort_values("start_ns")
    places, copies = _drawn(analysis, own, mix.rows)
    quiet = quiet_steps(analysis.steps).iloc[places]
    begin = own["start_ns"].to_numpy(np.int64)
    step = holding(*bounds(quiet), begin)
    own, begin, step = own[step >= 0], begin[step >= 0], step[step >= 0]
    unit, enter, site = _units(marks, begin)
    stages = mix.rows.numbers(own["stage"])
    row = np.where((unit % 2 == 0) | np.isin(stages, BETWEEN), stages, -1)
    line = lines_at(analysis.recording, marks, begin)
    changes = (np.diff(c, prepend=-2) != 0 for c in (step, unit, row, line))
    new = np.flatnonzero(np.logical_or.reduce(list(changes)))
    amounts = _amounts(own, mix, new)
    sites = analysis.recording.sites
    sites = sites[sites["pid"] == pid]
    names = dict(zip(sites["site"], sites["name"], strict=True))
    opened = functions_of(analysis.rows, sites)
    parts_by_step: list[list[Part]] = [[] for _ in range(len(quiet))]
    for place, first in enumerate(new.tolist()):
        outer = unit[first] // 2
        is_call = row[first] < 0
        stage = str(mix.rows.names[enter[outer] if is_call else row[first]])
        name = str(names.get(site[outer], "")) if is_call else opened.get(stage, "")
        parts_by_step[step[first]].append(
            Part(stage, name, *amounts[place], line=int(line[first]))  # type: ignore[arg-type,misc] # five numbers
        )
    return tuple(
        tuple(parts)
        for parts, times in zip(parts_by_step, copies.tolist(), strict=True)
        for _ in range(times)
        if parts
    )


def _drawn(analysis: Analysis, own: pd.DataFrame, rows: RowNames) -> tuple[Ints, Ints]:
    """Which of the quiet steps, and how many times each: rare work as often as done."""
    within = with_stages(analysis.steps, own)[1]
    _, weights = frequencies(analysis.steps, within, rows)
    count = min(len(weights), MOST_STEPS)
    ends = np.cumsum(weights) / weights.sum()
    drawn = np.searchsorted(ends, (np.arange(count) + 0.5) / count)
    return np.unique(drawn, return_counts=True)


def _units(marks: Marks, begin: Ints) -> tuple[Ints, Ints, Ints]:
    """For each segment 2 i + 1 within outermost call i, 2 i between calls.

    Returns:
        The numbers, and of each outermost call its stage and its site.
    """
    outer = outermost(marks)
    entered = outer.edge == ENTER
    leaves = np.append(outer.t[outer.edge == LEAVE], LONGEST_NS)
    entries = outer.t[entered]
    index = np.searchsorted(entries, begin, side="right") - 1
    within = (index >= 0) & (index < len(leaves) - 1)
    within &= begin < leaves[np.clip(index, 0, len(leaves) - 1)]
    unit = np.where(within, 2 * index + 1, 2 * (index + 1))
    return unit, outer.stage[entered], outer.site[entered]


def _amounts(own: pd.DataFrame, mix: _Mix, new: Ints) -> list[tuple[float, ...]]:
    """python, native, outside, lock and releases of each part."""
    if not len(new):
        return []
    stage = mix.rows.numbers(own["stage"])
    cpu = own["cpu_ns"].to_numpy(np.float64)
    off = (own["end_ns"] - own["start_ns"]).to_numpy(np.float64) - cpu
    columns = (
        cpu * mix.python[stage],
        cpu * (1 - mix.python[stage]),
        off * mix.outside[stage],
        off * mix.lock[stage],
        cpu * mix.rate[stage],
    )
    added = [np.add.reduceat(column, new).tolist() for column in columns]
    return list(zip(*added, strict=True))


def _producers(
    analysis: Analysis, mix: _Mix, steps: Sequence[Sequence[Part]]
) -> tuple[Producer, ...]:
    """Loader threads and workers, if the trainer waits for them or takes from them.

    Those that idle although the trainer waits work only when it asks them to: then its
    waits are what there is to know. Where none shows, somebody makes one item a step.
    """
    parts = [part for step in steps for part in step]
    taking = [part for part in parts if part.takes]
    waits = fraction(parts, (part.lock for part in taking))
    threads = analysis.threads
    makers = threads[threads["role"].isin(("loader", "worker"))]
    idle = makers[["lock", "ipc", "runqueue", "throttle", "gil"]].sum(axis=1)
    makers = makers[1 - idle > FEWEST_SHARE]
    asked = makers["lock"] + makers["ipc"] > MOST_IDLE
    if not taking or (waits > FEWEST_SHARE and len(makers) and asked.all()):
        return ()
    if waits > FEWEST_SHARE and makers.empty:
        period = Part("load", "", 0.0, 0.0, analysis.loop.step_ms * 1e6, 0.0, 0.0)
        return (Producer(period, apart=True),)
    count, measured = len(makers), max(analysis.loop.measured, 1)
    producers = []
    for row in makers.to_dict("records"):
        item_ns = row["wall_ms"] * 1e6 * count / measured
        apart = row["pid"] != analysis.recording.facts.pid
        outside = row["disk"] + row["network"] + row["sleep"]
        own = {cause: row[cause] + row[like] for like, cause in LIKE.items()}
        cpu = item_ns * (own["python"] + own["native"])
        rate = mix.rate[mix.rows.number["load"]] * cpu * (row["native"] > FEWEST_SHARE)
        times = item_ns * own["python"], item_ns * own["native"], item_ns * outside
        producers.append(
            Producer(Part("load", str(row["name"]), *times, 0.0, rate), apart)
        )
    return tuple(producers)
