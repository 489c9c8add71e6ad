"""Recordings of ranks that train together, written by hand."""

from __future__ import annotations

from dataclasses import replace

import made_runs as made

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.ranks import Ranks, compare_ranks
from debottleneck.recording.recording import Recording

STEPS = 40


def rank_of(
    number: int,
    load: float = 2.0,
    backward: float = 3.0,
    step: float = 30.0,
    *,
    world: int = 3,
    boot: str = "a",
    clock: float = 0.0,
) -> Recording:
    """A rank's steps: it loads asleep, computes, and waits until the step is over."""
    words: list[tuple[float, str, float]] = []
    for at in range(STEPS):
        begun, cpu = at * step, at * backward
        wait = begun + load + backward
        words += [
            (begun, "+load", cpu),
            (begun + load, "-load", cpu),
            (begun + load, "+backward", cpu),
            (wait, "+device", cpu + backward),
            (begun + step, "-device", cpu + backward),
            (begun + step, "-backward", cpu + backward),
        ]
    words = [(ms + clock, word, cpu) for ms, word, cpu in words]
    sites = made.sites()
    sites["kind"] = sites["kind"].replace("device", "collective")
    ticks = [
        made.wait(at * step + clock, at * step + load + clock, "sleep")
        for at in range(STEPS)
    ]
    place = {"rank": number, "world": world, "host": "h", "boot": boot}
    met = tuple(
        {"number": at, "end_ns": round((at * step + clock) * made.MS)}
        for at in range(STEPS)
    )
    facts = replace(made.FACTS, ranks=(place,), meetings=met)
    tables = {
        "sites": sites,
        "marks": made.marks({made.PID: words}),
        "waits": made.waits(ticks),
        "threads": made.threads((made.PID, "MainThread")),
    }
    return Recording.of(facts, tables)


def compared(*recordings: Recording) -> Ranks:
    """Side by side, in folders by their order."""
    return compare_ranks((f"rank-{i}", analyse(r)) for i, r in enumerate(recordings))
