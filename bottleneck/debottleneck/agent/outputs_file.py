"""The file of outputs: numbered lines, some of which wait for what updates do."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic_ns
from typing import IO, Any

from debottleneck.agent.digests import Content
from debottleneck.recording import spool

BYTES = 512 << 20
"""A process writes at most so many."""

Line = dict[str, Any]
Look = Callable[[], Mapping[str, Any]]
"""Looks at an output: the rest of its line."""


@dataclass
class ThreadOutputs:
    """One thread's open calls, and its lines that wait.

    Attributes:
        number: 0 for the main thread.
        trains: Whether it is the main thread, or has computed; a thread that only
            loads writes nothing.
        depth: Stages that are open.
        waiting: Lines in order, each with what is still to be looked at.
        updated: Which updates wait: function, and identity of what it changes.
    """

    number: int
    trains: bool
    depth: int = 0
    waiting: list[tuple[Line, Look]] = field(default_factory=list)
    updated: set[tuple[str, int]] = field(default_factory=set)


class OutputsFile:
    """Appends lines until there are too many.

    Args:
        path: The file, in a folder that exists.
        lines: How many are written at most.
    """

    def __init__(self, path: Path, lines: int) -> None:
        self._file: IO[str] | None = spool.lines_file(path)
        self._lock = threading.Lock()
        self._local = threading.local()
        self._threads: list[ThreadOutputs] = []
        self._left, self._bytes = lines, BYTES
        self._number = 0

    def thread(self) -> ThreadOutputs:
        """The calling thread's state."""
        thread: ThreadOutputs | None = getattr(self._local, "thread", None)
        if thread is None:
            main = threading.get_ident() == threading.main_thread().ident
            with self._lock:
                thread = ThreadOutputs(
                    0 if main else len(self._threads) + 1, trains=main
                )
                self._threads.append(thread)
            self._local.thread = thread
        return thread

    def note(self, thread: ThreadOutputs, line: Line, output: Any) -> None:
        """Write what an output holds now, behind the lines that wait."""
        fields = Content().add(output).fields()
        if thread.waiting:
            with self._lock:
                thread.waiting.append((line, lambda: fields))
        else:
            self._write({**line, **fields})

    def postpone(
        self, thread: ThreadOutputs, line: Line, subject: tuple[str, int], look: Look
    ) -> None:
        """Let a line wait until what it is about has surely happened.

        Args:
            thread: The calling thread's state.
            line: What is known already.
            subject: Which update it is, as in `ThreadOutputs.updated`.
            look: Called when the line is written.
        """
        with self._lock:
            thread.updated.add(subject)
            thread.waiting.append((line, look))

    def write_waiting(self, thread: ThreadOutputs) -> None:
        """Look at what the thread's lines have waited for, and write them."""
        with self._lock:
            waiting, thread.waiting = thread.waiting, []
            thread.updated.clear()
        for line, look in waiting:
            self._write({**line, **look()})

    def close(self, ended: bool) -> None:
        """Write what waits on any thread.

        Args:
            ended: Whether the script ran to its own end.
        """
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            self.write_waiting(thread)
        if ended:
            self._write({"end": monotonic_ns()})
        with self._lock:
            self._shut()

    def _write(self, line: Mapping[str, Any]) -> None:
        """One line, flushed; none once the bound is reached or the disk is full."""
        with self._lock:
            text = json.dumps({"n": self._number, **line}) + "\n"
            self._left -= 1
            self._bytes -= len(text)
            if self._left < 0 or self._bytes < 0:
                self._shut()
            if self._file is None:
                return
            self._number += 1
            try:
                self._file.write(text)
                self._file.flush()
            except OSError:
                self._shut()

    def _shut(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()
