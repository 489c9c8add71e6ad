"""Stage x cause: split exact times by what the wait sampler saw. Time is conserved.

For the trainer each step's stage has an exact wall time W and CPU time C from the
marks. C is divided into `python` and `native` by the share of on-CPU samples in
which the thread held the GIL. The rest, W - C, gives first the run-queue delay,
exact per tick from schedstat and laid on the segments whose CPU clock shows the
loss; what remains is divided among the causes that samples saw in that step's
stage, drawn towards the stage's overall mix where a step has few. What samples do
not support stays `unattributed`.

Other threads have no marks everywhere, so wall, on-CPU and delay come from
schedstat tick by tick.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from debottleneck.analysis.frames import Flags, Floats, Ints, bounds
from debottleneck.analysis.timeline import Lookup
from debottleneck.recording.spool import STATES
from debottleneck.words import CAUSES

CAUSE = {name: number for number, name in enumerate(CAUSES)}
RUNNING = STATES.index("running")
CAUSE_OF_STATE = np.array([CAUSE.get(name, -1) for name in STATES])
"""State number -> cause number, -1 for running."""

PRIOR_NS = 10e6
"""A step's own samples outweigh its stage's overall mix beyond this much time."""

QUEUED_NS = 1e6
"""Delay that a tick later shows to have been possible at the sample itself: the
thread may have been queued then, after waking and before it took the GIL again."""

QUEUED_WEIGHT = 0.1
"""Weight of such a sample where the GIL's holder is concerned."""

HIDDEN_NS = 150e3
"""What a wait may have lost before a sample shows it. A sampler that wakes on the
thread's own idling core does so some 50 to 100 us late, and reads 10 us later what
the thread does; measured: 50 to 170 us of each wait were missing."""

CONSERVED_WITHIN = 1e-6


@dataclass(frozen=True)
class Counted:
    """What was counted of one thread, nanoseconds on a core, shaped as its walls.

    Attributes:
        gc: In garbage collections.
        memory: In page faults.
    """

    gc: Floats
    memory: Floats


NOTHING = Counted(np.zeros(()), np.zeros(()))


@dataclass(frozen=True)
class Samples:
    """What the samples of one thread say, on a grid of steps x stages.

    "Stages" are all rows of the recording here (`rows.Rows`).

    Attributes:
        blocked: (steps, stages, causes) nanoseconds seen waiting.
        seen: (steps, stages) nanoseconds that samples stand for.
        held: (steps, stages) on-CPU weight with the GIL held.
        ran: (steps, stages) on-CPU weight in all.
        delay: (steps, stages) run-queue delay.
        stopped: (steps, stages) the part of it that the CPU quota took.
        count: (stages,) number of samples.
        slices: (stages,) times the thread was given a core: waits that ended.
        reads_gil: False when the holder could not be read.
    """

    blocked: Floats
    seen: Floats
    held: Floats
    ran: Floats
    delay: Floats
    stopped: Floats
    count: Floats
    slices: Floats
    reads_gil: bool

    @property
    def usual(self) -> Floats:
        """Shape (stages,): the part of each stage that samples saw waiting."""
        return ratio(self.blocked.sum(axis=(0, 2)), self.seen.sum(axis=0))


def ratio(part: Floats, total: Floats, otherwise: float = 0.0) -> Floats:
    """The part of each total, `otherwise` where the total is not positive."""
    ratios: Floats = np.full(np.broadcast_shapes(part.shape, total.shape), otherwise)
    np.divide(part, total, out=ratios, where=total > 0)
    return ratios


def sums(cells: Ints, weights: Floats | None = None, minlength: int = 0) -> Floats:
    """Sum of weights (or count) in each cell, as `numpy.bincount`, always float."""
    return np.bincount(cells, weights, minlength).astype(np.float64)


def split(
    wall: Floats, cpu: Floats, samples: Samples | None, counted: Counted = NOTHING
) -> Floats:
    """Causes of each step's stage.

    Args:
        wall: (steps, stages) exact nanoseconds.
        cpu: (steps, stages) exact thread CPU time.
        samples: None when nothing was sampled.
        counted: What was counted, as far as it fits in the CPU time.

    Returns:
        (steps, stages, causes), summing over causes to `wall`.
    """
    result = np.zeros((*wall.shape, len(CAUSES)))
    cpu = np.minimum(cpu, wall)
    off = wall - cpu
    for cause, amount in (("gc", counted.gc), ("memory", counted.memory)):
        result[..., CAUSE[cause]] = np.minimum(amount, cpu)
        cpu = cpu - result[..., CAUSE[cause]]
    if samples is None:
        result[..., CAUSE["unattributed"]] = off + cpu
        return result
    _split_on_cpu(result, cpu, samples)
    delay = _fitted(samples.delay, off, wall * samples.usual)
    stopped = np.minimum(samples.stopped, delay)
    result[..., CAUSE["throttle"]] += stopped
    result[..., CAUSE["runqueue"]] += delay - stopped
    _split_waiting(result, wall, off - delay, samples)
    check_conserved(result, wall)
    return result


def check_conserved(causes: Floats, wall: Floats) -> None:
    """Causes add up to the stage, or this is a bug that must not be reported."""
    off = np.abs(causes.sum(axis=-1) - wall)
    if wall.size and off.max() > CONSERVED_WITHIN * max(wall.max(), 1.0):
        raise AssertionError("causes do not add up to their stage")


def _split_on_cpu(result: Floats, cpu: Floats, samples: Samples) -> None:
    ran = samples.ran.sum(axis=0)
    if not samples.reads_gil:
        result[..., CAUSE["unattributed"]] += cpu
        return
    overall = ratio(samples.held.sum(axis=0), ran)
    share = (samples.held + PRIOR_NS * overall) / (samples.ran + PRIOR_NS)
    seen = ran > 0
    result[..., CAUSE["python"]] += np.where(seen, cpu * share, 0.0)
    result[..., CAUSE["native"]] += np.where(seen, cpu * (1 - share), 0.0)
    result[..., CAUSE["unattributed"]] += np.where(seen, 0.0, cpu)


def _fitted(delay: Floats, off: Floats, blocked: Floats) -> Floats:
    """The delay, no more in any cell than its off-CPU time.

    A tick may straddle cells; what was laid on one too many goes where off-CPU time
    is left that no sample explains, so that the total, which is exact, is kept.
    """
    fitted = np.minimum(delay, off)
    excess = float((delay - fitted).sum())
    spare = np.maximum(off - fitted - blocked, 0.0)
    total = float(spare.sum())
    return fitted + spare * min(excess / total, 1.0) if total > 0 else fitted


def _split_waiting(
    result: Floats, wall: Floats, waiting: Floats, samples: Samples
) -> None:
    """Divide off-CPU time without run-queue delay among the causes seen."""
    pooled = samples.blocked.sum(axis=0)
    total = pooled.sum(axis=-1)
    mix = ratio(pooled, total[:, None])
    own = samples.blocked.sum(axis=-1) + PRIOR_NS
    supported = _supported(wall, waiting, samples)
    explained = waiting * supported / own
    for cause in np.flatnonzero(pooled.sum(axis=0)):
        seen = samples.blocked[..., cause] + PRIOR_NS * mix[:, cause]
        result[..., cause] += explained * seen
    missing = 1.0 - supported * (total > 0)
    result[..., CAUSE["unattributed"]] += waiting * missing


def _supported(wall: Floats, waiting: Floats, samples: Samples) -> Floats:
    """Shape (stages,): the part of the waiting that samples can account for.

    They are given their sampling error, three standard deviations, and of every
    wait the part that a sample cannot show.
    """
    share = samples.usual
    count = np.maximum(samples.count, 1)
    error = 3 * np.sqrt(np.maximum(share * (1 - share), 1 / count) / count)
    hidden = HIDDEN_NS * samples.slices
    could_be = wall.sum(axis=0) * np.minimum(share + error, 1.0) + hidden
    could_be *= share > 0
    return np.minimum(ratio(could_be, waiting.sum(axis=0), 1.0), 1.0)


def gather(
    rows: pd.DataFrame,
    lookup: Lookup,
    step_of_segment: Ints,
    steps: int,
    stopped: pd.DataFrame | None = None,
    collecting: Flags | None = None,
) -> Samples:
    """Lay one thread's samples on the grid of quiet steps and stages.

    Args:
        rows: The thread's rows of the table `waits`.
        lookup: Its segments.
        step_of_segment: For each segment its row on the grid, -1 for none.
        steps: Rows of the grid.
        stopped: Of them what the CPU quota took, as rows of that table.
        collecting: (rows,) which were taken in a garbage collection.
    """
    segment = lookup.index(rows["end_ns"].to_numpy(np.int64) - 1)
    step = np.append(step_of_segment, -1)[segment]  # -1 is in none: the last
    kept = step >= 0
    shape = steps, len(lookup.rows)
    cell = step[kept] * shape[1] + lookup.stage[segment[kept]]
    weight = np.ones(len(cell))
    on_core = _on_core(rows, collecting)[kept]
    samples = _on_grid(rows[kept], cell, weight, on_core, shape)
    samples = replace(samples, reads_gil=_reads_gil(rows))
    delay = _lay_delay(rows, lookup, step_of_segment, samples)
    if stopped is not None:
        laid = _lay_delay(stopped, lookup, step_of_segment, samples)
        samples = replace(samples, stopped=laid)
    return replace(samples, delay=delay)


def _on_grid(
    rows: pd.DataFrame,
    cell: Ints,
    weight: Floats,
    on_core: Floats,
    grid: tuple[int, int],
) -> Samples:
    """Sum samples in their cells, the run-queue delay where it was booked.

    Args:
        rows: Of the table `waits`.
        cell: (rows,) step times the number of stages plus stage.
        weight: (rows,) the part of each row that counts.
        on_core: (rows,) from `_on_core`.
        grid: Number of steps and of stages.
    """
    start, end = bounds(rows)
    length = (end - start) * weight
    state = rows["state"].to_numpy(np.int64)
    holds = (rows["holder"] == rows["tid"]).to_numpy()
    waits = state != RUNNING
    ran = np.where(waits, 0.0, on_core * weight)
    place = cell[waits] * len(CAUSES) + CAUSE_OF_STATE[state[waits]]
    stages, cells = grid[1], grid[0] * grid[1]
    blocked = sums(place, length[waits], cells * len(CAUSES))
    stage = cell % stages
    return Samples(
        blocked=blocked.reshape(*grid, len(CAUSES)),
        seen=sums(cell, length, cells).reshape(grid),
        held=sums(cell, ran * holds, cells).reshape(grid),
        ran=sums(cell, ran, cells).reshape(grid),
        delay=sums(cell, rows["delay_ns"].to_numpy() * weight, cells).reshape(grid),
        stopped=np.zeros(grid),
        count=sums(stage[weight > 0], minlength=stages),
        slices=sums(stage, rows["slices"].to_numpy() * weight, stages),
        reads_gil=_reads_gil(rows),
    )


def _reads_gil(rows: pd.DataFrame) -> bool:
    return bool((rows["holder"] >= 0).any())


def _on_core(rows: pd.DataFrame, collecting: Flags | None = None) -> Floats:
    """Time on a core that each running sample stands for, collections aside.

    Its tick less the tick's run-queue delay; less again if the thread may have been
    queued at the sample itself, which is booked in the tick after. A tick's own
    on-CPU time says less: the kernel books it late, and much of it may have passed
    before what the sample shows.
    """
    length = (rows["end_ns"] - rows["start_ns"]).to_numpy(np.float64)
    delay = rows["delay_ns"].to_numpy(np.float64)
    later = np.append(delay[1:], 0.0)[: len(rows)]
    sure = np.maximum(1.0 - later / QUEUED_NS, QUEUED_WEIGHT)
    result: Floats = np.maximum(length - delay, 0.0) * sure
    return result if collecting is None else result * ~collecting


def _lay_delay(
    rows: pd.DataFrame, lookup: Lookup, step_of_segment: Ints, samples: Samples
) -> Floats:
    """Each tick's run-queue delay, on the segments it overlaps.

    The kernel books a delay when it ends, so one longer than its tick reaches back.
    It goes to segments in proportion to their off-CPU time, by the thread's exact
    clock, that is not explained by the stage's usual waiting.
    """
    delayed = rows[rows["delay_ns"] > 0]
    if delayed.empty or not len(lookup.start):
        return np.zeros_like(samples.seen)
    booked = delayed["end_ns"] - delayed["delay_ns"]
    start = np.minimum(delayed["start_ns"], booked).to_numpy(np.int64)
    tick, segment, length = lookup.overlaps(start, bounds(delayed)[1])
    weight = length * _unexplained(lookup, samples.usual)[segment]
    share = ratio(weight, sums(tick, weight, len(delayed))[tick])
    delay = share * delayed["delay_ns"].to_numpy(np.float64)[tick]
    step = step_of_segment[segment]
    inside = step >= 0
    cell = step[inside] * len(lookup.rows) + lookup.stage[segment[inside]]
    cells = samples.seen.size
    return sums(cell, delay[inside], cells).reshape(samples.seen.shape)


def _unexplained(lookup: Lookup, usual: Floats) -> Floats:
    """Each segment's off-CPU share beyond its stage's blocked share, at least 2 %."""
    wall = (lookup.end - lookup.start).astype(np.float64)
    off = 1.0 - lookup.table["cpu_ns"].to_numpy(np.float64) / np.maximum(wall, 1)
    result: Floats = np.maximum(off - usual[lookup.stage], 0.02)
    return result


def by_schedstat(
    rows: pd.DataFrame,
    stages: Ints,
    weight: Floats,
    count: int,
    counted: Counted = NOTHING,
    stopped: float = 0.0,
) -> Floats:
    """Causes of a thread without a grid of steps, from its ticks alone.

    A tick's on-CPU time may have passed in the stage before the one it ends in, so
    only the thread's totals are exact. They are laid on the stages by what samples
    saw there: on-CPU time by running ones, waiting by waiting ones.

    Args:
        rows: The thread's rows of the table `waits`.
        stages: (rows,) stage number of each.
        weight: (rows,) the part of each row that counts, 0 to 1.
        count: How many stages there are.
        counted: Of the thread, (1, stages).
        stopped: Nanoseconds that the CPU quota took of the thread's wait for a core.

    Returns:
        (stages, causes) nanoseconds, summing to the thread's time.
    """
    samples = _on_grid(rows, stages, weight, _on_core(rows), (1, count))
    columns = (rows["end_ns"] - rows["start_ns"], rows["oncpu_ns"], rows["delay_ns"])
    total, oncpu, delay = (float((c.to_numpy() * weight).sum()) for c in columns)
    on_core = min(oncpu, total)
    queued = min(delay, total - on_core)
    cpu = _laid(on_core, samples.ran, samples.seen)
    off = _laid(queued, samples.delay, samples.seen)
    waited = samples.blocked.sum(axis=-1)
    wall = cpu + off + _laid(total - on_core - queued, waited, samples.seen)
    quota = off * min(stopped / queued, 1.0) if queued > 0 else off
    samples = replace(samples, delay=off, stopped=quota)
    result: Floats = split(wall, cpu, samples, counted)[0]
    return result


def _laid(total: float, seen: Floats, otherwise: Floats) -> Floats:
    """A thread's total on its stages, as seen there; where nothing was, by length."""
    weights = seen if seen.sum() > 0 else otherwise
    return ratio(weights, weights.sum()) * total
