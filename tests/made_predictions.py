"""Predictions made by hand, of runs that never happened."""

from __future__ import annotations

from dataclasses import replace

from debottleneck.analysis.result import (
    WORTH,
    Faster,
    Prediction,
    Predictions,
    RowCurve,
    VirtualSpeedups,
)
from debottleneck.recording.machine import Machine
from debottleneck.recording.spool import PERCENTS

STEP_MS = 185.5
"""The plain loop's step, as in the example that waits for its data."""

MEASURED = "2026-11-01T09:00:00+00:00"


def row(spec: str, gain: float, doubt: float = 0.04, **more: object) -> Prediction:
    """A strategy with its speed-up, and how far its bounds are away from it."""
    low, high = gain * (1 - doubt), gain * (1 + doubt)
    made = Prediction(
        spec=spec,
        step_ms=STEP_MS / gain,
        step_low=STEP_MS / high,
        step_high=STEP_MS / low,
        speedup=gain,
        low=low,
        high=high,
        worth=bool(spec) and gain >= WORTH,
    )
    return replace(made, **more)


PLAIN = row("", 1.0)
SOURCE = "limited by the source, 5 at once"
REST = "limited by the rest of the step"
SLOWER = "threads would make it slower: the GIL changes hands between 2 threads"
SHARED, ALONE = "its turns share the list", "hand the list to each turn"

THREADS = tuple(
    row(f"prefetch:workers={count}", gain, limit=limit, memory_mb=3.0 + count)
    for count, gain, limit in (
        (1, 1.42, SOURCE),
        (2, 1.81, SOURCE),
        (4, 2.16, REST),
        (8, 2.17, REST),
    )
)
PROCESSES = tuple(
    row(f"prefetch:workers={count},where=process", gain, limit=SOURCE, memory_mb=21.2)
    for count, gain in ((1, 1.35), (2, 1.62))
)
FORWARD = row(
    *("parallel-forward:workers=2", 1.2),
    **{"limit": REST, "why_not": SHARED, "edit": ALONE, "worth": False},
)
UPDATE = row("parallel-update:workers=2", 0.81, limit=SLOWER, memory_mb=3.0)

WAITING = Predictions(
    plain=PLAIN,
    rows=(THREADS[2], PROCESSES[1], FORWARD, UPDATE),
    settings=(THREADS, PROCESSES, (FORWARD,), (UPDATE,)),
    replayed=1.01,
    machine=Machine(cores=2.0, measured=MEASURED).as_dict(),
)
"""A loop that prefetch would help, and nothing else."""

NOTHING = replace(
    WAITING,
    rows=(row("prefetch:workers=1", 1.046, limit=REST), UPDATE),
    settings=((row("prefetch:workers=1", 1.046, limit=REST),), (UPDATE,)),
    replayed=0.66,
    doubt="the simulated plain loop takes 66 % of the measured step",
    machine=Machine(cores=2.0).as_dict(),
)
"""A loop that nothing would help, replayed badly, on a machine nobody measured."""


def hostile(evil: str) -> Predictions:
    """Names that try to get out of the page wherever there is a text."""
    bad = replace(
        row(evil, 1.5), limit=f"{evil}\x1b[31m", why_not=f"{evil}\x07\n", worth=True
    )
    odd = replace(bad, spec=f"prefetch:workers=2+{evil}", why_not="")
    return replace(
        WAITING,
        rows=(odd, bad, *WAITING.rows),
        settings=((bad, odd), *WAITING.settings),
        machine={**WAITING.machine, "measured": evil},
    )


def curve(row: str, *gains: float, **more: object) -> RowCurve:
    """A row of the trainer's whose gains are known within 3 points."""
    points = tuple(
        Faster(percent, gain, gain - 0.03, gain + 0.03)
        for percent, gain in zip(PERCENTS, gains, strict=True)
    )
    return replace(RowCurve(row, "trainer", 4.2, points, 9), **more)


FORWARD_FASTER = curve(
    "forward", 0.04, 0.1, 0.2, 0.21, 0.21, knee=50, limit="the loader"
)
LOAD_FASTER = curve("load", 0, 0, 0, 0, 0, role="loader", knee=0, limit="the trainer")

FASTER = VirtualSpeedups((FORWARD_FASTER, LOAD_FASTER))
"""What rows gained in a loop with a loader thread."""
