"""The ranks of a distributed run side by side: who waits for whom, and for what.

Ranks that exchange gradients take equally long for a step, whoever is slow: the others
wait for it in collectives. So each rank is judged by its own time, that outside of
collectives. The one that has most of it holds the others up, as far as it has more
than the next one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from debottleneck.analysis.result import Analysis, Finding, Where
from debottleneck.analysis.rules.measures import of_trainer, where
from debottleneck.analysis.thresholds import THRESHOLDS
from debottleneck.recording.ranks import Rank
from debottleneck.recording.spool import COLLECTIVE

FEWEST_MEETINGS = 3
"""Collectives that two clocks are compared by."""

FOLLOWS = 0.25
"""A cause that is this part of a row's longer time has brought its waits for a core."""


@dataclass(frozen=True)
class RankRun:
    """One rank of the run.

    Attributes:
        number: Its rank.
        folder: Name of its recording's folder.
        analysis: Of its recording.
        place: What it said of itself when it joined, None where it never did.
        shift_ns: What is added to its clock for that of the first rank.
    """

    number: int
    folder: str
    analysis: Analysis
    place: Rank | None
    shift_ns: int = 0

    @property
    def own(self) -> pd.Series:
        """Milliseconds of a step by row, without waits for others."""
        return _sums(self._causes(), "stage")

    @property
    def waits_ms(self) -> float:
        """Milliseconds of a step in which it waits for others."""
        table = of_trainer(self.analysis.causes, cause=COLLECTIVE)
        return float(table["ms_per_step"].sum())

    @property
    def error_ms(self) -> float:
        """Half the width of the interval of its own time, as of independent rows."""
        table = self._causes()
        half = (table["high"] - table["low"]).to_numpy(np.float64) / 2
        return float(np.sqrt((half**2).sum()))

    def causes_of(self, row: str) -> pd.Series:
        """Milliseconds of a step in a row by cause, without waits for others."""
        table = self._causes()
        return _sums(table[table["stage"] == row], "cause")

    def _causes(self) -> pd.DataFrame:
        table = of_trainer(self.analysis.causes)
        if not self.analysis.loop.found:  # of no step
            table = table[:0]
        return table[table["cause"] != COLLECTIVE]


def _sums(table: pd.DataFrame, by: str) -> pd.Series:
    return table.groupby(by, sort=False)["ms_per_step"].sum()


@dataclass(frozen=True)
class Straggler:
    """The rank that the others wait for.

    Attributes:
        rank: Its number.
        row: Where it takes longer than the others.
        cause: What for, most of all.
        beyond_ms: By how much longer than the median of the others, in that row.
        where: Lines of that row.
        finding: What its own recording says of that row, None for nothing.
        step_ms: Mean step of all ranks.
        gain_ms: What a step takes less without it: its own time beyond the next rank's.
        error_ms: Half the width of the interval of that (95 %).
    """

    rank: int
    row: str
    cause: str
    beyond_ms: float
    where: tuple[Where, ...]
    finding: Finding | None
    step_ms: float
    gain_ms: float
    error_ms: float

    @property
    def speedup(self) -> tuple[float, float, float]:
        """How many times faster all ranks would be, and its bounds."""
        bounds = (self.gain_ms + sign * self.error_ms for sign in (0, -1, 1))
        low, most = 1.0, 1 / (1 - THRESHOLDS.most_share)
        times = (self.step_ms / max(self.step_ms - ms, 1e-9) for ms in bounds)
        gain, least, highest = (min(max(t, low), most) for t in times)
        return gain, least, highest


@dataclass(frozen=True)
class Ranks:
    """All ranks of a run of which there are recordings.

    Attributes:
        runs: By number.
        world: How many there were.
        straggler: None where the ranks are balanced, or nothing can be told.
        difference_ms: Own time of the slowest rank beyond that of the fastest.
        told: Whether there were steps enough in all of them to tell.
    """

    runs: tuple[RankRun, ...]
    world: int
    straggler: Straggler | None = None
    difference_ms: float = 0.0
    told: bool = True
    missing: tuple[int, ...] = field(default=())

    @property
    def step_ms(self) -> float:
        """Mean step of all ranks."""
        return _step_ms(self.runs)

    @property
    def rows(self) -> tuple[str, ...]:
        """Rows of all ranks, as steps come to them."""
        names: dict[str, None] = {}
        for run in self.runs:
            own = set(run.own.index)
            names |= dict.fromkeys(r for r in run.analysis.row_names if r in own)
        return tuple(names)


def compare_ranks(analyses: Iterable[tuple[str, Analysis]]) -> Ranks:
    """The ranks of a run, from the analysis of each and its folder's name.

    Of several recordings of one rank, as after a restart, the last one counts.
    """
    runs: dict[int, RankRun] = {}
    for at, (folder, analysis) in enumerate(analyses):
        places = analysis.recording.facts.ranks
        place = places[-1] if places else None
        number = place["rank"] if place else at
        before = runs.get(number)
        if before is None or _began(before.analysis) <= _began(analysis):
            runs[number] = RankRun(number, folder, analysis, place)
    ordered = _shifted([runs[number] for number in sorted(runs)])
    world = max([len(ordered), *(r.place["world"] for r in ordered if r.place)])
    missing = tuple(sorted({*range(world)} - {*runs}))
    told = len(ordered) > 1 and all(
        run.analysis.loop.found and math.isfinite(run.error_ms) for run in ordered
    )
    if not told:
        return Ranks(ordered, world, told=False, missing=missing)
    own = [float(run.own.sum()) for run in ordered]
    found, difference = _straggler(ordered), max(own) - min(own)
    return Ranks(ordered, world, found, difference, missing=missing)


def _began(analysis: Analysis) -> str:
    return analysis.recording.facts.created


def _step_ms(runs: Iterable[RankRun]) -> float:
    return float(np.mean([run.analysis.loop.step_ms for run in runs]))


def _straggler(runs: tuple[RankRun, ...]) -> Straggler | None:
    """The rank with most time of its own, where that is surely more than others'."""
    *_, after, last = sorted(runs, key=lambda run: float(run.own.sum()))
    gain = float(last.own.sum() - after.own.sum())
    error, step = math.hypot(last.error_ms, after.error_ms), _step_ms(runs)
    if gain < error or gain < THRESHOLDS.straggler_share * step:
        return None
    others = [run for run in runs if run is not last]
    beyond = _beyond(last.own, [run.own for run in others])
    row = str(beyond.idxmax())
    causes = _beyond(last.causes_of(row), [run.causes_of(row) for run in others])
    cause, analysis = _cause(causes), last.analysis
    told = [f for f in analysis.findings if f.cause != COLLECTIVE]
    of_row = [f for f in told if f.stage == row and f.role == "trainer"]
    same = [f for f in of_row if f.cause == cause]
    return Straggler(
        rank=last.number,
        row=row,
        cause=cause,
        beyond_ms=float(beyond.max()),
        where=where(analysis, row),
        finding=next(iter([*same, *of_row]), None),
        step_ms=step,
        gain_ms=gain,
        error_ms=error,
    )


def _cause(beyond: pd.Series) -> str:
    """What most of it is; waits for a core follow from other work in that row."""
    work = beyond.drop("runqueue", errors="ignore")
    of_itself = len(work) and work.max() >= FOLLOWS * beyond.sum()
    return str((work if of_itself else beyond).idxmax())


def _beyond(mine: pd.Series, others: list[pd.Series]) -> pd.Series:
    """By how much mine is more than the median of the others'; what lacks is 0."""
    table = pd.concat(others, axis=1).reindex(mine.index).fillna(0.0)
    return mine - table.median(axis=1)


def _shifted(runs: list[RankRun]) -> tuple[RankRun, ...]:
    """With clocks of other machines set by what all ranks left at once."""
    first = runs[0]
    return tuple(
        run
        if run is first or _machine(run) == _machine(first)
        else RankRun(
            run.number, run.folder, run.analysis, run.place, _shift(first, run)
        )
        for run in runs
    )


def _machine(run: RankRun) -> str:
    return run.place["boot"] if run.place else ""


def _shift(first: RankRun, run: RankRun) -> int:
    """Of a rank's clock: the median over collectives that both have told."""
    here, there = (
        {m["number"]: m["end_ns"] for m in of.analysis.recording.facts.meetings}
        for of in (first, run)
    )
    both = sorted({*here} & {*there})
    if len(both) < FEWEST_MEETINGS:
        return 0
    return int(np.median([here[number] - there[number] for number in both]))
