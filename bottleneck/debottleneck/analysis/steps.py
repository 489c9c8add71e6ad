"""The loop: which thread trains, its steps, what is warm-up, what was quiet."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.analysis.frames import (
    BULK,
    LEARNING,
    QUIET,
    WARMUP,
    Ints,
    bounds,
    holding,
    typed,
)
from debottleneck.analysis.result import Candidate
from debottleneck.analysis.rows import file_names
from debottleneck.analysis.timeline import MarkedThreads
from debottleneck.recording import spool
from debottleneck.recording.loop import ChosenLoop, Steps, choose_trainer
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import STEP_END, STEP_START

ENOUGH = 10
"""Steps must remain when those are left out in which the agent learned."""

MOST_WARMUP_SHARE = 0.25
"""No more than this part of the steps is called warm-up."""

FAR_FROM_MEDIAN = 0.3
"""A leading step this far from the median, and from the usual spread, is warm-up."""


def chosen_loop(recording: Recording) -> ChosenLoop | None:
    """The loop that the target's own process trains in, None if it is not known."""
    pid = recording.facts.pid
    table = recording.loops[recording.loops["pid"] == pid]
    for choice in table[table["rank"] == 0].itertuples(index=False):
        places = recording.sites[recording.sites["pid"] == pid]
        for site in places[places["site"] == choice.site].itertuples(index=False):
            place = str(site.name), str(site.file), int(site.line)
            why = str(choice.why)
            return ChosenLoop(int(choice.site), int(choice.tid), *place, why)
    return None


def find_loop(
    recording: Recording, threads: MarkedThreads, chosen: ChosenLoop | None
) -> tuple[int, Steps]:
    """The trainer's tid and its steps; the main thread and none when none shows."""
    facts = recording.facts
    own = {tid: marks for (pid, tid), (marks, _) in threads.items() if pid == facts.pid}
    return choose_trainer(own, facts.main_tid, chosen)


def candidates(recording: Recording) -> tuple[Candidate, ...]:
    """Loops of the target's own process: first the one that trains, then others."""
    pid = recording.facts.pid
    loops = recording.loops[recording.loops["pid"] == pid].sort_values("rank")
    table = loops.merge(recording.sites, on=["pid", "site"])
    names = file_names(table["file"])
    own = recording.marks[recording.marks["pid"] == pid]
    steps = own[own["edge"].isin((STEP_START, STEP_END))]
    counts = steps.groupby("site")["calls"].sum()
    return tuple(
        Candidate(
            header=str(row["name"]),
            file=str(row["file"]),
            line=int(row["line"]),
            count=int(counts.get(row["site"], 0)),
            option=f"--step {names[str(row['file'])]}:{row['line']}",
        )
        for row in table.to_dict("records")
    )


def label(
    steps: Steps, blocks: pd.DataFrame, end_ns: int, asked_warmup: int | None
) -> tuple[pd.DataFrame, int, str]:
    """`frames.COLUMNS["steps"]`, the number of warm-up steps, and why that many.

    Args:
        steps: Of the trainer.
        blocks: The recording's; a step that overlaps one is not quiet.
        end_ns: When measuring ended; later steps are left out.
        asked_warmup: The user's number, None to choose.
    """
    inside = steps.end <= end_ns
    start, end = steps.start[inside], steps.end[inside]
    wall = end - start
    names = np.full(len(wall), QUIET, dtype=object)
    names[~steps.marked[inside]] = BULK
    learned = np.zeros(len(wall), np.bool_)
    for block in blocks.itertuples(index=False):
        touched = (start < block.end_ns) & (end > block.start_ns)
        if block.kind in (spool.LEARNING, spool.PLANNING):
            learned |= touched & (block.kind == spool.LEARNING)
            names[touched & (block.kind == spool.PLANNING)] = LEARNING
            continue
        kind = str(block.kind)
        if kind != spool.DELAYED:
            kind = "functions" if kind.startswith("functions") else "stacks"
        names[touched & (names != BULK)] = kind
    learned &= names == QUIET
    if np.count_nonzero(names == QUIET) - np.count_nonzero(learned) >= ENOUGH:
        names[learned] = LEARNING
    warmup, reason = choose_warmup(wall, names == QUIET, asked_warmup)
    names[:warmup] = WARMUP
    table = pd.DataFrame(
        {
            "step": np.arange(len(wall)),
            "start_ns": start,
            "end_ns": end,
            "wall_ns": wall,
            "block": names,
        }
    )
    return typed("steps", table), warmup, reason


def choose_warmup(
    wall: Ints, quiet: NDArray[np.bool_], asked: int | None
) -> tuple[int, str]:
    """How many leading steps to leave out, and a sentence that says why."""
    if asked is not None:
        return min(asked, len(wall)), "as asked with --warmup"
    if len(wall) < 4:
        return 0, "too few steps to tell a warm-up"
    later = wall[len(wall) // 4 :][quiet[len(wall) // 4 :]]
    later = later if len(later) else wall
    middle = float(np.median(later))
    spread = 1.4826 * float(np.median(np.abs(later - middle)))
    far = np.abs(wall - middle) > max(FAR_FROM_MEDIAN * middle, 4 * spread)
    most = max(1, int(MOST_WARMUP_SHARE * len(wall)))
    count = int(np.argmin(far)) if not far.all() else most
    if count == 0:
        return 1, "the first step is always left out; it took no longer than others"
    count = min(count, most)
    ratio = float(np.max(wall[:count])) / middle
    return count, f"the first took up to {ratio:,.1f} times the median step"


def with_stages(
    steps: pd.DataFrame, segments: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Each step's time by stage, and the trainer's segments with their step.

    Returns:
        `frames.COLUMNS["step_stages"]`, which sums to each step's `wall_ns`, and the
        segments within steps with a column `step`.
    """
    start, end = bounds(segments)
    table = segments.assign(step=holding(*bounds(steps), start), wall_ns=end - start)
    within = table[table["step"] >= 0].reset_index(drop=True)
    times = within.groupby(["step", "stage"], as_index=False)[["wall_ns", "cpu_ns"]]
    return typed("step_stages", times.sum()), within
