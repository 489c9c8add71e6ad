"""What happened when, as tracks of slices: the loop, the GIL, stages, waits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.analysis.result import Analysis
from debottleneck.analysis.threads import sample_causes
from debottleneck.report.exports.nesting import StageCalls, calls_by_thread, sites_of
from debottleneck.report.exports.threads import Key, labels
from debottleneck.report.words.quantities import clean, home, place

Ints = NDArray[np.int64]

TOUCHING_NS = 1_000
"""Samples this close to each other are neighbours."""


@dataclass(frozen=True)
class Track:
    """Slices on one line, nested or one after the other.

    Attributes:
        pid: The process that it is shown with.
        tid: The thread it is of, 0 for a line of its own.
        name: What stands beside it.
        start: Nanoseconds, ascending; of two that begin together the outer first.
        end: Nanoseconds.
        text: For each slice the number of its text.
        texts: Name and arguments of a slice as members of a JSON object.
        fine: Whether short slices may be left out where there are too many.
    """

    pid: int
    tid: int
    name: str
    start: Ints
    end: Ints
    text: Ints
    texts: Sequence[str]
    fine: bool = True

    def __len__(self) -> int:
        return len(self.start)


def tracks_of(analysis: Analysis) -> list[Track]:
    """All tracks with something on them, in the order to show them."""
    names = labels(analysis)
    calls = calls_by_thread(analysis.recording)
    waits = _waits_by_thread(analysis)
    tracks = [*_of_the_run(analysis), *gil(analysis, names)]
    for key, label in names.items():
        if key in calls:
            tracks.append(stages(analysis, key, label, calls[key]))
        if key in waits:
            tracks.append(waiting(analysis, key, label, waits[key], names))
    return [track for track in tracks if len(track)]


def member(name: str, **arguments: Any) -> str:
    """A slice's name and arguments, ready to stand in its JSON object."""
    slice = {"name": clean(name), **({"args": arguments} if arguments else {})}
    return json.dumps(slice, separators=(",", ":"))[1:-1]


def _of_the_run(analysis: Analysis) -> Iterator[Track]:
    """Steps by number, what runs of them were for, and when instruments worked."""
    steps, windows = analysis.steps, analysis.recording.blocks.sort_values("start_ns")
    first = steps.block.ne(steps.block.shift()).to_numpy()
    begins, ends = steps[first], steps[np.roll(first, -1)]
    kinds = [f"{kind} steps" for kind in begins.block]
    numbers = [f"step {number}" for number in steps.step]
    for name, start, end, texts in (
        ("steps", steps.start_ns, steps.end_ns, numbers),
        ("blocks of steps", begins.start_ns, ends.end_ns, kinds),
        ("instruments", windows.start_ns, windows.end_ns, windows.kind),
    ):
        begin = start.to_numpy(np.int64)
        end = _no_overlap(begin, end.to_numpy(np.int64))
        slices = (begin, end, np.arange(len(begin)), [member(text) for text in texts])
        yield Track(analysis.recording.facts.pid, 0, name, *slices, fine=False)


def _no_overlap(start: Ints, end: Ints) -> Ints:
    """Ends, each no later than the next begin."""
    return np.minimum(end, np.append(start[1:], end[-1:]))


def gil(analysis: Analysis, names: dict[Key, str]) -> Iterator[Track]:
    """Which thread held each process's GIL, as far as ticks of the sampler show.

    All threads of a process are looked at in the same tick, so that one thread's
    samples tell it: those of the thread that was there longest.
    """
    waits = analysis.recording.waits
    lengths = (waits.end_ns - waits.start_ns).groupby([waits.pid, waits.tid]).sum()
    for pid, of_pid in lengths.groupby(level="pid"):
        _, tid = of_pid.idxmax()
        rows = waits[(waits.pid == pid) & (waits.tid == tid) & (waits.holder > 0)]
        rows = rows.sort_values("start_ns")
        holders = np.unique(rows.holder)
        texts = [member(names.get((pid, h), f"thread {h}")) for h in holders.tolist()]
        text = np.searchsorted(holders, rows.holder)
        yield Track(int(pid), 0, "GIL held by", *_joined(rows, text), texts)


def _joined(rows: pd.DataFrame, text: Ints) -> tuple[Ints, Ints, Ints]:
    """Start, end and text, of neighbours with the same text one slice."""
    start = rows.start_ns.to_numpy(np.int64)
    end = _no_overlap(start, rows.end_ns.to_numpy(np.int64))
    apart = (start[1:] - end[:-1] >= TOUCHING_NS) | (text[1:] != text[:-1])
    new = np.append(True, apart)[: len(start)]
    return start[new], end[np.roll(new, -1)], text[new]


def stages(analysis: Analysis, key: Key, label: str, calls: StageCalls) -> Track:
    """A thread's stages and lines, one within the other as they were run."""
    kinds, text = np.unique(
        np.column_stack((calls.site, calls.count)), axis=0, return_inverse=True
    )
    sites, directory = (
        sites_of(analysis.recording, key[0]),
        home(analysis.recording.facts),
    )
    texts = []
    for site, count in kinds.tolist():
        row, name, file, line = sites[site]
        joined = {"calls": count} if count > 1 else {}
        texts.append(member(row, at=place(name, file, line, directory), **joined))
    return Track(*key, label, calls.start, calls.end, text.ravel(), texts)


def _waits_by_thread(analysis: Analysis) -> dict[Key, pd.DataFrame]:
    """Samples with their cause; of the holder and the detail what is shown."""
    waits = analysis.recording.waits
    details = analysis.recording.details
    named = details.detail[details.what != ""]
    cause = sample_causes(waits)
    rows = waits[["pid", "tid", "start_ns", "end_ns"]].assign(
        cause=cause,
        holder=waits.holder.where((cause == "gil") & (waits.holder > 0), 0),
        detail=waits.detail.where(waits.detail.isin(named), 0),
    )
    rows = rows.sort_values(["pid", "tid", "start_ns"], kind="stable")
    return {
        (int(pid), int(tid)): of_thread
        for (pid, tid), of_thread in rows.groupby(["pid", "tid"])
    }


def waiting(
    analysis: Analysis,
    key: Key,
    label: str,
    rows: pd.DataFrame,
    names: dict[Key, str],
) -> Track:
    """What a thread waited for or ran, sample by sample; like neighbours joined."""
    groups = rows.groupby(["cause", "holder", "detail"], sort=False)
    text = groups.ngroup().to_numpy(np.int64)
    details = analysis.recording.details.set_index("detail")[["syscall", "what"]]
    texts = []
    for cause, holder, detail in groups.groups:
        name = names.get((key[0], holder))
        about = {"held by": name} if name else {}
        if detail:
            call, what = details.loc[detail]
            about |= {"call": clean(call), "on": clean(what)}
        texts.append(member(cause, **about))
    return Track(key[0], 0, f"{label}: waits", *_joined(rows, text), texts)
