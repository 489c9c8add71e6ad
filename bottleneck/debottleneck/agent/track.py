"""One thread's open stages and its mark file."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable
from time import monotonic_ns
from types import FrameType
from typing import Protocol
from weakref import WeakValueDictionary

from debottleneck.agent.spool_writer import SpoolWriter
from debottleneck.recording import spool

NOWHERE = bytearray(spool.MARK_FILE_BYTES)
"""Where marks go that nobody reads."""

LAST = spool.MARK_FILE_BYTES - spool.MARK.size
"""Beyond it a file has no room for a mark."""

here = threading.local()
"""Its `track` is this thread's, once it marks; what a forked child keeps is cleared."""


followers: list[Callable[[MarkTrack], None]] = []
"""Told of each mark once it is written, on its thread."""

_tracks: WeakValueDictionary[int, MarkTrack] = WeakValueDictionary()


def follow_with(follower: Callable[[MarkTrack], None] | None) -> None:
    """Tell this of all marks, or nobody any more.

    A track that is followed seems full: to be told costs nothing where nobody is.
    """
    followers[:] = [follower] if follower else []
    for reference in _tracks.valuerefs():
        if (track := reference()) is not None:
            track.end = -1 if follower else LAST


def anew() -> None:
    """Every thread marks in a file of another recording from its next mark but one."""
    here.__dict__.clear()
    for reference in _tracks.valuerefs():
        if (track := reference()) is not None:
            track.open, track.own, track.within = [], [], []
            track.buffer, track.pos, track.hushed = NOWHERE, LAST, False


def hushed() -> bool:
    """Whether this thread marks nothing for a while."""
    track: MarkTrack | None = getattr(here, "track", None)
    return track is not None and track.hushed


def was_ours(ns: int) -> None:
    """So much of this thread's time was the agent's, and not the script's."""
    track: MarkTrack | None = getattr(here, "track", None)
    if track is not None:
        track.own_ns += ns


class Owned(Protocol):
    """What one thread alone enters."""

    def hush(self, hushed: bool) -> None:
        """Mark nothing for a while, and then again."""


class MarkTrack:
    """One thread's open stages and where its next mark goes.

    Args:
        t: Monotonic nanoseconds now.
        cpu: The thread's CPU clock.

    Attributes:
        tid: The thread.
        sequence: Number of its file.
        hushed: Whether it marks nothing for a while.
        open: Of each open stage: site, word, calls joined in it, when it was entered.
        own: What it alone enters: hushed with it.
        within: What it has entered whose tokens nobody keeps: by whom, and the token.
        tail_stage: The stage that the last record left, if it may be joined; its depth
            and calls are the other two.
        t: When the last mark was made; `cpu` is the thread's CPU clock then.
        own_ns: How long the agent was at work in it, as far as that was measured.
        buffer: Its file, or memory.
        pos: Where the next record goes.
        end: Beyond this there is no room for one, or somebody is told of each.
    """

    __slots__ = (
        "__weakref__", "buffer", "cpu", "end", "hushed", "open", "own", "own_ns",
        "pos", "sequence", "t",
        "tail_calls", "tail_depth", "tail_stage", "tid", "within",
    )  # fmt: skip

    def __init__(self, t: int, cpu: int) -> None:
        self.tid = threading.get_native_id()
        self.sequence = 0
        self.hushed = False
        self.open: list[tuple[int, str, int, int]] = []
        self.own: list[Owned] = []
        self.within: list[tuple[FrameType | None, int]] = []
        self.tail_stage = ""
        self.tail_depth = 0
        self.tail_calls = 0
        self.t = t
        self.cpu = cpu
        self.own_ns = 0
        self.buffer: mmap.mmap | bytearray = NOWHERE
        self.pos = spool.MARK_START
        self.end = -1 if followers else LAST
        _tracks[self.tid] = self

    def open_file(self, writer: SpoolWriter) -> None:
        """Go on in a fresh mark file, with its space reserved.

        Raises:
            OSError: There is no room for it, or no folder.
        """
        self.buffer, self.pos = NOWHERE, spool.MARK_START
        name = f"marks-{writer.pid}-{self.tid}-{self.sequence}-{monotonic_ns()}.bin"
        path = writer.folder / name
        with spool.open_file(path, "w+b", opener=spool.private) as file:
            os.posix_fallocate(file.fileno(), 0, spool.MARK_FILE_BYTES)
            buffer = mmap.mmap(file.fileno(), spool.MARK_FILE_BYTES)
        header = (spool.MARK_MAGIC, writer.pid, self.tid, threading.get_ident())
        spool.MARK_HEADER.pack_into(buffer, 0, *header)
        self.buffer = buffer

    def written(self) -> int:
        """How many marks it has written."""
        return (self.sequence * spool.MARK_FILE_BYTES + self.pos) // spool.MARK.size

    def remove(self, token: int) -> tuple[str, int, int]:
        """Take the last entry of that site out: coroutines need not nest.

        Returns:
            Its word, calls and time; "" where there is none.
        """
        for index in range(len(self.open) - 1, -1, -1):
            if self.open[index][0] == token:
                _, name, calls, entered = self.open.pop(index)
                return name, calls, entered
        return "", 1, 0
