"""Run a script with strategies and nothing else: no recording, no instruments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from debottleneck.collect import temporary
from debottleneck.collect.options import Options
from debottleneck.collect.target import TargetProcess, described, exit_code, outlive
from debottleneck.recording import spool
from debottleneck.recording.reading import read_lines


def run(options: Options, say: Callable[[str], None]) -> int:
    """Run the script to its end and say what the strategies did.

    Returns:
        The script's exit code, 128 + N after signal N.

    Raises:
        UsageError: The interpreter cannot be run.
    """
    with temporary.folder() as folder:
        target = TargetProcess(options, folder)

        def work() -> None:
            target.finish()
            for line in notes_of(folder):
                say(line)

        def failed(error: BaseException) -> None:
            say(f"what the strategies did cannot be told: {described(error)}")

        return exit_code(outlive(target, work, failed), say)


def notes_of(folder: Path) -> list[str]:
    """The strategies' notes as lines, in order."""
    path = folder / spool.STRATEGIES_FILE
    if not path.exists():
        return ["no strategy had anything to act on"]
    notes = [note for note in read_lines(path) if note["state"] != "keep"]
    return [f"{note['strategy']}: {note['text']}" for note in notes]
