"""Processes that take each other's place, as loader workers do at each epoch.

Whoever counts threads counts places: two workers that are started anew six times are
two, each in six lives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import pandas as pd

from debottleneck.recording.recording import Loader, Recording

Sums = TypeVar("Sums")
Places = Mapping[int, int]
"""Process -> the first one in its place."""


def places_of(recording: Recording) -> Places:
    """The place of each process; as many places as processes lived at once.

    One that began when another had ended takes its place; of the target itself nobody
    does. Workers of one DataLoader take each other's, though they may overlap a little.
    """
    places = _of_loaders(recording.facts.loaders)
    waits = recording.waits[recording.waits["pid"] != recording.facts.pid]
    waits = waits[~waits["pid"].isin(places)]
    spans = waits.groupby("pid").agg(start=("start_ns", "min"), end=("end_ns", "max"))
    ends: dict[int, int] = {}
    for pid, start, end in spans.sort_values(["start", "end"]).itertuples():
        free = (place for place, ended in ends.items() if ended <= start)
        place = places[int(pid)] = next(free, int(pid))
        ends[place] = int(end)
    return places


def _of_loaders(loaders: Sequence[Loader]) -> dict[int, int]:
    """Those that a loader starts anew, or another one once it has ended."""
    places: dict[int, int] = {}
    slots: list[tuple[Loader, list[int]]] = []
    for run in sorted(loaders, key=lambda run: run["start_ns"]):
        free = (
            n
            for n, (last, _) in enumerate(slots)
            if last["loader"] == run["loader"] or 0 < last["end_ns"] <= run["start_ns"]
        )
        number = next(free, len(slots))
        slots += [(run, [])] * (number == len(slots))
        own = slots[number][1]
        own += run["pids"][len(own) :]
        places |= dict(zip(run["pids"], own, strict=False))
        slots[number] = run, own
    return places


def by_place(
    sums: Mapping[tuple[int, int], Sums], threads: pd.DataFrame, places: Places
) -> dict[tuple[int, int], list[Sums]]:
    """What was summed of each thread, those of one place and name together.

    Args:
        sums: (pid, tid) -> anything.
        threads: The recording's.
        places: Of its processes.

    Returns:
        (pid, tid) of the first of them -> all of theirs, in the order of `sums`.
    """
    names = threads.set_index(["pid", "tid"])["name"].to_dict()
    first: dict[tuple[int, str, int], tuple[int, int]] = {}
    alike: dict[tuple[int, str], int] = {}
    joined: dict[tuple[int, int], list[Sums]] = {}
    for (pid, tid), of_thread in sums.items():
        name = names.get((pid, tid), "")
        number = alike[pid, name] = alike.get((pid, name), 0) + 1
        place = places.get(pid, pid), name, number
        joined.setdefault(first.setdefault(place, (pid, tid)), []).append(of_thread)
    return joined
