"""Run a script with strategies and nothing else: no recording, no instruments."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from debottleneck.collect.options import Options
from debottleneck.collect.target import TargetProcess, exit_code
from debottleneck.recording import spool
from debottleneck.recording.reading import read_lines


def run(options: Options, say: Callable[[str], None]) -> int:
    """Run the script to its end and say what the strategies did.

    Args:
        options: What to run; `strategies` is what to apply.
        say: Prints one line for the user.

    Returns:
        The script's exit code, 128 + N after signal N.

    Raises:
        UsageError: The interpreter cannot be run.
    """
    with tempfile.TemporaryDirectory(prefix="bottleneck-") as place:
        folder = Path(place)
        code = TargetProcess(options, folder).finish()
        for line in notes_of(folder):
            say(line)
    return exit_code(code, say)


def notes_of(folder: Path) -> list[str]:
    """The strategies' notes as lines, in order."""
    path = folder / spool.STRATEGIES_FILE
    if not path.exists():
        return ["no strategy had anything to act on"]
    notes = [note for note in read_lines(path) if note["state"] != "keep"]
    return [f"{note['strategy']}: {note['text']}" for note in notes]
