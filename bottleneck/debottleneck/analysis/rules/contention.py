"""Threads in each other's way: gil-contention and oversubscription."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from debottleneck.analysis.result import Analysis, Finding, Where
from debottleneck.analysis.rules.measures import (
    TRAINER,
    Cost,
    cores,
    cost,
    foreign,
    main_stage,
    of_trainer,
    trainer_stages,
    where,
)
from debottleneck.analysis.rules.wording import (
    DOING,
    finding,
    inside,
    names,
    percent,
    spends,
    spot,
)
from debottleneck.analysis.thresholds import THRESHOLDS
from debottleneck.words import ON_CORE


def gil(analysis: Analysis) -> Iterator[Finding]:
    """The trainer waits for the GIL; says who holds it, running what."""
    stages = trainer_stages(analysis)
    amount = cost(analysis, stages, ["gil"], THRESHOLDS.wait_share)
    if amount is None:
        return
    stage = main_stage(analysis, "gil")
    holder = _holder(analysis)
    yield finding(
        analysis,
        "gil-contention",
        amount,
        stage=stage,
        cause="gil",
        summary=_gil_summary(analysis, amount, stage, holder),
        action=_gil_action(holder),
        places=(holder.where if holder else ()) or where(analysis, stage),
        evidence=_gil_evidence(analysis, holder),
    )


@dataclass(frozen=True)
class Holder:
    """The threads that hold the GIL most while the trainer waits for it."""

    threads: tuple[str, ...]
    part: float
    where: tuple[Where, ...]

    @property
    def title(self) -> str:
        """How a sentence calls them, with its verb."""
        called = names([f'"{name}"' for name in self.threads])
        if len(self.threads) == 1:
            return f"thread {called} holds"
        return f"threads {called} hold"


def _holder(analysis: Analysis) -> Holder | None:
    waits = of_trainer(analysis.gil_waits)
    rows = waits[waits["holder_tid"] > 0]
    total = float(waits["share"].sum())
    if rows.empty or total <= 0:
        return None
    sums = rows.groupby("holder_thread")["share"].sum().sort_values(ascending=False)
    chosen = sums[sums >= THRESHOLDS.holder_share * sums.iloc[0]]
    chosen = chosen.head(THRESHOLDS.max_lines)
    threads = tuple(str(name) for name in chosen.index)
    places = _holder_code(rows[rows["holder_thread"].isin(threads)])
    return Holder(threads, float(chosen.sum()) / total, places)


def _holder_code(rows: pd.DataFrame) -> tuple[Where, ...]:
    named = rows[rows["holder_function"] != ""]
    spots = ["holder_function", "holder_file", "holder_line"]
    sums = named.groupby(spots)["share"].sum().sort_values(ascending=False)
    return tuple(
        Where(str(function), str(file), int(line))
        for function, file, line in sums.head(THRESHOLDS.max_lines).index
    )


def _gil_summary(
    analysis: Analysis, amount: Cost, stage: str, holder: Holder | None
) -> str:
    most = inside(analysis, stage)
    opening = spends(analysis, amount, DOING["gil"])
    opening += f", mostly{most}" if most else ""
    if holder is None:
        return f"{opening}; who holds it then is not known."
    code = f" in {spot(holder.where[0])}" if holder.where else ""
    part = f"for {percent(holder.part)} of that wait"
    return f"{opening}; {holder.title} it{code} {part}."


def _gil_action(holder: Holder | None) -> str:
    code = "Python work of the other threads"
    if holder is not None:
        thread = f'thread "{holder.threads[0]}"'
        code = spot(holder.where[0]) if holder.where else thread
    return (
        f"Move {code} into a process of its own, or into native code that releases "
        "the GIL."
    )


def _gil_evidence(analysis: Analysis, holder: Holder | None) -> dict[str, object]:
    numbers: dict[str, object] = {}
    if holder:
        numbers |= {"holder_thread": names(list(holder.threads))}
        numbers["holder_part"] = holder.part
    if holder and holder.where:
        code = holder.where[0]
        numbers |= {"holder_function": code.function}
        numbers |= {"holder_file": code.file, "holder_line": code.line}
    if analysis.handovers_per_s is not None:
        numbers["handovers_per_s"] = analysis.handovers_per_s
    return numbers


@dataclass(frozen=True)
class Contenders:
    """Threads of the run that want a core.

    Attributes:
        at_once: How many of them can want one at the same time.
        demand: Cores that they would use if all were free, on average.
        names: Those beside the trainer, as a sentence calls them.
        drivers: How many are not of a pool, but may each use one.
        pooled: How many are of a library's pool.
    """

    at_once: int
    demand: float
    names: tuple[str, ...]
    drivers: int
    pooled: int


def contenders(analysis: Analysis) -> Contenders | None:
    """Own threads that want cores; None when threads were not measured.

    A thread whose time on cores is mostly `python` cannot run beside another such
    thread of its process: all of them together count once a process.
    """
    table = analysis.threads
    if table.empty:
        return None
    wants = table[[*ON_CORE, "runqueue", "throttle"]].fillna(0.0).sum(axis=1)
    wants *= table["wall_ms"] / table["wall_ms"].max()
    chosen = wants >= THRESHOLDS.contender_share
    busy, wants = table[chosen], wants[chosen]
    bound = busy["python"].fillna(0.0) > busy["native"].fillna(0.0)
    by_process = wants[bound].groupby(busy.loc[bound, "pid"]).sum().clip(upper=1.0)
    at_once = int((~bound).sum()) + len(by_process)
    demand = float(wants[~bound].sum() + by_process.sum())
    pooled = int((busy["role"] == "pool").sum())
    return Contenders(at_once, demand, _titles(busy), len(busy) - pooled, pooled)


def free_cores(analysis: Analysis) -> float | None:
    """Cores that nobody used in quiet time, None if unknown."""
    table, room = analysis.threads, cores(analysis)
    if table.empty or room is None:
        return None
    used = table[[*ON_CORE]].fillna(0.0).sum(axis=1) * table["wall_ms"]
    own = float(used.sum()) / float(table["wall_ms"].max())
    return max(room - own - (foreign(analysis) or 0.0), 0.0)


def crowded(analysis: Analysis) -> bool:
    """Whether the run's own threads, more than others' work, keep each other waiting.

    Where others took cores, it is who wants more than there is by more than they took.
    """
    rivals, room, others = contenders(analysis), cores(analysis), foreign(analysis)
    if rivals is None or room is None or rivals.at_once <= room:
        return False
    if others is None or others < THRESHOLDS.foreign_cores:
        return True
    return rivals.demand - room > others


def _titles(busy: pd.DataFrame) -> tuple[str, ...]:
    """Threads beside the trainer; pools and workers have no names worth telling."""
    roles = busy["role"]
    workers, pool = busy.loc[roles == "worker", "pid"].nunique(), sum(roles == "pool")
    counts = [(workers, "loader process", "es"), (pool, "pool thread", "s")]
    named = busy.loc[~roles.isin([TRAINER, "worker", "pool"]), "name"]
    return (
        *(f'"{name}"' for name in sorted(set(named))),
        *(f"{n} {what}{ending * (n > 1)}" for n, what, ending in counts if n),
    )


def oversubscription(analysis: Analysis) -> Iterator[Finding]:
    """More of the run's own threads want a core than there are cores."""
    stages = trainer_stages(analysis)
    amount = cost(analysis, stages, ["runqueue"], THRESHOLDS.wait_share)
    rivals, room = contenders(analysis), cores(analysis)
    if amount is None or rivals is None or room is None or not crowded(analysis):
        return
    yield finding(
        analysis,
        "oversubscription",
        amount,
        stage=main_stage(analysis, "runqueue"),
        cause="runqueue",
        summary=_crowd(analysis, amount, rivals, room),
        action=_thin_out(rivals, room, _pools(analysis)),
        evidence={
            "threads_at_once": rivals.at_once,
            "threads": list(rivals.names),
            "thread_pools": [list(pool) for pool in _pools(analysis)],
            "cores": room,
        }
        | foreign_evidence(analysis),
    )


def _pools(analysis: Analysis) -> tuple[tuple[str, int | None], ...]:
    """Thread pools of native libraries, largest first; None for an unknown size.

    Pools of one thread are none.
    """
    listed = analysis.recording.facts.environment.get("thread_pools") or ()
    sizes = {
        str(pool.get("library", "a library")): pool.get("threads")
        for pool in listed
        if isinstance(pool, Mapping) and pool.get("threads") != 1
    }
    return tuple(sorted(sizes.items(), key=lambda pool: -(pool[1] or 0)))


def _pool_title(library: str, threads: int | None) -> str:
    return library if threads is None else f"{library} with {threads} threads"


def _crowd(analysis: Analysis, amount: Cost, rivals: Contenders, room: float) -> str:
    who = list(rivals.names)
    if rivals.pooled:
        who += [_pool_title(*pool) for pool in _pools(analysis)]
    named = f" ({names(who, 4)})" if who else ""
    return (
        f"{spends(analysis, amount, DOING['runqueue'])}: {rivals.at_once} of the "
        f"script's own threads compete for {room:g} core{'s' if room != 1 else ''}"
        f"{named}."
    )


def _thin_out(
    rivals: Contenders, room: float, pools: tuple[tuple[str, int | None], ...]
) -> str:
    count = max(1, int(room) // max(1, rivals.drivers))
    if not rivals.pooled or all(size == count for _, size in pools):
        return f"Run at most {max(1, int(room))} busy threads."
    return (
        f"Start with OMP_NUM_THREADS={count} OPENBLAS_NUM_THREADS={count} "
        f"MKL_NUM_THREADS={count} (or call threadpoolctl.threadpool_limits({count}) "
        "first), and run no more threads than cores."
    )


def foreign_evidence(analysis: Analysis) -> dict[str, object]:
    """The foreign load for a finding's evidence, nothing if not measured."""
    load = foreign(analysis)
    return {} if load is None else {"foreign_load": load}
