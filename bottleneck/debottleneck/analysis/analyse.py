"""Recording -> Analysis: the passes in order. Everything later reads its result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from debottleneck.analysis import code as code_pass
from debottleneck.analysis import gil as gil_pass
from debottleneck.analysis import threads as thread_pass
from debottleneck.analysis import trainer as trainer_pass
from debottleneck.analysis.findings import diagnose, verdict
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
from debottleneck.analysis.result import Analysis, Loop
from debottleneck.analysis.roles import roles_of
from debottleneck.analysis.steps import find_loop, label, with_stages
from debottleneck.analysis.timeline import marks_by_thread, segments_of
from debottleneck.recording.loop import Steps
from debottleneck.recording.recording import NotMeasured, Recording
from debottleneck.recording.spool import LEAVE

FEWEST_STEPS = 2
"""Quiet steps below which the run is measured by wall time instead."""

NO_LOOP = (
    "no training loop was recognised; mark it with step() and stage(), "
    "or name functions with --stage NAME=module:function"
)


def analyse(recording: Recording) -> Analysis:
    """Find the loop, attribute its time, diagnose it."""
    facts = recording.facts
    trainer, bounded, segments = _read_marks(recording)
    asked = facts.options.get("warmup")
    steps, warmup, reason = label(bounded, recording.blocks, facts.end_ns, asked)
    ours = of_thread(segments, facts.pid, trainer)
    step_stages, within = with_stages(steps, ours)
    quiet = quiet_steps(steps)
    grid = None
    if len(quiet) >= FEWEST_STEPS:
        rows = of_thread(recording.waits, facts.pid, trainer).sort_values("end_ns")
        grid = trainer_pass.grid_of(steps, within, ours, rows)
    time = _quiet_time(recording, quiet if grid else None)
    loop = _loop(trainer, bounded, (warmup, reason), grid)
    calls, pairs = _calls_per_step(recording, trainer, quiet)
    roles = roles_of(recording, trainer, segments)
    causes, threads = _causes(recording, trainer, segments, roles, time, grid)
    code = code_pass.code_of(recording)
    stacks = code_pass.sampled(recording, code, segments, roles)
    holders = code_pass.holders(stacks, code)
    around = (recording, causes, segments, roles, time)
    analysis = Analysis(
        recording=recording,
        loop=loop,
        not_measured=_not_measured(recording, loop),
        handovers_per_s=gil_pass.handovers_per_s(recording, time),
        steps=steps,
        step_stages=step_stages,
        segments=segments,
        stages=trainer_pass.stage_table(grid, calls) if grid else empty("stages"),
        causes=causes,
        threads=threads,
        gil_waits=gil_pass.wait_table(*around, holders),
        waited_on=gil_pass.waited_on(*around),
        lines=code_pass.line_table(stacks, code),
        flame=code_pass.flame_table(stacks, code),
        functions=function_table(recording, roles),
        instruments=instrument_table(recording, steps, pairs),
    )
    findings = diagnose(analysis)
    return replace(analysis, findings=findings, verdict=verdict(analysis, findings))


def _read_marks(recording: Recording) -> tuple[int, Steps, pd.DataFrame]:
    """The trainer, its steps, and segments; the sorted marks are large and go here."""
    threads = marks_by_thread(recording)
    trainer, bounded = find_loop(recording, threads)
    return trainer, bounded, segments_of(threads)


def _quiet_time(
    recording: Recording, steps: pd.DataFrame | None
) -> thread_pass.QuietTime:
    """The quiet steps, else the measured time in which no instrument was at work."""
    if steps is not None:
        return thread_pass.QuietTime(*bounds(steps), float(len(steps)))
    facts = recording.facts
    cuts = [facts.start_ns]
    for block in recording.blocks.sort_values("start_ns").itertuples(index=False):
        cuts += [max(int(block.start_ns), cuts[-1]), max(int(block.end_ns), cuts[-1])]
    cuts.append(max(facts.end_ns, cuts[-1]))
    start, end = np.array(cuts, np.int64).reshape(-1, 2).T
    seconds = float((end - start).sum()) / 1e9
    return thread_pass.QuietTime(start, end, max(seconds, 1e-9))


def _loop(
    trainer: int,
    bounded: Steps,
    warmup: tuple[int, str],
    grid: trainer_pass.StepGrid | None,
) -> Loop:
    if grid is not None:
        return Loop(
            trainer,
            True,
            bounded.rule,
            *warmup,
            len(grid.steps),
            *trainer_pass.step_interval(grid),
        )
    rule = bounded.rule or NO_LOOP
    if len(bounded):
        rule = f"only {len(bounded)} steps were seen, too few of them undisturbed"
    return Loop(trainer, False, rule, unit="second")


def _causes(
    recording: Recording,
    trainer: int,
    segments: pd.DataFrame,
    roles: dict[tuple[int, int], str],
    time: thread_pass.QuietTime,
    grid: trainer_pass.StepGrid | None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Causes by role, and by thread; the trainer's are exact where it has steps."""
    totals = thread_pass.cause_totals(recording, segments, time)
    without = "trainer" if grid else ""
    causes = thread_pass.causes_of_roles(totals, roles, time, without=without)
    if grid is not None:
        tables = [trainer_pass.cause_table(grid), causes]
        causes = typed("causes", pd.concat([t for t in tables if len(t)] or tables))
        if totals:
            totals[recording.facts.pid, trainer] = grid.causes.sum(axis=0)
    return causes, thread_pass.thread_table(recording, totals, roles)


def _calls_per_step(
    recording: Recording, trainer: int, quiet: pd.DataFrame
) -> tuple[dict[str, float], float]:
    """Marked calls of each stage in a quiet step, and pairs of marks of all stages.

    Of tiny calls that were joined in one pair of marks each is counted.
    """
    pid = recording.facts.pid
    marks = of_thread(recording.marks, pid, trainer)
    start, end = bounds(quiet)
    inside = holding(start, end + 1, marks["t_ns"].to_numpy(np.int64)) >= 0
    leaving = marks[inside & (marks["edge"] == LEAVE).to_numpy()]
    sites = recording.sites[recording.sites["pid"] == pid].set_index("site")["stage"]
    sums = leaving["calls"].groupby(leaving["site"].map(sites)).sum()
    count = max(len(quiet), 1)
    calls = {str(stage): float(number) / count for stage, number in sums.items()}
    return calls, float(leaving["calls"].sum()) / count


def _not_measured(recording: Recording, loop: Loop) -> tuple[NotMeasured, ...]:
    gaps = recording.facts.not_measured
    if loop.found:
        return gaps
    remedy = "mark it with stage() and step(), or use --stage NAME=module:function"
    return *gaps, NotMeasured("steps and stages", loop.rule.split(";")[0], remedy)
