"""What exported formats share: threads with their names, rows and stacks over time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import pandas as pd

from debottleneck import words
from debottleneck.analysis.code import Frame, code_of, sampled
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.roles import roles_of
from debottleneck.analysis.rows import RowNames
from debottleneck.errors import UsageError
from debottleneck.recording.recording import NotMeasured
from debottleneck.report.spans import joined
from debottleneck.report.words.quantities import clean

Key = tuple[int, int]
"""A thread: its process and its number."""

Samples = list[tuple[tuple[Frame, ...], int]]
"""Frames, outermost first and below their stage, and nanoseconds; in order of time."""


def _keys(table: pd.DataFrame) -> list[Key]:
    return list(zip(table.pid.tolist(), table.tid.tolist(), strict=True))


def _roles(analysis: Analysis) -> dict[Key, str]:
    """What each thread that was seen is for."""
    recording, trainer = analysis.recording, analysis.loop.trainer_tid
    tables = (recording.waits, analysis.segments)
    seen = [k for t in tables for k in _keys(t.drop_duplicates(["pid", "tid"]))]
    ours = {(recording.facts.pid, trainer): "trainer"}
    ours |= roles_of(recording, trainer, analysis.segments)
    shown = dict(zip(_keys(analysis.threads), analysis.threads.role, strict=True))
    return {**dict.fromkeys(seen, words.OTHER), **ours, **shown}


def labels(analysis: Analysis) -> dict[Key, str]:
    """Name and role of each thread, the trainer first; no two are the same."""
    names = {
        key: clean(name)
        for table in (analysis.recording.threads, analysis.threads)
        for key, name in zip(_keys(table), table["name"], strict=True)
        if name
    }
    roles = _roles(analysis)
    ranked = sorted(roles, key=lambda key: (words.ROLES.index(roles[key]), key))
    texts = {k: f"{names.get(k) or f'thread {k[1]}'} ({roles[k]})" for k in ranked}
    often = Counter(texts.values())
    return {k: f"{t} {k[1]}" if often[t] > 1 else t for k, t in texts.items()}


def rows_by_thread(analysis: Analysis) -> Iterator[tuple[Key, pd.DataFrame]]:
    """Each thread's stages and lines over time: `stage`, `site`, `start_ns`, `end_ns`.

    They follow one another; the rest of the step is left out.
    """
    shown = analysis.segments[analysis.segments.stage != words.OTHER]
    for (pid, tid), rows in shown.groupby(["pid", "tid"]):
        yield (int(pid), int(tid)), joined(rows, ["stage", "site"])


def stacks_of(analysis: Analysis) -> dict[str, Samples]:
    """What py-spy saw of each thread, the trainer first, by the thread's label.

    Time in which py-spy was not attached is left out, and so are the windows in
    which it saw only the thread that held the GIL.

    Raises:
        UsageError: py-spy was not at work.
    """
    recording, code = analysis.recording, code_of(analysis.recording)
    names = RowNames.of(analysis.rows)
    table = sampled(recording, code, analysis.segments, names, _roles(analysis))
    rows = table[(table["block"] == "stacks") & (table["weight_ns"] > 0)]
    if rows.empty:
        gaps = (gap for gap in analysis.not_measured if gap.what.startswith("stacks"))
        gap = next(gaps, NotMeasured("stacks", ""))
        reason = f": {gap.why}" if gap.why else ""
        remedy = gap.remedy or "profile a longer run without --no-stacks"
        raise UsageError(f"this recording has no stacks of py-spy{reason}", remedy)
    frames = {
        number: tuple((clean(name), clean(file), line) for name, file, line in stack)
        for number, stack in code.frames.items()
    }
    rows = rows.sort_values("start_ns", kind="stable")
    columns = [rows[c].tolist() for c in ("pid", "tid", "stage", "stack", "weight_ns")]
    samples: defaultdict[Key, Samples] = defaultdict(list)
    for pid, tid, stage, stack, weight in zip(*columns, strict=True):
        within = (f"[{stage}]", "", 0), *frames.get(stack, ())
        samples[pid, tid].append((within, weight))
    called = {key: f"thread {key[1]}" for key in samples} | labels(analysis)
    shown = [*filter(samples.get, labels(analysis)), *samples]
    return {called[key]: samples[key] for key in shown}
