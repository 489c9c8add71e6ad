"""`bottleneck predict DIR`: what would each strategy gain."""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from debottleneck.commands.target import check_output, put
from debottleneck.errors import BottleneckError, UsageError

if TYPE_CHECKING:
    from debottleneck.analysis.result import Analysis, Predictions
    from debottleneck.commands.parser import Verbs
    from debottleneck.strategies.spec import Strategies

FORMATS = ("text", "json")


@dataclass(frozen=True)
class PredictOptions:
    """What to predict, and where to.

    Attributes:
        folder: The recording's.
        strategies: Those asked for, as written; () for each in its best setting.
        format: One of FORMATS.
        output: The file asked for.
    """

    folder: Path
    strategies: tuple[str, ...] = ()
    format: str = "text"
    output: Path | None = None

    def __post_init__(self) -> None:
        """Check what would fail only after the work is done.

        Raises:
            UsageError: There is no folder for the output.
        """
        check_output(self.output)


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "predict",
        examples=(
            "bottleneck predict bottleneck-runs/train-20261130-101500",
            "bottleneck predict RECORDING --strategy prefetch:workers=4",
        ),
        help="what would each strategy gain",
        description="Simulate the loop of a recording, with and without each "
        "strategy, and say what it should gain.",
    )
    option = parser.add_argument
    option("recording", type=Path, help="the recording's folder")
    text = "predict this one, joined by + for several at once (repeatable)"
    option("--strategy", action="append", default=[], metavar="S", help=text)
    option("--format", choices=FORMATS, default="text", help="text by default")
    option("--output", type=Path, metavar="FILE", help="write to this file instead")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, simulate, render."""
    options = PredictOptions(
        folder=arguments.recording,
        strategies=tuple(arguments.strategy),
        format=arguments.format,
        output=arguments.output,
    )
    from debottleneck.strategies.spec import OF_LOOPS, parse

    strategies = [parse(text) for text in options.strategies]
    for one in itertools.chain(*strategies):
        if one.name not in OF_LOOPS:
            raise UsageError(
                f"what {one} would gain cannot be simulated",
                f"`bottleneck compare --strategy {one}` measures it",
            )
    analysis = _analysed(options.folder)
    predictions = _predicted(options, analysis, strategies)
    put(_rendered(options, analysis, predictions), options.output)
    return 0


def _analysed(folder: Path) -> Analysis:
    from debottleneck.analysis.analyse import analyse
    from debottleneck.recording.assemble import load
    from debottleneck.trials.save import is_comparison

    if is_comparison(folder):
        raise UsageError(
            f"{folder} is a comparison, not a recording",
            f"name one recording, e.g. {folder / 'baseline'}",
        )
    recording = load(folder)
    applied = recording.facts.options.get("strategies")
    if applied:
        raise UsageError(
            f"{folder} was recorded with {applied}, and predictions are made from the "
            "plain script",
            "profile it without --strategy",
        )
    return analyse(recording)


def _predicted(
    options: PredictOptions, analysis: Analysis, strategies: list[Strategies]
) -> Predictions:
    from debottleneck.prediction.apply import NOT_SIMULATED
    from debottleneck.prediction.predict import predict

    predictions = predict(analysis, strategies)
    if predictions is not None and len(predictions.rows) < len(strategies):
        raise UsageError(
            f"parallel-update is not predicted here: it is {NOT_SIMULATED}",
            "bottleneck compare --strategy parallel-update measures it",
        )
    if predictions is None:
        raise BottleneckError(
            f"{options.folder} shows no steps that could be simulated",
            "profile the script for longer, or mark its loop: `for batch in "
            'step(loader):` and `with stage("load"):` from debottleneck',
        )
    return predictions


def _rendered(
    options: PredictOptions, analysis: Analysis, predictions: Predictions
) -> str:
    if options.format == "json":
        from debottleneck.report.machine import predictions as machine

        return machine.render(predictions, analysis.recording)
    from debottleneck.report.text import predictions as text
    from debottleneck.report.text.tables import PIPED, Shape, look

    shape = look(sys.stdout) if options.output is None else Shape(PIPED, False)
    return text.render(predictions, analysis.recording, **shape._asdict())
