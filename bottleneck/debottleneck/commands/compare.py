"""`bottleneck compare script.py`: try strategies, measure them, keep what helps."""

from __future__ import annotations

import argparse
import math
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from debottleneck.commands import INTERRUPTED
from debottleneck.commands.target import (
    RUNS,
    add_target,
    check_interpreter,
    check_script,
    new_folder,
)
from debottleneck.errors import UsageError

if TYPE_CHECKING:
    from debottleneck.commands.parser import Verbs
    from debottleneck.trials.compare import CompareOptions
    from debottleneck.trials.result import Comparison

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "compare",
        examples=(
            "bottleneck compare train.py --epochs 3",
            "bottleneck compare --strategy prefetch --patch keep.diff train.py",
        ),
        help="try strategies on a script, unedited, and measure what each gains",
        description="Run SCRIPT with and without strategies in interleaved rounds, "
        "check that the numbers stay the same, and say which is faster by how much. "
        "Rounds are added until every row is decided. Without --strategy those are "
        "tried that a profile of the script names, in its order, but for those that "
        "are predicted to gain nothing.",
        usage="bottleneck compare [OPTIONS] (SCRIPT | -m MODULE) [ARGS...]",
    )
    _add_options(parser)
    add_target(parser)
    parser.set_defaults(run=run)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strategy",
        action="append",
        default=[],
        metavar="S",
        help="try this and no other: NAME[:KEY=VALUE,...][+NAME...] (repeatable)",
    )
    parser.add_argument(
        "--all",
        dest="everything",
        action="store_true",
        help="try also what is predicted to gain nothing",
    )
    parser.add_argument(
        "--rounds", type=int, default=15, metavar="N", help="at most N (default 15)"
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="steps of a trial (default: about 3 s)"
    )
    parser.add_argument(
        "--budget", metavar="T", help="end after this time: 90s, 5m, 1h"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help=f"default: a new one in {RUNS}/"
    )
    parser.add_argument(
        "--patch",
        type=Path,
        metavar="FILE",
        help="write what keeps the winner as a patch, for `git apply`",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="text by default"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the order of the trials"
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare, print the table, save the folder."""
    wanted = _wanted(arguments)
    from debottleneck.report.text.progress import Bar
    from debottleneck.trials.compare import run as compare

    bar = Bar(sys.stderr)
    try:
        with _ended_by_ctrl_c(), bar:
            comparison, interrupted = compare(
                wanted, bar.watch, lambda line: bar.say(f"bottleneck: {line}")
            )
    except KeyboardInterrupt:
        print(f"bottleneck: ended by Ctrl-C{_known(wanted.folder)}", file=sys.stderr)
        return INTERRUPTED
    _print(comparison, arguments.format)
    if arguments.patch is not None:
        _copy_patch(comparison, arguments.patch)
    return INTERRUPTED if interrupted else 0


def _known(folder: Path) -> str:
    """What there is to see where the profile was not finished."""
    from debottleneck.recording.recording import FACTS_FILE
    from debottleneck.trials.save import BASELINE

    if not (folder / BASELINE / FACTS_FILE).exists():
        return ", nothing was measured"
    return f" in the profile: bottleneck report {folder / BASELINE}"


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """Being asked to end in another way, as by a time limit, counts as Ctrl-C."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        for number in numbers:
            signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wanted(arguments: argparse.Namespace) -> CompareOptions:
    from debottleneck.collect.options import LoopTarget, Options, StageTarget
    from debottleneck.strategies.spec import parse, written

    strategies = {written(s): s for s in map(parse, arguments.strategy)}
    budget = None if arguments.budget is None else seconds_of(arguments.budget)
    if not arguments.module:
        check_script(arguments.target)
    python = check_interpreter(arguments.python)
    from debottleneck.trials.compare import CompareOptions

    options = CompareOptions(
        target=Options(
            target=arguments.target,
            arguments=tuple(arguments.arguments),
            module=arguments.module,
            python=python,
            include=tuple(arguments.include),
            stages=tuple(StageTarget.parse(text) for text in arguments.stage),
            loop=LoopTarget.parse(arguments.loop) if arguments.loop else None,
        ),
        strategies=tuple(strategies.values()),
        rounds=arguments.rounds,
        steps=arguments.steps,
        budget_s=budget,
        folder=Path(),
        seed=arguments.seed,
        everything=arguments.everything,
    )
    # Nothing is made before all is checked.
    folder = new_folder(arguments.output, arguments.target, prefix="compare-")
    return replace(options, folder=folder)


def seconds_of(text: str) -> float:
    """Read a duration such as 90s, 1.5m or 1h; a bare number is seconds.

    Raises:
        UsageError: It is none, or not positive.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    seconds = float(match[1]) * UNITS.get(match[2], 0.0) if match else 0.0
    if not 0 < seconds < math.inf:
        raise UsageError(
            f"--budget {text!r} is no duration", "write for example 90s, 5m or 1h"
        )
    return seconds


def _copy_patch(comparison: Comparison, file: Path) -> None:
    """Put the patch where it was asked for; or say that there is none."""
    from debottleneck.trials.save import PATCH

    made = (comparison.folder or Path()) / PATCH
    if not made.exists():
        print(f"bottleneck: nothing to keep; {file} is not written", file=sys.stderr)
        return
    try:
        shutil.copyfile(made, file)
    except OSError as error:
        print(f"bottleneck: {file}: {error.strerror}; see {made}", file=sys.stderr)


def _print(comparison: Comparison, format: str) -> None:
    """The table, with the page written and where things lie, or one JSON document."""
    from debottleneck.report import render_comparison, save
    from debottleneck.report.machine import comparison as as_json
    from debottleneck.report.text import comparison as as_text
    from debottleneck.report.text.tables import look
    from debottleneck.trials.save import PATCH

    folder = comparison.folder or Path()
    if format == "json":
        sys.stdout.write(as_json.render(comparison))
        return
    page, patch = folder / "report.html", folder / PATCH
    save(render_comparison(comparison, "html"), page, private=True)
    footer = (
        f"Page       {page}",
        f"Saved      {folder}",
        *([f"To keep    git apply {patch}"] if patch.exists() else []),
        f"Again      bottleneck report {folder}",
    )
    shape = look(sys.stdout)
    text = as_text.render(comparison, footer=footer, **shape._asdict())
    sys.stdout.write(text)
