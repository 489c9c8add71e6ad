"""`bottleneck check DIR --max load=25%`: fail where a run exceeds its limits."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from debottleneck.commands.target import add_format, check_output, put
from debottleneck.errors import UsageError

if TYPE_CHECKING:
    from debottleneck.analysis.result import Analysis
    from debottleneck.commands.parser import Verbs

FORMATS = ("text", "junit", "github", "markdown")

EXCEEDED = 1
"""Exit code where a limit is not kept."""


@dataclass(frozen=True)
class CheckOptions:
    """What to check, and how to say it.

    Attributes:
        folder: The recording's.
        limits: As they are written.
        baseline: A recording's folder to compare with, None for none.
        format: One of FORMATS.
        output: The file asked for.
    """

    folder: Path
    limits: tuple[str, ...]
    baseline: Path | None = None
    format: str = "text"
    output: Path | None = None

    def __post_init__(self) -> None:
        """Check what would fail only after the work is done.

        Raises:
            UsageError: No limit, or no folder for the output.
        """
        if not self.limits:
            raise UsageError("there is no limit to check", "add --max load=25%")
        check_output(self.output)


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "check",
        examples=(
            "bottleneck check RECORDING --max load=25% --max gil=5% --max step=12ms",
            "bottleneck check RECORDING --max step=+10% --baseline MAIN_RECORDING",
        ),
        help="exit with 1 where a recording exceeds limits, for CI",
        description="Compare a recording with limits. A limit is of the step, of one "
        "of its rows (load, train.py:17) or of a cause (gil, network): a time, or a "
        "share of the step. +LIMIT is of what is more than in the baseline.",
        epilog="Exit code: 0 all kept, 1 one exceeded, 2 it cannot be told. Beside a "
        "baseline a limit is exceeded only where the whole 95 % interval lies above.",
    )
    option = parser.add_argument
    option("recording", type=Path, metavar="RECORDING", help="the recording's folder")
    option(
        "--max",
        dest="limits",
        action="append",
        default=[],
        metavar="NAME=LIMIT",
        help="at most so much of it: load=25%%, step=12ms, step=+10%% (repeatable)",
    )
    option("--baseline", type=Path, metavar="DIR", help="the recording to compare with")
    add_format(parser, FORMATS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, compare, say it."""
    options = CheckOptions(
        folder=arguments.recording,
        limits=tuple(arguments.limits),
        baseline=arguments.baseline,
        format=arguments.format,
        output=arguments.output,
    )
    from debottleneck.report.checked import render
    from debottleneck.trials.limits import Limit, check

    limits = [Limit.parse(text) for text in options.limits]
    analysis = _analysed(options.folder)
    baseline = _analysed(options.baseline) if options.baseline else None
    results = check(analysis, limits, baseline)
    put(render(results, analysis, options.format), options.output)
    return 0 if all(result.kept for result in results) else EXCEEDED


def _analysed(folder: Path) -> Analysis:
    from debottleneck.analysis.analyse import analyse
    from debottleneck.prediction.verdict import judged
    from debottleneck.recording.assemble import load

    return judged(analyse(load(folder)))
