"""The trainer waits for a lock that another thread holds: which, and at which line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from debottleneck.analysis.result import Analysis, Finding, Where
from debottleneck.analysis.rules.measures import (
    cost,
    of_trainer,
    trainer_stages,
    where,
)
from debottleneck.analysis.rules.wording import (
    finding,
    inside,
    names,
    percent,
    spends,
    spot,
)
from debottleneck.analysis.thresholds import THRESHOLDS


def lock_contention(analysis: Analysis) -> Iterator[Finding]:
    """A lock that is handed about, unlike a queue's, which somebody has to fill."""
    for stage in trainer_stages(analysis):
        amount = cost(analysis, [stage], ["lock"], THRESHOLDS.wait_share)
        rows = of_trainer(analysis.lock_waits, stage=stage)
        part = float(rows["share"].sum()) / amount.share if amount else 0.0
        if amount is None or part < THRESHOLDS.dominant:
            continue
        first = rows.sort_values("share").iloc[-1]
        place = Where(first.holder_function, first.holder_file, int(first.holder_line))
        threads = tuple(dict.fromkeys(rows["holder_thread"].astype(str)))
        called = names([f'"{name}"' for name in threads])
        held = f"{'threads' if len(threads) > 1 else 'thread'} {called}"
        doing = f"waiting for a lock (`{first.kind}`){inside(analysis, stage)}"
        yield finding(
            analysis,
            "lock-contention",
            amount,
            stage=stage,
            cause="lock",
            summary=f"{spends(analysis, amount, doing)}, which {held} held "
            f"for {percent(part)} of that wait, mostly in {spot(place)}.",
            action=_action(place),
            places=(place, *where(analysis, stage))[: THRESHOLDS.max_lines],
            evidence={
                "holder_thread": names(list(threads)),
                "holder_part": part,
                "holder_function": place.function,
                "holder_file": place.file,
                "holder_line": place.line,
                "lock_kind": str(first.kind),
            },
        )


def _action(place: Where) -> str:
    """What to do about the holder's code; logging has its own remedy."""
    if PurePosixPath(place.file).parent.name == "logging":
        return (
            "Log through a logging.handlers.QueueHandler, whose listener writes in a "
            "thread of its own, or less often."
        )
    return (
        f"Hold the lock for less in {spot(place)}: take out of it what needs no lock "
        "(waits, copies, writing), or give each thread its own data."
    )
