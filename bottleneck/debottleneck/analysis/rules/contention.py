"""Threads in each other's way: gil-contention and oversubscription."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from debottleneck.analysis.policy import Policy
from debottleneck.analysis.result import Finding, Where
from debottleneck.analysis.rules.evidence import (
    TRAINER,
    Cost,
    Evidence,
    cost,
    main_stage,
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


def gil(evidence: Evidence, policy: Policy) -> tuple[Finding, ...]:
    """The trainer waits for the GIL; says who holds it, running what."""
    amount = cost(evidence, trainer_stages(evidence), ["gil"])
    if amount is None or amount.share < policy.wait_share:
        return ()
    stage = main_stage(evidence, "gil")
    holder = _holder(evidence, policy)
    where_now = holder.where if holder else ()
    return (
        finding(
            policy,
            "gil-contention",
            amount,
            stage=stage,
            cause="gil",
            summary=_gil_summary(evidence, amount, stage, holder),
            action=_gil_action(holder),
            where=where_now or where(evidence, policy, stage),
            evidence=_gil_evidence(evidence, holder),
        ),
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


def _holder(evidence: Evidence, policy: Policy) -> Holder | None:
    waits = evidence.gil_waits
    rows = waits[(waits["role"] == TRAINER) & (waits["holder_tid"] > 0)]
    total = float(waits.loc[waits["role"] == TRAINER, "share"].sum())
    if rows.empty or total <= 0:
        return None
    sums = rows.groupby("holder_thread")["share"].sum().sort_values(ascending=False)
    chosen = sums[sums >= policy.holder_share * sums.iloc[0]].head(policy.max_lines)
    threads = tuple(str(name) for name in chosen.index)
    code = _holder_code(rows[rows["holder_thread"].isin(threads)], policy)
    places = code or where(evidence, policy, "", threads[0])
    return Holder(threads, float(chosen.sum()) / total, places)


def _holder_code(rows: pd.DataFrame, policy: Policy) -> tuple[Where, ...]:
    known = rows[rows["holder_function"] != ""]
    spots = ["holder_function", "holder_file", "holder_line"]
    sums = known.groupby(spots)["share"].sum().sort_values(ascending=False)
    return tuple(
        Where(str(function), str(file), int(line))
        for function, file, line in sums.head(policy.max_lines).index
    )


def _gil_summary(
    evidence: Evidence, amount: Cost, stage: str, holder: Holder | None
) -> str:
    most = inside(evidence, stage)
    opening = spends(evidence, amount, DOING["gil"])
    opening += f", mostly{most}" if most else ""
    if holder is None:
        return f"{opening}; who holds it then is not known."
    code = f" in {spot(holder.where[0])}" if holder.where else ""
    part = f"for {percent(holder.part)} of that wait"
    return f"{opening}; {holder.title} it{code} {part}."


def _gil_action(holder: Holder | None) -> str:
    if holder is None:
        return (
            "Move Python work of the other threads into processes "
            "(`multiprocessing`), or into native code that releases the GIL."
        )
    thread = f'thread "{holder.threads[0]}"'
    code = spot(holder.where[0]) if holder.where else thread
    return (
        f"Move {code} into a process of its own (for input: strategy `prefetch` in a "
        "subprocess), or into native code that releases the GIL."
    )


def _gil_evidence(evidence: Evidence, holder: Holder | None) -> dict[str, object]:
    numbers: dict[str, object] = {}
    if holder:
        numbers |= {"holder_thread": names(list(holder.threads))}
        numbers["holder_part"] = holder.part
    if holder and holder.where:
        code = holder.where[0]
        numbers |= {"holder_function": code.function}
        numbers |= {"holder_file": code.file, "holder_line": code.line}
    if evidence.handovers_per_s is not None:
        numbers["handovers_per_s"] = evidence.handovers_per_s
    return numbers


@dataclass(frozen=True)
class Contenders:
    """Threads of the run that want a core.

    Attributes:
        at_once: How many of them can want one at the same time.
        names: Those beside the trainer, as a sentence calls them.
        drivers: How many are not of a pool, but may each use one.
        pooled: How many are of a library's pool.
    """

    at_once: int
    names: tuple[str, ...]
    drivers: int
    pooled: int


def contenders(evidence: Evidence, policy: Policy) -> Contenders | None:
    """Own threads that want cores; None when threads were not measured.

    A thread whose time on cores is mostly `python` cannot run beside another such
    thread of its process: all of them together count once a process.
    """
    table = evidence.threads
    if table.empty:
        return None
    wants = table[["python", "native", "runqueue"]].fillna(0.0)
    busy = table[wants.sum(axis=1) >= policy.contender_share]
    bound = busy["python"].fillna(0.0) > busy["native"].fillna(0.0)
    at_once = int((~bound).sum()) + int(busy.loc[bound, "pid"].nunique())
    pooled = int((busy["role"] == "pool").sum())
    return Contenders(at_once, _titles(busy), len(busy) - pooled, pooled)


def _titles(busy: pd.DataFrame) -> tuple[str, ...]:
    """Threads beside the trainer; pools and workers have no names worth telling."""
    roles = busy["role"]
    workers, pool = busy.loc[roles == "worker", "pid"].nunique(), sum(roles == "pool")
    counts = [(workers, "loader processes"), (pool, "pool threads")]
    named = busy.loc[~roles.isin([TRAINER, "worker", "pool"]), "name"]
    return (
        *(f'"{name}"' for name in sorted(set(named))),
        *(f"{count} {what}" for count, what in counts if count),
    )


def oversubscription(evidence: Evidence, policy: Policy) -> tuple[Finding, ...]:
    """More of the run's own threads want a core than there are cores."""
    amount = cost(evidence, trainer_stages(evidence), ["runqueue"])
    rivals = contenders(evidence, policy)
    if amount is None or rivals is None or evidence.cores is None:
        return ()
    if amount.share < policy.wait_share or rivals.at_once <= evidence.cores:
        return ()
    stage = main_stage(evidence, "runqueue")
    return (
        finding(
            policy,
            "oversubscription",
            amount,
            stage=stage,
            cause="runqueue",
            summary=_crowd(evidence, amount, rivals, evidence.cores),
            action=_thin_out(evidence, policy, rivals, evidence.cores),
            where=where(evidence, policy, stage),
            evidence=_crowd_evidence(evidence, rivals),
        ),
    )


def pools(evidence: Evidence) -> tuple[tuple[str, int | None], ...]:
    """Thread pools of native libraries, largest first; None for an unknown size.

    Pools of one thread are none.
    """
    listed = evidence.environment.get("thread_pools") or ()
    found = {
        str(pool.get("library", "a library")): pool.get("threads")
        for pool in listed
        if isinstance(pool, Mapping) and pool.get("threads") != 1
    }
    return tuple(sorted(found.items(), key=lambda pool: -(pool[1] or 0)))


def _pool_title(library: str, threads: int | None) -> str:
    return library if threads is None else f"{library} with {threads} threads"


def _crowd(evidence: Evidence, amount: Cost, rivals: Contenders, cores: float) -> str:
    who = list(rivals.names)
    if rivals.pooled:
        who += [_pool_title(*pool) for pool in pools(evidence)]
    named = f" ({names(who, 4)})" if who else ""
    room = f"{cores:g} core{'s' if cores != 1 else ''}"
    return (
        f"{spends(evidence, amount, DOING['runqueue'])}: {rivals.at_once} of the "
        f"script's own threads compete for {room}{named}."
    )


def _thin_out(
    evidence: Evidence, policy: Policy, rivals: Contenders, cores: float
) -> str:
    each = max(1, int(cores) // max(1, rivals.drivers))
    advice = f"Run at most {max(1, int(cores))} busy threads"
    if rivals.pooled:
        advice = (
            f"Start with OMP_NUM_THREADS={each} OPENBLAS_NUM_THREADS={each} "
            f"MKL_NUM_THREADS={each} (or call threadpoolctl.threadpool_limits({each}) "
            "first), and run no more threads than cores"
        )
    others = foreign(evidence)
    if others is None or others < policy.foreign_cores:
        return f"{advice}."
    return f"{advice}; other programs used {others:.1f} cores meanwhile, stop them."


def _crowd_evidence(evidence: Evidence, rivals: Contenders) -> dict[str, object]:
    return {
        "threads_at_once": rivals.at_once,
        "threads": list(rivals.names),
        "thread_pools": [list(pool) for pool in pools(evidence)],
        "cores": evidence.cores,
    } | foreign_evidence(evidence)


def foreign(evidence: Evidence) -> float | None:
    """Cores that other programs used in quiet time, None if not measured."""
    load = evidence.environment.get("foreign_load")
    return float(load) if isinstance(load, (int, float)) else None


def foreign_evidence(evidence: Evidence) -> dict[str, object]:
    """The foreign load for a finding's evidence, nothing if not measured."""
    load = foreign(evidence)
    return {} if load is None else {"foreign_load": load}
