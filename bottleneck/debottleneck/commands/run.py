"""`bottleneck run --strategy S script.py`: run a script with strategies, for real."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from debottleneck.commands.target import add_target, options_of, same_for_ranks, say

if TYPE_CHECKING:
    from debottleneck.commands.parser import Verbs


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "run",
        examples=(
            "bottleneck run --strategy prefetch train.py --epochs 3",
            "bottleneck run --strategy prefetch:workers=4+gc:freeze train.py",
        ),
        help="run a script with strategies applied, without editing it",
        description="Run SCRIPT as plain python would, with strategies applied to its "
        "training loop. Nothing is measured; what they did, or why not, is said at the "
        "end.",
        usage="bottleneck run --strategy S [OPTIONS] (SCRIPT | -m MODULE) [ARGS...]",
        epilog="strategies: prefetch[:workers=4,depth=8,where=process], "
        "parallel-forward[:workers=4], parallel-update[:workers=4], "
        "dataloader[:workers=4,persistent,prefetch=4,sharing=file_system,pin], "
        "blas[:threads=1], gc:freeze, gc:off, background:checkpoint; several act "
        "together",
    )
    parser.add_argument(
        "--strategy",
        action="append",
        required=True,
        metavar="S",
        help="NAME[:KEY=VALUE,...], also joined by + (repeatable)",
    )
    add_target(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the script; its exit code."""
    from debottleneck.collect import apply
    from debottleneck.strategies.spec import parse, written

    options = options_of(
        arguments,
        strategies=written(parse("+".join(arguments.strategy))),
        steps=None,
        seconds=1.0,
        stop=False,
        warmup=None,
        output=Path(),
        waits=False,
        functions="",
        record=False,
        ranks=same_for_ranks(arguments),
    )
    return apply.run(options, say)
