"""The trainer waits for a lock that another thread holds: which, and at which line."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from debottleneck.analysis.result import Analysis, Finding, Where
from debottleneck.analysis.rules.measures import (
    cost,
    of_trainer,
    trainer_stages,
    waited_on,
    waits_for_lock,
    where,
)
from debottleneck.analysis.rules.wording import (
    finding,
    inside,
    names,
    percent,
    spends,
    spot,
    waiting_for,
)
from debottleneck.analysis.thresholds import THRESHOLDS


def lock_contention(analysis: Analysis) -> Iterator[Finding]:
    """A lock that is handed about, unlike a queue's, which somebody has to fill."""
    for stage in trainer_stages(analysis):
        amount = cost(analysis, [stage], ["lock"], THRESHOLDS.wait_share)
        rows = of_trainer(analysis.lock_waits, stage=stage)
        part = float(rows["share"].sum()) / amount.share if amount else 0.0
        is_seen = part >= THRESHOLDS.dominant
        if amount is None or not (is_seen or waits_for_lock(analysis, stage)):
            continue
        kind = waited_on(analysis, stage, "lock")
        who, evidence = "; who held it could not be seen", dict[str, object]()
        places: tuple[Where, ...] = ()
        if is_seen:
            first = rows.sort_values("share").iloc[-1]
            kind, places = str(first.kind), (_place(first),)
            who, evidence = _held(rows, part, places[0])
        doing = f"{waiting_for('lock', kind)}{inside(analysis, stage)}"
        yield finding(
            analysis,
            "lock-contention",
            amount,
            stage=stage,
            cause="lock",
            summary=f"{spends(analysis, amount, doing)}{who}.",
            action=_action(kind, *places),
            places=(*places, *where(analysis, stage))[: THRESHOLDS.max_lines],
            evidence={**evidence, "lock_kind": kind},
        )


def _place(row: pd.Series) -> Where:
    return Where(row.holder_function, row.holder_file, int(row.holder_line))


def _held(
    rows: pd.DataFrame, part: float, place: Where
) -> tuple[str, dict[str, object]]:
    """Who held it, mostly at that place, as a clause and as evidence."""
    threads = [*dict.fromkeys(rows["holder_thread"].astype(str))]
    called = names([f'"{name}"' for name in threads])
    held = f"{'threads' if len(threads) > 1 else 'thread'} {called}"
    return (
        f", which {held} held for {percent(part)} of that wait, mostly in "
        f"{spot(place)}",
        {
            "holder_thread": names(threads),
            "holder_part": part,
            "holder_function": place.function,
            "holder_file": place.file,
            "holder_line": place.line,
        },
    )


def _action(kind: str, place: Where | None = None) -> str:
    """What to do about the holder's code; logging has its own remedy."""
    if kind == "logging":
        return (
            "Log through a logging.handlers.QueueHandler, whose listener writes in a "
            "thread of its own, or less often."
        )
    where_held = f" in {spot(place)}" if place else ""
    return (
        f"Hold the lock for less{where_held}: take out of it what needs no lock "
        "(waits, copies, writing), or give each thread its own data."
    )
