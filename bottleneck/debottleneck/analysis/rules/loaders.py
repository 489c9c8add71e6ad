"""DataLoaders: what their workers do while the trainer waits, and what helps there.

Advice comes from evidence: more workers where they are at work and cores are free, or
where they wait for the outside; fewer where they are more than there are cores; else
the line that they spend their time on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from debottleneck.analysis.feeding import HANDING, QUEUED, STARTING, LoaderWork
from debottleneck.analysis.result import Analysis, Finding, Where
from debottleneck.analysis.rules.contention import free_cores
from debottleneck.analysis.rules.measures import (
    IO_CAUSES,
    Cost,
    cores,
    cost,
    loader_of,
    stage_cost,
    trainer_stages,
    where,
    where_of,
)
from debottleneck.analysis.rules.wording import (
    DOING,
    counted,
    finding,
    inside,
    percent,
    spends,
    spot,
)
from debottleneck.analysis.thresholds import THRESHOLDS
from debottleneck.recording.recording import Loader, SlowItem
from debottleneck.words import CAUSES, ON_CORE, START_OF_WORKERS

MOST_TIMES = 2
"""So many times as many workers at most, two where there are none: each costs a core's
time to start and to hand batches over, and what more would bring is seen then."""

WORKING = [cause for cause in CAUSES if cause not in QUEUED]

ENOUGH_FREE = 0.5
"""Of a core: with less no other worker would have one."""


@dataclass(frozen=True)
class LoaderAdvice:
    """What to do about a DataLoader.

    Attributes:
        text: One or two sentences.
        trials: Strategies that do it, as they are written.
    """

    text: str
    trials: tuple[str, ...] = ()


def fed(analysis: Analysis) -> Iterator[Finding]:
    """The trainer waits in `load` for its loader's processes."""
    feeding, loader = analysis.feeding, loader_of(analysis)
    amount = cost(analysis, ["load"], ["lock", "ipc"], THRESHOLDS.wait_share)
    if amount is None or feeding is None or loader is None or not feeding.cause:
        return
    cause, lines = feeding.cause, _lines(analysis)
    part = feeding.at_work if cause in CAUSES else feeding.parts[cause]
    who = counted(feeding.workers, "loader process", "loader processes")
    opening = spends(analysis, amount, f"waiting for {who}")
    yield finding(
        analysis,
        "starvation",
        amount,
        stage="load",
        cause="ipc",
        summary=f"{opening}{inside(analysis, 'load')}; for {percent(part)} of "
        f"that {_meanwhile(cause, feeding, lines)}.",
        action=advice(analysis).text,
        places=(*lines, *where(analysis, "load"))[: THRESHOLDS.max_lines],
        evidence={
            "workers": feeding.workers,
            "producer_cause": cause,
            "producer_share": part,
            "one_of_several_at_work": feeding.alone,
            "batch_ms": feeding.work_ms,
        },
    )


def _meanwhile(cause: str, feeding: LoaderWork, lines: tuple[Where, ...]) -> str:
    """What workers do while the trainer waits, as a clause."""
    if cause == HANDING:
        return (
            "the batch is made and being handed over: the memory of each of its "
            "tensors is fetched from a worker, which is at work on the next batch"
        )
    if cause == STARTING:
        return "they have only just been started"
    place = f" in {spot(lines[0])}" if lines else ""
    who = "it is" if feeding.workers == 1 else "they are"
    queued = f", {percent(feeding.queued)} of it with no core free"
    told = cause in QUEUED or feeding.queued < THRESHOLDS.busy_share
    behind = "" if told else queued
    return f"{who} {DOING[cause]}{place}{behind}"


def _lines(analysis: Analysis) -> tuple[Where, ...]:
    return where_of(analysis, "worker")


def advice(analysis: Analysis) -> LoaderAdvice:
    """What the evidence says for the script's DataLoader, with workers or without."""
    loader, feeding = loader_of(analysis), analysis.feeding
    if loader is None:
        return LoaderAdvice("")
    lines = _lines(analysis) if feeding else where(analysis, "load")
    line = spot(lines[0]) if lines else "what makes an item"
    cause = feeding.cause if feeding else _own_cause(analysis)
    if feeding and cause == HANDING:
        return _hand_less(loader)
    if feeding and cause == STARTING and not loader["persistent"]:
        return LoaderAdvice(KEEP, ("dataloader:persistent",))
    if cause == "memory":
        return LoaderAdvice(_uncopied(loader), _whole(loader))
    if feeding and cause == "native" and _pooled(analysis):
        return LoaderAdvice(ONE_THREAD, ("blas:threads=1",))
    wanted = _wanted(analysis, loader, cause)
    now = loader["workers"]
    if wanted > now:
        kept = "" if loader["persistent"] else " and persistent_workers=True"
        more = f"Give the DataLoader num_workers={wanted}{kept}"
        text = f"{more}, or make {line} cheaper."
        if cause in IO_CAUSES:
            text = f"{more}: those waits overlap."
        trial = f"dataloader:workers={wanted}{',persistent' * bool(kept)}"
        return LoaderAdvice(text, (*_whole(loader), trial))
    cheaper = f"Make {line} cheaper, or do it once beforehand and store the result"
    if wanted < now:
        text = (
            f"Give the DataLoader num_workers={wanted}: {counted(now, 'worker')} have "
            f"{cores(analysis):g} cores between them and the trainer. {cheaper}."
        )
        return LoaderAdvice(text, (f"dataloader:workers={wanted}",))
    free = free_cores(analysis)
    full = cause not in IO_CAUSES and free is not None and free < ENOUGH_FREE
    behind = ": no core is free for more workers" if full else ""
    return LoaderAdvice(f"{cheaper}{behind}.", _whole(loader))


KEEP = (
    "Pass persistent_workers=True to the DataLoader: its workers then stay for all "
    "epochs."
)


ONE_THREAD = (
    "Start with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1: each "
    "loader process computes with threads of its own, which compete for the cores."
)


def _pooled(analysis: Analysis) -> bool:
    """Whether threads of libraries in other processes want cores."""
    table = analysis.threads
    pools = table[(table["role"] == "pool")]
    pools = pools[pools["pid"] != analysis.recording.facts.pid]
    wants = pools[[*ON_CORE, *QUEUED]].fillna(0.0).sum(axis=1)
    return bool((wants >= THRESHOLDS.contender_share).any())


def _whole(loader: Loader) -> tuple[str, ...]:
    return ("dataloader:whole",) if loader["of_tensors"] else ()


def _hand_less(loader: Loader) -> LoaderAdvice:
    """Fewer tensors: 16 a batch collated to one were 2 and 4 times as fast, two not.

    Tensors by files were quicker in one case of six only, none of those in which
    workers do not stay: that is tried, and not advised.
    """
    text = "Hand over less: collate a batch to one tensor, or as few as can be."
    stay = loader["persistent"] and loader["sharing"] != "file_system"
    trials = ("dataloader:sharing=file_system",) * stay
    return LoaderAdvice(text, (*_whole(loader), *trials))


def _uncopied(loader: Loader) -> str:
    """Pages that a worker shares with the trainer are copied when it writes to them."""
    kept = "" if loader["persistent"] else " persistent_workers=True copies them once."
    return (
        "Keep the data set in NumPy arrays or tensors, not in lists and dicts: to look "
        "at a Python object writes its reference count, and a forked worker then "
        f"copies its page.{kept}"
    )


def _own_cause(analysis: Analysis) -> str:
    """The main cause of `load` in the trainer itself."""
    rows = analysis.causes
    rows = rows[(rows["role"] == "trainer") & (rows["stage"] == "load")]
    return str(rows.loc[rows["ms_per_step"].idxmax(), "cause"]) if len(rows) else ""


def _wanted(analysis: Analysis, loader: Loader, cause: str) -> int:
    """How many workers there should be, by what batches take and which cores are free.

    So many as make batches as fast as the trainer takes them; computing ones no more
    than there are cores for.
    """
    now, feeding, room = loader["workers"], analysis.feeding, cores(analysis)
    own = cost(analysis, ["load"], WORKING)
    spent = cost(analysis, trainer_stages(analysis), WORKING)
    work = feeding.work_ms if feeding else (own.ms if own else 0.0)
    rest = (spent.ms if spent else 0.0) - (feeding.wait_ms if feeding else work)
    needed = math.ceil(work / rest) if rest > 0 else math.inf
    needed = int(min(needed, MOST_TIMES * max(now, 1)))
    if cause in IO_CAUSES:
        return max(now, needed)
    free = free_cores(analysis)
    if room is None or free is None:
        return now
    if now > room:
        return max(int(room), 1)
    if not now and free >= ENOUGH_FREE:  # the trainer leaves some of its own core
        free += 1.0 - max(rest, 0.0) / max(analysis.loop.step_ms, 1e-9)
    more = math.floor(free + ENOUGH_FREE)
    return max(now, min(needed, now + more))


def worker_starts(analysis: Analysis) -> Iterator[Finding]:
    """Workers are started and ended at each epoch."""
    loader, amount = loader_of(analysis), stage_cost(analysis, START_OF_WORKERS)
    if loader is None or amount is None or loader["persistent"]:
        return
    feeding = analysis.feeding
    begun = feeding.wait_ms * feeding.parts.get(STARTING, 0.0) if feeding else 0.0
    share = amount.share * (1 + begun / max(amount.ms, 1e-9))
    epochs = len(_epochs(analysis, loader))
    if share < THRESHOLDS.starts_share or epochs < 2:
        return
    both = Cost(amount.ms + begun, share, amount.low, amount.high)
    low = f"{1 / (1 - min(share, THRESHOLDS.most_share)):.2f}x"
    yield finding(
        analysis,
        "worker-starts",
        both,
        stage=START_OF_WORKERS,
        summary=f"{percent(share)} of the time {counted(loader['workers'], 'worker')} "
        f"of the DataLoader are started and ended: {epochs} times.",
        action=f"{KEEP} At most {low}.",
        evidence={"starts": epochs},
        places=where(analysis, "load"),
    )


def _epochs(analysis: Analysis, loader: Loader) -> list[Loader]:
    runs = analysis.recording.facts.loaders
    return [run for run in runs if run["loader"] == loader["loader"] and run["pids"]]


def slow_item(analysis: Analysis) -> Iterator[Finding]:
    """One item holds up a batch that others wait behind."""
    feeding, loader = analysis.feeding, loader_of(analysis)
    items = analysis.recording.facts.slow_items
    amount = cost(analysis, ["load"], ["lock", "ipc"])
    if not (feeding and loader and items and amount and loader["ordered"]):
        return
    share = amount.share * feeding.alone
    made = sum(feeding.made_ms.values())
    crowded = made - feeding.work_ms > THRESHOLDS.busy_share * made  # any may be slow
    if share < THRESHOLDS.wait_share or crowded:
        return
    worst = max(items, key=lambda item: item["took_ns"] / max(item["usual_ns"], 1))
    reorder = "Pass in_order=False to the DataLoader, if batches may change places: "
    if not loader["may_reorder"]:
        reorder = ""
    yield finding(
        analysis,
        "slow-item",
        Cost(amount.ms * feeding.alone, share, math.nan, math.nan),
        stage="load",
        cause="lock",
        summary=f"For {percent(share)} of the time one worker alone holds up the next "
        f"batch while others have theirs ready: {_took(worst)}.",
        action=f"{reorder}{'others' if reorder else 'Others'} would not wait for it; "
        "or store what makes such items slow.",
        places=_lines(analysis),
        evidence={
            "index": worst["index"],
            "took_ms": worst["took_ns"] / 1e6,
            "median_ms": worst["usual_ns"] / 1e6,
            "p99_ms": worst["p99_ns"] / 1e6,
        },
    )


def _took(item: SlowItem) -> str:
    took, usual, most = (item[f"{name}_ns"] / 1e6 for name in ("took", "usual", "p99"))  # type: ignore[literal-required] # three of its keys
    return (
        f"item {item['index']} took {took:.3g} ms (median {usual:.3g}, 99 % within "
        f"{most:.3g})"
    )


def copied_pages(analysis: Analysis) -> Iterator[Finding]:
    """Workers copy pages that they share with the trainer, while it waits for them."""
    feeding, loader = analysis.feeding, loader_of(analysis)
    amount = cost(analysis, ["load"], ["lock", "ipc"])
    if feeding is None or loader is None or amount is None:
        return
    working = {c: ms for c, ms in feeding.made_ms.items() if c in ON_CORE}
    part = working.get("memory", 0.0) / max(sum(working.values()), 1e-9)
    share = amount.share * part
    if share < THRESHOLDS.wait_share or feeding.cause == "memory":
        return
    yield finding(
        analysis,
        "page-faults",
        Cost(amount.ms * part, share, math.nan, math.nan),
        stage="load",
        cause="memory",
        summary=f"{percent(part)} of the loader processes' work is page faults, "
        f"{feeding.copied:,.0f} a step: they copy memory that they share with the "
        "trainer, or touch fresh one.",
        action=_uncopied(loader),
        places=_lines(analysis),
        evidence={"faults_per_step": feeding.copied},
    )
