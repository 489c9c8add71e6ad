"""py-spy's samples as threads of stacks, for the formats that hold stacks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from debottleneck.analysis.code import Frame, code_of, sampled
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.rows import RowNames
from debottleneck.report.exports.missing import lacks
from debottleneck.report.exports.threads import Key, labels, roles
from debottleneck.report.words.quantities import clean

Place = tuple[str, int]
"""A stage, and the number of a stack in it."""

Samples = list[tuple[Place, int]]
"""In order of time, each with the nanoseconds that it stands for."""


@dataclass(frozen=True)
class Stacks:
    """What py-spy saw.

    Attributes:
        threads: Label of a thread -> its samples, the trainer's first.
        frames: Number of a stack -> its frames, outermost first.
    """

    threads: dict[str, Samples]
    frames: dict[int, tuple[Frame, ...]]

    def at(self, place: Place) -> tuple[Frame, ...]:
        """The frames of a place, below the stage as a frame without a file."""
        stage, stack = place
        return (f"[{stage}]", "", 0), *self.frames.get(stack, ())


def stacks_of(analysis: Analysis) -> Stacks:
    """Every sample of every thread.

    Time in which py-spy was not attached is left out, and so are the windows in
    which it saw only the thread that held the GIL.

    Raises:
        UsageError: py-spy was not at work.
    """
    recording = analysis.recording
    code = code_of(recording)
    table = sampled(
        recording, code, analysis.segments, RowNames.of(analysis.rows), roles(analysis)
    )
    rows = table[(table["block"] == "stacks") & (table["weight_ns"] > 0)]
    if rows.empty:
        remedy = "profile a longer run without --no-stacks"
        raise lacks(analysis, "stacks", "py-spy", remedy)
    rows = rows.sort_values("start_ns", kind="stable")
    columns = [rows[c].tolist() for c in ("pid", "tid", "stage", "stack", "weight_ns")]
    samples: defaultdict[Key, Samples] = defaultdict(list)
    for pid, tid, stage, stack, weight in zip(*columns, strict=True):
        samples[pid, tid].append(((stage, stack), weight))
    names = labels(analysis)
    names |= {key: f"thread {key[1]}" for key in samples if key not in names}
    threads = {name: samples[key] for key, name in names.items() if key in samples}
    frames = {
        number: tuple((clean(name), clean(file), line) for name, file, line in stack)
        for number, stack in code.frames.items()
    }
    return Stacks(threads, frames)
