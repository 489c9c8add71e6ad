"""What verbs share: options, checks, folders, where results and lines go."""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from debottleneck.errors import UsageError

if TYPE_CHECKING:
    from debottleneck.collect.options import Options

RUNS = "bottleneck-runs"
OPEN_PAGE = "Open it in a browser; it needs no network."


def add_target(parser: argparse.ArgumentParser) -> None:
    """The options that say what is run, for every verb that applies strategies."""
    parser.add_argument(
        "--stage",
        action="append",
        default=[],
        metavar="NAME=module:Qualified.name",
        help="this function is that stage (repeatable)",
    )
    parser.add_argument(
        "--step",
        dest="loop",
        metavar="FILE:LINE",
        help="the loop at that line trains: an iteration of it is a step",
    )
    parser.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="PATTERN",
        help="installed code that counts as yours: a path, module or pattern",
    )
    add_python(parser)
    parser.add_argument(
        "-m", dest="module", action="store_true", help="run a module, as `python -m`"
    )
    parser.add_argument(
        "target", metavar="SCRIPT", help="the script, or with -m the module"
    )
    parser.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="ARGS",
        help="the script's own arguments",
    )


def add_python(parser: argparse.ArgumentParser) -> None:
    """The option that names the interpreter."""
    text = "interpreter to use (default: the active environment's)"
    parser.add_argument("--python", metavar="PATH", help=text)


def add_format(parser: argparse.ArgumentParser, formats: Sequence[str]) -> None:
    """The options that say how a text is written, and where."""
    parser.add_argument(
        "--format",
        choices=formats,
        default="text",
        metavar="FORMAT",
        help=f"{', '.join(formats[:-1])} or {formats[-1]}; text by default",
    )
    text = "write to this file instead"
    parser.add_argument("--output", type=Path, metavar="FILE", help=text)


def interpreter(asked: str | None) -> str:
    """What runs the script: as asked, else as `python` would be, else ours.

    Where the command is found on the PATH and lies in an environment of its own (as uv
    and pipx install it), the script is of the one that is active.
    """
    found = shutil.which(os.path.basename(sys.argv[0])) or ""
    is_ours = os.path.realpath(found) == os.path.realpath(sys.argv[0])
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if asked is None and is_ours else ():
        python = os.path.join(os.environ.get(name, ""), "bin", "python")
        if os.environ.get(name) and os.access(python, os.X_OK):
            if os.path.realpath(os.environ[name]) == os.path.realpath(sys.prefix):
                break
            say(f"the script's interpreter is {python} (see --python)")
            return python
    return asked or sys.executable


def options_of(arguments: argparse.Namespace, **how: Any) -> Options:
    """The options of one run of what `add_target` has read, which is checked.

    Args:
        arguments: The parser's.
        **how: Fields of `Options` beside the script's own.
    """
    from debottleneck.collect.options import LoopTarget, Options, StageTarget

    if not arguments.module:
        check_script(arguments.target)
    return Options(
        target=arguments.target,
        arguments=tuple(arguments.arguments),
        module=arguments.module,
        python=interpreter(arguments.python),
        include=tuple(arguments.include),
        stages=tuple(StageTarget.parse(text) for text in arguments.stage),
        loop=LoopTarget.parse(arguments.loop) if arguments.loop else None,
        **how,
    )


def same_for_ranks(arguments: argparse.Namespace) -> tuple[str, ...]:
    """What a launcher is to start its ranks with, up to their interpreter."""
    own = arguments.given[: -1 - len(arguments.arguments)]
    asked = [word for word in own if word != "-m"]
    return (sys.executable, "-P", "-m", "debottleneck", *asked)


def check_script(target: str) -> None:
    """Refuse what is not a Python file before anything is run."""
    path = Path(target)
    if target == "-":  # standard input, which only the script's own process reads
        return
    if not path.exists():
        raise UsageError(f"there is no file {target!r}", "give the path of a script")
    if path.is_dir():
        if not (path / "__main__.py").is_file():
            raise UsageError(
                f"{target!r} is a folder without __main__.py", "name a script in it"
            )
        return
    if path.suffix in (".zip", ".pyz") or not path.is_file():  # a pipe is read once
        return
    if not os.access(path, os.R_OK):
        raise UsageError(f"{target!r} cannot be read", "check its permissions")
    if b"\0" in path.read_bytes()[:4096]:
        raise UsageError(
            f"{target!r} is not a Python script", "give the path of a .py file"
        )


def check_interpreter(asked: str | None) -> str:
    """As `interpreter`, refused before anything is run where there is none.

    Raises:
        UsageError: There is none.
    """
    python = interpreter(asked)
    if shutil.which(python) is None:
        raise UsageError(
            f"{python!r} cannot be run", "name an interpreter with --python"
        )
    return python


def check_output(file: Path | None) -> None:
    """Refuse a file that has no folder before the work is done.

    Raises:
        UsageError: There is no folder for it.
    """
    if file is not None and not file.absolute().parent.is_dir():
        raise UsageError(
            f"there is no folder for {str(file)!r}",
            "make it first, or name another place with --output",
        )


def new_folder(asked: Path | None, target: str, prefix: str = "") -> Path:
    """Make the folder for results, by default named by the script.

    Whoever makes it has it: of several that start at once each gets one of its own.

    Raises:
        UsageError: The one asked for exists, or none can be made.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    base = Path(RUNS) / f"{prefix}{Path(target).stem or 'run'}-{stamp}"
    folder = base if asked is None else asked
    for number in itertools.count(2):
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError as error:
            if asked is not None:
                raise UsageError(
                    f"{asked} exists already", "choose another --output"
                ) from error
            folder = base.with_name(f"{base.name}-{number}")
        except OSError as error:
            raise UsageError(
                f"{folder} cannot be written ({error.strerror})",
                "choose another place with --output",
            ) from error
    return folder


def put(
    content: str | bytes, file: Path | None, advice: str = "", private: bool = False
) -> None:
    """Write a result to its file, and where it lies; without a file, to stdout.

    Args:
        content: Text, unless there is a file.
        file: Where it goes.
        advice: What to do with the file, said after where it lies.
        private: It lies in a run's folder, and is its owner's alone.
    """
    if file is None:
        assert isinstance(content, str)
        sys.stdout.write(content if content.endswith("\n") else content + "\n")
        return
    from debottleneck.report import save

    save(content, file, private=private)
    print(f"Wrote {file}", file=sys.stderr)
    if advice:
        print(advice, file=sys.stderr)


def say(line: str) -> None:
    """Print one line of ours where the script's own output is not disturbed.

    It never fails, see `streams`.
    """
    print(f"bottleneck: {line}", file=sys.stderr, flush=True)
