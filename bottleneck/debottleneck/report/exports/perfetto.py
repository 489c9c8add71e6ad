"""A trace for Perfetto, chrome://tracing and speedscope: JSON of trace events.

Times are whole microseconds since the script's launch. Of each thread: calls of its
stages as they nest, and what the wait sampler saw, neighbours joined. Above them: the
steps, what each block of them was for, the instruments, who held the GIL, and its
hand-overs a second. `otherData` says what the trace is of and what was left out.

Ten minutes of eight threads at 200 samples a second with 100,000 steps make 1.5 million
slices: 165 MB, written in 4 s of processor time; Perfetto loads all of them
(`tests/benchmarks/export_speed.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from debottleneck.analysis.result import Analysis
from debottleneck.report.exports.tracks import Track, member, tracks_of
from debottleneck.report.words.quantities import clean, home, short
from debottleneck.version import __version__

MOST_SLICES = 2_000_000
"""About 220 MB; a browser takes at most 512 MB as one text."""

FIRST_LINE = 5_000_000
"""Number of the first line that is no thread's: no thread of Linux is above 2**22."""


def render(analysis: Analysis, most: int = MOST_SLICES) -> str:
    """The trace with at most `most` slices where it can be: the longest ones."""
    tracks, left_out = bounded(tracks_of(analysis), most)
    starts = [int(track.start.min()) for track in tracks]
    origin = min([analysis.recording.facts.start_ns, *starts])
    if left_out:
        tracks = [_notice(tracks, left_out), *tracks]
    lines = [*_names(analysis, tracks), *_counters(analysis, origin)]
    for number, track in enumerate(tracks):
        lines += _slices(track, _line(track, number), origin)
    about = json.dumps(_about(analysis, left_out))[1:]
    events = ",\n".join(lines)
    return f'{{"traceEvents":[\n{events}\n],{about}\n'


def bounded(tracks: list[Track], most: int) -> tuple[list[Track], str]:
    """The tracks without their shortest slices if there are too many, and a sentence.

    An inner call is no longer than the one around it, so that no call loses the one
    that it was made in before it goes itself. Steps and blocks are all kept.
    """
    fine = [track.end - track.start for track in tracks if track.fine]
    lengths = np.concatenate(fine) if fine else np.empty(0, np.int64)
    room = max(0, most - sum(len(track) for track in tracks if not track.fine))
    if len(lengths) <= room:
        return tracks, ""
    longest = int(np.partition(lengths, len(lengths) - room - 1)[-room - 1])
    kept = [_longer(track, longest) if track.fine else track for track in tracks]
    cut = int((lengths <= longest).sum())
    what = f"{cut:,} of {len(lengths):,} slices of stages, waits and the GIL are"
    left_out = f"{what} left out, those of at most {longest / 1e3:,.1f} us"
    return [track for track in kept if len(track)], left_out


def _longer(track: Track, nanoseconds: int) -> Track:
    kept = track.end - track.start > nanoseconds
    parts = {name: getattr(track, name)[kept] for name in ("start", "end", "text")}
    return replace(track, **parts)


def _notice(tracks: list[Track], left_out: str) -> Track:
    """A line that says above all others what is not shown."""
    start = np.array([min(int(track.start.min()) for track in tracks)])
    end = np.array([max(int(track.end.max()) for track in tracks)])
    slices = (start, end, np.zeros(1, np.int64))
    return Track(tracks[0].pid, 0, "left out", *slices, [member(left_out)], fine=False)


def _about(analysis: Analysis, left_out: str) -> dict[str, Any]:
    facts = analysis.recording.facts
    about = {
        "tool": f"debottleneck {__version__}",
        "command": " ".join(map(clean, facts.command)),
        "created": clean(facts.created),
        "left_out": left_out or "nothing",
    }
    return {"displayTimeUnit": "ms", "otherData": about}


def _line(track: Track, number: int) -> int:
    """The thread that the viewer shows it as."""
    return track.tid or FIRST_LINE + number


def _names(analysis: Analysis, tracks: list[Track]) -> Iterator[str]:
    """Names of processes and lines, and their order from top to bottom."""
    pids = dict.fromkeys([analysis.recording.facts.pid, *(t.pid for t in tracks)])
    script = short(analysis.recording.facts.script, home(analysis.recording.facts))
    for index, pid in enumerate(pids):
        name = script if not index else f"process of {script}"
        yield _metadata("process_name", pid, 0, {"name": clean(name)})
        yield _metadata("process_sort_index", pid, 0, {"sort_index": index})
    for number, track in enumerate(tracks):
        where = track.pid, _line(track, number)
        yield _metadata("thread_name", *where, {"name": track.name})
        yield _metadata("thread_sort_index", *where, {"sort_index": number})


def _metadata(kind: str, pid: int, tid: int, about: dict[str, Any]) -> str:
    event = {"ph": "M", "pid": pid, "tid": tid, "name": kind, "args": about}
    return json.dumps(event, separators=(",", ":"))


def _slices(track: Track, line: int, origin: int) -> list[str]:
    """Each slice as an event; begin and end are cut to whole microseconds."""
    start = (track.start - origin) // 1000
    length = (track.end - origin) // 1000 - start
    lead = f'{{"ph":"X","pid":{track.pid},"tid":{line},"ts":'
    texts = track.texts
    columns = (start.tolist(), length.tolist(), track.text.tolist())
    return [
        f'{lead}{ts},"dur":{dur},{texts[text]}}}'
        for ts, dur, text in zip(*columns, strict=True)
    ]


def _counters(analysis: Analysis, origin: int) -> Iterator[str]:
    """Each process's hand-overs of the GIL a second, from one count to the next."""
    table = analysis.recording.handovers.sort_values("t_ns")
    for pid, rows in table.groupby("pid"):
        times = rows.t_ns.to_numpy(np.int64)
        rates = np.diff(rows.switches) * 1e9 / np.maximum(np.diff(times), 1)
        lead = f'{{"ph":"C","pid":{pid},"name":"GIL hand-overs","ts":'
        for at, rate in zip(times[:-1].tolist(), rates.tolist(), strict=True):
            yield f'{lead}{(at - origin) // 1000},"args":{{"per second":{rate:.1f}}}}}'
