"""The script by itself: profiled once before, and once with the winner after."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from debottleneck.agent.guard import Changes
from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.rules.wording import how_to_step
from debottleneck.collect import prices
from debottleneck.collect.options import LoopTarget, Options
from debottleneck.collect.session import Session
from debottleneck.errors import BottleneckError
from debottleneck.prediction.verdict import judged
from debottleneck.recording import assemble, masks
from debottleneck.trials.shortlist import FEWEST_STEPS, LEAST_STEPS
from debottleneck.trials.trial import last_lines, put_back

PROFILE_S = (8.0, 60.0)
"""Training seconds of a profile: quiet blocks and py-spy's two have room in the first;
a script that starts slowly or takes long steps is profiled again for longer."""

LAST_LINES = 12


def profile(
    target: Options,
    strategies: str,
    folder: Path,
    log: Path,
    say: Callable[[str], None],
) -> tuple[Analysis, Changes]:
    """Profile the script until it has shown some steps, and put its files back.

    Args:
        target: The script.
        strategies: What is applied, "" for nothing.
        folder: Of the recording, which does not exist yet.
        log: For the script's own output.
        say: Prints one line for the user.

    Raises:
        BottleneckError: The script fails by itself.
        KeyboardInterrupt: Ctrl-C reached it.
    """
    kept = log.with_suffix(".kept")
    for seconds in PROFILE_S:
        kept.mkdir(exist_ok=True)
        options = replace(
            target,
            seconds=seconds,
            output=folder,
            log=log,
            strategies=strategies,
            functions="",
            calibrate=True,
            guard=kept,
        )
        try:
            analysis = _analysed(options, say)
        finally:
            changes = put_back(kept)
        if not is_cut_short(analysis) or seconds == PROFILE_S[-1]:
            break
        say(f"few steps in {seconds:.0f} s; profiling for up to {PROFILE_S[-1]:.0f}")
        shutil.rmtree(folder, ignore_errors=True)
    return analysis, changes


def is_cut_short(analysis: Analysis) -> bool:
    """Whether the profile ended, and not the script, before it showed enough steps."""
    by_us = analysis.recording.facts.ended_by == "seconds"
    return by_us and len(analysis.steps) < FEWEST_STEPS


def _analysed(options: Options, say: Callable[[str], None]) -> Analysis:
    prices.ensure(options.python, say)  # what is tried depends on predictions
    session = Session(options, lambda line: None)
    code = session.run(session.measure)
    session.release()
    if session.signalled:
        raise KeyboardInterrupt
    if session.failure is not None:
        raise session.failure
    recording = assemble.load(options.output) if session.saved else None
    if recording is None or (code and recording.facts.ended_by != "seconds"):
        raise _failure(options, code, say)
    return judged(analyse(recording))


def _failure(
    options: Options, code: int, say: Callable[[str], None]
) -> BottleneckError:
    log = options.log or Path()
    for line in last_lines(log, LAST_LINES):
        say(f"  {line}")
    ran = " ".join([options.python, *masks.words(options.command)])
    return BottleneckError(
        f"the script fails by itself, with exit code {code} (its output: {log})",
        f"make this run first: {ran}",
    )


def check(analysis: Analysis, target: Options) -> None:
    """Refuse a script that shows nothing to compare.

    Raises:
        BottleneckError: No steps, or too few of them.
    """
    if not analysis.loop.found:
        raise BottleneckError(
            f"{target.target} shows no training steps to compare",
            how_to_step(analysis),
        )
    if len(analysis.steps) < FEWEST_STEPS:
        raise BottleneckError(
            f"{target.target} ran {len(analysis.steps)} training steps only",
            f"let it run at least {FEWEST_STEPS}, better {LEAST_STEPS}",
        )


def with_loop(target: Options, analysis: Analysis) -> Options:
    """The script with the loop named that trains: every trial has the same steps.

    Where the script marks its steps, it is the loop with one iteration a step.
    """
    loop = analysis.loop
    likely = [each for each in loop.others[:1] if abs(each.count - loop.count) <= 1]
    found = loop if loop.file else next(iter(likely), loop)
    if target.loop is not None or not os.path.isabs(found.file):
        return target
    size = max(loop.iterations, 1)
    return replace(target, loop=LoopTarget(found.file, found.line, loop.why, size))
