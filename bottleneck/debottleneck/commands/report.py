"""`bottleneck report DIR [DIR ...]`: render recordings and comparisons again."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from debottleneck.commands.target import OPEN_PAGE, check_output, put
from debottleneck.errors import UsageError

if TYPE_CHECKING:
    from debottleneck.analysis.result import Analysis
    from debottleneck.recording.recording import Recording
    from debottleneck.trials.result import Comparison
    from debottleneck.trials.save import Measurements
    from debottleneck.trials.sides import Sides

    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

FORMATS = ("text", "json", "html", "perfetto", "speedscope", "collapsed", "pstats")

PREDICTED = ("text", "json", "html")
"""Formats that end with what strategies should gain; predicting takes a second."""

ONE_RUN = ("perfetto", "speedscope", "collapsed", "pstats")
"""Formats of tools that know nothing of comparisons."""

FILES: Mapping[str, str] = MappingProxyType(
    {
        "html": "report.html",
        "perfetto": "trace.json",
        "speedscope": "profile.speedscope.json",
        "pstats": "profile.pstats",
    }
)
"""Format -> the file that it is written to unless asked otherwise; else to stdout."""

COMPARED = "comparison.html"
"""The page of several recordings, in the working directory: it belongs to none."""

NEXT: Mapping[str, str] = MappingProxyType(
    {
        "html": OPEN_PAGE,
        "perfetto": "Open it in Perfetto's UI or in chrome://tracing.",
        "speedscope": "Open it with: speedscope {file}",
        "collapsed": "Draw it with: flamegraph.pl {file} > flame.svg",
        "pstats": "Look at it with: snakeviz {file} (or python -m pstats {file})",
    }
)
"""Format -> what to do with the file."""


@dataclass(frozen=True)
class ReportOptions:
    """What to render, and where to.

    Attributes:
        folder: A recording's or a comparison's.
        candidates: Recordings to compare with it.
        format: One of FORMATS.
        output: The file asked for.
        png: The figure to draw instead, "" for none.
        redact: Leave out paths, arguments and source.
    """

    folder: Path
    candidates: tuple[Path, ...] = ()
    format: str = "text"
    output: Path | None = None
    png: str = ""
    redact: bool = False

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
        if self.png:
            name = re.sub(r"[^\w.-]", "-", self.png) + ".png"
        if not name:
            return None
        name = f"redacted-{name}" if self.redact else name
        if self.in_folder:
            return self.folder / name
        return Path(name if self.png else name.replace(FILES["html"], COMPARED))


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "report",
        help="render a recording again, or compare saved ones",
        description="Render a recording that `bottleneck profile` wrote, or a "
        "comparison that `bottleneck compare` wrote. With several recordings the "
        "first is compared with each of the others.",
        epilog="Text, json and collapsed stacks go to stdout, all else to a file in "
        "the folder, the page of several recordings to the working directory.",
    )
    parser.add_argument(
        "recording", type=Path, help="the recording's or the comparison's folder"
    )
    parser.add_argument(
        "candidate", type=Path, nargs="*", help="recordings to compare it with"
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        metavar="FORMAT",
        help=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}; text by default",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write to this file instead"
    )
    parser.add_argument(
        "--png", default="", metavar="FIGURE", help="draw one figure (needs kaleido)"
    )
    parser.add_argument(
        "--redact", action="store_true", help="leave out paths, arguments and source"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, analyse, render."""
    options = ReportOptions(
        folder=arguments.recording,
        candidates=tuple(arguments.candidate),
        format=arguments.format,
        output=arguments.output,
        png=arguments.png,
        redact=arguments.redact,
    )
    from debottleneck.trials.save import is_comparison

    compares = bool(options.candidates) or is_comparison(options.folder)
    content = _of_comparison(options) if compares else _of_recording(options)
    advice = "" if options.png else NEXT.get(options.format, "")
    advice = advice.format(file=shlex.quote(str(options.file)))
    put(content, options.file, advice, options.in_folder)
    return 0


def _of_recording(options: ReportOptions) -> str | bytes:
    if options.png:
        return _picture_of_recording(options)
    from debottleneck.report import render

    analysis = _analysed(options)
    if options.format in PREDICTED:
        analysis = _judged(analysis)
    return render(analysis, options.format)


def _picture_of_recording(options: ReportOptions) -> bytes:
    from debottleneck.report import picture
    from debottleneck.report.figures import catalogue

    catalogue.check_run(options.png)
    picture.check()
    analysis = _analysed(options)
    if options.png == catalogue.PREDICTIONS:
        analysis = _judged(analysis)
    return picture.png(catalogue.of_run(analysis, options.png))


def _analysed(options: ReportOptions) -> Analysis:
    from debottleneck.analysis.analyse import analyse
    from debottleneck.recording.assemble import load

    return analyse(_change(options)(load(options.folder)))


def _judged(analysis: Analysis) -> Analysis:
    from debottleneck.prediction.verdict import judged

    return judged(analysis)


def _change(options: ReportOptions) -> Callable[[Recording], Recording]:
    """What is done to a recording before it is analysed."""
    from debottleneck.report.redact import redact
    from debottleneck.trials.sides import unchanged

    return redact.recording if options.redact else unchanged


def _of_comparison(options: ReportOptions) -> str | bytes:
    if options.format in ONE_RUN:
        one = options.folder if options.candidates else options.folder / "baseline"
        raise UsageError(
            f"--format {options.format} shows one run, not a comparison",
            f"name one recording, e.g. {one}",
        )
    if options.png:
        return _picture_of_comparison(options)
    from debottleneck.report import render_comparison

    comparison, measured = _compared(options)
    page = options.format == "html"
    shown = _sides(options, comparison, measured) if page else None
    return render_comparison(_redacted(options, comparison), options.format, shown)


def _picture_of_comparison(options: ReportOptions) -> bytes:
    from debottleneck.report import picture
    from debottleneck.report.figures import catalogue

    catalogue.check_comparison(options.png)
    picture.check()
    comparison, measured = _compared(options)
    shown = _sides(options, comparison, measured)
    redacted = _redacted(options, comparison)
    return picture.png(catalogue.of_comparison(redacted, shown, options.png))


def _compared(options: ReportOptions) -> tuple[Comparison, Measurements | None]:
    """The comparison, and its trials unless they lie in its folder."""
    if options.candidates:
        from debottleneck.trials.recorded import compare_recordings

        return compare_recordings(
            options.folder, options.candidates, change=_change(options)
        )
    from debottleneck.trials.save import load

    return load(options.folder), None


def _sides(
    options: ReportOptions, comparison: Comparison, measured: Measurements | None
) -> Sides:
    from debottleneck.report.redact import redact
    from debottleneck.report.words.comparison import labels
    from debottleneck.trials.sides import read

    shown = read(comparison, labels(comparison), _change(options), measured)
    return redact.sides(shown, comparison) if options.redact else shown


def _redacted(options: ReportOptions, comparison: Comparison) -> Comparison:
    if not options.redact:
        return comparison
    from debottleneck.report.redact import redact

    return redact.comparison(comparison)
