"""`bottleneck calibrate`: what does handing work over cost on this machine?"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from debottleneck.commands.target import check_interpreter, say

if TYPE_CHECKING:
    from debottleneck.recording.machine import Machine

    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


@dataclass(frozen=True)
class Options:
    """Which interpreter, whether to measure anew, and how to print it."""

    python: str
    again: bool
    format: str

    def __post_init__(self) -> None:
        """Check the interpreter before anything is run.

        Raises:
            UsageError: There is none.
        """
        check_interpreter(self.python)


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "calibrate",
        help="measure what threads and processes cost on this machine",
        description="Print what handing work to threads and processes costs on this "
        "machine, as predictions assume it. It is measured once for each "
        "interpreter, which takes some 4 seconds, and kept.",
    )
    parser.add_argument("--python", default=sys.executable, help="interpreter to use")
    parser.add_argument(
        "--again", action="store_true", help="measure although it is known"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure if need be, print."""
    options = Options(arguments.python, arguments.again, arguments.format)
    from debottleneck.collect import prices as measure
    from debottleneck.report.machine import prices as document
    from debottleneck.report.text import prices as text

    machine = _machine(options)
    file = measure.file(options.python)
    render = document.render if options.format == "json" else text.render
    sys.stdout.write(render(machine, options.python, file))
    return 0


def _machine(options: Options) -> Machine:
    from debottleneck.collect import prices as measure

    known = None if options.again else measure.kept(options.python)
    if known is not None:
        return known
    say("measuring this machine (some 4 s; let nothing else run)")
    return measure.measure(options.python)
