"""The trainer's wait for a loader's processes, joined to what those did meanwhile.

Each of the trainer's waiting samples is laid beside all workers at that time. A worker
is at work where it has a stage open, as a fetch opens one; without marks of its own,
where it waits neither for its queue nor for a lock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from debottleneck.analysis.frames import Floats, Ints, bounds, holding, of_thread
from debottleneck.analysis.lives import places_of
from debottleneck.analysis.roles import Roles
from debottleneck.analysis.threads import QuietTime, sample_causes
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import STATES
from debottleneck.words import OTHER

HANDING, STARTING = ASIDE = "handing over", "starting"
"""What the trainer waits for while no worker is at work: batches that are made and on
their way; workers that have not begun."""

_WAITING = tuple(STATES.index(state) for state in ("lock", "ipc"))
_SOCKET = "local socket"
"""What a descriptor is fetched over: the memory of a tensor that a worker has made."""

QUEUED = ("runqueue", "throttle")
"""What keeps work from a core, whatever it is."""

WORK_CAUSES = {"running": "python"}
"""Where it is not known who held the GIL of a worker, its own code ran."""


@dataclass(frozen=True)
class LoaderWork:
    """What the workers of DataLoaders did.

    Attributes:
        workers: How many lived at once.
        wait_ms: Of the trainer for them, a step.
        parts: Of that wait: by the cause that workers at work then had, or HANDING or
            STARTING; sums to 1 where there is a wait.
        alone: The part in which one of several was at work and the others idle.
        made_ms: Their time at work, a step, all workers together, by its cause.
        copied: Page faults of a worker a step, all together.
    """

    workers: int
    wait_ms: float
    parts: Mapping[str, float]
    alone: float
    made_ms: Mapping[str, float]
    copied: float = 0.0

    @property
    def cause(self) -> str:
        """The largest part, all work taken together first; "" without a wait.

        Of work it is that which is done on a core, if any was seen.
        """
        work = {c: part for c, part in self.parts.items() if c not in ASIDE}
        aside = max(ASIDE, key=lambda name: self.parts.get(name, 0.0))
        if self.parts.get(aside, 0.0) > self.at_work:
            return aside
        ranked = sorted(work, key=lambda c: (c in QUEUED, -work[c]))
        return "".join(ranked[:1])

    @property
    def at_work(self) -> float:
        """The part of the wait in which workers make batches, or want a core for it."""
        return sum(part for cause, part in self.parts.items() if cause not in ASIDE)

    @property
    def queued(self) -> float:
        """The part in which they have no core."""
        return sum(self.parts.get(cause, 0.0) for cause in QUEUED)

    @property
    def work_ms(self) -> float:
        """A batch's making, a step, without waits for a core."""
        return sum(ms for cause, ms in self.made_ms.items() if cause not in QUEUED)


@dataclass
class _Worker:
    """A worker's first thread: its samples, and when it was at work.

    Attributes:
        start: Of its samples.
        end: Likewise.
        cause: Of each.
        begin: Of its spans at work; None where it has no marks.
        done: Their ends.
    """

    start: Ints
    end: Ints
    cause: np.ndarray
    begin: Ints | None
    done: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def at(self, times: Ints) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """At each time: whether it lives, has begun, and its cause, "" if idle."""
        index = holding(self.start, self.end, times)
        alive, causes = index >= 0, np.where(index >= 0, self.cause[index], "")
        begun = alive.copy()
        if self.begin is None:
            idle = np.isin(causes, ("lock", "ipc", "unattributed"))
        else:
            idle = holding(self.begin, self.done, times) < 0
            begun &= times >= (self.begin[0] if len(self.begin) else times.max() + 1)
        return alive, begun, np.where(idle, "", causes)


def feeding_of(
    recording: Recording,
    trainer: int,
    segments: pd.DataFrame,
    roles: Roles,
    causes: pd.DataFrame,
    quiet: QuietTime,
) -> LoaderWork | None:
    """None where no DataLoader of the script has workers.

    Args:
        recording: For samples, loaders and processes.
        trainer: Its thread.
        segments: Of all threads.
        roles: Of threads.
        causes: `frames.COLUMNS["causes"]`.
        quiet: What counts.
    """
    pids = {pid for loader in recording.facts.loaders for pid in loader["pids"]}
    workers = [_worker(recording, pid, segments) for pid in sorted(pids)]
    workers = [worker for worker in workers if len(worker.start)]
    if not workers:
        return None
    places = places_of(recording)
    amounts = causes[(causes["stage"] == "load") & (causes["ms_per_step"] > 0)]
    made = amounts[amounts["role"] == "worker"].set_index("cause")["ms_per_step"]
    waited = amounts[amounts["role"] == "trainer"]
    waited = waited[waited["cause"].isin(("lock", "ipc"))]
    parts, alone = _parts(_waits(recording, trainer, segments, quiet), workers)
    return LoaderWork(
        workers=len({places.get(pid, pid) for pid in pids & places.keys()}),
        wait_ms=float(waited["ms_per_step"].sum()),
        parts=parts,
        alone=alone,
        made_ms={str(cause): float(ms) for cause, ms in made.items()},
        copied=_faults(recording, roles, quiet),
    )


def _worker(recording: Recording, pid: int, segments: pd.DataFrame) -> _Worker:
    waits = of_thread(recording.waits, pid, pid).sort_values("start_ns")
    own = of_thread(segments, pid, pid).sort_values("start_ns")
    work = own[own["stage"] != OTHER]
    start, end = bounds(waits)
    causes = pd.Series(sample_causes(waits)).replace(WORK_CAUSES).to_numpy(object)
    marked = bounds(work) if len(own) else (None, np.empty(0, np.int64))
    return _Worker(start, end, causes, *marked)


def _waits(
    recording: Recording, trainer: int, segments: pd.DataFrame, quiet: QuietTime
) -> pd.DataFrame:
    """The samples of it that wait in `load`: `at`, `weight`, whether `handed`."""
    pid = recording.facts.pid
    waits = of_thread(recording.waits, pid, trainer)
    waits = waits[waits["state"].isin(_WAITING)]
    start, end = bounds(waits)
    own = of_thread(segments, pid, trainer).sort_values("start_ns")
    loads = own[own["stage"] == "load"]
    weight = quiet.share(start, end) * (end - start)
    kept = (holding(*bounds(loads), end - 1) >= 0) & (weight > 0)
    what = recording.details.set_index("detail")["what"].to_dict()
    handed = waits["detail"].map(what).fillna("").str.startswith(_SOCKET)
    table = pd.DataFrame({"at": end - 1, "weight": weight, "handed": handed.to_numpy()})
    return table[kept]


def _parts(
    waits: pd.DataFrame, workers: list[_Worker]
) -> tuple[dict[str, float], float]:
    """`LoaderWork.parts` and `alone`."""
    total = float(waits["weight"].sum())
    if total <= 0:
        return {}, 0.0
    times = waits["at"].to_numpy(np.int64)
    weight = waits["weight"].to_numpy(np.float64) / total
    states = [worker.at(times) for worker in workers]
    alive, begun = (np.array([s[i] for s in states]) for i in (0, 1))
    causes = np.array([s[2] for s in states], object)
    busy = (causes != "").sum(axis=0)
    handed = waits["handed"].to_numpy(np.bool_) | (busy == 0)
    starting = (busy == 0) & (alive & ~begun).any(axis=0)
    parts: dict[str, float] = defaultdict(float)
    parts[STARTING] = float(weight[starting].sum())
    parts[HANDING] = float(weight[handed & ~starting].sum())
    share: Floats = np.where(handed, 0.0, weight / np.maximum(busy, 1))
    for row in causes:
        for cause in np.unique(row[row != ""]):
            parts[str(cause)] += float(share[row == cause].sum())
    alone = (busy == 1) & (alive.sum(axis=0) > 1) & ~handed
    kept = {name: part for name, part in parts.items() if part > 0}
    return kept, float(weight[alone].sum())


def _faults(recording: Recording, roles: Roles, quiet: QuietTime) -> float:
    """Page faults of workers' first threads a step."""
    table = recording.counters
    keys = zip(table["pid"], table["tid"], strict=True)
    of_workers = [key[0] == key[1] and roles.get(key) == "worker" for key in keys]
    counted = table[np.array(of_workers, np.bool_)]
    times = counted["t_ns"].to_numpy(np.int64)
    part = quiet.share(times - 1, times)
    return float((counted["minor"] * part).sum()) / max(quiet.units, 1e-9)
