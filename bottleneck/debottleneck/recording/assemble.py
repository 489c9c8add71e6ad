"""Spool -> Recording: put together what the instruments wrote of one run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from debottleneck.errors import RecordingError
from debottleneck.recording import checked, masks, pyspy, reading, recording, spool
from debottleneck.recording.columns import COLUMNS
from debottleneck.recording.events import (
    EVENTS,
    FAILURES,
    Agent,
    Begun,
    LoopEvent,
    SiteLine,
)
from debottleneck.recording.recording import (
    Facts,
    NotMeasured,
    Recording,
    empty,
    in_one_line,
    typed,
)
from debottleneck.recording.tables import Allowance, Id, sound

AGENTS = "agent-*.json"
EVENTS_FILES = "events-*.jsonl"


def load(folder: Path) -> Recording:
    """A recording's folder, finished or cut off.

    Raises:
        RecordingError: Not a recording, a newer schema, or a broken table.
    """
    if (folder / recording.FACTS_FILE).is_file() or not (
        folder / spool.RAW_FOLDER
    ).is_dir():
        return recording.read(folder)
    return _cut_off(folder)


def _cut_off(folder: Path) -> Recording:
    """The tool itself was killed: what the spool holds, marked as partial."""
    raw = folder / spool.RAW_FOLDER
    try:
        config = checked.read(Begun, checked.document(raw / spool.CONFIG))
    except (OSError, checked.Unfit) as error:
        raise RecordingError(
            f"{folder} holds no recording that can be read ({in_one_line(error)})",
            "profile the script again",
        ) from error
    _check_size(raw)
    tables = tables_of(raw, ())
    times = tables["marks"]["t_ns"], tables["waits"]["end_ns"]
    seen = [series for series in times if len(series)]
    agents = (reading.read_json(path, Agent) for path in sorted(raw.glob(AGENTS)))
    agent = next(agents, {})
    facts = Facts(
        command=masks.words(config["command"]),
        script=config["target"],
        directory="",
        created="",
        start_ns=int(min((s.min() for s in seen), default=0)),
        end_ns=int(max((s.max() for s in seen), default=0)),
        pid=agent.get("pid", 0),
        main_tid=agent.get("main_tid", 0),
        ended_by="signal",
        partial=True,
        partial_why="bottleneck itself was ended before it could finish the recording",
        not_measured=(
            NotMeasured(
                "environment, stacks and source lines", "the recording was cut off"
            ),
        ),
    )
    return Recording.of(facts, tables, folder)


def _check_size(raw: Path) -> None:
    """Raw files are read as they are: their size is what they take.

    Raises:
        RecordingError: That is more than there is.
    """
    try:
        size = sum(file.stat().st_size for file in raw.iterdir() if file.is_file())
        Allowance.of(raw.iterdir()).take(size)
    except (OSError, checked.Unfit) as error:
        raise RecordingError(
            f"{raw.parent} cannot be read ({in_one_line(error)})",
            "read it on a machine with more memory",
        ) from error


def tables_of(
    raw: Path, windows: Iterable[pyspy.PySpyWindow]
) -> dict[str, pd.DataFrame]:
    """Every table of `columns.COLUMNS` from the spool's files."""
    marks, marked = _marks(raw)
    fixed = {
        name: sound(name, typed(name, reading.read_fixed(raw, files, dtype)))
        for name, (files, dtype) in reading.FIXED.items()
    }
    threads = _threads(raw, marked, fixed["waits"])
    chosen = _chosen(raw)
    sides = {
        (pid, site): side
        for pid, choice in chosen.items()
        for site, side in choice["sides"]
    }
    rows = [
        {"pid": pid, **site, "side": sides.get((pid, site["site"]), site["side"])}
        for pid, site in _lines(raw, "sites", SiteLine)
    ]
    sites = _table("sites", rows)
    inherited = {pid: event["depth"] for pid, event in events(raw, spool.FORKED)}
    sampled, frames = _stacks(windows, threads, _stages(sites), inherited)
    details = reading.read_lines(raw / spool.DETAILS_FILE, tuple[int, str, str])
    holder = tuple[int, Id, str, str, Id]
    holders = reading.read_lines(raw / spool.HOLDERS_FILE, holder)
    return {
        **fixed,
        "sites": sites,
        "loops": _loops(chosen),
        "threads": threads,
        "marks": marks,
        "details": _table("details", [(0, "", ""), *map(tuple, details)]),
        "holders": _table("holders", list(map(tuple, holders))),
        "blocks": _blocks(raw, windows),
        "stacks": sampled,
        "frames": frames,
        "functions": _functions(raw, threads),
    }


def _marks(raw: Path) -> tuple[pd.DataFrame, dict[tuple[int, int], int]]:
    """All marks by thread and time; and (pid, tid) -> ident of those who marked."""
    parts, idents = [], {}
    for file in reading.mark_files(raw):
        records = file.records()
        idents[file.pid, file.tid] = file.ident
        columns = {
            "pid": np.full(len(records), file.pid),
            "tid": np.full(len(records), file.tid),
            "t_ns": records["t"],
            "cpu_ns": records["cpu"],
            "site": records["code"] >> 2,
            "edge": records["code"] & 3,
            "calls": records["calls"],
        }
        parts.append(sound("marks", pd.DataFrame(columns)))
    if not parts:
        return empty("marks"), idents
    return typed("marks", pd.concat(parts, ignore_index=True)), idents


def _chosen(raw: Path) -> dict[int, LoopEvent]:
    """What each process said last of the loop it trains in."""
    pids = sorted({reading.last_number(path) for path in raw.glob(EVENTS_FILES)})
    choices = {pid: reading.last_choice(raw, pid) for pid in pids}
    return {pid: choice for pid, choice in choices.items() if choice is not None}


def _loops(chosen: Mapping[int, LoopEvent]) -> pd.DataFrame:
    rows: list[tuple[Any, ...]] = []
    for pid, choice in chosen.items():
        rows.append((pid, choice["site"], choice["tid"], 0, choice["why"]))
        others = enumerate(choice["others"], start=1)
        rows += [(pid, site, choice["tid"], rank, "") for rank, site in others]
    return _table("loops", rows)


def _table(
    name: str, rows: list[tuple[Any, ...]] | list[dict[str, Any]]
) -> pd.DataFrame:
    """A table from rows: tuples in the order of its columns, or by their names."""
    table = typed(name, pd.DataFrame(rows, columns=list(COLUMNS[name])))
    return sound(name, table)


def _lines(raw: Path, name: str, kind: Any) -> Iterator[tuple[int, Any]]:
    """JSON lines of files of that name with the process of each."""
    for path in sorted(raw.glob(f"{name}-*.jsonl")):
        pid = reading.last_number(path)
        yield from ((pid, line) for line in reading.read_lines(path, kind))


def events(raw: Path, kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Events of one kind that have all that such an event states."""
    for pid, event in _lines(raw, "events", dict[str, Any]):
        if event.get("event") == kind:
            with contextlib.suppress(checked.Unfit):
                yield pid, checked.fit(EVENTS[kind], event)


def _threads(
    raw: Path, marked: dict[tuple[int, int], int], waited: pd.DataFrame
) -> pd.DataFrame:
    """Threads that marked, were sampled, or were named; the last name counts."""
    named: dict[tuple[int, int], tuple[int, str]] = {}
    for pid, (tid, ident, name) in _lines(raw, "names", tuple[Id, int, str]):
        named[pid, tid] = (ident, name)
    lines = reading.read_lines(raw / spool.COMMS_FILE, tuple[Id, Id, str])
    comms = {(pid, tid): comm for pid, tid, comm in lines}
    sampled = waited[["pid", "tid"]].drop_duplicates().itertuples(index=False)
    keys = {*named, *marked, *((row.pid, row.tid) for row in sampled)}
    rows = []
    for pid, tid in sorted(keys):
        ident, name = named.get((pid, tid), (marked.get((pid, tid), 0), ""))
        is_python = (pid, tid) in named or (pid, tid) in marked
        main = "MainThread" if pid == tid else ""
        name = name or main or comms.get((pid, tid), "") or f"thread {tid}"
        rows.append((pid, tid, ident, name, is_python or pid == tid))
    return _table("threads", rows)


def _blocks(raw: Path, windows: Iterable[pyspy.PySpyWindow]) -> pd.DataFrame:
    rows = [(window.kind, window.start_ns, window.end_ns) for window in windows]
    rows += [
        (f"functions-{event['clock']}", event["start_ns"], event["end_ns"])
        for _, event in events(raw, "functions")
    ]
    rows += [
        (event["kind"], event["start_ns"], event["end_ns"])
        for _, event in events(raw, "block")
    ]
    rows += [
        (spool.DELAYED, event["start_ns"], event["end_ns"])
        for _, event in events(raw, spool.DELAYED)
    ]
    return _table("blocks", sorted(rows, key=lambda row: row[1]))


def told(raw: Path, pid: int, kind: str) -> tuple[Any, ...]:
    """Events of one kind of that process, each of the type that `EVENTS` says."""
    return tuple(event for of, event in events(raw, kind) if of == pid)


def has_functions(raw: Path) -> bool:
    """Whether yappi had a window in any process."""
    return any(events(raw, "functions"))


def _functions(raw: Path, threads: pd.DataFrame) -> pd.DataFrame:
    """Sums over the windows of one clock, thread and function."""
    tids = dict(zip(threads["ident"], threads["tid"], strict=True))
    rows = [
        (event["clock"], tids.get(row[0], 0), *row[1:])
        for _, event in events(raw, "functions")
        for row in event["rows"]
    ]
    columns = list(COLUMNS["functions"])
    keys, sums = columns[:6], columns[6:]
    windows = _table("functions", rows).groupby(keys, sort=False, as_index=False)
    return typed("functions", windows[sums].sum())


def _stages(sites: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Functions that mark a stage in their own frame: name and file -> stage."""
    own = sites[sites["kind"].isin(("function", "generator", "coroutine"))]
    keys = zip(own["name"], own["file"], strict=True)
    return dict(zip(keys, own["stage"], strict=True))


def _staged(
    stack: tuple[pyspy.Frame, ...], stages: Mapping[tuple[str, str], str]
) -> Iterator[pyspy.Frame]:
    """The stack with a marker's frame around every function that marks a stage."""
    before = ""
    for name, file, line in stack:
        stage = stages.get((name, file))
        marker = spool.MARKER_FRAME.format(stage)
        if stage is not None and before != marker:
            yield marker, spool.FRAME_FILE, 0
        yield name, file, line
        before = name


def _stacks(
    windows: Iterable[pyspy.PySpyWindow],
    threads: pd.DataFrame,
    stages: Mapping[tuple[str, str], str],
    inherited: Mapping[int, int],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Samples of all windows, with each different stack stored once.

    Args:
        windows: Of py-spy.
        threads: The table.
        stages: Functions that mark a stage in their own frame.
        inherited: Forked process -> how many frames its first thread has of its
            parent's, which stay as they were at the fork.
    """
    numbers: dict[tuple[pyspy.Frame, ...], int] = {}
    tids = {
        (pid, ident): tid
        for pid, tid, ident in threads[["pid", "tid", "ident"]].itertuples(index=False)
    }
    rows: list[tuple[Any, ...]] = []
    for window in windows:
        if not window.failure:
            rows += _window_rows(window, numbers, tids, inherited)
    frames = [
        (number, depth, *frame)
        for stack, number in numbers.items()
        for depth, frame in enumerate(_staged(stack, stages))
    ]
    return _table("stacks", rows), _table("frames", frames)


def _window_rows(
    window: pyspy.PySpyWindow,
    numbers: dict[tuple[pyspy.Frame, ...], int],
    tids: Mapping[tuple[int, int], int],
    inherited: Mapping[int, int],
) -> list[tuple[Any, ...]]:
    text = window.path.read_text(encoding="utf-8", errors="replace")

    def number(sample: pyspy.Sample, tid: int) -> int:
        first = inherited.get(sample.pid, 0) if tid == sample.pid else 0
        own = sample.frames[first:] or sample.frames
        return numbers.setdefault(own, len(numbers))

    if window.kind == "stacks":
        samples = pyspy.parse_chrometrace(text, window.start_ns + pyspy.STARTUP_NS)
        rows = []
        for s in samples:
            tid = _tid(s, tids)
            span = s.start_ns, s.end_ns, s.end_ns - s.start_ns
            rows.append(("stacks", s.pid, tid, *span, number(s, tid)))
        return rows
    weight = round(1e9 / pyspy.RATE_HZ)
    main = min((pid for pid, _ in tids), default=0)
    times = (window.start_ns, window.end_ns)
    return [
        ("gil", s.pid, s.thread, *times, count * weight, number(s, s.thread))
        for s, count in pyspy.parse_raw(text.splitlines(), main)
    ]


def _tid(sample: pyspy.Sample, tids: Mapping[tuple[int, int], int]) -> int:
    """The kernel's number of a thread; of one not listed 0, or a first one's own."""
    is_first = sample.frames[0][0] == "<module>"
    return tids.get((sample.pid, sample.thread), sample.pid if is_first else 0)


def failures(raw: Path, windows: Iterable[pyspy.PySpyWindow]) -> list[NotMeasured]:
    """What the instruments could not do, as each of them states it."""
    missing = [
        NotMeasured(
            "stacks (one or more windows)",
            text,
            "allow ptrace (as root, or in a container: --cap-add SYS_PTRACE)"
            if "ermission" in text
            else "profile for longer, or use --no-stacks",
        )
        for text in sorted({w.failure for w in windows if w.failure})
    ]
    sampler = reading.read_json(raw / spool.SAMPLER_FILE)
    if "failed" in sampler:
        remedy = (
            "run as the same user with ptrace permitted "
            "(in a container: --cap-add SYS_PTRACE)"
        )
        missing.append(NotMeasured("waits", sampler["failed"], remedy))
    failed = (event for kind in FAILURES for _, event in events(raw, kind))
    of_events = map(_event_failure, failed)
    return [*missing, *(entry for entry in of_events if entry is not None)]


def _event_failure(event: dict[str, Any]) -> NotMeasured | None:
    """What an event of the agent means for the report."""
    kind = event["event"]
    if kind == "failure":
        if event.get("part") == "search":
            remedy = "name its line with `--step FILE:LINE`, and report this fault"
            return NotMeasured("training loop", event.get("what", ""), remedy)
        return NotMeasured("marks", event.get("what", ""), "free some disk space")
    if kind == "functions-refused":
        return NotMeasured("functions", event.get("why", ""), "leave that profiler out")
    if kind == "stage-missing":
        reason = f"{event.get('what', 'it')} is no plain function or method"
        return NotMeasured("a --stage", reason, "name module:Qualified.name of one")
    return None
