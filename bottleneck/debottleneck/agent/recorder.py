"""Where a process writes: its spool folder, and the tool's control page."""

from __future__ import annotations

import json
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns
from typing import IO

from debottleneck.recording import spool

THREADS: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined] # enumerate() takes a lock the caller may hold
"""Ident -> thread, the interpreter's own table: as long as there are threads now."""


class Recorder:
    """The process's side of the recording: folder, control page, lists.

    Args:
        folder: The spool folder, which exists and holds the control file.
        attend: Called at an outermost mark of the trainer when the tool asks for
            another mode (`spool.RECORD` ...), with that mode.

    Attributes:
        listed: How many Python threads there were when names were last written.
    """

    def __init__(self, folder: Path, attend: Callable[[int], None]) -> None:
        self.folder = folder
        self.attend = attend
        self.pid = os.getpid()
        self.mode = spool.RECORD
        self.call = 0
        self.listed = 0
        with open(folder / spool.CONTROL_FILE, "r+b") as file:
            self.control = mmap.mmap(file.fileno(), spool.CONTROL_BYTES)
        self._named: set[tuple[int, str]] = set()
        self._sites: IO[str] | None = None

    def write_site(self, line: str) -> None:
        """Append one site's JSON line to this process's list."""
        if self._sites is None:
            path = spool.sites_file(self.folder, self.pid)
            self._sites = open(path, "a", encoding="utf-8")  # noqa: SIM115 - lives as long as the process
        self._sites.write(line + "\n")
        self._sites.flush()

    def close(self) -> None:
        """Close what is open; only tests need it, a process ends with its files."""
        self.control.close()
        if self._sites is not None:
            self._sites.close()

    def write_names(self) -> None:
        """Append the Python threads not yet listed, with their present names."""
        threads = list(THREADS.items())
        self.listed = len(threads)
        lines = []
        for ident, thread in threads:
            tid, name = thread.native_id, thread.name
            if tid is not None and (tid, name) not in self._named:
                self._named.add((tid, name))
                lines.append(json.dumps([tid, ident, name]) + "\n")
        if lines:
            path = spool.names_file(self.folder, self.pid)
            with open(path, "a", encoding="utf-8") as file:
                file.write("".join(lines))

    def write_event(self, event: dict[str, object]) -> None:
        """Append a JSON line to the process's events; a full disk loses it."""
        path = spool.events_file(self.folder, self.pid)
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"t_ns": monotonic_ns(), **event}) + "\n")
        except OSError:
            return
