"""`bottleneck report DIR [DIR ...]`: render recordings and comparisons again."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from debottleneck.collect.ranks import saved
from debottleneck.commands.ranks import read, rendered
from debottleneck.commands.target import OPEN_PAGE, add_format, check_output, put
from debottleneck.errors import UsageError

if TYPE_CHECKING:
    from debottleneck.analysis.result import Analysis
    from debottleneck.commands.parser import Verbs
    from debottleneck.recording.recording import Recording
    from debottleneck.trials.result import Comparison
    from debottleneck.trials.sides import Sides

FORMATS = ("text", "json", "html", "perfetto", "collapsed")

PREDICTED = ("text", "json", "html")
"""Formats that end with what strategies should gain, and that show comparisons too;
the others are of tools that know of one run."""

FILES = {
    "html": "report.html",
    "perfetto": "trace.json",
}
"""Format -> the file that it is written to unless asked otherwise; else to stdout."""

COMPARED = "comparison.html"
"""The page of several recordings, in the working directory: it belongs to none."""

NEXT = {
    "html": OPEN_PAGE,
    "perfetto": "Open it in Perfetto's UI or in chrome://tracing.",
    "collapsed": "Draw it with: flamegraph.pl {file} > flame.svg",
}
"""Format -> what to do with the file."""


@dataclass(frozen=True)
class ReportOptions:
    """What to render, and where to.

    Attributes:
        folder: A recording's or a comparison's.
        candidates: Recordings to compare with it.
        format: One of FORMATS.
        output: The file asked for.
        redact: Leave out paths, arguments and source.
        full: All of a run's text, where it would be printed in short.
    """

    folder: Path
    candidates: tuple[Path, ...] = ()
    format: str = "text"
    output: Path | None = None
    redact: bool = False
    full: bool = False

    def __post_init__(self) -> None:
        """Check what would fail only after the work is done.

        Raises:
            UsageError: There is no folder for the output.
        """
        check_output(self.output)

    @property
    def in_folder(self) -> bool:
        """Whether the result goes to the folder that is read."""
        return self.output is None and not self.candidates

    @property
    def file(self) -> Path | None:
        """Where the result goes, None for stdout."""
        if self.output is not None:
            return self.output
        name = FILES.get(self.format, "")
        if not name:
            return None
        name = f"redacted-{name}" if self.redact else name
        if self.in_folder:
            return self.folder / name
        return Path(name.replace(FILES["html"], COMPARED))

    def changed(self, recording: Recording) -> Recording:
        """A recording as it is analysed."""
        if not self.redact:
            return recording
        from debottleneck.report import redact

        return redact.recording(recording)


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "report",
        examples=(
            "bottleneck report bottleneck-runs/train-20261130-101500",
            "bottleneck report --format html slow-run fast-run",
        ),
        help="render a recording again, or compare saved ones",
        description="Render a recording that `bottleneck profile` wrote, or a "
        "comparison that `bottleneck compare` wrote. With several recordings the "
        "first is compared with each of the others; folders of a distributed run's "
        "machines are shown as one.",
        epilog="Text, json and collapsed stacks go to stdout, all else to a file in "
        "the folder, the page of several recordings to the working directory.",
    )
    option = parser.add_argument
    option(
        "recording",
        type=Path,
        metavar="RECORDING",
        help="the recording's or the comparison's folder",
    )
    option("candidate", type=Path, nargs="*", help="recordings to compare it with")
    add_format(parser, FORMATS)
    redacts = "leave out paths, arguments and source"
    option("--redact", action="store_true", help=redacts)
    option("--full", action="store_true", help="print all of a run, not its head")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, analyse, render."""
    options = ReportOptions(
        folder=arguments.recording,
        candidates=tuple(arguments.candidate),
        format=arguments.format,
        output=arguments.output,
        redact=arguments.redact,
        full=arguments.full,
    )
    if joined := _parts(options):
        ranks = read(joined, options.changed, named=not options.redact)
        if ranks.world > 1:
            shown, advice = rendered(ranks, options.format), NEXT.get(options.format)
            put(shown, options.file, advice or "", options.in_folder)
            return 0
        options = replace(options, folder=joined[0])
    from debottleneck.trials.save import is_comparison

    compares = bool(options.candidates) or is_comparison(options.folder)
    content = _of_comparison(options) if compares else _of_recording(options)
    advice = NEXT.get(options.format, "").format(file=shlex.quote(str(options.file)))
    put(content, options.file, advice, options.in_folder)
    return 0


def _parts(options: ReportOptions) -> list[Path]:
    """Recordings of ranks, where every folder is of a distributed run: they are one."""
    found = [saved(folder) for folder in (options.folder, *options.candidates)]
    return list(chain(*found)) if all(found) else []


def _of_recording(options: ReportOptions) -> str | bytes:
    from debottleneck.analysis.analyse import analyse
    from debottleneck.recording.assemble import load
    from debottleneck.report import render

    analysis = analyse(options.changed(load(options.folder)))
    if options.format in PREDICTED:
        from debottleneck.prediction.verdict import judged

        analysis = judged(analysis)
    if options.format == "text" and options.file is None:
        return _printed(options, analysis)
    return render(analysis, options.format)


def _printed(options: ReportOptions, analysis: Analysis) -> str:
    """The text as a terminal shows it."""
    from debottleneck.report.text import brief
    from debottleneck.report.text import run as whole
    from debottleneck.report.text.tables import look

    shape = look(sys.stdout)._asdict()
    if options.full:
        return whole.render(analysis, **shape)
    more = f"{'More':<11}bottleneck report --full {shlex.quote(str(options.folder))}"
    return brief.render(analysis, footer=(more,), **shape)


def _of_comparison(options: ReportOptions) -> str | bytes:
    if options.format not in PREDICTED:
        one = options.folder if options.candidates else options.folder / "baseline"
        raise UsageError(
            f"--format {options.format} shows one run, not a comparison",
            f"name one recording, e.g. {one}",
        )
    from debottleneck.report import redact, render_comparison

    comparison, shown = _compared(options)
    if options.redact:
        shown = shown and redact.sides(shown, comparison)
        comparison = redact.comparison(comparison)
    if options.format == "text" and options.file is None:
        return _comparison_printed(options, comparison)
    return render_comparison(comparison, options.format, shown)


def _comparison_printed(options: ReportOptions, comparison: Comparison) -> str:
    """The text as a terminal shows it, and how to see the runs behind a saved one."""
    from debottleneck.report.text import comparison as text
    from debottleneck.report.text.tables import look
    from debottleneck.trials.save import BASELINE, BEST

    footer: list[str] = []
    for name, whose in ((BASELINE, "the plain script's"), (BEST, "the winner's")):
        run = options.folder / name
        if options.in_folder and run.is_dir():
            lead = "" if footer else "Runs"
            quoted = shlex.quote(str(run))
            footer.append(f"{lead:<11}bottleneck report {quoted}  # {whose} profile")
    return text.render(comparison, footer=footer, **look(sys.stdout)._asdict())


def _compared(options: ReportOptions) -> tuple[Comparison, Sides | None]:
    """The comparison, and what its page shows of it."""
    from debottleneck.report.words.comparison import labels
    from debottleneck.trials import sides
    from debottleneck.trials.recorded import compare_recordings
    from debottleneck.trials.save import load

    measured = None
    if options.candidates:
        comparison, measured = compare_recordings(
            options.folder, options.candidates, change=options.changed
        )
    else:
        comparison = load(options.folder)
    if options.format != "html":
        return comparison, None
    behind = sides.read(comparison, labels(comparison), options.changed, measured)
    return comparison, behind
