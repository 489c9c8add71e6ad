"""Find the steps of a training loop in the marks of one thread. NumPy only.

Used while the script runs, to count steps, and afterwards by the analysis: one rule
for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from debottleneck.recording import iterations, spool
from debottleneck.recording.spool import (
    BY_OPTIMIZER,
    ENTER,
    LEAVE,
    STEP_END,
    STEP_START,
)
from debottleneck.words import BETWEEN_STAGES, LINE, STAGES, STEP

Ints = NDArray[np.int64]

LOOP, OPENED, BY_HAND = spool.LOOP, spool.OPENED, "step()"
"""Marks of the user's own loops and opened functions, and of `step()` in the script."""

CODE = {
    name: number
    for number, name in enumerate(
        (*STAGES, STEP, LINE, OPENED, LOOP, BY_HAND, spool.DEVICE)
    )
}
"""What a site marks -> number, for arrays; stages first."""

COMPUTE = tuple(CODE[name] for name in ("forward", "loss", "backward", "update"))
BETWEEN = tuple(CODE[name] for name in BETWEEN_STAGES)
TRAINING = tuple(CODE[name] for name in ("backward", "update"))

FEWEST = 2
"""Steps that make a loop: with fewer the next rule is asked."""

LOADS_PER_UPDATE = 0.1
"""With fewer loads than this an update, loads do not bound the steps (a loop that
loads once an epoch); with more, they do (also when gradients are accumulated)."""

TRACED = 0.1
"""With fewer computations than this for each of the loads that follow one another
without any, the computations are no part of the loop: a compiler traced them."""

STARTS_STEPS, RUNS_THE_LOOP, MARKS_BY_HAND = 1e3, 1e12, 1e15
"""What shows a thread to be the trainer, beside an entry of a training stage: each
outweighs any number of the one before."""


def code_of(stage: str, kind: str) -> int:
    """The number in `CODE` of what a site marks."""
    kinds = {
        (STEP, spool.LOOP): LOOP,
        (STEP, spool.API): BY_HAND,
        (LINE, spool.OPENED): OPENED,
        **{(LINE, kind): spool.DEVICE for kind in spool.WAITS_ASIDE},
    }
    return CODE[kinds.get((stage, kind), stage)]


@dataclass(frozen=True)
class Marks:
    """One thread's marks, as arrays of equal length in order of time.

    Attributes:
        t: Monotonic nanoseconds.
        edge: `spool.ENTER`, `LEAVE`, `STEP_START` or `STEP_END`.
        stage: Numbers of `CODE`.
        minor: True for marks that never bound a step (`zero_grad`).
        site: Which place marks.
        calls: How many calls that leaving stands for; of a loop's marks how many
            iterations were completed since its mark before.
    """

    t: Ints
    edge: Ints
    stage: Ints
    minor: NDArray[np.bool_]
    site: Ints
    calls: Ints


@dataclass(frozen=True)
class ChosenLoop:
    """The loop that trains, as the agent chose it.

    Attributes:
        site: Its number.
        tid: The thread that runs it.
        header: As it is written, in one line, "" where source was left out.
        file: Where.
        line: Of its header.
        why: What shows that it trains.
    """

    site: int
    tid: int
    header: str
    file: str
    line: int
    why: str = ""

    def rule(self, iterations: int = 1) -> str:
        """How steps are bounded, a sentence."""
        place = f"{PurePath(self.file).name}:{self.line}"
        loop = f'"{self.header}" ({place})' if self.header else f"the loop at {place}"
        if self.why == spool.BY_SECONDS:
            return f"a step is {spool.SLICE_NS / 1e9:.1f} s of {loop}"
        if iterations == 1:
            return f"a step is one iteration of {loop}"
        return f"a step is {iterations} iterations of {loop}, up to an optimizer's step"


@dataclass(frozen=True)
class Steps:
    """Steps found, and the rule.

    Attributes:
        start: Where they begin.
        end: Where they end; the next one's start unless there is a gap.
        rule: How they are bounded, a sentence.
        marked: False for iterations of a stretch that was marked as a whole, of which
            only the mean length is known.
        iterations: Of the chosen loop in each, 0 where that does not bound them.
    """

    start: Ints
    end: Ints
    rule: str
    marked: NDArray[np.bool_]
    iterations: int = 0

    @classmethod
    def of(cls, start: Ints, end: Ints, rule: str) -> Steps:
        """Steps each of which was marked."""
        return cls(start, end, rule, np.ones(len(start), np.bool_))

    def __len__(self) -> int:
        return len(self.start)


NONE = Steps.of(np.empty(0, np.int64), np.empty(0, np.int64), "")


def find_steps(
    marks: Marks, chosen: ChosenLoop | None = None, *, known: bool = False
) -> Steps:
    """The steps of one thread, by the first rule that its marks show.

    `step()` of the script bounds steps; else the chosen loop's iterations; else what
    a framework or a function such as `train_step` begins; else each load phase does;
    else each end of an update, of a backward pass, or each forward pass. Loads that no
    training follows, in a loop that trains, are an evaluation and no steps. If it is
    `known` which loop trains, functions and stages tell nothing.
    """
    rule = "a step begins where the script marks it with step()"
    by_hand = _explicit(marks, CODE[BY_HAND], rule)
    if by_hand is not None:
        return by_hand
    if chosen is not None:
        found = _iterations(marks, chosen)
        if len(found) >= FEWEST:
            return found
    begun = _explicit(marks, CODE[STEP], "a step begins where the framework begins one")
    if begun is not None:
        return begun
    return NONE if known else _by_stages(marks)


def _by_stages(marks: Marks) -> Steps:
    """Without a loop that is known: by functions and stages that come again."""
    outer = outermost(marks)
    kept = ~np.isin(outer.stage, BETWEEN) & ~outer.minor
    outer = _take(outer, kept)
    calls = marks.t[(marks.edge == ENTER) & (marks.stage == CODE[STEP])]
    updates = _run_ends(outer, CODE["update"])
    enough = max(FEWEST, LOADS_PER_UPDATE * len(updates))
    if len(calls) >= enough and not _joined(marks, CODE[STEP]):
        return _between(calls, "a step begins at each call of the step function")
    by_loads = _by_loads(outer, enough)
    return _by_computation(outer, updates) if by_loads is None else by_loads


def outermost(marks: Marks) -> Marks:
    """Entries and leavings of outermost stages; steps and lines do not count."""
    real = np.isin(marks.edge, (ENTER, LEAVE)) & (marks.stage < CODE[STEP])
    inner = _take(marks, real)
    change = np.where(inner.edge == ENTER, 1, -1)
    depth = np.cumsum(change)
    entered = (inner.edge == ENTER) & (depth == 1)
    leaving = (inner.edge == LEAVE) & (depth == 0)
    return _take(inner, entered | leaving)


def choose_trainer(
    threads: Mapping[int, Marks],
    main: int,
    chosen: ChosenLoop | None = None,
    *,
    known: bool = False,
) -> tuple[int, Steps]:
    """The thread that trains, and its steps; `main` and none when none shows.

    It is the one that runs the chosen loop, unless another has marked steps by hand.
    A thread that only loads or augments is no trainer, unless it is the main one.

    Args:
        threads: Tid -> its marks.
        main: Tid of the main thread.
        chosen: The loop that trains, None if none was seen to.
        known: Whether it was said which loop that is: no other steps are looked for.
    """
    best_tid, best, best_score = main, NONE, 0.0
    for tid, marks in threads.items():
        score = _trainer_score(marks) + (0.5 if tid == main else 0.0)
        if chosen is not None and tid == chosen.tid:
            score += RUNS_THE_LOOP
        if score >= 0.5 and score > best_score:
            steps = find_steps(marks, chosen, known=known)
            if len(steps):
                best_tid, best, best_score = tid, steps, score
    return best_tid, best


def _trainer_score(marks: Marks) -> float:
    """Marks that only a training thread makes."""
    entries = marks.stage[marks.edge == ENTER]
    begun = marks.stage[marks.edge == STEP_START]
    training = np.count_nonzero(np.isin(entries, (*COMPUTE, CODE[STEP])))
    by_hand = np.count_nonzero(begun == CODE[BY_HAND])
    by_others = np.count_nonzero(begun == CODE[STEP])
    return MARKS_BY_HAND * by_hand + STARTS_STEPS * by_others + training


def _take(marks: Marks, mask: NDArray[np.bool_]) -> Marks:
    return Marks(
        marks.t[mask],
        marks.edge[mask],
        marks.stage[mask],
        marks.minor[mask],
        marks.site[mask],
        marks.calls[mask],
    )


def _explicit(marks: Marks, code: int, rule: str) -> Steps | None:
    """From each start of a step to the next start, or to the end of all."""
    bounds = np.isin(marks.edge, (STEP_START, STEP_END)) & (marks.stage == code)
    times, edges = marks.t[bounds], marks.edge[bounds]
    if np.count_nonzero(edges == STEP_START) < FEWEST:
        return None
    begins = edges[:-1] == STEP_START
    return Steps.of(times[:-1][begins], times[1:][begins], rule)


def _iterations(marks: Marks, chosen: ChosenLoop) -> Steps:
    """Of the chosen loop, in whatever entry: what lies between belongs to the last.

    A start that no completed iteration follows before the next one is that of a loop
    which then ended. Stretches of several iterations are divided evenly.
    """
    own = (marks.site == chosen.site) & (marks.stage == CODE[LOOP])
    times, edges = marks.t[own], marks.edge[own]
    left = times[edges == STEP_END]
    done = np.cumsum(np.maximum(marks.calls[own], 0))
    bounds = edges == STEP_START
    if len(bounds):
        bounds[-1] = True  # the last iteration of all ends where the loop is left
    times, done = times[bounds], done[bounds]
    begins = np.append(np.diff(done) > 0, True)[: len(done)]
    if not begins[:-1].any():
        return NONE
    first = int(np.argmax(begins))
    times, done = times[first:][begins[first:]], done[first:][begins[first:]]
    start, end, marked = iterations.divided(times, np.diff(done))
    size = 1
    if chosen.why == BY_OPTIMIZER and marked.all():
        is_update = (marks.stage == CODE["update"]) & (marks.edge == ENTER)
        updates = marks.t[is_update & ~marks.minor]
        size, start, end = iterations.gathered(start, end, updates)
        marked = marked[: len(start)]
    marked = iterations.thinned(start, marked, left)
    return Steps(start, end, chosen.rule(size), marked, size)


def _joined(marks: Marks, code: int) -> bool:
    """Whether pairs of that stage's marks stand for several calls: none is a step."""
    leaving = (marks.edge == LEAVE) & (marks.stage == code)
    return bool((marks.calls[leaving] > 1).any())


def _by_loads(outer: Marks, enough: float) -> Steps | None:
    entries = _without_traced(_take(outer, outer.edge == ENTER))
    is_load = entries.stage == CODE["load"]
    before = np.concatenate(([-1], entries.stage[:-1]))
    if np.isin(entries.stage, COMPUTE).any():
        phase = is_load & ~_input_since_compute(entries.stage)
    elif (~is_load).any():
        phase = is_load & (before != CODE["load"])
    elif _joined(outer, CODE["load"]):
        return None
    else:
        phase = is_load
    starts = entries.t[phase]
    if len(starts) < enough:
        return None
    steps = _between(starts, "a step begins at each load")
    return _without_evaluation(steps, entries)


def _without_traced(entries: Marks) -> Marks:
    """Leave out computations that are seldom among many loads."""
    computes = np.isin(entries.stage, COMPUTE)
    is_load = entries.stage == CODE["load"]
    in_a_row = np.bincount(np.cumsum(computes)[is_load], minlength=1)
    if np.count_nonzero(computes) < TRACED * in_a_row.max():
        return _take(entries, ~computes)
    return entries


def _input_since_compute(stages: Ints) -> NDArray[np.bool_]:
    """For each entry, whether a load came before it since the last computation."""
    index = np.arange(len(stages))
    is_load = stages == CODE["load"]
    last_load = np.maximum.accumulate(np.where(is_load, index, -1))
    previous_load = np.concatenate(([-1], last_load[:-1]))
    computes = np.isin(stages, COMPUTE)
    last_compute = np.maximum.accumulate(np.where(computes, index, -1))
    return np.asarray((previous_load >= 0) & (previous_load > last_compute))


def _without_evaluation(steps: Steps, entries: Marks) -> Steps:
    """Leave out steps that only compute forward, where others train."""
    trains = np.isin(entries.stage, TRAINING)
    times = entries.t[trains]
    first = np.searchsorted(times, steps.start)
    count = np.searchsorted(times, steps.end) - first
    trained = count > 0
    if trained.mean() < 0.2 or trained.all():
        return steps
    return Steps.of(steps.start[trained], steps.end[trained], steps.rule)


def _by_computation(outer: Marks, updates: Ints) -> Steps:
    if len(updates) >= FEWEST:
        return _between(updates, "a step ends with each update")
    backwards = _run_ends(outer, CODE["backward"])
    if len(backwards) >= FEWEST:
        return _between(backwards, "a step ends with each backward pass")
    for name in ("update", "backward", "forward", "augment", "loss"):
        entries = outer.t[(outer.edge == ENTER) & (outer.stage == CODE[name])]
        if len(entries) >= FEWEST and not _joined(outer, CODE[name]):
            return _between(entries, f"a step begins at each {name}")
    return NONE


def _run_ends(outer: Marks, stage: int) -> Ints:
    """Times at which runs of one stage end, a run broken by another stage."""
    leavings = _take(outer, outer.edge == LEAVE)
    after = np.concatenate((leavings.stage[1:], [-1]))
    ends: Ints = leavings.t[(leavings.stage == stage) & (after != stage)]
    return ends


def _between(times: Ints, rule: str) -> Steps:
    return Steps.of(times[:-1], times[1:], rule)
