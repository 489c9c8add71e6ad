"""`bottleneck selfcheck`: can the attribution be trusted on this machine?"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from debottleneck.commands.target import check_interpreter

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


@dataclass(frozen=True)
class Options:
    """What to check, and how to print it."""

    python: str
    quick: bool
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
        "selfcheck",
        help="plant every cause, and print how far off the attribution is here",
        description="Plant every cause at known strengths in a small loop, profile "
        "it, and print the error of each and what the instruments cost. Takes about "
        "two minutes on a quiet machine. Exit code 1 if an error exceeds its bound.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a selection, in about half a minute"
    )
    parser.add_argument("--python", default=sys.executable, help="interpreter to use")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, judge."""
    from debottleneck.report.machine import selfcheck as document
    from debottleneck.report.text import selfcheck as text
    from debottleneck.selfcheck.check import run as check
    from debottleneck.selfcheck.result import exit_code

    options = Options(arguments.python, arguments.quick, arguments.format)
    _say(
        "planting causes; rows come as they are measured (Ctrl-C prints what is there)"
    )
    found = check(
        options.python,
        quick=options.quick,
        on_row=lambda row: _say(text.row_line(row)),
        on_line=_say,
    )
    render = document.render if options.format == "json" else text.render
    sys.stdout.write(render(found))
    return exit_code(found)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
