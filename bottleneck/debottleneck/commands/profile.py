"""`bottleneck profile script.py`: measure one run, report it, hand its exit code on."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from debottleneck.commands.ranks import report_ranks
from debottleneck.commands.report import FORMATS
from debottleneck.commands.target import (
    RUNS,
    add_target,
    new_folder,
    options_of,
    same_for_ranks,
    say,
)
from debottleneck.errors import UsageError

if TYPE_CHECKING:
    from debottleneck.collect.options import Options
    from debottleneck.collect.progress import Progress
    from debottleneck.collect.ranks import Place
    from debottleneck.commands.parser import Verbs
    from debottleneck.report.text.live import LiveLine, LiveTable


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "profile",
        examples=(
            "bottleneck profile train.py --epochs 3",
            "bottleneck profile --seconds 20 --stop -m mypackage.train",
        ),
        help="run a script as plain python would, and find what its loop waits for",
        description="Run SCRIPT as plain python would, and find what its training "
        "loop waits for. Options of bottleneck come before the script.",
        usage="bottleneck profile [OPTIONS] (SCRIPT | -m MODULE) [ARGS...]",
    )
    _add_bounds(parser)
    _add_instruments(parser)
    add_target(parser)
    parser.set_defaults(run=run)


def _add_bounds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, metavar="N", help="measure N steps")
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        metavar="S",
        help="measure S seconds of training (default 60); the script goes on",
    )
    parser.add_argument(
        "--stop", action="store_true", help="end the script with the measurement"
    )
    parser.add_argument(
        "--warmup", type=int, metavar="N", help="leave N steps out (default: chosen)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help=f"default: a new one in {RUNS}/"
    )
    parser.add_argument(
        "--format",
        nargs=2,
        action="append",
        default=[],
        metavar=("FORMAT", "FILE"),
        help=f"also write the report to FILE: {', '.join(FORMATS)} (repeatable)",
    )
    parser.add_argument(
        "--full", action="store_true", help="print all of the report, not its head"
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="show where the time goes while it runs: a table on the terminal's upper "
        "half, each second",
    )


def _add_instruments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strategy",
        action="append",
        default=[],
        metavar="S",
        help="profile with this strategy applied (repeatable; see `bottleneck run`)",
    )
    parser.add_argument(
        "--causal",
        action="store_true",
        help="experimental: try what the step gains where a row is faster: hold the "
        "loop's other threads back for each of its passes, in some blocks of steps",
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=200.0,
        metavar="HZ",
        help="samples of /proc a second (default 200)",
    )
    parser.add_argument("--no-stacks", action="store_true", help="do not attach py-spy")
    parser.add_argument("--no-waits", action="store_true", help="do not sample /proc")
    parser.add_argument("--no-functions", action="store_true", help="do not use yappi")
    parser.add_argument(
        "--functions",
        choices=("windows", "all"),
        default="windows",
        help="yappi over a few steps (default) or the whole run",
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure, report, and wait for the script."""
    copies = _copies(arguments.format)
    from debottleneck.collect import ranks
    from debottleneck.collect.session import Session

    place = ranks.place()
    options = _options(arguments, place)
    again: list[str] = []
    live = _Live(arguments.live)
    tell = live.say if place is None or place.rank == 0 else _unsaid
    session = Session(options, tell, live.show if sys.stderr.isatty() else None)

    def work() -> None:
        _prepare_report()
        try:
            is_saved = session.measure()
        finally:
            live.close()
        if session.launches:
            session.outlast(lambda: ranks.all_saved(options.output))
            report_ranks(options.output, copies)
        elif is_saved and place is None:
            again.extend(report(options, copies, arguments.full))
        elif is_saved and place is not None:
            _part(options, place.is_last(options.output.parent), copies)

    code = session.run(work)
    if session.trained_on:  # the report has scrolled away
        for line in again:
            say(line)
    if again:
        _price(options.python)
    return code if place is None else ranks.end_like(code)


def _unsaid(line: str) -> None:
    """Of several ranks one speaks."""


def _part(options: Options, is_last: bool, copies: list[tuple[str, Path]]) -> None:
    """One rank's own page, and that of all ranks from the last one."""
    from debottleneck.analysis.analyse import analyse
    from debottleneck.prediction.verdict import judged
    from debottleneck.recording.assemble import load
    from debottleneck.report import render, save

    analysis = judged(analyse(load(options.output)))
    save(render(analysis, "html"), options.output / "report.html", private=True)
    if is_last:
        report_ranks(options.output.parent, copies)


class _Live:
    """The terminal's one line that moves, and those that stay, without breaking any.

    What draws it is imported when it is first drawn, while the script runs.

    Args:
        whole: Whether a table is drawn instead.
    """

    def __init__(self, whole: bool) -> None:
        self._whole = whole
        self._line: LiveLine | LiveTable | None = None

    def show(self, pace: Progress) -> None:
        """Draw how far it is, where that can be."""
        from debottleneck.report.text.live import LiveLine, LiveTable, is_shown

        if self._line is None and is_shown(sys.stderr):
            self._line = (LiveTable if self._whole else LiveLine)(sys.stderr)
        if self._line is not None:
            self._line.show(pace)

    def say(self, line: str) -> None:
        """Print a line that stays."""
        if self._line is None:
            say(line)
        else:
            self._line.say(f"bottleneck: {line}")

    def close(self) -> None:
        """All of the terminal is the script's and the report's again."""
        if self._line is not None:
            self._line.close()


def _price(python: str) -> None:
    """Let later predictions know this machine; Ctrl-C leaves that for another time."""
    from debottleneck.collect import prices

    with contextlib.suppress(KeyboardInterrupt):
        prices.ensure(python, say)


def _prepare_report() -> None:
    """Import what the report needs while the script starts, not after it."""
    for name in (
        "analysis.analyse",
        "collect.saving",
        "prediction.verdict",
        "report.html.run",
        "report.text.brief",
        "report.text.run",
    ):
        importlib.import_module(f"debottleneck.{name}")


def _copies(asked: list[list[str]]) -> list[tuple[str, Path]]:
    """The further reports asked for, checked before the run."""
    copies = []
    for format, name in asked:
        path = Path(name)
        if format not in FORMATS:
            raise UsageError(
                f"--format {format!r} is not known", f"use one of {', '.join(FORMATS)}"
            )
        if not path.absolute().parent.is_dir():
            raise UsageError(
                f"--format {format}: there is no folder for {name!r}", "make it first"
            )
        copies.append((format, path))
    return copies


def _options(arguments: argparse.Namespace, place: Place | None) -> Options:
    from debottleneck.collect import ranks
    from debottleneck.strategies.spec import parse, written

    asked = arguments.strategy
    options = options_of(
        arguments,
        steps=arguments.steps,
        seconds=arguments.seconds,
        stop=arguments.stop,
        warmup=arguments.warmup,
        output=Path(),
        stacks=not arguments.no_stacks,
        functions="" if arguments.no_functions else arguments.functions,
        waits=not arguments.no_waits,
        rate=arguments.rate if place is None else place.rate(arguments.rate),
        causal=arguments.causal,
        calibrate=place is None,
        strategies=written(parse("+".join(asked))) if asked else "",
    )
    # Nothing is made before all is checked.
    if place is not None:
        run = arguments.output or Path(RUNS) / ranks.name_of_run(arguments.target)
        return replace(options, output=place.part(run))
    folder = new_folder(arguments.output, arguments.target)
    lead = (*same_for_ranks(arguments), "--output", str(folder.absolute()))
    return replace(options, output=folder, ranks=lead)


def report(options: Options, copies: list[tuple[str, Path]], full: bool) -> list[str]:
    """Analyse the recording, print the report and the next command, write the page.

    Returns:
        What of it is said again when the script has ended, if that is later.
    """
    begun, folder = time.monotonic(), options.output
    from debottleneck import load_recording
    from debottleneck.analysis.analyse import analyse
    from debottleneck.prediction.verdict import judged
    from debottleneck.report.text import brief
    from debottleneck.report.text import run as whole
    from debottleneck.report.text.tables import look, print_apart
    from debottleneck.report.words.quantities import clean

    analysis = judged(analyse(load_recording(folder)))
    page = folder / "report.html"
    again = f"bottleneck report {'' if full else '--full '}{folder}"
    footer = (f"Page       {page}", f"{'Again' if full else 'More':<11}{again}")
    render = whole.render if full else brief.render
    text = render(analysis, footer=footer, **look(sys.stderr)._asdict())
    print_apart(text, sys.stderr)
    from debottleneck.report import render as rendered
    from debottleneck.report import save

    save(rendered(analysis, "html"), page, private=True)
    for format, path in copies:
        save(rendered(analysis, format), path)
        say(f"wrote {path}")
    say(f"report made in {time.monotonic() - begun:.1f} s")
    return [clean(analysis.verdict.what), f"page: {page}"]
