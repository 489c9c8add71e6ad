"""`bottleneck selfcheck`: can the attribution be trusted on this machine?"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from debottleneck.commands.target import add_python, check_interpreter

if TYPE_CHECKING:
    from debottleneck.commands.parser import Verbs


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "selfcheck",
        examples=(
            "bottleneck selfcheck",
            "bottleneck selfcheck --quick --python .venv/bin/python",
        ),
        help="plant every cause, and print how far off the attribution is here",
        description="Plant every cause at known strengths in a small loop, profile "
        "it, and print the error of each and what the instruments cost. Takes about "
        "two minutes on a quiet machine. Exit code 1 if an error exceeds its bound.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a selection, in about half a minute"
    )
    add_python(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, judge."""
    from debottleneck.report.text import selfcheck as text
    from debottleneck.selfcheck.check import run as check
    from debottleneck.selfcheck.result import exit_code

    python = check_interpreter(arguments.python)
    _say(
        "planting causes; rows come as they are measured (Ctrl-C prints what is there)"
    )
    result = check(
        python,
        quick=arguments.quick,
        on_row=lambda row: _say(text.row_line(row)),
        on_line=_say,
    )
    sys.stdout.write(text.render(result))
    return exit_code(result)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
