"""Every garbage collection: in which thread, from when to when, of which generation.

Python calls us where one begins and ends, wherever that is. A record goes into a
memory-mapped file, so that nothing has to be flushed and nothing is lost. The
collections of one process never overlap: Python sees to that.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
from _thread import get_native_id
from functools import partial
from pathlib import Path
from time import monotonic_ns, thread_time_ns
from typing import Any

from debottleneck.agent import marks
from debottleneck.agent.patches import undo_with
from debottleneck.recording import spool

COUNTED_WHEN = 20
"""Tracked objects are counted again when full collections took so many times as long
as counting did: it costs a twentieth of what it explains."""

_pack, _SIZE = spool.COLLECTION.pack_into, spool.COLLECTION.size
_BYTES = 4_000 * _SIZE


class Collections:
    """Writes down all collections from now on, in children that are forked, too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._buffer: mmap.mmap | None = None
        self._pid = self._pos = 0
        self._begun = self._cpu = self._full = self._counting = 0

    def install(self) -> None:
        """Begin."""
        gc.callbacks.append(self._collect)
        undo_with(partial(gc.callbacks.remove, self._collect))

    def _collect(self, phase: str, info: dict[str, Any]) -> None:
        """One begins or is over; young ones are too short to ask for CPU time."""
        generation = info["generation"]
        if phase == "start":
            self._cpu = thread_time_ns() if generation else 0
            self._begun = monotonic_ns()
            return
        end = monotonic_ns()
        begun, self._begun = self._begun, 0
        if not begun or not marks.recording():
            return
        buffer = self._file()
        if buffer is None:
            return
        cpu = thread_time_ns() - self._cpu if generation else end - begun
        tracked = self._tracked(end - begun) if generation == spool.OLDEST else 0
        times = begun, end, min(cpu, end - begun)
        record = (self._pid, get_native_id(), *times, tracked, generation)
        _pack(buffer, self._pos, *record, info["collected"])
        self._pos += _SIZE

    def _file(self) -> mmap.mmap | None:
        """A file of this process that has room, opened if need be."""
        if self._pos + _SIZE <= _BYTES and self._pid == os.getpid():
            return self._buffer
        self._pid, self._pos, self._buffer = os.getpid(), 0, None
        name = f"{spool.COLLECTIONS}-{self._pid}-{monotonic_ns()}.bin"
        with (
            contextlib.suppress(OSError),  # no room, or no folder any more
            spool.open_file(self._folder / name, "w+b", opener=spool.private) as file,
        ):
            os.posix_fallocate(file.fileno(), 0, _BYTES)
            self._buffer = mmap.mmap(file.fileno(), _BYTES)
        return self._buffer

    def _tracked(self, took: int) -> int:
        """How many objects the oldest generation has; 0 where that is not worth it."""
        self._full += took
        if self._full < COUNTED_WHEN * self._counting:
            return 0
        begun = monotonic_ns()
        # without a bytecode in between: no other thread runs while the list is there
        count = next(map(len, map(gc.get_objects, (spool.OLDEST,))))
        self._counting += monotonic_ns() - begun
        return count
