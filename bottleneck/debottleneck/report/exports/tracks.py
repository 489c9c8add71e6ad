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
from debottleneck.report.exports.nesting import Calls, calls_by_thread
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
    named = labels(analysis)
    calls = calls_by_thread(analysis.recording)
    waits = _waits_by_thread(analysis)
    found = [steps(analysis), blocks(analysis), instruments(analysis)]
    found += gil(analysis, named)
    for key, label in named.items():
        if key in calls:
            found.append(stages(analysis, key, label, calls[key]))
        if key in waits:
            found.append(waiting(analysis, key, label, waits[key], named))
    return [track for track in found if len(track)]


def member(name: str, **arguments: Any) -> str:
    """A slice's name and arguments, ready to stand in its JSON object."""
    whole: dict[str, Any] = {"name": clean(name)}
    if arguments:
        whole["args"] = arguments
    return json.dumps(whole, separators=(",", ":"))[1:-1]


def steps(analysis: Analysis) -> Track:
    """Every step with its number."""
    table = analysis.steps
    texts = [member(f"step {number}") for number in table.step]
    return _flat(analysis, "steps", table.start_ns, table.end_ns, texts)


def blocks(analysis: Analysis) -> Track:
    """Which steps were warm-up, quiet, or shared with an instrument."""
    table = analysis.steps
    new = table.block.ne(table.block.shift()).to_numpy()
    last = np.roll(new, -1)
    start, end = table.start_ns[new], table.end_ns[last]
    texts = [member(f"{kind} steps") for kind in table.block[new]]
    return _flat(analysis, "blocks of steps", start, end, texts)


def instruments(analysis: Analysis) -> Track:
    """When an instrument that slows the script was at work."""
    table = analysis.recording.blocks.sort_values("start_ns")
    texts = [member(kind) for kind in table.kind]
    return _flat(analysis, "instruments", table.start_ns, table.end_ns, texts)


def _flat(
    analysis: Analysis,
    name: str,
    start: pd.Series,
    end: pd.Series,
    texts: Sequence[str],
) -> Track:
    """A track of the target's process whose slices each have their own text."""
    first = start.to_numpy(np.int64)
    whole = (first, _no_overlap(first, end.to_numpy(np.int64)), np.arange(len(first)))
    return Track(analysis.recording.facts.pid, 0, name, *whole, texts, fine=False)


def _no_overlap(start: Ints, end: Ints) -> Ints:
    """Ends, each no later than the next begin."""
    whole = end.copy()
    whole[:-1] = np.minimum(end[:-1], start[1:])
    return whole


def gil(analysis: Analysis, named: dict[Key, str]) -> Iterator[Track]:
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
        texts = [member(named.get((pid, h), f"thread {h}")) for h in holders.tolist()]
        text = np.searchsorted(holders, rows.holder)
        yield Track(int(pid), 0, "GIL held by", *_joined(rows, text), texts)


def _joined(rows: pd.DataFrame, text: Ints) -> tuple[Ints, Ints, Ints]:
    """Start, end and text, of neighbours with the same text one slice."""
    start = rows.start_ns.to_numpy(np.int64)
    end = _no_overlap(start, rows.end_ns.to_numpy(np.int64))
    apart = (start[1:] - end[:-1] >= TOUCHING_NS) | (text[1:] != text[:-1])
    new = np.append(True, apart)[: len(start)]
    return start[new], end[np.roll(new, -1)], text[new]


def stages(analysis: Analysis, key: Key, label: str, calls: Calls) -> Track:
    """Calls of a thread's stages, one within the other as they were made."""
    codes, text = np.unique(
        np.column_stack((calls.site, calls.count)), axis=0, return_inverse=True
    )
    sites = _sites(analysis, key[0])
    texts = [_call(*sites[site], count) for site, count in codes.tolist()]
    return Track(*key, label, calls.start, calls.end, text.ravel(), texts)


def _call(stage: str, where: str, count: int) -> str:
    joined = {"calls": count} if count > 1 else {}
    return member(stage, at=where, **joined)


def _sites(analysis: Analysis, pid: int) -> dict[int, tuple[str, str]]:
    """Site -> its stage, and its place in the code."""
    recording = analysis.recording
    own = recording.sites[recording.sites.pid == pid]
    directory = home(recording.facts)
    columns = [own[c].tolist() for c in ("site", "stage", "name", "file", "line")]
    return {
        site: (stage, place(name, file, line, directory))
        for site, stage, name, file, line in zip(*columns, strict=True)
    }


def _waits_by_thread(analysis: Analysis) -> dict[Key, pd.DataFrame]:
    """Samples with their cause; of the holder and the detail what is shown."""
    waits = analysis.recording.waits
    details = analysis.recording.details
    known = details.detail[details.what != ""]
    cause = sample_causes(waits)
    rows = waits[["pid", "tid", "start_ns", "end_ns"]].assign(
        cause=cause,
        holder=waits.holder.where((cause == "gil") & (waits.holder > 0), 0),
        detail=waits.detail.where(waits.detail.isin(known), 0),
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
    named: dict[Key, str],
) -> Track:
    """What a thread waited for or ran, sample by sample; like neighbours joined."""
    groups = rows.groupby(["cause", "holder", "detail"], sort=False)
    text = groups.ngroup().to_numpy(np.int64)
    on = analysis.recording.details.set_index("detail")[["syscall", "what"]]
    texts = [
        member(cause, **_about(named.get((key[0], holder), ""), on, detail))
        for cause, holder, detail in groups.groups
    ]
    return Track(key[0], 0, f"{label}: waits", *_joined(rows, text), texts)


def _about(holder: str, on: pd.DataFrame, detail: int) -> dict[str, str]:
    """Who held the GIL, and the system call and file or peer waited on."""
    found = {"held by": holder} if holder else {}
    if detail:
        call, what = on.loc[detail]
        found |= {"call": clean(call), "on": clean(what)}
    return found
