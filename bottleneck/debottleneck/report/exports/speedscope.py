"""speedscope's file: sampled stacks of each thread, and the trainer's rows in time.

Weights are nanoseconds that py-spy saw, end to end: time in which it was not
attached is left out. The document's `name` says what is missing or cut short.
"""

from __future__ import annotations

import json
from typing import Any

from debottleneck.analysis.code import Frame
from debottleneck.analysis.result import Analysis
from debottleneck.errors import UsageError
from debottleneck.report.exports.threads import (
    Samples,
    labels,
    rows_by_thread,
    stacks_of,
)
from debottleneck.report.words.quantities import clean, short
from debottleneck.version import __version__

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
MOST_ROWS = 100_000
"""Slices of rows; speedscope draws each of them, and grows slow beyond."""

Profile = dict[str, Any]

Frames = dict[Frame, int]
"""Each different frame -> its place in the list that all profiles share."""


def render(analysis: Analysis) -> str:
    """The document; without stacks it holds the trainer's rows alone.

    Raises:
        UsageError: There are neither stacks nor rows.
    """
    frames: Frames = {}
    profiles, note = [], ""
    rows = _rows(analysis, frames)
    try:
        stacks = stacks_of(analysis).items()
        profiles = [_sampled(name, samples, frames) for name, samples in stacks]
    except UsageError as error:
        if not rows:
            raise
        note = f"; {clean(error.what)}"
    facts = analysis.recording.facts
    document = {
        "$schema": SCHEMA,
        "name": short(facts.script, facts.directory) + note,
        "exporter": f"debottleneck {__version__}",
        "activeProfileIndex": 0,
        "shared": {"frames": [_described(*frame) for frame in frames]},
        "profiles": [*profiles, *rows],
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def _described(name: str, file: str, line: int) -> dict[str, Any]:
    place = {"file": file, "line": line}
    return {"name": name, **{key: value for key, value in place.items() if value}}


def _number(frames: Frames, frame: Frame) -> int:
    return frames.setdefault(frame, len(frames))


def _sampled(name: str, samples: Samples, frames: Frames) -> Profile:
    """A thread's profile."""
    return {
        "type": "sampled",
        "name": name,
        "unit": "nanoseconds",
        "startValue": 0,
        "endValue": sum(weight for _, weight in samples),
        "samples": [[_number(frames, f) for f in stack] for stack, _ in samples],
        "weights": [weight for _, weight in samples],
    }


def _rows(analysis: Analysis, frames: Frames) -> list[Profile]:
    """The trainer's rows in time, the first MOST_ROWS slices of them; may be none."""
    key = analysis.recording.facts.pid, analysis.loop.trainer_tid
    every = dict(rows_by_thread(analysis)).get(key)
    if every is None:
        return []
    rows, cut = every.head(MOST_ROWS), len(every) > MOST_ROWS
    extent = f", only the first {MOST_ROWS:,} of {len(every):,} slices" * cut
    origin = int(rows.start_ns.iloc[0])
    numbers = [_number(frames, (f"[{clean(row)}]", "", 0)) for row in rows.stage]
    begun, ended = (rows[c] - origin for c in ("start_ns", "end_ns"))
    times = zip(numbers, begun.tolist(), ended.tolist(), strict=True)
    return [
        {
            "type": "evented",
            "name": f"rows of {labels(analysis)[key]}{extent}",
            "unit": "nanoseconds",
            "startValue": 0,
            "endValue": int(ended.iloc[-1]),
            "events": [
                {"type": kind, "frame": frame, "at": at}
                for frame, start, end in times
                for kind, at in (("O", start), ("C", end))
            ],
        }
    ]
