"""The trainer waits until others have made its batch: who they are, what they do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import pandas as pd

from debottleneck.analysis.result import Analysis, Finding
from debottleneck.analysis.rules.measures import (
    IO_CAUSES,
    cost,
    input_rows,
    waited_on,
    waits_for_lock,
    waits_in_library,
    where,
    where_of,
    work_lines,
)
from debottleneck.analysis.rules.wording import (
    DOING,
    counted,
    finding,
    inside,
    names,
    percent,
    spends,
    waiting_for,
)
from debottleneck.analysis.thresholds import THRESHOLDS
from debottleneck.words import CAUSES, OTHER

PRODUCER_ROLES = ("loader", "worker", "pin-memory", "other")
"""Likeliest first; a pin-memory thread only hands on what workers made."""


SIGNALS = ("Event", "Barrier", "Thread")
"""What is woken once for all that was made: more threads would not make it sooner."""


def starvation(analysis: Analysis) -> Iterator[Finding]:
    """The trainer waits on a queue or lock until somebody has made its batch."""
    places = (*input_rows(analysis), *work_lines(analysis), OTHER)
    for stage, cause in product(places, ("lock", "ipc")):
        amount = cost(analysis, [stage], [cause], THRESHOLDS.wait_share)
        if amount is None or (stage == "load" and _is_fed(analysis)):
            continue
        if waits_for_lock(analysis, stage) or waits_in_library(analysis, stage):
            continue
        producer = _producer(analysis)
        if cause == "ipc" and (producer is None or producer.role != "worker"):
            continue
        if producer is None and stage not in input_rows(analysis):
            continue
        what, doing = "", "waiting on a pipe"
        if cause == "lock":
            what = waited_on(analysis, stage, cause)
            doing = waiting_for(cause, what)
        opening = f"{spends(analysis, amount, doing)}{inside(analysis, stage)}"
        theirs = where_of(analysis, producer.role, producer.name) if producer else ()
        yield finding(
            analysis,
            "starvation",
            amount,
            stage=stage,
            cause=cause,
            summary=f"{opening}{_blames(producer)}.",
            action=_action(producer, what),
            places=(*theirs, *where(analysis, stage))[: THRESHOLDS.max_lines],
            evidence=_evidence(producer),
        )


def _is_fed(analysis: Analysis) -> bool:
    """Whether `loaders.fed` tells of that wait: a DataLoader has workers."""
    return analysis.feeding is not None and bool(analysis.feeding.cause)


@dataclass(frozen=True)
class ProducerThreads:
    """The threads that make batches, and their own main cause.

    Attributes:
        title: How a sentence calls them.
        name: Name of the busiest of them.
        role: Their role.
        count: How many threads (or processes, for workers).
        cause: Their own main cause, "" when they wait on locks as well.
        share: Its share of their own time.
    """

    title: str
    name: str
    role: str
    count: int
    cause: str
    share: float


def _producer(analysis: Analysis) -> ProducerThreads | None:
    """The likeliest producer, None when no thread qualifies.

    Idle threads do not: one that itself waits on locks is not what keeps the
    trainer waiting, unless every thread of a loading role does. Where it was seen who
    wakes the trainer, others of its process do not either.
    """
    facts, table = analysis.recording.facts, analysis.threads
    if facts.wakers:
        seen = table["tid"].isin(facts.wakers) | (table["pid"] != facts.pid)
        table = table[seen]
    for role in PRODUCER_ROLES:
        rows = table[table["role"] == role]
        active = rows[_telling(role)].fillna(0.0).sum(axis=1)
        busy = rows[active >= THRESHOLDS.contender_share]
        if not busy.empty:
            return _described(busy, role, active)
        if not rows.empty and role == "loader":
            return _described(rows, role, active)
    return None


def _telling(role: str) -> list[str]:
    """Causes that say what holds such a thread up; idle workers wait on a pipe."""
    idle = {"lock", "unattributed"} | ({"ipc"} if role == "worker" else set())
    return [cause for cause in CAUSES if cause not in idle]


def _described(
    rows: pd.DataFrame, role: str, active: pd.Series[float]
) -> ProducerThreads:
    asleep = rows["sleep"].fillna(0.0) / 2  # of two, the one at work is likelier
    order = (active[rows.index] - asleep).sort_values(ascending=False, kind="stable")
    ranked = rows.loc[order.index]
    chosen = ranked.head(1) if role == "other" else ranked
    weight = chosen["wall_ms"] / chosen["wall_ms"].sum()
    shares = chosen[_telling(role)].fillna(0.0).mul(weight, axis=0).sum()
    cause = str(shares.idxmax())
    share = float(shares[cause])
    count = int(chosen["pid"].nunique()) if role == "worker" else len(chosen)
    return ProducerThreads(
        title=_title(chosen, role, count),
        name=str(ranked["name"].iloc[0]),
        role=role,
        count=count,
        cause=cause if share > 0 else "",
        share=share,
    )


def _title(rows: pd.DataFrame, role: str, count: int) -> str:
    if role == "worker":
        return counted(count, "process", "processes")
    called = names([f'"{name}"' for name in rows["name"]])
    return f"thread {called}" if count == 1 else f"threads {called}"


def _blames(producer: ProducerThreads | None) -> str:
    if producer is None:
        return "; which thread fills it could not be seen"
    sure = "" if producer.role != "other" else "probably "
    itself = "itself" if producer.count == 1 else "themselves"
    opening = f", {sure}for {producer.title}, {itself}"
    if not producer.cause:
        return f"{opening} waiting on a lock"
    return f"{opening} {percent(producer.share)} of the time {DOING[producer.cause]}"


def _evidence(producer: ProducerThreads | None) -> dict[str, object]:
    if producer is None:
        return {}
    return {
        "producer": producer.name,
        "producer_role": producer.role,
        "producers": producer.count,
        "producer_cause": producer.cause,
        "producer_share": producer.share,
    }


def _action(producer: ProducerThreads | None, what: str) -> str:
    if producer is not None and what in SIGNALS:
        return f"Shorten what {producer.title} does until then, or wait for it later."
    if producer is None or not producer.cause:
        return "Find what fills that queue or wakes that wait, and make it faster."
    if producer.role == OTHER:
        return (
            f"See whether {producer.title} makes what is waited for; make that faster."
        )
    kind = "processes" if producer.role == "worker" else "threads"
    if producer.cause in IO_CAUSES:
        return f"Add producer {kind}, so that more waits overlap."
    if producer.cause == "runqueue":
        return "Use fewer workers or threads: the producers wait for a core themselves."
    if kind == "threads" and producer.cause in ("python", "gil"):
        return (
            f"Move {producer.title} into a process of its own: in a thread it shares "
            "the GIL with the trainer."
        )
    return f"Add producer {kind} while cores are free, or make their work cheaper."
