"""Marks of what is over, where nobody could mark it while it went on."""

from __future__ import annotations

from time import thread_time_ns

from debottleneck.agent import marks
from debottleneck.agent.track import MarkTrack, here
from debottleneck.recording import spool


def mark(site: int, start: int, end: int) -> None:
    """Mark a wait of this thread that came after all that it has marked.

    Args:
        site: What it was for.
        start: Monotonic nanoseconds.
        end: Likewise.
    """
    track: MarkTrack | None = getattr(here, "track", None)
    if not marks.recording() or track is None or track.hushed:
        return
    cpu = thread_time_ns()  # none of it was spent in the wait
    start = max(start, track.t)
    for at, edge in ((start, spool.ENTER), (max(start, end), spool.LEAVE)):
        spool.MARK.pack_into(track.buffer, track.pos, at, cpu, site << 2 | edge, edge)
        track.pos += spool.MARK.size
        track.t, track.cpu, track.tail_stage = at, cpu, ""
        if track.pos > track.end:
            marks.next_file(track)
