"""Run the dialled loop under `profile`'s own machinery, and judge each cause."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis
from debottleneck.collect.options import Options
from debottleneck.collect.session import SIGNALLED, Session
from debottleneck.errors import BottleneckError
from debottleneck.recording import assemble
from debottleneck.selfcheck.compare import Truth, in_loader, in_trainer
from debottleneck.selfcheck.plan import LOADER, Case
from debottleneck.selfcheck.result import (
    NOT_JUDGED,
    OFF,
    OK,
    SKIPPED,
    Row,
    is_busy,
    judged,
)

SCRIPT = Path(__file__).parent / "planted" / "dial.py"
INTERRUPTED = SIGNALLED + 2
UNBOUNDED_S = 1e6


@dataclass(frozen=True)
class Instruments:
    """Which of them take part in a run."""

    waits: bool = True
    stacks: bool = False
    functions: bool = False


WAITS_ONLY = Instruments()


@dataclass(frozen=True)
class Ran:
    """One run: what the loop told of itself, and what was made of it."""

    told: dict[str, Any]
    analysis: Analysis | None
    bytes: int = 0


def profiled(
    python: str, arguments: tuple[str, ...], instruments: Instruments, keep: Path
) -> Ran:
    """Profile the dialled loop.

    Args:
        python: The interpreter that runs it.
        arguments: The loop's options.
        instruments: What takes part beside the marks.
        keep: An empty folder; the recording is in its folder "run" afterwards.

    Raises:
        KeyboardInterrupt: Ctrl-C reached the loop.
        BottleneckError: The loop could not be run.
    """
    story = keep / "truth.json"
    options = Options(
        target=str(SCRIPT),
        arguments=(*arguments, "--truth", str(story)),
        module=False,
        python=python,
        steps=None,
        seconds=UNBOUNDED_S,
        stop=False,
        warmup=None,
        output=keep / "run",
        waits=instruments.waits,
        stacks=instruments.stacks,
        functions="windows" if instruments.functions else "",
    )
    session = Session(options, _say_nothing)
    session.start()
    measured = session.measure()
    code = session.finish()
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if not measured or code or not story.exists():
        raise BottleneckError(
            f"the dialled loop did not run through (exit code {code})",
            f"try: {python} {SCRIPT} {' '.join(arguments)}",
        )
    told = json.loads(story.read_text(encoding="utf-8"))
    if "unavailable" in told:
        return Ran(told, None)
    size = sum(file.stat().st_size for file in options.output.iterdir())
    return Ran(told, analyse(assemble.load(options.output)), size)


def _say_nothing(line: str) -> None:
    """The self-check has its own progress."""


def in_folder(run: Callable[[Path], Ran]) -> Ran:
    """Run with a folder that is removed afterwards, whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="selfcheck-"))
    try:
        return run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rows_of(case: Case, python: str) -> tuple[list[Row], tuple[str, ...]]:
    """The rows of one case, and what instruments said they could not do."""
    ran = in_folder(lambda keep: profiled(python, case.arguments, WAITS_ONLY, keep))
    if ran.analysis is None:
        return [_skipped(case, ran.told["unavailable"])], ()
    rows = judged_rows(case, Truth.of(ran.told), ran.analysis)
    return rows, _problems(ran.analysis)


def _skipped(case: Case, why: str) -> Row:
    cause = "+".join(case.causes)
    return Row(case.causes, cause, case.place, case.share, verdict=SKIPPED, note=why)


def judged_rows(case: Case, truth: Truth, analysis: Analysis) -> list[Row]:
    """A row for each cause that was planted, or one for the healthy loop."""
    foreign = analysis.recording.facts.environment.get("foreign_load")
    if not case.causes:
        return [_healthy(case, analysis, foreign)]
    dialled = case.share / len(case.causes)
    compare = in_loader if case.place == LOADER else in_trainer
    rows = []
    for cause in case.causes:
        row = Row(case.causes, cause, case.place, dialled, foreign=foreign)
        found = compare(analysis, truth, cause)
        if found is not None:
            row = replace(row, **vars(found))
        verdict, note = judged(row)
        rows.append(replace(row, verdict=verdict, note=note))
    return rows


def _healthy(case: Case, analysis: Analysis, foreign: float | None) -> Row:
    row = Row((), "", case.place, 0.0, foreign=foreign)
    if not analysis.findings:
        return replace(row, verdict=OK, note="no finding")
    note = analysis.findings[0].summary
    return replace(row, verdict=NOT_JUDGED if is_busy(foreign) else OFF, note=note)


def _problems(analysis: Analysis) -> tuple[str, ...]:
    """What is missing although it was asked for."""
    return tuple(
        f"{gap.what} could not be measured ({gap.why}): {gap.remedy}".rstrip(": ")
        for gap in analysis.recording.facts.not_measured
        if gap.why != "switched off"
    )
