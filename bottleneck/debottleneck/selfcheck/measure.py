"""Run the dialled loop under `profile`'s own machinery, and judge each cause."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis
from debottleneck.collect.options import Options
from debottleneck.collect.session import Session
from debottleneck.collect.target import SIGNALLED
from debottleneck.errors import BottleneckError
from debottleneck.recording import assemble
from debottleneck.selfcheck.accuracy import Truth, in_loader, in_trainer
from debottleneck.selfcheck.cases import LOADER, Case
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
class DialledRun:
    """One run: what the loop says of itself, and what was made of it.

    Attributes:
        truth: The JSON that the loop wrote.
        analysis: None where the loop could not plant its cause.
    """

    truth: dict[str, Any]
    analysis: Analysis | None


def profiled(
    python: str, arguments: tuple[str, ...], instruments: Instruments
) -> DialledRun:
    """Profile the dialled loop, in a folder that is removed afterwards.

    Raises:
        KeyboardInterrupt: Ctrl-C reached the loop.
        BottleneckError: The loop could not be run.
    """
    folder = tempfile.TemporaryDirectory("", "selfcheck-", ignore_cleanup_errors=True)
    with folder as path:
        return _profiled_in(Path(path), python, arguments, instruments)


def _profiled_in(
    folder: Path, python: str, arguments: tuple[str, ...], instruments: Instruments
) -> DialledRun:
    story = folder / "truth.json"
    options = Options(
        target=str(SCRIPT),
        arguments=(*arguments, "--truth", str(story)),
        module=False,
        python=python,
        steps=None,
        seconds=UNBOUNDED_S,
        stop=False,
        warmup=None,
        output=folder / "run",
        waits=instruments.waits,
        stacks=instruments.stacks,
        functions="windows" if instruments.functions else "",
    )
    session = Session(options, _say_nothing)
    code = session.run(session.measure)
    session.release()
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if session.failure is not None:
        raise session.failure
    if not session.saved or code or not story.exists():
        raise BottleneckError(
            f"the dialled loop did not run through (exit code {code})",
            f"try: {python} {SCRIPT} {' '.join(arguments)}",
        )
    truth = json.loads(story.read_text(encoding="utf-8"))
    if "unavailable" in truth:
        return DialledRun(truth, None)
    return DialledRun(truth, analyse(assemble.load(options.output)))


def _say_nothing(line: str) -> None:
    """The self-check has its own progress."""


def rows_of(case: Case, python: str) -> tuple[list[Row], tuple[str, ...]]:
    """The rows of one case, and what could not be done or measured."""
    try:
        run = profiled(python, case.arguments, WAITS_ONLY)
    except BottleneckError as error:
        return [_skipped(case, str(error))], (str(error),)
    if run.analysis is None:
        return [_skipped(case, run.truth["unavailable"])], ()
    rows = judged_rows(case, Truth.of(run.truth), run.analysis)
    return rows, _problems(run.analysis)


def _skipped(case: Case, note: str) -> Row:
    cause = "+".join(case.causes)
    return Row(case.causes, cause, case.place, case.share, verdict=SKIPPED, note=note)


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
        shares = compare(analysis, truth, cause)
        if shares is not None:
            row = replace(row, **vars(shares))
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
