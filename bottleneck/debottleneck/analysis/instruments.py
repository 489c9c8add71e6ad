"""What the instruments themselves cost in this run: each against quiet neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from debottleneck.analysis.frames import BULK, bounds, quiet_steps, typed
from debottleneck.analysis.statistics import ratio_interval
from debottleneck.recording import spool
from debottleneck.recording.recording import Recording

NEIGHBOURS_NS = 3_000_000_000
"""Quiet steps this near to a block are what its steps are held against."""

FEWEST_NEIGHBOURS = 5
LOWERED = 0.8
"""Below this part of the asked rate the report says that it was lowered."""

LEAST_REST = 0.1
"""Part of a step beyond the marks, below which their slow-down is not said: it would be
a division by the error of two measured times."""

LABELS = {
    "stacks": "py-spy, all threads",
    "gil": "py-spy, GIL holder",
    "functions-wall": "yappi, wall clock",
    "functions-cpu": "yappi, CPU clock",
    spool.DELAYED: "virtual speed-ups",
}
_NAN = float("nan")


def instrument_table(
    recording: Recording, steps: pd.DataFrame, marks_per_step: float
) -> pd.DataFrame:
    """`frames.COLUMNS["instruments"]`."""
    quiet = quiet_steps(steps)
    step_ms = float(quiet["wall_ns"].median()) / 1e6 if len(quiet) else _NAN
    rates = recording.facts.rates
    every = len(steps) / max(int((steps["block"] != BULK).sum()), 1)
    rows = [_marks(rates, marks_per_step, step_ms, len(quiet), every)]
    if "sampler" in rates:
        rows.append(_waits(rates["sampler"], step_ms, len(quiet)))
    for kind, blocks in recording.blocks.groupby("kind", sort=False):
        rows.append(_block(str(kind), blocks, steps))
    return typed("instruments", pd.DataFrame(rows))


def _row(name: str, steps: int, step_ms: float, note: str) -> dict[str, Any]:
    lead = {"name": name, "steps": steps, "step_ms": step_ms}
    return {**lead, "slowdown": _NAN, "low": _NAN, "high": _NAN, "note": note}


def _marks(
    rates: Mapping[str, Any], per_step: float, step_ms: float, steps: int, every: float
) -> dict[str, Any]:
    pair_us = rates.get("mark_pair_us")
    if pair_us is None or not per_step:
        return _row("marks", steps, step_ms, "cost not measured")
    cost = per_step * pair_us / 1e3
    note = f"{per_step:.1f} pairs a step at {pair_us:.1f} us each, in "
    seldom = every >= 1.05  # below, next to all were
    note += f"one of {every:.3g} steps, as steps are short" if seldom else "every step"
    row = _row("marks", steps, step_ms, note)
    rest = step_ms if seldom else step_ms - cost  # see `perturbation`
    if rest > LEAST_REST * step_ms:
        row["slowdown"] = slowdown = cost / rest
        row["note"] += f": {slowdown / every:+.1%} over all" if seldom else ""
    return row


def _waits(sampler: Mapping[str, Any], step_ms: float, steps: int) -> dict[str, Any]:
    if "achieved_hz" not in sampler:
        return _row("wait sampler", 0, _NAN, str(sampler.get("failed", "did not run")))
    note = (
        f"{sampler['achieved_hz']:.0f} of {sampler['asked_hz']:.0f} samples/s, "
        f"{sampler['cpu_share']:.1%} of one core, in a process of its own"
    )
    if sampler["achieved_hz"] < LOWERED * sampler["asked_hz"]:
        note += "; it lowered its rate to use no more"
    return _row("wait sampler", steps, step_ms, note)


def _block(kind: str, blocks: pd.DataFrame, steps: pd.DataFrame) -> dict[str, Any]:
    start, end = bounds(steps)
    inside = np.zeros(len(steps), bool)
    near = np.zeros(len(steps), bool)
    for begins, ends in zip(*bounds(blocks), strict=True):
        inside |= (start >= begins) & (end <= ends)
        near |= (end > begins - NEIGHBOURS_NS) & (start < ends + NEIGHBOURS_NS)
    within = steps.loc[inside, "wall_ns"].to_numpy(np.float64)
    beside = quiet_steps(steps[near])["wall_ns"]
    if len(beside) < FEWEST_NEIGHBOURS:
        beside = quiet_steps(steps)["wall_ns"]
    label, count = LABELS.get(kind, kind), len(blocks)
    windows = f"{count} window{'s' if count != 1 else ''}, left out of all timing"
    if not len(within) or beside.empty:
        note = f"{windows}; no whole step fell inside"
        return _row(label, len(within), _NAN, note)
    ratio, low, high = ratio_interval(within, beside)
    row = _row(label, len(within), float(np.median(within)) / 1e6, windows)
    return {**row, "slowdown": ratio - 1, "low": low - 1, "high": high - 1}
