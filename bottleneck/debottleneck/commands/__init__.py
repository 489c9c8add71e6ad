"""One verb a file; `main` is the only place where an error becomes an exit code.

Nothing heavy is imported at the door: a verb's module is, when it runs.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

from debottleneck.errors import BottleneckError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

VERBS = (
    *("profile", "attach", "compare", "run", "report", "predict", "check"),
    *("calibrate", "selfcheck"),
)
"""Each is a module, in the order of the help."""

DESCRIPTION = """\
What each stage of a training loop really waits for, and what to do about it.

  bottleneck profile train.py --epochs 3     measure one run and report it
  bottleneck attach PID                      look at a training that runs
  bottleneck compare train.py                try remedies on it, measure each
  bottleneck run --strategy prefetch x.py    apply one, without an edit
  bottleneck report bottleneck-runs/NAME     render a recording again
  bottleneck predict bottleneck-runs/NAME    what each remedy would gain
  bottleneck check bottleneck-runs/NAME      exit with 1 beyond limits, for CI
  bottleneck calibrate                       what threads cost on this machine
  bottleneck selfcheck                       how far to trust it on this machine
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: Arguments after the program's name, by default the process's.

    Returns:
        The exit code: the script's own for `profile`, 1 for a limit that `check` found
        exceeded, 2 for bad input.
    """
    from debottleneck.commands import parser, streams

    streams.secure()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name may have any letters
        sys.stdout.reconfigure(errors="replace")
    verbs = parser.Verbs(DESCRIPTION)
    for name in VERBS:
        importlib.import_module(f"debottleneck.commands.{name}").add(verbs)
    arguments = verbs.parse(sys.argv[1:] if argv is None else argv)
    if arguments is None:
        verbs.print_help(sys.stderr)
        return 2
    try:
        code: int = arguments.run(arguments)
        if stray := verbs.strays(arguments, code):
            print(f"bottleneck: {stray}", file=sys.stderr)
    except BottleneckError as error:
        print(f"bottleneck: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("bottleneck: ended by Ctrl-C", file=sys.stderr)
        code = INTERRUPTED
    if sys.flags.inspect:  # PYTHONINSPECT is meant for the script, and has been heeded
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
