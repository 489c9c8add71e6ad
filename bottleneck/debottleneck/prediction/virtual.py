"""What the step gains where a row is faster: from blocks in which it virtually was.

A block's steps, less what was credited to the trainer in them (`agent.delays`), are
held against those of the blocks without delays right before and after it. Through the
blocks of a row goes the concave curve from 0 that fits best: more of the same never
gains more than the first of it did. Where no other thread marks, nothing waits for the
trainer, and the row's share is the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import PurePath

import numpy as np
import pandas as pd

from debottleneck.analysis.frames import Floats, Ints, bounds
from debottleneck.analysis.result import Analysis, Faster, RowCurve, VirtualSpeedups
from debottleneck.analysis.statistics import BOUNDS, RESAMPLES
from debottleneck.recording.recording import Delayed
from debottleneck.recording.spool import LEAST_SHARE, MOST_ROWS, PERCENTS
from debottleneck.words import OTHER

SETTLING, FEWEST_STEPS, APART_NS = 1 / 4, 4, 10_000_000_000
"""Part of a block in which threads still fall into step; whole steps that must remain;
and time between two blocks of one series."""

UNSTEADY, FEWEST_BLOCKS, PARAMETERS = 0.15, 3, 2
"""Blocks whose neighbours differ by more tell of the machine; a row with fewer blocks
has no curve; and what a curve has to fit: how it begins, and where it goes flat."""

FLAT, NOTHING, NOTHING_SURELY = 0.25, 0.02, 0.05
"""A curve has its knee where it goes on this much less steeply than it began; a row
that gains no more, and surely no more than the last, is no limit of the loop."""

WORKS = 0.05
"""Part of its time that a thread computes which is at work."""

_LEVELS = np.array(PERCENTS, np.float64) / 100
_SWEEPS = 200


def virtual_speedups(analysis: Analysis) -> VirtualSpeedups | None:
    """The curves of a run with `--causal`; None of any other."""
    facts = analysis.recording.facts
    if not facts.options.get("causal") or not analysis.loop.found:
        return None
    pid = facts.pid
    marking = set(_marked(analysis)["tid"])
    curves = _measured(analysis)
    if not curves and not marking - {analysis.loop.trainer_tid}:
        curves = _shares(analysis)
    threads = analysis.threads[analysis.threads["pid"] == pid]
    at_work = threads[threads["python"] + threads["native"] >= WORKS]
    unheld = at_work[~at_work["tid"].isin(marking) & (at_work["role"] != "trainer")]
    rows = sorted(curves, key=lambda row: -row.points[-1].gain)
    return VirtualSpeedups(tuple(rows), tuple(map(str, unheld["name"])))


def _shares(analysis: Analysis) -> list[RowCurve]:
    """Of one thread alone: what a row takes less, the step takes less."""
    rows = analysis.stages[analysis.stages["stage"] != OTHER]
    rows = rows[rows["share"] >= LEAST_SHARE].nlargest(MOST_ROWS, "share")
    curves = []
    for row in rows.to_dict("records"):
        shares = [float(row[name]) for name in ("share", "share_low", "share_high")]
        points = tuple(Faster(p, *(p / 100 * s for s in shares)) for p in PERCENTS)
        length = float(row["ms_per_step"]) / max(float(row["calls_per_step"]), 1.0)
        curves.append(RowCurve(str(row["stage"]), "trainer", length, points, 0))
    return curves


def _measured(analysis: Analysis) -> list[RowCurve]:
    """Of each row with enough blocks."""
    ratios: dict[int, list[tuple[float, float]]] = {}
    lengths: dict[int, float] = {}
    blocks = analysis.recording.facts.delays
    means = [_mean(analysis.steps, block) for block in blocks]
    for i, block in enumerate(blocks):
        if not block["percent"] or not _has_neighbours(blocks, i):
            continue
        before, mean, after = means[i - 1 : i + 2]
        plain = (before + after) / 2
        steady = abs(after - before) < UNSTEADY * plain
        if steady and mean == mean:
            share = block["percent"] / 100
            ratios.setdefault(block["site"], []).append((share, 1 - mean / plain))
            lengths[block["site"]] = block["delay_ns"] / share / 1e6
    tried = {
        site: np.array(pairs)
        for site, pairs in ratios.items()
        if len(pairs) >= FEWEST_BLOCKS
    }
    fits = {site: fitted(*pairs.T) for site, pairs in tried.items()}
    apart = [pairs[:, 1] - _at(fits[site], pairs) for site, pairs in tried.items()]
    rest = np.concatenate([*apart, np.empty(0)])
    free = len(rest) - PARAMETERS * len(tried)
    rest = rest * np.sqrt(len(rest) / max(free, 1))
    return [
        _curve(analysis, site, lengths[site], pairs, fits[site], rest)
        for site, pairs in tried.items()
    ]


def _at(fit: Floats, pairs: Floats) -> Floats:
    """The curve's gain at these blocks' shares, each of which is one of the levels."""
    return fit[np.searchsorted(_LEVELS, pairs[:, 0])]


def _has_neighbours(blocks: Sequence[Delayed], at: int) -> bool:
    """Whether blocks without delays come right before and after one with some."""
    around = blocks[max(at - 1, 0) : at + 2]
    gaps = (after["start_ns"] - one["end_ns"] for one, after in pairwise(around))
    percents = [block["percent"] for block in around]
    return percents == [0, blocks[at]["percent"], 0] and max(gaps) < APART_NS


def _mean(steps: pd.DataFrame, block: Delayed) -> float:
    """The mean step there, what was credited taken off; NaN where there are few."""
    start, end = bounds(steps)
    inside = np.flatnonzero((start >= block["start_ns"]) & (end <= block["end_ns"]))
    inside = inside[round(SETTLING * len(inside)) :]
    if len(inside) < FEWEST_STEPS:
        return float("nan")
    credits = np.array(block["credits"], np.int64).reshape(-1, 2)
    first, last = start[inside[0]], end[inside[-1]]
    gone = _credit(credits, last) - _credit(credits, first)
    return float(int(last - first) - gone) / len(inside)


def _credit(credits: Ints, time: int) -> int:
    """What had been credited by then."""
    place = int(np.searchsorted(credits[:, 0], time, "right"))
    return int(credits[place - 1, 1]) if place else 0


def fitted(shares: Floats, gains: Floats) -> Floats:
    """The concave curve from 0 that fits best, by least squares, at each of `PERCENTS`.

    It is a sum of `c * min(share, level)` with no `c` below 0 over the levels, each in
    turn set right until nothing moves (coordinate descent).

    Args:
        shares: (n,) of the row's time that goes.
        gains: (..., n) of the step's.

    Returns:
        (..., levels) the curve's gain there.
    """
    basis = np.minimum(shares[:, np.newaxis], _LEVELS)
    weights = np.zeros((*gains.shape[:-1], len(_LEVELS)))
    products, onto = basis.T @ basis, gains @ basis
    for _ in range(_SWEEPS):
        for k in reversed(range(len(_LEVELS))):  # no bend where none was seen
            square = products[k, k]
            rest = onto[..., k] - weights @ products[k] + weights[..., k] * square
            weights[..., k] = np.maximum(rest / max(float(square), 1e-12), 0.0)
    return np.asarray(weights @ np.minimum.outer(_LEVELS, _LEVELS))


def _curve(
    analysis: Analysis,
    site: int,
    pass_ms: float,
    pairs: Floats,
    fit: Floats,
    rest: Floats,
) -> RowCurve:
    """A row's curve; bounds by bootstrap of what blocks lie beside their curves."""
    noise = np.random.default_rng(0).choice(rest, (RESAMPLES, len(pairs)))
    draws = fitted(pairs[:, 0], _at(fit, pairs) + noise)
    low, high = np.quantile(draws, BOUNDS, axis=0)
    bounds = np.minimum(low, fit), np.maximum(high, fit)
    numbers = np.stack((fit, *bounds), axis=1).tolist()
    points = [Faster(p, *n) for p, n in zip(PERCENTS, numbers, strict=True)]
    own = _marked(analysis)
    tids = set(own.loc[own["site"] == site, "tid"])
    trains = analysis.loop.trainer_tid in tids
    others = _roles(analysis, set(own["tid"]) - {analysis.loop.trainer_tid})
    knee, limit = _knee(points), "the trainer"
    if trains:
        limit = f"the {others[0]}" if len(others) == 1 else "other threads"
    role = "trainer" if trains else next(iter(_roles(analysis, tids)), OTHER)
    limit = limit if knee < PERCENTS[-1] else ""
    row = _named(analysis, own[own["site"] == site], site)
    return RowCurve(row, role, pass_ms, tuple(points), len(pairs), knee, limit)


def _named(analysis: Analysis, own: pd.DataFrame, site: int) -> str:
    """What tables call a site's row, else its place."""
    names = own.loc[own["stage"] != OTHER, "stage"].mode()
    sites = analysis.recording.sites
    here = (sites["pid"] == analysis.recording.facts.pid) & (sites["site"] == site)
    places = zip(sites.loc[here, "file"], sites.loc[here, "line"], strict=True)
    named = [f"{PurePath(str(file)).name}:{line}" for file, line in places]
    return next(iter([*map(str, names), *named]), f"row {site}")


def _marked(analysis: Analysis) -> pd.DataFrame:
    """Segments of the target's own process."""
    table = analysis.segments
    return table[table["pid"] == analysis.recording.facts.pid]


def _roles(analysis: Analysis, tids: set[int]) -> list[str]:
    """Of threads of the target, the most frequent first."""
    table = analysis.threads
    own = table[table["pid"] == analysis.recording.facts.pid]
    counts = Counter(own.loc[own["tid"].isin(tids), "role"])
    return [str(role) for role, _ in counts.most_common()]


def _knee(points: Sequence[Faster]) -> int:
    """The percent beyond which a curve is flat: 0 for all of it, 100 for nowhere."""
    first, last = points[0], points[-1]
    if last.gain < NOTHING or last.low <= 0:
        return 0 if last.high < NOTHING_SURELY else last.percent
    steep = first.gain / first.percent
    for before, after in pairwise(points):
        slope = (after.gain - before.gain) / (after.percent - before.percent)
        if slope < FLAT * steep:
            return before.percent
    return last.percent
