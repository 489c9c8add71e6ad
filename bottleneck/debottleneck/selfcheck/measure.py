"""Run the dialled loop under `profile`'s own machinery, and judge each cause."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis
from debottleneck.collect.options import Options
from debottleneck.collect.session import Session
from debottleneck.collect.target import SIGNALLED
from debottleneck.errors import BottleneckError
from debottleneck.recording import assemble
from debottleneck.selfcheck.accuracy import Truth, compared
from debottleneck.selfcheck.cases import Case
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
WAITS_ONLY = {"waits": True, "stacks": False, "functions": ""}


def profiled(
    python: str, arguments: tuple[str, ...], instruments: dict[str, Any]
) -> tuple[dict[str, Any], Analysis | None]:
    """Profile the dialled loop, in a folder that is removed afterwards.

    Returns:
        The truth that the loop wrote, and what was made of it; None where the loop
        could not plant its cause.

    Raises:
        KeyboardInterrupt: Ctrl-C reached the loop.
        BottleneckError: The loop could not be run.
    """
    place = tempfile.TemporaryDirectory("", "selfcheck-", ignore_cleanup_errors=True)
    with place as folder:
        story = Path(folder) / "truth.json"
        options = Options(
            target=str(SCRIPT),
            arguments=(*arguments, "--truth", str(story)),
            module=False,
            python=python,
            steps=None,
            seconds=UNBOUNDED_S,
            stop=False,
            warmup=None,
            output=Path(folder) / "run",
            **instruments,
        )
        session = Session(options, lambda line: None)
        code = session.run(session.measure)
        session.release()
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        if session.failure is not None:
            raise session.failure
        if not session.saved or code or not story.exists():
            raise BottleneckError(
                f"the dialled loop did not run through (exit code {code})",
                f"try: {python} {SCRIPT} {' '.join(arguments)} --truth FILE",
            )
        truth = json.loads(story.read_text(encoding="utf-8"))
        if "unavailable" in truth:
            return truth, None
        return truth, analyse(assemble.load(options.output))


def rows_of(case: Case, python: str) -> tuple[list[Row], tuple[str, ...]]:
    """The rows of one case, and what could not be done or measured."""
    skipped = Row(case.causes, "+".join(case.causes), case.place, case.share)
    skipped = replace(skipped, verdict=SKIPPED)
    try:
        truth, analysis = profiled(python, case.arguments, WAITS_ONLY)
    except BottleneckError as error:
        return [replace(skipped, note=str(error))], (str(error),)
    if analysis is None:
        return [replace(skipped, note=truth["unavailable"])], ()
    problems = tuple(
        f"{gap.what} could not be measured ({gap.why}): {gap.remedy}".rstrip(": ")
        for gap in analysis.recording.facts.not_measured
        if gap.why != "switched off"
    )
    return _judged_rows(case, Truth.of(truth), analysis), problems


def _judged_rows(case: Case, truth: Truth, analysis: Analysis) -> list[Row]:
    """A row for each cause that was planted, or one for the healthy loop."""
    foreign = analysis.recording.facts.environment.get("foreign_load")
    if not case.causes:
        row = Row((), "", case.place, 0.0, foreign=foreign)
        if not analysis.findings:
            return [replace(row, verdict=OK, note="no finding")]
        verdict = NOT_JUDGED if is_busy(foreign) else OFF
        return [replace(row, verdict=verdict, note=analysis.findings[0].summary)]
    rows = []
    for cause in case.causes:
        dialled = case.share / len(case.causes)
        row = Row(case.causes, cause, case.place, dialled, foreign=foreign)
        shares = compared(analysis, truth, cause, case.place)
        if shares is not None:
            row = replace(row, **vars(shares))
        verdict, note = judged(row)
        rows.append(replace(row, verdict=verdict, note=note))
    return rows
