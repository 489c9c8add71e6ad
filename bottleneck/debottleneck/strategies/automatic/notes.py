"""What automatic strategies did and why, as lines the tool reads afterwards."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from time import monotonic_ns

from debottleneck.recording import spool

ENGAGED = "engaged"
"""It acts from now on; said once a place."""
REFUSED = "refused"
"""It does not apply here; the text says why."""
FAILED = "failed"
"""It went wrong; the plain calls were made instead."""
SUMMARY = "summary"
"""What it did in all, with counts."""
KEEP = "keep"
"""Lines of code that make it permanent."""


class Notes:
    """Appends JSON lines: t_ns, strategy, state, text and counts.

    The same text of one strategy is written once.

    Args:
        path: The file, in a folder that exists; None to keep nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._said: set[tuple[str, str, str]] = set()

    def say(self, strategy: str, state: str, text: str, **more: object) -> None:
        """Note one thing.

        Args:
            strategy: A word of `spec.STRATEGIES`.
            state: `ENGAGED`, `REFUSED`, `FAILED` or `SUMMARY`.
            text: A sentence for the user, without a final period.
            more: Numbers that belong to it.
        """
        key = (strategy, state, text)
        with self._lock:
            if key in self._said or self._path is None:
                return
            self._said.add(key)
            line = {"t_ns": monotonic_ns(), "pid": os.getpid(), "strategy": strategy}
            said = {"state": state, "text": text, **more}
            try:
                with spool.lines_file(self._path) as file:
                    file.write(json.dumps({**line, **said}) + "\n")
            except OSError:  # the folder is gone: the script trains on
                self._path = None

    def keep(self, strategy: str, *lines: str) -> None:
        """Name lines of code that make permanent what it does, in place of the usual.

        Args:
            strategy: A word of `spec.STRATEGIES`.
            *lines: Python; comments alone are added to the usual lines.
        """
        self.say(strategy, KEEP, "\n".join(lines), lines=lines)
