"""A comparison made of saved recordings, whenever and wherever they were made.

A folder of recordings is one side that was run several times: how much its runs differ
is then measured, else assumed.

Only steps and stages are looked at; the page analyses the two recordings it shows.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from debottleneck.analysis.analyse import FEWEST_STEPS
from debottleneck.analysis.frames import BULK, QUIET
from debottleneck.analysis.steps import chosen_loop, find_loop, label
from debottleneck.analysis.timeline import marks_by_thread
from debottleneck.errors import UsageError
from debottleneck.recording.assemble import load
from debottleneck.recording.environment import differences
from debottleneck.recording.recording import FACTS_FILE, Facts, Recording
from debottleneck.strategies.spec import Strategies, burst_of, known
from debottleneck.trials import save, verdict
from debottleneck.trials.compare import rank
from debottleneck.trials.entrants import name_of, settings_of
from debottleneck.trials.result import FASTER, Comparison, Trial
from debottleneck.trials.save import Measurements
from debottleneck.trials.sides import unchanged
from debottleneck.trials.trial import Measured

Ints = NDArray[np.int64]

NO_OUTPUTS = "recordings hold no outputs, so the numbers were not compared"
FEW_STEPS = 20
"""With fewer the interval rests on too few blocks of steps."""

FEW_RUNS = (
    f"fewer than {verdict.POLICY.min_rounds} runs of a side do not show how much they "
    f"differ; the intervals allow for {100 * verdict.POLICY.run_to_run:.0f} % of each, "
    "which is usual; a folder of repeated recordings counts as one side"
)


@dataclass(frozen=True)
class RecordedRun:
    """What is needed of a recording.

    Attributes:
        name: The recording's folder, with as many folders above it as tell it apart.
        path: Where it is.
        facts: Its own.
        rule: How its steps are bounded.
        step_ns: Lengths of the quiet steps, shape (steps,).
        again: The same script, run again.
    """

    name: str
    path: Path
    facts: Facts
    rule: str
    step_ns: Ints
    again: tuple[RecordedRun, ...] = ()

    @property
    def walls(self) -> list[Ints]:
        """Steps of each of its runs."""
        return [self.step_ns, *(run.step_ns for run in self.again)]

    @property
    def applied(self) -> str:
        """The strategies that were applied to the script, as they are written."""
        return str(self.facts.options.get("strategies", ""))

    @property
    def strategies(self) -> Strategies:
        """Those of them that are known now."""
        return known(self.applied)

    @property
    def measured(self) -> Measured:
        """As if it had been a trial."""
        seconds = (self.facts.end_ns - self.facts.start_ns) / 1e9
        starts = np.zeros_like(self.step_ns)  # no table has them
        code = self.facts.exit_code
        return Measured(self.step_ns, starts, seconds=seconds, exit_code=code)

    @property
    def target(self) -> tuple[str, ...]:
        """The script's name, wherever it lies, and its arguments."""
        lead = 2 if self.facts.command[:1] == ("-m",) else 1
        script = os.path.basename(self.facts.script)
        return (script, *self.facts.command[lead:])


def compare_recordings(
    before: Path,
    candidates: Sequence[Path],
    *,
    change: Callable[[Recording], Recording] = unchanged,
) -> tuple[Comparison, Measurements]:
    """Compare the steps of recordings with those of the first.

    Args:
        before: The baseline's folder, or one with a recording of each of its runs.
        candidates: The others'.
        change: Applied to each recording before anything is taken from it.

    Returns:
        The comparison, best candidate first, and the quiet steps of each recording
        (spec "" is the baseline).

    Raises:
        RecordingError: One cannot be read.
        UsageError: One shows no steps, or is named twice.
    """
    paths = (before, *candidates)
    first, *others = [
        _side(path, name, change)
        for path, name in zip(paths, names_of(paths), strict=True)
    ]
    trials = sorted((_row(first, run, len(others)) for run in others), key=rank)
    named = [("", first), *((run.name, run) for run in others)]
    runs = [
        save.TimedRun(spec, number, run.measured)
        for spec, side in named
        for number, run in enumerate((side, *side.again))
    ]
    return _comparison(first, others, trials), save.tables_of(runs)


def _comparison(
    first: RecordedRun, others: Sequence[RecordedRun], trials: Sequence[Trial]
) -> Comparison:
    best = trials[0]
    after = next(run for run in others if run.name == best.spec)
    notes = [note for run in others for note in _unlike(first, run)]
    return Comparison(
        command=first.facts.command,
        created=max(run.facts.created for run in (first, *others)),
        baseline_ms=verdict.typical(first.walls),
        baseline_memory_mb=None,
        baseline_cpu_ms=None,
        rounds=max(len(run.walls) for run in (first, *others)),
        steps=len(first.step_ns),
        trials=tuple(trials),
        best=best.spec if best.verdict == FASTER else "",
        notes=(*_few_runs((first, *others)), *_about(first), *notes),
        environment=first.facts.environment,
        before=first.path,
        after=after.path,
        recorded=True,
        baseline=first.name,
    )


def names_of(paths: Sequence[Path]) -> list[str]:
    """A name for each: its folder's, with folders above it until no two are the same.

    Folders that all of them end in, such as `baseline`, tell nothing and are left out.

    Raises:
        UsageError: Fewer than two, or the same one twice.
    """
    parts = [path.resolve().parts for path in paths]
    if len(parts) < 2:
        raise UsageError(
            "a comparison needs two recordings", "name a baseline and a candidate"
        )
    for path, own in zip(paths, parts, strict=True):
        if parts.count(own) > 1:
            raise UsageError(f"{path} is named twice", "name each recording once")
    while len({last for *_, last in parts}) == 1:
        parts = [tuple(above) for *above, _ in parts]
    for depth in range(1, max(map(len, parts)) + 1):
        names = [str(PurePath(*path[-depth:])) for path in parts]
        if len(set(names)) == len(names):
            break
    return names


def _side(
    path: Path, name: str, change: Callable[[Recording], Recording]
) -> RecordedRun:
    """The recording there, or the first of several with the others beside it."""
    runs = sorted(file.parent for file in path.glob(f"*/{FACTS_FILE}"))
    if (path / FACTS_FILE).exists() or not runs:
        runs = [path]
    first, *again = [_run(change(load(run)), run, name) for run in runs]
    return replace(first, again=tuple(again))


def _run(recording: Recording, path: Path, name: str) -> RecordedRun:
    facts = recording.facts
    threads = marks_by_thread(recording)
    _, steps = find_loop(recording, threads, chosen_loop(recording))
    warmup = facts.options.get("warmup")
    table, _, _ = label(steps, recording.blocks, facts.end_ns, warmup)
    quiet = table[table["block"].isin((QUIET, BULK))]
    if len(quiet) < FEWEST_STEPS:
        raise UsageError(
            f"{path} shows no training steps to compare"
            if not len(table)
            else f"{path} shows {len(quiet)} quiet steps, too few to compare",
            "profile it again for longer, or name its loop's line with --step",
        )
    step_ns = quiet["wall_ns"].to_numpy(np.int64)
    return RecordedRun(name, path, facts, steps.rule, step_ns)


def _few_runs(sides: Sequence[RecordedRun]) -> list[str]:
    least = min(len(side.walls) for side in sides)
    return [FEW_RUNS] if least < verdict.POLICY.min_rounds else []


def _row(first: RecordedRun, run: RecordedRun, rows: int) -> Trial:
    strategies = run.strategies
    bursts = burst_of(first.strategies), burst_of(strategies)
    ratio = verdict.apart(first.walls, run.walls, rows=rows, bursts=bursts)
    return Trial(
        strategy=name_of(strategies) or run.name,
        settings=settings_of(strategies),
        spec=run.name,
        verdict=verdict.word(ratio),
        numbers="unverified",
        why=NO_OUTPUTS,
        rounds=len(run.walls),
        step_ms=verdict.typical(run.walls).value,
        speedup=ratio,
        did=(f"ran with {run.applied}",) if run.applied else (),
    )


def _about(run: RecordedRun) -> list[str]:
    """What a reader should know of a recording by itself."""
    notes = []
    if len(run.step_ns) < FEW_STEPS:
        notes.append(f"only {len(run.step_ns)} quiet steps of {run.name} were measured")
    if run.facts.partial:
        reason = run.facts.partial_why or "cut off"
        notes.append(f"the recording {run.name} is partial: {reason}")
    return notes


def _unlike(first: RecordedRun, run: RecordedRun) -> list[str]:
    """Why a run is no candidate for the first: too little, another loop or place."""
    notes = _about(run)
    if first.target != run.target:
        notes.append(
            f"not the same command was run: `{shlex.join(first.target)}` for "
            f"{first.name}, `{shlex.join(run.target)}` for {run.name}; a step may not "
            "be the same work"
        )
    if first.rule != run.rule:
        notes.append(
            f"steps are bounded in different ways: {first.rule} in {first.name}, "
            f"{run.rule} in {run.name}"
        )
    surroundings = ", ".join(
        f"{fact.what} {fact.after} instead of {fact.before}"
        for fact in differences(first.facts.environment, run.facts.environment)
        if fact.matters
    )
    if surroundings:
        notes.append(f"the surroundings of {run.name} were different: {surroundings}")
    return notes
