"""`bottleneck calibrate`: what does handing work over cost on this machine?"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from debottleneck.commands.target import add_python, check_interpreter, say

if TYPE_CHECKING:
    from debottleneck.commands.parser import Verbs


WIDTH = 80
"""Columns of the table."""


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "calibrate",
        examples=(
            "bottleneck calibrate",
            "bottleneck calibrate --again --python /usr/bin/python3",
        ),
        help="measure what threads and processes cost on this machine",
        description="Print what handing work to threads and processes costs on this "
        "machine, as predictions assume it. It is measured once for each "
        "interpreter, which takes some 4 seconds, and kept.",
    )
    add_python(parser)
    parser.add_argument(
        "--again", action="store_true", help="measure although it is known"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure if need be, print."""
    python = check_interpreter(arguments.python)
    from debottleneck.collect import prices
    from debottleneck.report.prices import render

    machine = None if arguments.again else prices.kept(python)
    if machine is None:
        say("measuring this machine (some 4 s; let nothing else run)")
        machine = prices.measure(python)
    file = prices.file(python)
    sys.stdout.write(render(machine, python, file, WIDTH))
    return 0
