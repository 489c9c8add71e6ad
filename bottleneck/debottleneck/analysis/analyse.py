"""Recording -> Analysis: the passes in order. Everything later reads its result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.analysis import code as code_pass
from debottleneck.analysis import gil as gil_pass
from debottleneck.analysis import threads as thread_pass
from debottleneck.analysis import trainer as trainer_pass
from debottleneck.analysis.findings import diagnose, verdict
from debottleneck.analysis.frames import empty, typed
from debottleneck.analysis.functions import function_table
from debottleneck.analysis.instruments import instrument_table
from debottleneck.analysis.result import Analysis, Loop, Where
from debottleneck.analysis.roles import roles_of
from debottleneck.analysis.rules.evidence import Evidence
from debottleneck.analysis.steps import find_loop, label, with_stages
from debottleneck.analysis.timeline import marks_by_thread, segments_of
from debottleneck.recording.loop import Steps
from debottleneck.recording.recording import NotMeasured, Recording
from debottleneck.recording.spool import LEAVE

FEWEST_STEPS = 2
"""Quiet steps below which the run is measured by wall time instead."""

_SHARED = (
    "stages",
    "causes",
    "threads",
    "gil_waits",
    "waited_on",
    "lines",
    "functions",
)
"""Tables that the diagnosis and the report both look at."""

NO_LOOP = (
    "no training loop was recognised; mark it with step() and stage(), "
    "or name functions with --stage NAME=module:function"
)


@dataclass(frozen=True)
class _Tables:
    """What the passes hand on to each other."""

    recording: Recording
    trainer: int
    segments: pd.DataFrame
    steps: pd.DataFrame
    step_stages: pd.DataFrame
    roles: dict[tuple[int, int], str]
    quiet: thread_pass.Quiet


def analyse(recording: Recording) -> Analysis:
    """Find the loop, attribute its time, diagnose it."""
    trainer, found, segments = _read_marks(recording)
    own = segments[
        (segments["tid"] == trainer) & (segments["pid"] == recording.facts.pid)
    ]
    asked = recording.facts.options.get("warmup")
    steps, warmup, why = label(found, recording.blocks, recording.facts.end_ns, asked)
    step_stages, within = with_stages(steps, own)
    quiet_steps = steps[steps["block"] == "quiet"]
    has_loop = len(quiet_steps) >= FEWEST_STEPS
    quiet = _quiet(recording, quiet_steps if has_loop else None)
    roles = roles_of(recording, trainer, segments)
    tables = _Tables(recording, trainer, segments, steps, step_stages, roles, quiet)
    loop = Loop(trainer, has_loop, found.rule or NO_LOOP, warmup, why, unit="step")
    if has_loop:
        rows = _rows_of(recording, trainer)
        grid = trainer_pass.grid_of(steps, within, own, rows)
        return _with_loop(tables, loop, grid)
    return _without_loop(tables, loop, found)


def _read_marks(recording: Recording) -> tuple[int, Steps, pd.DataFrame]:
    """The trainer, its steps, and segments; the sorted marks are large and go here."""
    threads = marks_by_thread(recording)
    trainer, found = find_loop(recording, threads)
    return trainer, found, segments_of(threads)


def _quiet(recording: Recording, quiet_steps: pd.DataFrame | None) -> thread_pass.Quiet:
    if quiet_steps is not None:
        start = quiet_steps["start_ns"].to_numpy(np.int64)
        end = quiet_steps["end_ns"].to_numpy(np.int64)
        return thread_pass.Quiet(start, end, float(len(start)))
    start, end = _outside_blocks(recording)
    return thread_pass.Quiet(start, end, max(float((end - start).sum()) / 1e9, 1e-9))


def _outside_blocks(
    recording: Recording,
) -> tuple[np.ndarray, np.ndarray]:
    """The measured time in which no other instrument was at work."""
    facts = recording.facts
    cuts = [facts.start_ns]
    for block in recording.blocks.sort_values("start_ns").itertuples(index=False):
        cuts += [max(int(block.start_ns), cuts[-1]), max(int(block.end_ns), cuts[-1])]
    cuts.append(max(facts.end_ns, cuts[-1]))
    edges = np.array(cuts, np.int64)
    return edges[0::2], edges[1::2]


def _rows_of(recording: Recording, tid: int) -> pd.DataFrame:
    waits = recording.waits
    mask = (waits["tid"] == tid) & (waits["pid"] == recording.facts.pid)
    return waits[mask].sort_values("end_ns")


def _with_loop(tables: _Tables, loop: Loop, grid: trainer_pass.Grid) -> Analysis:
    mean, low, high, median, p95 = trainer_pass.step_interval(grid)
    loop = Loop(
        loop.trainer_tid,
        True,
        loop.rule,
        loop.warmup,
        loop.warmup_why,
        len(grid.steps),
        mean,
        low,
        high,
        median,
        p95,
    )
    stages = trainer_pass.stage_table(grid, _calls_per_step(tables))
    own = (trainer_pass.cause_table(grid), grid.causes.sum(axis=0))
    return _whole(tables, loop, stages, own)


def _without_loop(tables: _Tables, loop: Loop, found: Steps) -> Analysis:
    """Whole run: every thread by its ticks, per second of wall time."""
    rule = loop.rule
    if len(found):
        rule = f"only {len(found)} steps were seen, too few of them undisturbed"
    none = Loop(loop.trainer_tid, False, rule, unit="second")
    return _whole(tables, none, empty("stages"), None)


def _whole(
    tables: _Tables,
    loop: Loop,
    stages: pd.DataFrame,
    trainer: tuple[pd.DataFrame, NDArray[np.float64]] | None,
) -> Analysis:
    """The tables of all threads, with the trainer's exact ones where it has steps."""
    recording, segments, roles = tables.recording, tables.segments, tables.roles
    totals = thread_pass.cause_totals(recording, segments, tables.quiet)
    done = "trainer" if trainer else ""
    causes = thread_pass.causes_of_roles(totals, roles, tables.quiet, without=done)
    if trainer is not None:
        causes = pd.concat([t for t in (trainer[0], causes) if len(t)] or [causes])
        if totals:
            totals[recording.facts.pid, tables.trainer] = trainer[1]
    causes = typed("causes", causes)
    code = code_pass.code_of(recording)
    sampled = code_pass.sampled(recording, code, segments, roles)
    around = (recording, causes, segments, roles)
    waits = gil_pass.wait_table(*around, code_pass.holders(sampled, code), tables.quiet)
    evidence = Evidence(
        loop=loop,
        stages=stages,
        causes=causes,
        threads=thread_pass.thread_table(recording, totals, roles),
        gil_waits=waits,
        waited_on=gil_pass.waited_on(*around, tables.quiet),
        lines=code_pass.line_table(sampled, code),
        functions=function_table(recording, roles),
        environment=recording.facts.environment,
        cores=_cores(recording),
        handovers_per_s=gil_pass.handovers_per_s(recording, tables.quiet),
        places=_places(recording, segments),
        torch=bool((recording.sites["kind"] == "torch").any()),
    )
    findings = diagnose(evidence)
    return Analysis(
        recording=recording,
        loop=loop,
        verdict=verdict(evidence, findings),
        findings=findings,
        not_measured=_not_measured(recording, loop),
        handovers_per_s=evidence.handovers_per_s,
        steps=tables.steps,
        step_stages=tables.step_stages,
        segments=segments,
        flame=code_pass.flame_table(sampled, code),
        instruments=instrument_table(recording, tables.steps, _marks_per_step(tables)),
        **{name: getattr(evidence, name) for name in _SHARED},
    )


def _cores(recording: Recording) -> float | None:
    environment = recording.facts.environment
    cores, quota = environment.get("cores"), environment.get("cpu_quota")
    if cores is None:
        return None
    return float(min(cores, quota) if quota else cores)


def _places(recording: Recording, segments: pd.DataFrame) -> dict[str, Where]:
    """Where each stage that took most of its time is marked, in the user's code."""
    own = recording.sites[recording.sites["kind"] != "torch"]
    sites = own.set_index(["pid", "site"])
    length = segments["end_ns"] - segments["start_ns"]
    found: dict[str, Where] = {}
    sums = length.groupby([segments["stage"], segments["pid"], segments["site"]]).sum()
    for stage, pid, site in sums.sort_values().index:
        if (pid, site) in sites.index and sites.at[(pid, site), "file"]:
            row = sites.loc[(pid, site)]
            found[str(stage)] = Where(row["name"], row["file"], int(row["line"]))
    return found


def _calls_per_step(tables: _Tables) -> dict[str, float]:
    """Marked calls of each stage in a quiet step, joined tiny calls counted each."""
    marks, count = _quiet_marks(tables)
    left = marks[marks["edge"] == LEAVE]
    sites = tables.recording.sites
    stages = sites[sites["pid"] == tables.recording.facts.pid].set_index("site")[
        "stage"
    ]
    sums = left["calls"].groupby(left["site"].map(stages)).sum()
    return {str(stage): float(calls) / count for stage, calls in sums.items()}


def _marks_per_step(tables: _Tables) -> float:
    """Pairs of marks in a quiet step of the trainer."""
    marks, count = _quiet_marks(tables)
    return float(marks.loc[marks["edge"] == LEAVE, "calls"].sum()) / count


def _quiet_marks(tables: _Tables) -> tuple[pd.DataFrame, int]:
    quiet = tables.steps[tables.steps["block"] == "quiet"]
    marks = tables.recording.marks
    own = marks[
        (marks["tid"] == tables.trainer) & (marks["pid"] == tables.recording.facts.pid)
    ]
    starts = quiet["start_ns"].to_numpy(np.int64)
    ends = quiet["end_ns"].to_numpy(np.int64)
    times = own["t_ns"].to_numpy(np.int64)
    if not len(starts):
        return own.iloc[:0], 1
    index = np.searchsorted(starts, times, side="right") - 1
    inside = (index >= 0) & (times <= ends[np.maximum(index, 0)])
    return own[inside], len(quiet)


def _not_measured(recording: Recording, loop: Loop) -> tuple[NotMeasured, ...]:
    found = list(recording.facts.not_measured)
    if not loop.found:
        remedy = "mark it with stage() and step(), or use --stage NAME=module:function"
        found.append(NotMeasured("steps and stages", loop.rule.split(";")[0], remedy))
    return tuple(found)
