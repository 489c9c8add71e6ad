"""Processes that take each other's place, as loader workers do at each epoch.

Whoever counts threads counts places: two workers that are started anew six times are
two, each in six lives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import pandas as pd

from debottleneck.recording.recording import Recording

Sums = TypeVar("Sums")
Places = Mapping[int, int]
"""Process -> the first one in its place."""


def places_of(recording: Recording) -> Places:
    """The place of each process; as many places as processes lived at once.

    One that began when another had ended takes its place; of the target itself nobody
    does.
    """
    waits = recording.waits[recording.waits["pid"] != recording.facts.pid]
    spans = waits.groupby("pid").agg(start=("start_ns", "min"), end=("end_ns", "max"))
    places: dict[int, int] = {}
    ends: dict[int, int] = {}
    for pid, start, end in spans.sort_values(["start", "end"]).itertuples():
        free = (place for place, ended in ends.items() if ended <= start)
        place = places[int(pid)] = next(free, int(pid))
        ends[place] = int(end)
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
