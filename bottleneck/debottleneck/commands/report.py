"""`bottleneck report DIR`: render a recording or a comparison again."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


@dataclass(frozen=True)
class Options:
    """What to render.

    Without `output` text and JSON go to stdout, the page beside the recording.
    """

    folder: Path
    format: str
    output: Path | None


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "report",
        help="render a recording again: text, JSON or the HTML page",
        description="Render a recording that `bottleneck profile` wrote, or a "
        "comparison that `bottleneck compare` wrote.",
    )
    parser.add_argument(
        "recording", type=Path, help="the recording's or the comparison's folder"
    )
    parser.add_argument(
        "--format",
        choices=("text", "json", "html"),
        default="text",
        help="text and json go to stdout, html to report.html in the folder",
    )
    parser.add_argument("--output", type=Path, help="write to this file instead")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, analyse, render."""
    options = Options(arguments.recording, arguments.format, arguments.output)
    from debottleneck.report import save

    text = _text(options)
    output = options.output
    if output is None and options.format == "html":
        output = options.folder / "report.html"
    if output is None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    else:
        save(text, output)
        print(f"Wrote {output}", file=sys.stderr)
    return 0


def _text(options: Options) -> str:
    from debottleneck import load_recording
    from debottleneck.analysis.analyse import analyse
    from debottleneck.report import render, render_comparison
    from debottleneck.trials.save import is_comparison, load

    if is_comparison(options.folder):
        return render_comparison(load(options.folder), options.format)
    return render(analyse(load_recording(options.folder)), options.format)
