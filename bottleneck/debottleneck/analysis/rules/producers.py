"""Which thread a starved trainer waits for, and what holds that thread up."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from debottleneck.analysis.policy import Policy
from debottleneck.analysis.rules.evidence import Evidence
from debottleneck.analysis.rules.wording import names
from debottleneck.words import CAUSES

PRODUCER_ROLES = ("loader", "worker", "pin-memory", "other")
"""Likeliest first; a pin-memory thread only hands on what workers made."""


@dataclass(frozen=True)
class Producer:
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


def producer_of(evidence: Evidence, policy: Policy) -> Producer | None:
    """The likeliest producer, None when no thread qualifies.

    Idle threads do not: one that itself waits on locks is not what keeps the
    trainer waiting, unless every thread of a loading role does.
    """
    for role in PRODUCER_ROLES:
        rows = evidence.threads[evidence.threads["role"] == role]
        active = _active(rows, role)
        busy = rows[active >= policy.contender_share]
        if not busy.empty:
            return _describe(busy, role, active)
        if not rows.empty and role == "loader":
            return _describe(rows, role, active)
    return None


def _telling(role: str) -> list[str]:
    """Causes that say what holds such a thread up; idle workers wait on a pipe."""
    idle = {"lock", "unattributed"} | ({"ipc"} if role == "worker" else set())
    return [cause for cause in CAUSES if cause not in idle]


def _active(rows: pd.DataFrame, role: str) -> pd.Series[float]:
    return rows[_telling(role)].fillna(0.0).sum(axis=1)


def _describe(rows: pd.DataFrame, role: str, active: pd.Series[float]) -> Producer:
    asleep = rows["sleep"].fillna(0.0) / 2  # of two, the one at work is likelier
    order = (active[rows.index] - asleep).sort_values(ascending=False, kind="stable")
    ranked = rows.loc[order.index]
    chosen = ranked.head(1) if role == "other" else ranked
    weight = chosen["wall_ms"] / chosen["wall_ms"].sum()
    shares = chosen[_telling(role)].fillna(0.0).mul(weight, axis=0).sum()
    cause = str(shares.idxmax())
    share = float(shares[cause])
    count = chosen["pid"].nunique() if role == "worker" else len(chosen)
    return Producer(
        title=_title(chosen, role, int(count)),
        name=str(ranked["name"].iloc[0]),
        role=role,
        count=int(count),
        cause=cause if share > 0 else "",
        share=share,
    )


def _title(rows: pd.DataFrame, role: str, count: int) -> str:
    if role == "worker":
        return f"{count} loader {'process' if count == 1 else 'processes'}"
    called = names([f'"{name}"' for name in rows["name"]])
    return f"thread {called}" if count == 1 else f"threads {called}"
