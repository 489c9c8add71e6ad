"""speedscope's file: sampled stacks of each thread, and the trainer's rows in time.

Weights are nanoseconds that py-spy saw, end to end: time in which it was not
attached is left out. The document's `name` says what is missing or cut short.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from debottleneck.analysis.code import Frame
from debottleneck.analysis.result import Analysis
from debottleneck.errors import UsageError
from debottleneck.report.exports.nesting import StageCalls, calls_by_thread, sites_of
from debottleneck.report.exports.stacks import Place, Stacks, stacks_of
from debottleneck.report.exports.threads import labels
from debottleneck.report.words.quantities import clean, short
from debottleneck.version import __version__

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
MOST_CALLS = 100_000
"""Of stages in time; speedscope draws each of them, and grows slow beyond."""

Profile = dict[str, Any]

Frames = dict[Frame, int]
"""Each different frame -> its place in the list that all profiles share."""


def render(analysis: Analysis) -> str:
    """The document; without stacks it holds the trainer's stages alone.

    Raises:
        UsageError: There are neither stacks nor stages.
    """
    frames: Frames = {}
    stages = _stages(analysis, frames)
    profiles, note = [], ""
    try:
        profiles = _sampled(stacks_of(analysis), frames)
    except UsageError as error:
        if not stages:
            raise
        note = f"; {clean(error.what)}"
    name = short(analysis.recording.facts.script, analysis.recording.facts.directory)
    document = {
        "$schema": SCHEMA,
        "name": name + note,
        "exporter": f"debottleneck {__version__}",
        "activeProfileIndex": 0,
        "shared": {"frames": [_described(*frame) for frame in frames]},
        "profiles": [*profiles, *stages],
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def _described(name: str, file: str, line: int) -> dict[str, Any]:
    place = {"file": file, "line": line}
    return {"name": name, **{key: value for key, value in place.items() if value}}


def _number(frames: Frames, frame: Frame) -> int:
    return frames.setdefault(frame, len(frames))


def _sampled(stacks: Stacks, frames: Frames) -> list[Profile]:
    """A profile for each thread."""

    @cache
    def numbers(where: Place) -> list[int]:
        return [_number(frames, frame) for frame in stacks.at(where)]

    return [
        {
            "type": "sampled",
            "name": name,
            "unit": "nanoseconds",
            "startValue": 0,
            "endValue": sum(weight for _, weight in samples),
            "samples": [numbers(where) for where, _ in samples],
            "weights": [weight for _, weight in samples],
        }
        for name, samples in stacks.threads.items()
    ]


def _stages(analysis: Analysis, frames: Frames) -> list[Profile]:
    """The trainer's stages and lines, at most MOST_CALLS: the first whole steps."""
    key = analysis.recording.facts.pid, analysis.loop.trainer_tid
    calls = calls_by_thread(analysis.recording).get(key)
    if calls is None:
        return []
    calls, extent = _first(calls, analysis.steps.end_ns.to_numpy(np.int64))
    if not len(calls):
        return []
    sites = {
        site: _number(frames, (f"[{stage}] {clean(name)}", clean(file), line))
        for site, (stage, name, file, line) in sites_of(
            analysis.recording, key[0]
        ).items()
    }
    events = _events(calls, sites)
    return [
        {
            "type": "evented",
            "name": f"rows of {labels(analysis)[key]}{extent}",
            "unit": "nanoseconds",
            "startValue": 0,
            "endValue": events[-1]["at"],
            "events": events,
        }
    ]


def _first(calls: StageCalls, ends: NDArray[np.int64]) -> tuple[StageCalls, str]:
    """The calls of whole steps that are few enough, and how much of all that is."""
    if len(calls) <= MOST_CALLS:
        return calls, ""
    until = int(calls.start[MOST_CALLS])
    extent = f"{MOST_CALLS:,} of {len(calls):,} calls"
    steps = int((ends <= until).sum())
    if steps:
        until, extent = int(ends[steps - 1]), f"{steps:,} of {len(ends):,} steps"
    return calls.where(calls.end <= until), f", only the first {extent}"


def _events(calls: StageCalls, sites: dict[int, int]) -> list[Profile]:
    """Calls opened and closed in order of time, inner ones within outer ones."""
    origin = int(calls.start[0])
    events: list[Profile] = []
    opened: list[tuple[int, int]] = []

    def close(until: int) -> None:
        while opened and opened[-1][0] <= until:
            end, frame = opened.pop()
            events.append({"type": "C", "frame": frame, "at": end - origin})

    columns = (calls.start, calls.end, calls.site)
    for start, end, site in zip(*(c.tolist() for c in columns), strict=True):
        close(start)
        opened.append((end, sites[site]))
        events.append({"type": "O", "frame": sites[site], "at": start - origin})
    close(int(calls.end.max()))
    return events
