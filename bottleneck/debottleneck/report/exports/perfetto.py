"""A trace for Perfetto, chrome://tracing and speedscope: JSON of trace events.

Times are whole microseconds since the script's launch. Of each thread: its stages and
lines, and what the wait sampler saw, neighbours joined. Above them: the steps, what
each block of them was for, the instruments, who held the GIL, and its hand-overs a
second. `otherData` says what the trace is of and what was left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from debottleneck.analysis.result import Analysis
from debottleneck.analysis.threads import sample_causes
from debottleneck.report.exports.threads import Key, labels, rows_by_thread
from debottleneck.report.spans import joined
from debottleneck.report.words.quantities import clean, home, place, short
from debottleneck.version import __version__

MOST_SLICES = 2_000_000
"""About 220 MB; a browser takes at most 512 MB as one text."""

FIRST_LINE = 5_000_000
"""Number of the first line that is no thread's: no thread of Linux is above 2**22."""


@dataclass(frozen=True)
class Track:
    """Slices on one line, one after the other.

    Attributes:
        pid: The process that it is shown with.
        tid: The thread it is of, 0 for a line of its own.
        name: What stands beside it.
        slices: `start_ns`, `end_ns`, and as `text` name and arguments as members of a
            JSON object.
        fine: Whether short slices may be left out where there are too many.
    """

    pid: int
    tid: int
    name: str
    slices: pd.DataFrame
    fine: bool = True


def render(analysis: Analysis, most: int = MOST_SLICES) -> str:
    """The trace with about `most` slices at most: the longest ones, and every step."""
    tracks = [track for track in _tracks(analysis) if len(track.slices)]
    fine = [t.slices.end_ns - t.slices.start_ns for t in tracks if t.fine]
    lengths = pd.concat(fine).to_numpy() if fine else np.empty(0, np.int64)
    room = max(0, most - sum(len(t.slices) for t in tracks if not t.fine))
    shortest, left_out = -1, "nothing"
    if len(lengths) > room:
        shortest = int(np.partition(lengths, len(lengths) - room - 1)[-room - 1])
        cut = f"{int((lengths <= shortest).sum()):,} of {len(lengths):,} slices of rows"
        left_out = f"{cut}, waits and the GIL, of at most {shortest / 1e3:,.1f} us"
    starts = [int(track.slices.start_ns.min()) for track in tracks]
    origin = min([analysis.recording.facts.start_ns, *starts])
    lines = [*_names(analysis, tracks), *_counters(analysis, origin)]
    for number, track in enumerate(tracks):
        slices, longer = track.slices, shortest if track.fine else -1
        slices = slices[slices.end_ns - slices.start_ns > longer]
        lines += _events(track, slices, _line(track, number), origin)
    about = json.dumps(_about(analysis, left_out))[1:]
    events = ",\n".join(lines)
    return f'{{"traceEvents":[\n{events}\n],{about}\n'


def _tracks(analysis: Analysis) -> Iterator[Track]:
    """All tracks in the order to show them."""
    names, pid = labels(analysis), analysis.recording.facts.pid
    steps, blocks = analysis.steps, analysis.recording.blocks
    for name, table, column, said in (
        ("steps", steps, "step", "step {}"),
        ("blocks of steps", steps, "block", "{} steps"),
        ("instruments", blocks, "kind", "{}"),
    ):

        def text(value: object, said: str = said) -> tuple[str, dict[str, Any]]:
            return said.format(value), {}

        slices = _said(table, [column], text)
        yield Track(pid, 0, name, slices, fine=False)
    yield from _gil(analysis, names)
    rows, waits = dict(_rows(analysis)), dict(_waits(analysis, names))
    for key, label in names.items():
        if key in rows:
            yield Track(*key, label, rows[key])
        if key in waits:
            yield Track(key[0], 0, f"{label}: waits", waits[key])


def _said(
    rows: pd.DataFrame, keys: list[str], text: Callable[..., tuple[str, dict[str, Any]]]
) -> pd.DataFrame:
    """Slices with their texts, those with the same keys alike and joined.

    Args:
        rows: With `start_ns`, `end_ns` and the keys.
        keys: Columns on which the text depends.
        text: Their values -> name and arguments of a slice.
    """
    kinds = rows[keys].drop_duplicates()
    texts = []
    for kind in kinds.itertuples(index=False):
        name, about = text(*kind)
        slice = {"name": clean(name), **({"args": about} if about else {})}
        texts.append(json.dumps(slice, separators=(",", ":"))[1:-1])
    return joined(rows.merge(kinds.assign(text=texts), on=keys), ["text"])


def _gil(analysis: Analysis, names: dict[Key, str]) -> Iterator[Track]:
    """Which thread held each process's GIL, as far as ticks of the sampler show.

    All threads of a process are looked at in the same tick, so that one thread's
    samples tell it: those of the thread that was there longest.
    """
    waits = analysis.recording.waits
    lengths = (waits.end_ns - waits.start_ns).groupby([waits.pid, waits.tid]).sum()
    for pid, of_pid in lengths.groupby(level="pid"):
        _, tid = of_pid.idxmax()
        rows = waits[(waits.pid == pid) & (waits.tid == tid) & (waits.holder > 0)]

        def holder(tid: int, pid: int = pid) -> tuple[str, dict[str, Any]]:
            return names.get((pid, tid), f"thread {tid}"), {}

        yield Track(int(pid), 0, "GIL held by", _said(rows, ["holder"], holder))


def _rows(analysis: Analysis) -> Iterator[tuple[Key, pd.DataFrame]]:
    """Each thread's stages and lines, with the function that they are of."""
    columns = ["name", "file", "line"]
    sites = analysis.recording.sites.set_index(["pid", "site"])[columns]
    directory = home(analysis.recording.facts)
    for (pid, tid), rows in rows_by_thread(analysis):

        def text(stage: str, site: int, pid: int = pid) -> tuple[str, dict[str, Any]]:
            if (pid, site) not in sites.index:
                return stage, {}
            name, file, line = sites.loc[(pid, site)]
            return stage, {"at": place(name, file, line, directory)}

        yield (pid, tid), _said(rows, ["stage", "site"], text)


def _waits(
    analysis: Analysis, names: dict[Key, str]
) -> Iterator[tuple[Key, pd.DataFrame]]:
    """What each thread waited for or ran, sample by sample."""
    waits, details = analysis.recording.waits, analysis.recording.details
    named = details[details.what != ""].set_index("detail")[["syscall", "what"]]
    cause = sample_causes(waits)
    rows = waits[["pid", "tid", "start_ns", "end_ns"]].assign(
        cause=cause,
        holder=waits.holder.where((cause == "gil") & (waits.holder > 0), 0),
        detail=waits.detail.where(waits.detail.isin(named.index), 0),
    )
    for (pid, tid), of_thread in rows.groupby(["pid", "tid"]):

        def text(
            cause: str, holder: int, detail: int, pid: int = pid
        ) -> tuple[str, dict[str, Any]]:
            name = names.get((pid, holder))
            about = {"held by": name} if name else {}
            if detail:
                about |= zip(("call", "on"), map(clean, named.loc[detail]), strict=True)
            return cause, about

        yield (
            (int(pid), int(tid)),
            _said(of_thread, ["cause", "holder", "detail"], text),
        )


def _about(analysis: Analysis, left_out: str) -> dict[str, Any]:
    facts = analysis.recording.facts
    about = {
        "tool": f"debottleneck {__version__}",
        "command": " ".join(map(clean, facts.command)),
        "created": clean(facts.created),
        "left_out": left_out,
    }
    return {"displayTimeUnit": "ms", "otherData": about}


def _line(track: Track, number: int) -> int:
    """The thread that the viewer shows it as."""
    return track.tid or FIRST_LINE + number


def _names(analysis: Analysis, tracks: list[Track]) -> Iterator[str]:
    """Names of processes and lines, and their order from top to bottom."""
    facts = analysis.recording.facts
    script = short(facts.script, home(facts))
    for index, pid in enumerate(dict.fromkeys([facts.pid, *(t.pid for t in tracks)])):
        name = f"process of {script}" if index else script
        yield _metadata("process_name", pid, 0, {"name": clean(name)})
        yield _metadata("process_sort_index", pid, 0, {"sort_index": index})
    for number, track in enumerate(tracks):
        where = track.pid, _line(track, number)
        yield _metadata("thread_name", *where, {"name": track.name})
        yield _metadata("thread_sort_index", *where, {"sort_index": number})


def _metadata(kind: str, pid: int, tid: int, about: dict[str, Any]) -> str:
    event = {"ph": "M", "pid": pid, "tid": tid, "name": kind, "args": about}
    return json.dumps(event, separators=(",", ":"))


def _events(track: Track, slices: pd.DataFrame, line: int, origin: int) -> list[str]:
    """Each slice as an event; begin and end are cut to whole microseconds."""
    start = (slices.start_ns - origin) // 1000
    length = (slices.end_ns - origin) // 1000 - start
    lead = f'{{"ph":"X","pid":{track.pid},"tid":{line},"ts":'
    columns = (start.tolist(), length.tolist(), slices.text.tolist())
    return [
        f'{lead}{ts},"dur":{dur},{text}}}'
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
