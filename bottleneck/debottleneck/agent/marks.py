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

import json
import mmap
import os
import threading
from time import monotonic_ns, thread_time_ns

from debottleneck.agent.recorder import THREADS, Recorder
from debottleneck.recording import spool
from debottleneck.words import STAGES, STEP

SHORT_NS = 20_000
"""Marks closer than this share one reading of the CPU clock, and tiny calls of one
stage that follow each other within it are joined."""

TINY_NS = 100_000
"""Only calls shorter than this are joined with the next one."""

_pack = spool.MARK.pack_into
_SIZE = spool.MARK.size


class _Track:
    """One thread's open stages and its mark file."""

    __slots__ = (
        "buffer",
        "cpu",
        "end",
        "open",
        "pos",
        "sequence",
        "t",
        "tail_calls",
        "tail_depth",
        "tail_stage",
        "tid",
    )

    def __init__(self) -> None:
        self.tid = threading.get_native_id()
        self.sequence = 0
        self.open: list[tuple[int, str, int, int]] = []
        self.tail_stage = ""
        self.tail_depth = 0
        self.tail_calls = 0
        self.t = monotonic_ns()
        self.cpu = thread_time_ns()
        self.buffer = _new_file(self)
        self.pos = spool.MARK_START
        self.end = spool.MARK_FILE_BYTES - _SIZE


_on = False
_recorder: Recorder | None = None
_local = threading.local()
_stages: list[str] = []
_site_lines: list[str] = []
_site_numbers: dict[tuple[str, str, int, str], int] = {}
_site_lock = threading.Lock()
_nowhere = bytearray(spool.MARK_FILE_BYTES)


def start(recorder: Recorder) -> None:
    """Begin recording in this process, and in children that it forks."""
    global _on, _recorder
    _recorder = recorder
    _on = True
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def calibrate(pairs: int = 200) -> float:
    """Median microseconds of a pair of marks on this machine.

    Each pair enters another stage, too far from the last to share its reading of
    the CPU clock: the usual case of a loop.
    """
    site = site_of(STEP, "calibration", "", 0, "api")
    leave(enter(site))
    track: _Track = _local.track
    times = []
    for _ in range(pairs):
        track.t = 0
        track.tail_stage = ""
        begun = monotonic_ns()
        leave(enter(site))
        times.append(monotonic_ns() - begun)
    track.buffer[spool.MARK_START : track.pos] = bytes(track.pos - spool.MARK_START)
    track.pos = spool.MARK_START
    track.tail_stage = ""
    return sorted(times)[pairs // 2] / 1e3


def finish() -> None:
    """Stop recording for good; marks become a test of one global."""
    global _on
    if _on and _recorder is not None:
        _write_names(_recorder)
    _on = False


def note(event: dict[str, object]) -> None:
    """Write an event for the report, when there is a recording."""
    if _on and _recorder is not None:
        _recorder.write_event(event)


def recording() -> bool:
    """Whether marks are being written."""
    return _on


def site_of(stage: str, name: str, file: str, line: int, kind: str) -> int:
    """The number of a place that marks `stage`; the same place, the same number."""
    key = (stage, file, line, name)
    known = _site_numbers.get(key)
    if known is not None:
        return known
    with _site_lock:
        number = _site_numbers.get(key)
        if number is None:
            number = len(_stages)
            _stages.append(stage)
            fields = {"site": number, "stage": stage, "name": name}
            place = {"file": file, "line": line, "kind": kind}
            _site_lines.append(json.dumps({**fields, **place}))
            _site_numbers[key] = number
            if _on and _recorder is not None:
                _write_site(_recorder, _site_lines[-1])
    return number


def enter(site: int) -> int:
    """Mark that this thread enters a site; returns what `leave` needs.

    A stage inside itself (recursion, a layer's forward in the model's) is not
    marked again. Raises SystemExit in the trainer when the tool asks to stop.
    """
    if not _on:
        return -1
    try:
        track: _Track = _local.track
    except AttributeError:
        track = _open_track()
    stage = _stages[site]
    stack = track.open
    if stack:
        if stack[-1][1] == stage:
            return -1
    elif (
        _recorder.control[0] != _recorder.call  # type: ignore[union-attr] # set while on
        or len(THREADS) != _recorder.listed  # type: ignore[union-attr]
    ):
        _attend(track, stage)
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
        _next_file(track)
    track.t = now
    track.cpu = cpu
    track.tail_stage = ""
    stack.append((site, stage, 1, now))
    return site


def leave(token: int) -> None:
    """Mark that this thread leaves the site that `enter` returned."""
    if token < 0:
        return
    track: _Track = _local.track
    stack = track.open
    if stack and stack[-1][0] == token:
        _, stage, calls, entered = stack.pop()
    else:
        stage, calls, entered = _remove(stack, token)
    if not _on:
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
        _next_file(track)
    elif now - entered < TINY_NS:
        track.tail_stage = stage
        track.tail_depth = len(stack)
        track.tail_calls = calls
    else:
        track.tail_stage = ""


def mark_step(site: int, edge: int = spool.STEP_START) -> None:
    """Mark the start of a step on this thread (or, with edge 3, the end of all)."""
    if not _on:
        return
    try:
        track: _Track = _local.track
    except AttributeError:
        track = _open_track()
    if not track.open and (
        _recorder.control[0] != _recorder.call  # type: ignore[union-attr] # set while on
        or len(THREADS) != _recorder.listed  # type: ignore[union-attr]
    ):
        _attend(track, STEP)
    track.cpu = thread_time_ns()
    track.t = monotonic_ns()
    _pack(track.buffer, track.pos, track.t, track.cpu, site << 2 | edge, 0)
    track.tail_stage = ""
    track.pos += _SIZE
    if track.pos > track.end:
        _next_file(track)


def _remove(stack: list[tuple[int, str, int, int]], token: int) -> tuple[str, int, int]:
    """Take the last entry of that site out: coroutines need not nest."""
    for index in range(len(stack) - 1, -1, -1):
        if stack[index][0] == token:
            _, name, calls, entered = stack.pop(index)
            return name, calls, entered
    return "", 1, 0


def _open_track() -> _Track:
    track = _Track()
    _local.track = track
    if _recorder is not None:
        _write_names(_recorder)
    return track


def _new_file(track: _Track) -> mmap.mmap | bytearray:
    """A fresh mark file with its space reserved, or memory when there is none."""
    if _recorder is None:
        return _nowhere
    name = f"marks-{_recorder.pid}-{track.tid}-{track.sequence}-{monotonic_ns()}.bin"
    try:
        with open(_recorder.folder / name, "w+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, spool.MARK_FILE_BYTES)
            else:
                file.truncate(spool.MARK_FILE_BYTES)
            buffer = mmap.mmap(file.fileno(), spool.MARK_FILE_BYTES)
    except OSError as error:
        _fail(f"marks stopped: {error}")
        return _nowhere
    ident = threading.get_ident()
    header = (spool.MARK_MAGIC, _recorder.pid, track.tid, ident)
    spool.MARK_HEADER.pack_into(buffer, 0, *header)
    return buffer


def _next_file(track: _Track) -> None:
    track.sequence += 1
    track.buffer = _new_file(track)
    track.pos = spool.MARK_START


def _fail(what: str) -> None:
    """The disk is full or gone: stop recording, let the script train on."""
    global _on
    _on = False
    if _recorder is not None:
        _recorder.write_event({"event": "failure", "what": what})


def _attend(track: _Track, stage: str) -> None:
    """The tool has called or threads have come: see to it at an outermost mark.

    A window begins and ends at a step's boundary of the trainer, so the call stays
    open until then.
    """
    recorder = _recorder
    if recorder is None:
        return
    call, mode, boundary, _, trainer, _ = spool.CONTROL.unpack_from(recorder.control)
    if mode == recorder.mode:
        recorder.call = call
        _write_names(recorder)
    elif mode == spool.FINISHED:
        recorder.attend(mode)
        finish()
    elif track.tid == trainer and (boundary == 255 or _is_boundary(boundary, stage)):
        recorder.call, recorder.mode = call, mode
        recorder.attend(mode)
        if mode == spool.STOP:
            finish()
            raise SystemExit(0)


def _is_boundary(boundary: int, stage: str) -> bool:
    return stage == STEP or (boundary < len(STAGES) and STAGES[boundary] == stage)


def _write_site(recorder: Recorder, line: str) -> None:
    try:
        recorder.write_site(line)
    except OSError as error:
        _fail(f"marks stopped: {error}")


def _write_names(recorder: Recorder) -> None:
    try:
        recorder.write_names()
    except OSError as error:
        _fail(f"marks stopped: {error}")


def _after_fork() -> None:
    """A forked child records on its own: new files, nothing open."""
    global _local, _recorder
    if not _on or _recorder is None:
        return
    _local = threading.local()
    recorder = Recorder(_recorder.folder, lambda mode: None)
    recorder.mode = _recorder.mode
    recorder.call = _recorder.call
    _recorder = recorder
    for line in _site_lines:
        _write_site(recorder, line)
