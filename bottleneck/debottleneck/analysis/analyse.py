"""Recording -> Analysis: the passes in order. Everything later reads its result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from debottleneck.analysis import code as code_pass
from debottleneck.analysis import gil as gil_pass
from debottleneck.analysis import threads as thread_pass
from debottleneck.analysis import trainer as trainer_pass
from debottleneck.analysis.counted import ThreadCounts
from debottleneck.analysis.device import device_use, sites_aside
from debottleneck.analysis.division import divide
from debottleneck.analysis.feeding import feeding_of
from debottleneck.analysis.findings import diagnose
from debottleneck.analysis.frames import (
    bounds,
    empty,
    holding,
    of_thread,
    quiet_steps,
    typed,
)
from debottleneck.analysis.functions import function_table
from debottleneck.analysis.instruments import instrument_table
from debottleneck.analysis.perturbation import unperturbed
from debottleneck.analysis.result import Analysis, Loop
from debottleneck.analysis.roles import roles_of
from debottleneck.analysis.rows import RowNames
from debottleneck.analysis.steps import (
    candidates,
    chosen_loop,
    find_loop,
    label,
    with_stages,
)
from debottleneck.analysis.timeline import marks_by_thread, raw_segments, training_loops
from debottleneck.recording.loop import ChosenLoop, Steps
from debottleneck.recording.recording import NotMeasured, Recording
from debottleneck.recording.spool import ENTER, LEARNING, LEAVE, PLANNING, STATEMENT
from debottleneck.words import STAGES

FEWEST_STEPS = 2
"""Quiet steps below which the run is measured by wall time instead."""

NO_LOOP = "no training loop was recognised"


def analyse(recording: Recording) -> Analysis:
    """Find the loop, attribute its time, diagnose it. `prediction.verdict` judges."""
    recording = unperturbed(recording)
    facts = recording.facts
    found, segments, lines, within = _read_marks(recording)
    trainer, steps = found.trainer, found.steps
    rows = RowNames.of(lines)
    ours = of_thread(segments, facts.pid, trainer)
    step_stages, of_steps = with_stages(steps, ours)
    quiet = quiet_steps(steps)
    grid = None
    if len(quiet) >= FEWEST_STEPS:
        waits = of_thread(recording.waits, facts.pid, trainer).sort_values("end_ns")
        counts = ThreadCounts.of(recording, facts.pid, trainer, waits)
        aside = sites_aside(recording)
        grid = trainer_pass.grid_of(steps, of_steps, ours, waits, counts, rows, aside)
    time = _quiet_time(recording, quiet if grid else None)
    loop = _loop(recording, found, grid)
    calls, pairs = _calls_per_step(recording, ours, trainer, quiet)
    roles = roles_of(recording, trainer, segments)
    around = (segments, rows, roles, time)
    causes, threads = _causes(recording, trainer, *around, grid)
    code = code_pass.code_of(recording)
    stacks = code_pass.sampled(recording, code, segments, rows, roles)
    holders = code_pass.holders(stacks, code)
    analysis = Analysis(
        recording=recording,
        loop=loop,
        not_measured=_not_measured(recording, loop, grid),
        handovers_per_s=gil_pass.handovers_per_s(recording, time),
        steps=steps,
        step_stages=step_stages,
        segments=segments,
        rows=lines,
        within=within,
        stages=trainer_pass.stage_table(grid, calls) if grid else empty("stages"),
        causes=causes,
        threads=threads,
        gil_waits=gil_pass.wait_table(recording, causes, *around, holders),
        lock_waits=gil_pass.lock_table(recording, causes, *around),
        waited_on=gil_pass.waited_on(recording, causes, *around),
        lines=code_pass.line_table(stacks, code),
        flame=code_pass.flame_table(stacks, code),
        functions=function_table(recording, roles),
        instruments=instrument_table(recording, steps, pairs),
        device=device_use(recording, trainer, ours, lines),
        feeding=feeding_of(recording, trainer, segments, roles, causes, time),
    )
    return replace(analysis, findings=diagnose(analysis))


@dataclass(frozen=True)
class _Found:
    """The steps: who runs them, by which rule, labelled; leading ones left out."""

    trainer: int
    bounded: Steps
    steps: pd.DataFrame
    warmup: tuple[int, str]
    chosen: ChosenLoop | None


def _read_marks(
    recording: Recording,
) -> tuple[_Found, pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """Steps, segments, rows, what calls stages; the sorted marks are large and go."""
    facts = recording.facts
    threads = marks_by_thread(recording)
    chosen = chosen_loop(recording)
    trainer, bounded = find_loop(recording, threads, chosen)
    if not bounded.iterations:
        chosen = None
    asked = facts.options.get("warmup")
    steps, count, why = label(bounded, recording.blocks, facts.end_ns, asked)
    raw = raw_segments(threads, training_loops(recording))
    lines, segments, within = divide(recording, raw, steps, trainer, chosen)
    found = _Found(trainer, bounded, steps, (count, why), chosen)
    return found, segments, lines, within


def _quiet_time(
    recording: Recording, steps: pd.DataFrame | None
) -> thread_pass.QuietTime:
    """The quiet steps, else the measured time in which no instrument was at work."""
    if steps is not None:
        return thread_pass.QuietTime(*bounds(steps), float(len(steps)))
    facts = recording.facts
    cuts = [facts.start_ns]
    blocks = recording.blocks
    blocks = blocks[~blocks["kind"].isin((LEARNING, PLANNING))]
    for block in blocks.sort_values("start_ns").itertuples(index=False):
        cuts += [max(int(block.start_ns), cuts[-1]), max(int(block.end_ns), cuts[-1])]
    cuts.append(max(facts.end_ns, cuts[-1]))
    start, end = np.array(cuts, np.int64).reshape(-1, 2).T
    seconds = float((end - start).sum()) / 1e9
    return thread_pass.QuietTime(start, end, max(seconds, 1e-9))


def _loop(
    recording: Recording, found: _Found, grid: trainer_pass.StepGrid | None
) -> Loop:
    others = candidates(recording)
    facts: dict[str, Any] = {"count": len(found.bounded), "others": others}
    if found.chosen is not None:
        chosen, *rest = others
        place = {"header": chosen.header, "file": chosen.file, "line": chosen.line}
        size = found.bounded.iterations
        why = {"why": found.chosen.why, "others": tuple(rest), "iterations": size}
        facts = place | {"count": chosen.count // size} | why
    if grid is not None:
        return Loop(
            found.trainer,
            True,
            found.bounded.rule,
            *found.warmup,
            len(grid.steps),
            *trainer_pass.step_interval(grid),
            **facts,
        )
    rule = found.bounded.rule or NO_LOOP
    if len(found.bounded):
        seen = len(found.bounded)
        rule = f"of {seen:,} seen, too few steps were undisturbed"
    return Loop(found.trainer, False, rule, unit="second", **facts)


def _causes(
    recording: Recording,
    trainer: int,
    segments: pd.DataFrame,
    rows: RowNames,
    roles: dict[tuple[int, int], str],
    time: thread_pass.QuietTime,
    grid: trainer_pass.StepGrid | None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Causes by role, and by thread; the trainer's are exact where it has steps."""
    totals = thread_pass.cause_totals(recording, segments, rows, time)
    without = "trainer" if grid else ""
    causes = thread_pass.causes_of_roles(totals, roles, rows, time, without=without)
    if grid is not None:
        tables = [trainer_pass.cause_table(grid), causes]
        causes = typed("causes", pd.concat([t for t in tables if len(t)] or tables))
        if totals:
            causes_ns = grid.mean(grid.causes) * len(grid.steps)
            totals[recording.facts.pid, trainer] = causes_ns
    return causes, thread_pass.thread_table(recording, totals, roles)


def _calls_per_step(
    recording: Recording, ours: pd.DataFrame, trainer: int, quiet: pd.DataFrame
) -> tuple[dict[str, float], float]:
    """Calls of each row in a quiet step, and pairs of marks in one.

    Of tiny calls that were joined in one pair of marks each is counted; of statements
    that are one row those of the one that is run most.
    """
    pid = recording.facts.pid
    marks = of_thread(recording.marks, pid, trainer)
    start, end = bounds(quiet)
    inside = holding(start, end + 1, marks["t_ns"].to_numpy(np.int64)) >= 0
    marks = marks[inside]
    sites = recording.sites[recording.sites["pid"] == pid].set_index("site")
    leaving, entering = marks[marks["edge"] == LEAVE], marks[marks["edge"] == ENTER]
    sums = leaving["calls"].groupby(leaving["site"].map(sites["stage"])).sum()
    lines = sites.index[sites["kind"] == STATEMENT]
    entered = entering.loc[entering["site"].isin(lines), "site"].value_counts()
    named = ours[["site", "stage"]].drop_duplicates().set_index("site")["stage"]
    named = named[named.index.isin(entered.index) & ~named.isin(STAGES)]
    runs = entered.reindex(named.index).groupby(named).max()
    count = max(len(quiet), 1)
    calls = {str(row): float(n) / count for row, n in pd.concat([sums, runs]).items()}
    pairs = float(leaving["calls"].sum()) + entered.sum() / 2
    return calls, pairs / count


def _not_measured(
    recording: Recording, loop: Loop, grid: trainer_pass.StepGrid | None
) -> tuple[NotMeasured, ...]:
    gaps = recording.facts.not_measured
    if grid is not None:
        looks = grid.looks
        if looks is None or looks >= trainer_pass.FEWEST_LOOKS:
            return gaps
        why = f"quiet steps were looked at {looks} times in all, too few to tell"
        remedy = "let it train for a second or more, or raise --rate"
        return *gaps, NotMeasured("causes", why, remedy)
    remedy = "profile for longer"
    if loop.others and not loop.count:
        remedy = f"name the line of the loop: {loop.others[0].option}"
    return *gaps, NotMeasured("steps and stages", loop.rule, remedy)
