"""Run a script with strategies and nothing else: no recording, no instruments."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from debottleneck.collect.launch import ENTRY, Signals
from debottleneck.collect.options import Options
from debottleneck.errors import UsageError
from debottleneck.recording import spool
from debottleneck.recording.reading import read_lines

SIGNALLED = 128
POLL_S = 0.5


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
        config = {**options.configuration, "record": False}
        (folder / spool.CONFIG).write_text(json.dumps(config), encoding="utf-8")
        code = _wait(options, folder)
        for line in said(folder):
            say(line)
    if code < 0:
        say(f"the script was ended by signal {-code}")
        return SIGNALLED - code
    return code


def _wait(options: Options, folder: Path) -> int:
    command = [options.python, str(ENTRY), str(folder)]
    try:
        target = subprocess.Popen(command, close_fds=False)
    except OSError as error:
        raise UsageError(
            f"{options.python!r} cannot be run ({error.strerror})",
            "name an interpreter with --python",
        ) from error
    signals = Signals(target)
    signals.hold()
    while signals.wait(POLL_S):
        pass
    signals.release()
    return target.returncode


def said(folder: Path) -> list[str]:
    """The strategies' notes as lines, in order."""
    path = folder / spool.STRATEGIES_FILE
    if not path.exists():
        return ["no strategy had anything to act on"]
    notes = [note for note in read_lines(path) if note["state"] != "keep"]
    return [f"{note['strategy']}: {note['text']}" for note in notes]
