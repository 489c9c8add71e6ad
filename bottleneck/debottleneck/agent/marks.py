"""Stage and step marks: cheap, per thread, on the monotonic clock.

A mark is one fixed record in a memory-mapped file of its thread, so nothing has to
be flushed and nothing is lost when the process is killed. Two savings keep a pair
near two microseconds. The thread's CPU clock, a system call, is not read again
within `SHORT_NS` of the last mark: so short a time is taken as spent on the core.
Consecutive tiny calls of one stage become one pair with a count.

The CPU clock is read before the wall clock: its system call is where a kernel with
lazy preemption takes the core away, and that wait belongs to what ran before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from time import monotonic_ns, thread_time_ns
from typing import cast

from debottleneck.agent import ending, sites
from debottleneck.agent.handlers import of_a_handler
from debottleneck.agent.spool_writer import THREADS, SpoolWriter, Unwritten
from debottleneck.agent.track import LAST, NOWHERE, MarkTrack, anew, followers, here
from debottleneck.recording import spool
from debottleneck.words import STAGES, STEP

SHORT_NS = 20_000
"""Marks closer than this share one reading of the CPU clock, and tiny calls of one
stage that follow each other within it are joined."""

TINY_NS = 100_000
"""Only calls shorter than this are joined with the next one."""

_pack = spool.MARK.pack_into
_SIZE = spool.MARK.size
_on = False
_writer: SpoolWriter | None = None
_witness: Witness = None
_stages = sites.WORDS


def start(writer: SpoolWriter) -> None:
    """Begin recording in this process, and in children that it forks."""
    global _on, _writer
    if _writer is None:
        os.register_at_fork(after_in_child=_after_fork)
    anew()
    _writer, _on = writer, True
    sites.write_with(_write_sites)
    _write_sites(sites.LINES)


def start_unwritten() -> None:
    """Begin to follow loops and stages without a recording, in this process alone."""
    global _on, _writer
    _writer = cast(SpoolWriter, Unwritten())
    _on = True
    os.register_at_fork(after_in_child=finish)


def calibrate(pairs: int = 200) -> float:
    """Median microseconds of a pair of marks on this machine.

    Each pair enters another stage, too far from the last to share its reading of
    the CPU clock: the usual case of a loop.
    """
    site = sites.site_of(STEP, "calibration", "", 0, "api")
    leave(enter(site))
    track: MarkTrack = here.track
    times = []
    for _ in range(pairs):
        track.t, track.tail_stage = 0, ""
        begun = monotonic_ns()
        leave(enter(site))
        times.append(monotonic_ns() - begun)
    track.buffer[spool.MARK_START : track.pos] = bytes(track.pos - spool.MARK_START)
    track.pos, track.tail_stage = spool.MARK_START, ""
    return sorted(times)[pairs // 2] / 1e3


def finish(*, attend: bool = False) -> None:
    """Stop recording; marks become a test of one global. `attend`: yappi ends, too."""
    global _on
    if _on and _writer is not None:
        _try(_writer.write_names)
        if attend:
            _writer.attend(spool.FINISHED)
    _on = False


def note(event: dict[str, object]) -> None:
    """Write an event for the report, when there is a recording."""
    if _on and _writer is not None:
        _writer.write_event(event)


Witness = Callable[[int], None] | None
"""Is given the site of a stage."""


def witness_with(witness: Witness) -> Witness:
    """Let this know of every stage that is entered, or nobody; returns who did."""
    global _witness
    before, _witness = _witness, witness
    return before


def recording() -> bool:
    """Whether marks are being written."""
    return _on


def enter(site: int) -> int:
    """Mark that this thread enters a site; returns what `leave` needs.

    A stage inside itself (recursion, a layer's forward in the model's) is not
    marked again. Raises SystemExit in the trainer when the tool asks to stop.
    """
    if not _on:
        return -1
    try:
        track: MarkTrack = here.track
    except AttributeError:
        track = _open_track()
    if track.hushed:
        return -1
    stage = _stages[site]
    stack = track.open
    if stack:
        if stack[-1][1] == stage:
            return -1
    elif (
        _writer.control[0] != _writer.call  # type: ignore[union-attr] # set while on
        or len(THREADS) != _writer.listed  # type: ignore[union-attr]
    ):
        _attend(track, stage)
    if _witness is not None:
        _witness(site)
    now = monotonic_ns()
    since = now - track.t
    if since < SHORT_NS:
        cpu = track.cpu + since
        if track.tail_stage == stage and track.tail_depth == len(stack):
            track.pos -= _SIZE
            track.t = now
            track.cpu = cpu
            stack.append((site, stage, track.tail_calls + 1, now))
            track.tail_stage = ""
            return site
    else:
        cpu = thread_time_ns()
        now = monotonic_ns()
    _pack(track.buffer, track.pos, now, cpu, site << 2, 0)
    track.pos += _SIZE
    if track.pos > track.end:
        next_file(track)
    track.t = now
    track.cpu = cpu
    track.tail_stage = ""
    stack.append((site, stage, 1, now))
    return site


def leave(token: int) -> None:
    """Mark that this thread leaves the site that `enter` returned."""
    if token < 0:
        return
    try:
        track: MarkTrack = here.track
    except AttributeError:  # entered before a fork, and this is the child
        return
    stack = track.open
    if stack and stack[-1][0] == token:
        _, stage, calls, entered = stack.pop()
    else:
        stage, calls, entered = track.remove(token)
    if not _on or not stage:  # the last: it was left before
        return
    now = monotonic_ns()
    since = now - track.t
    if since < SHORT_NS:
        cpu = track.cpu + since
    else:
        cpu = thread_time_ns()
        now = monotonic_ns()
    _pack(track.buffer, track.pos, now, cpu, token << 2 | 1, calls)
    track.pos += _SIZE
    track.t = now
    track.cpu = cpu
    if track.pos > track.end:
        track.tail_stage = ""
        next_file(track)
    elif now - entered < TINY_NS:
        track.tail_stage = stage
        track.tail_depth = len(stack)
        track.tail_calls = calls
    else:
        track.tail_stage = ""


def mark_step(site: int, edge: int = spool.STEP_START) -> None:
    """Mark the start of a step on this thread (or, with edge 3, the end of all)."""
    attend()
    here.is_stepped = True
    mark_row(site << 2 | edge, always=True)


def is_stepped() -> bool:
    """Whether this thread's steps were marked one by one: all of each is marked."""
    return getattr(here, "is_stepped", False)


def mark_row(code: int, calls: int = 0, at: int = 0, *, always: bool = False) -> int:
    """Mark where a row or an iteration begins on this thread.

    Args:
        code: Its site times 4 plus the edge.
        calls: Iterations completed since the last mark of that loop.
        at: When that was, monotonic nanoseconds; it is now if a mark came since, or 0.
        always: Whether it is written where the thread is hushed, too.

    Returns:
        Monotonic nanoseconds of the mark, 0 when nothing is recorded.
    """
    if not _on:
        return 0
    try:
        track: MarkTrack = here.track
    except AttributeError:
        track = _open_track()
    if track.hushed and not always:
        return 0
    now = at if at > track.t else monotonic_ns()
    since = now - track.t
    if since < SHORT_NS:
        track.cpu += since
    else:
        track.cpu = thread_time_ns()
        if at != now:
            now = monotonic_ns()
    track.t = now
    _pack(track.buffer, track.pos, now, track.cpu, code, calls)
    track.tail_stage = ""
    track.pos += _SIZE
    if track.pos > track.end:
        next_file(track)
    return now


def in_stage() -> bool:
    """Whether this thread is in a stage that is marked, a whole step aside."""
    track: MarkTrack | None = getattr(here, "track", None)
    return track is not None and any(
        s != STEP and ":" not in s for _, s, *_ in track.open
    )


def written() -> tuple[int, int, int]:
    """This thread's marks so far; at the last its CPU time, and the agent's own, ns."""
    track: MarkTrack | None = getattr(here, "track", None)
    return (0, 0, 0) if track is None else (track.written(), track.cpu, track.own_ns)


def close_stages() -> None:
    """Leave every stage that this thread is in: what holds whole steps is none."""
    track: MarkTrack | None = getattr(here, "track", None)
    while track is not None and track.open:
        leave(track.open[-1][0])


def hush(hushed: bool) -> bool:
    """Let this thread mark nothing for a while, and then again; returns what it did."""
    try:
        track: MarkTrack = here.track
    except AttributeError:
        if not _on:
            return False
        track = _open_track()
    before, track.hushed = track.hushed, hushed
    if hushed != before:
        for owned in track.own[:]:
            owned.hush(hushed)
    return before


def attend() -> None:
    """See to what the tool asks for, at a step's boundary within no stage."""
    if not _on:
        return
    try:
        track: MarkTrack = here.track
    except AttributeError:
        track = _open_track()
    if not track.open and (
        _writer.control[0] != _writer.call  # type: ignore[union-attr] # set while on
        or len(THREADS) != _writer.listed  # type: ignore[union-attr]
    ):
        _attend(track, STEP)


def _open_track() -> MarkTrack:
    track = MarkTrack(monotonic_ns(), thread_time_ns())
    _new_file(track)
    here.track = track
    if _writer is not None:
        _try(_writer.write_names)
    return track


def _new_file(track: MarkTrack) -> None:
    """Let it go on in a fresh file, or in memory when there is none."""
    track.buffer, track.pos = NOWHERE, spool.MARK_START
    if _writer is not None and _writer.pid:
        _try(track.open_file, _writer)


def next_file(track: MarkTrack) -> None:
    """Tell who follows it; go on in another file where this one is full."""
    for follower in followers:
        follower(track)
    if track.pos <= LAST:
        return
    if _writer is not None and not _writer.is_read():
        _writer.attend(spool.FINISHED)
        finish()
        track.buffer, track.pos = NOWHERE, spool.MARK_START
        return
    track.sequence += 1
    _new_file(track)


def _fail(what: str) -> None:
    """The disk is full or gone: stop recording, let the script train on."""
    global _on
    _on = False
    if _writer is not None:
        _writer.write_event({"event": "failure", "what": what})


def _attend(track: MarkTrack, stage: str) -> None:
    """The tool has called or threads have come: see to it at an outermost mark.

    A window begins and ends at a step's boundary of the trainer, so the call stays
    open until then.
    """
    writer = _writer
    if writer is None:
        return
    call, mode, boundary, _, trainer, _ = spool.CONTROL.unpack_from(writer.control)
    if mode == writer.mode:
        writer.call = call
        _try(writer.write_names)
    elif mode == spool.FINISHED:
        writer.attend(mode)
        finish()
    elif track.tid == trainer and (boundary == 255 or _is_boundary(boundary, stage)):
        writer.call, writer.mode = call, mode
        writer.attend(mode)
        if mode == spool.STOP:
            finish()
            ending.end_script()


def _is_boundary(boundary: int, stage: str) -> bool:
    return stage == STEP or (boundary < len(STAGES) and STAGES[boundary] == stage)


def _write_sites(lines: Sequence[str]) -> None:
    if _on and _writer is not None:
        _try(_writer.write_sites, lines)


def _try(write: Callable[..., None], *arguments: object) -> None:
    """Write to the spool, or stop recording: the script is not to know of it."""
    try:
        write(*arguments)
    except Exception as error:  # its own threads' names may fail
        if of_a_handler(error):
            raise
        _fail(f"marks stopped: {error}")


def _after_fork() -> None:
    """A forked child records on its own: new files, nothing open."""
    global here, _on, _writer
    followers.clear()
    if not _on or _writer is None:
        return
    if hasattr(here, "track"):
        hush(False)  # what this thread alone enters
    here.__dict__.clear()
    try:
        writer = SpoolWriter(_writer.folder, lambda mode: None, _writer.tool)
    except OSError:  # the measurement is over, and its files are gone
        _on = False
        return
    writer.mode, writer.call = _writer.mode, _writer.call
    _writer = writer
    _try(writer.write_sites, sites.LINES)
    writer.write_fork()
