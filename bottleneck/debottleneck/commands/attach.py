"""`bottleneck attach PID`: look at a training that runs already."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from debottleneck.commands.target import RUNS, new_folder, say
from debottleneck.errors import UsageError

if TYPE_CHECKING:
    from debottleneck.commands.parser import Verbs

LEAST_S = 3.0


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "attach",
        examples=("bottleneck attach 4242", "bottleneck attach --seconds 30 4242"),
        help="look at a training that runs already, and leave it as it was",
        description="Look at a running Python process from outside: what its threads "
        "wait for, who holds the GIL and locks, and on which lines of its hottest "
        "loop. Nothing enters it. Linux; it needs what py-spy needs: the same user "
        "with ptrace allowed, or root.",
    )
    option = parser.add_argument
    option("pid", type=int, metavar="PID", help="its number, see `pgrep -af python`")
    text = "look for so long (default 10)"
    option("--seconds", type=float, default=10.0, metavar="S", help=text)
    text = f"default: a new one in {RUNS}/"
    option("--output", type=Path, metavar="DIR", help=text)
    text = "samples of /proc a second (default 200)"
    option("--rate", type=float, default=200.0, metavar="HZ", help=text)
    option("--full", action="store_true", help="print all of the report, not its head")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Look, report."""
    pid: int = arguments.pid
    if sys.platform != "linux":
        raise UsageError(
            "attach reads /proc, which is Linux's", "use bottleneck profile"
        )
    if arguments.seconds < LEAST_S:
        raise UsageError(f"--seconds must be at least {LEAST_S:.0f}")
    from dataclasses import replace

    from debottleneck.collect import attach
    from debottleneck.collect.options import Options
    from debottleneck.commands.profile import report

    words = attach.command_of(pid)
    named = [word for word in words if not word.startswith("-")] or [f"pid-{pid}"]
    options = Options(
        target=named[0],
        arguments=words[words.index(named[0]) + 1 :] if named[0] in words else (),
        module="-m" in words[: words.index(named[0])] if named[0] in words else False,
        python=sys.executable,
        seconds=arguments.seconds,
        stop=False,
        functions="",
        rate=arguments.rate,
        attached=True,
    )
    options = replace(options, output=new_folder(arguments.output, named[0]))
    say(f"looking at process {pid} for {options.seconds:.0f} s (Ctrl-C: report now)")
    attach.run(options, pid, say)
    say(f"process {pid} runs on as it was; recording in {options.output}")
    report(options, [], arguments.full)
    return 0
