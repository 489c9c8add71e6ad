"""What a process writes to its spool folder, and the tool's control page there."""

from __future__ import annotations

import mmap
import os
import sys
import threading
from collections.abc import Callable, Iterable
from json import dumps
from pathlib import Path
from time import monotonic_ns

from debottleneck.agent.handlers import of_a_handler
from debottleneck.recording import spool

THREADS: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined] # enumerate() takes a lock the caller may hold
"""Ident -> thread, the interpreter's own table: as long as there are threads now."""


class SpoolWriter:
    """The process's side of the recording: folder, control page, lists.

    Args:
        folder: The spool folder, which exists and holds the control file.
        attend: Called at an outermost mark of the trainer when the tool asks for
            another mode (`spool.RECORD` ...), with that mode.
        tool: The tool's process, None if it is not known.

    Attributes:
        listed: How many Python threads there were when names were last written.
    """

    def __init__(
        self, folder: Path, attend: Callable[[int], None], tool: int | None = None
    ) -> None:
        self.folder = folder
        self.tool = tool
        self.attend = attend
        self.pid = os.getpid()
        self.mode = spool.RECORD
        self.call = 0
        self.listed = 0
        with spool.open_file(folder / spool.CONTROL_FILE, "r+b") as file:
            self.control = mmap.mmap(file.fileno(), spool.CONTROL_BYTES)
        self._named: set[tuple[int, str]] = set()

    def is_read(self) -> bool:
        """Whether there is somebody to write for: the tool may have been killed."""
        try:
            os.kill(self.tool or self.pid, 0)
        except OSError as error:  # else it is another user's
            return not isinstance(error, ProcessLookupError)
        return True

    def write_sites(self, lines: Iterable[str]) -> None:
        """Append sites' JSON lines to this process's list."""
        _append(spool.sites_file(self.folder, self.pid), lines)

    def write_names(self) -> None:
        """Append the Python threads not yet listed, with their present names."""
        threads = list(THREADS.items())
        self.listed = len(threads)
        lines = []
        for ident, thread in threads:
            tid, name = thread.native_id, thread.name
            if tid is not None and (tid, name) not in self._named:
                self._named.add((tid, name))
                lines.append(dumps([tid, ident, name]))
        if lines:
            _append(spool.names_file(self.folder, self.pid), lines)

    def write_fork(self) -> None:
        """Say how many frames of this child are its parent's; from within the fork."""
        depth, frame = 0, sys._getframe(2)
        while above := frame.f_back:
            depth, frame = depth + 1, above
        self.write_event({"event": spool.FORKED, "depth": depth + 1})

    def write_event(self, event: dict[str, object]) -> None:
        """Append a JSON line to the process's events; a full disk loses it."""
        try:
            line = dumps({"t_ns": monotonic_ns(), **event})
            _append(spool.events_file(self.folder, self.pid), [line])
        except Exception as error:
            if of_a_handler(error):
                raise


class Unwritten:
    """Stands for a writer where loops are followed and nothing is written down."""

    mode, call, control, pid = spool.RECORD, 0, b"\0", 0

    @property
    def listed(self) -> int:
        """All threads."""
        return len(THREADS)

    def is_read(self) -> bool:
        """Nobody reads, and nothing is missing."""
        return True

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Whatever is written, or asked for."""
        return lambda *given: None


def _append(path: Path, lines: Iterable[str]) -> None:
    with spool.lines_file(path) as file:
        file.writelines(f"{line}\n" for line in lines)
