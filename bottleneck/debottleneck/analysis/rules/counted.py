"""Time that is counted exactly: garbage collections, page faults, a CPU quota."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from debottleneck.analysis.frames import bounds, of_thread, quiet_steps
from debottleneck.analysis.result import Analysis, Finding
from debottleneck.analysis.rules.measures import (
    cost,
    main_stage,
    trainer_stages,
    where,
)
from debottleneck.analysis.rules.wording import (
    DOING,
    counted,
    finding,
    inside,
    spends,
    spot,
)
from debottleneck.analysis.thresholds import THRESHOLDS
from debottleneck.recording.spool import OLDEST


def collector(analysis: Analysis) -> Iterator[Finding]:
    """Garbage collections stop the trainer; says which, and what they look at."""
    amount = cost(analysis, trainer_stages(analysis), ["gc"], THRESHOLDS.wait_share)
    if amount is None:
        return
    stage = main_stage(analysis, "gc")
    table = _of_trainer(analysis, analysis.recording.collections, "start_ns")
    spent = (table["end_ns"] - table["start_ns"]).groupby(table["generation"]).sum()
    full = float(spent.get(OLDEST, 0)) / max(float(spent.sum()), 1.0)
    tracked, freed = int(table["tracked"].max() or 0), int(table["collected"].sum())
    most = f", mostly{inside(analysis, stage)}" if stage else ""
    again = f": Python looks at {tracked:,} objects again and again" if tracked else ""
    if full < THRESHOLDS.dominant:
        again = ": young objects are made faster than they are worth looking at"
    yield finding(
        analysis,
        "gc-pauses",
        amount,
        stage=stage,
        cause="gc",
        summary=f"{spends(analysis, amount, DOING['gc'])}{most}{again}, and frees "
        f"{counted(freed, 'object') if freed else 'nothing'}.",
        action="Call gc.freeze() before the loop and collect between steps, or keep "
        "fewer small objects: arrays in place of lists.",
        evidence={
            "full_collections_part": full,
            "tracked_objects": tracked,
            "freed_objects": freed,
            "collections": len(table),
        },
    )


def page_faults(analysis: Analysis) -> Iterator[Finding]:
    """Rows whose time goes to the kernel, which maps and clears or copies pages."""
    for stage in trainer_stages(analysis):
        amount = cost(analysis, [stage], ["memory"], THRESHOLDS.wait_share)
        if amount is None:
            continue
        table = _of_trainer(analysis, analysis.recording.counters, "t_ns")
        steps = max(analysis.loop.measured, 1) if analysis.loop.found else 1
        faults, major = float(table["minor"].sum()), int(table["major"].sum())
        places = where(analysis, stage)
        line = spot(places[0]) if places else "that line"
        yield finding(
            analysis,
            "page-faults",
            amount,
            stage=stage,
            cause="memory",
            summary=f"{spends(analysis, amount, DOING['memory'])}"
            f"{inside(analysis, stage)}: the kernel maps fresh memory "
            f"{counted(round(faults / steps), 'time')} a step.",
            action=f"Keep the arrays that {line} makes and write into them (`out=`), "
            "or start with MALLOC_TRIM_THRESHOLD_=1000000000 "
            "MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TOP_PAD_=268435456, "
            "so that freed memory is kept.",
            places=places,
            evidence={"faults_per_step": faults / steps, "major_faults": major},
        )


def quota(analysis: Analysis) -> Iterator[Finding]:
    """The container's CPU quota stops the trainer."""
    stages = trainer_stages(analysis)
    amount = cost(analysis, stages, ["throttle"], THRESHOLDS.wait_share)
    if amount is None:
        return
    granted = analysis.recording.facts.environment.get("cpu_quota")
    limit = f" of {granted:g} core{'s' if granted != 1 else ''}" if granted else ""
    yield finding(
        analysis,
        "cpu-quota",
        amount,
        stage=main_stage(analysis, "throttle"),
        cause="throttle",
        summary=f"{spends(analysis, amount, DOING['throttle'])}{limit}: its threads "
        "use up what it grants, and all of them stop until the next period.",
        action="Raise the quota (docker --cpus, Kubernetes limits.cpu), or run no more "
        "threads than it grants cores (OMP_NUM_THREADS, num_workers).",
        evidence={"cpu_quota": granted},
    )


def _of_trainer(analysis: Analysis, table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The trainer's rows from the first quiet step to the last."""
    own = of_thread(table, analysis.recording.facts.pid, analysis.loop.trainer_tid)
    start, end = bounds(quiet_steps(analysis.steps))
    return own[own[column].between(start.min(), end.max())] if len(start) else own
