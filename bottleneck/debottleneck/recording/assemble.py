"""Spool -> Recording: put together what the instruments wrote of one run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from debottleneck.collect import stacks
from debottleneck.errors import RecordingError
from debottleneck.recording import reading, recording, spool
from debottleneck.recording.recording import Facts, NotMeasured, Recording, empty, typed


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
        config = json.loads((raw / spool.CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordingError(
            f"{folder} holds no recording that can be read ({error})",
            "profile the script again",
        ) from error
    tables = tables_of(raw, ())
    times = tables["marks"]["t_ns"], tables["waits"]["end_ns"]
    known = [series for series in times if len(series)]
    agents = sorted(raw.glob("agent-*.json"))
    agent = json.loads(agents[0].read_text(encoding="utf-8")) if agents else {}
    facts = Facts(
        command=tuple(config["command"]),
        script=config["target"],
        directory="",
        created="",
        start_ns=int(min((s.min() for s in known), default=0)),
        end_ns=int(max((s.max() for s in known), default=0)),
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


def tables_of(raw: Path, windows: Iterable[stacks.Window]) -> dict[str, pd.DataFrame]:
    """Every table of `recording.COLUMNS` from the spool's files.

    Args:
        raw: The spool folder.
        windows: The py-spy windows of the run, ended.
    """
    marks, marked = _marks(raw)
    waited = _waits(raw)
    threads = _threads(raw, marked, waited)
    sampled, frames = _stacks(windows, threads)
    return {
        "sites": _sites(raw),
        "threads": threads,
        "marks": marks,
        "waits": waited,
        "details": _details(raw),
        "handovers": typed(
            "handovers",
            reading.read_fixed(raw / spool.HANDOVERS_FILE, reading.HANDOVER_DTYPE),
        ),
        "bursts": typed(
            "bursts", reading.read_fixed(raw / spool.BURSTS_FILE, reading.BURST_DTYPE)
        ),
        "forms": _forms(raw),
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
        parts.append(pd.DataFrame(columns))
    if not parts:
        return empty("marks"), idents
    whole = pd.concat(parts, ignore_index=True)
    return typed("marks", whole), idents


def _sites(raw: Path) -> pd.DataFrame:
    rows = [
        {"pid": reading.pid_of(path), **site}
        for path in sorted(raw.glob("sites-*.jsonl"))
        for site in reading.read_lines(path)
    ]
    return typed("sites", pd.DataFrame(rows)) if rows else empty("sites")


def _waits(raw: Path) -> pd.DataFrame:
    rows = reading.read_fixed(raw / spool.WAITS_FILE, reading.WAIT_DTYPE)
    return typed("waits", rows) if len(rows) else empty("waits")


def _details(raw: Path) -> pd.DataFrame:
    lines = [(0, "", ""), *map(tuple, reading.read_lines(raw / spool.DETAILS_FILE))]
    columns = list(recording.COLUMNS["details"])
    return typed("details", pd.DataFrame(lines, columns=columns))


def _threads(
    raw: Path, marked: dict[tuple[int, int], int], waited: pd.DataFrame
) -> pd.DataFrame:
    """Threads that marked, were sampled, or were named; the last name counts."""
    named: dict[tuple[int, int], tuple[int, str]] = {}
    for path in sorted(raw.glob("names-*.jsonl")):
        for tid, ident, name in reading.read_lines(path):
            named[reading.pid_of(path), tid] = (ident, name)
    comms = {
        (pid, tid): comm
        for pid, tid, comm in reading.read_lines(raw / spool.COMMS_FILE)
    }
    sampled = waited[["pid", "tid"]].drop_duplicates().itertuples(index=False)
    keys = {*named, *marked, *((row.pid, row.tid) for row in sampled)}
    rows = []
    for pid, tid in sorted(keys):
        ident, name = named.get((pid, tid), (marked.get((pid, tid), 0), ""))
        is_python = (pid, tid) in named or (pid, tid) in marked
        main = "MainThread" if pid == tid else ""
        name = name or main or comms.get((pid, tid), "") or f"thread {tid}"
        rows.append((pid, tid, ident, name, is_python or pid == tid))
    columns = list(recording.COLUMNS["threads"])
    return typed("threads", pd.DataFrame(rows, columns=columns))


def _blocks(raw: Path, windows: Iterable[stacks.Window]) -> pd.DataFrame:
    rows = [(w.kind, w.start_ns, w.end_ns) for w in windows]
    for path in sorted(raw.glob("events-*.jsonl")):
        for event in reading.read_lines(path):
            if event["event"] == "functions":
                kind = f"functions-{event['clock']}"
                rows.append((kind, event["start_ns"], event["end_ns"]))
    columns = list(recording.COLUMNS["blocks"])
    rows.sort(key=lambda row: row[1])
    return typed("blocks", pd.DataFrame(rows, columns=columns))


def _forms(raw: Path) -> pd.DataFrame:
    """What each process says of the functions that strategies act on."""
    rows = [
        {"pid": reading.pid_of(path), **event}
        for path in sorted(raw.glob("events-*.jsonl"))
        for event in reading.read_lines(path)
        if event["event"] == "form"
    ]
    return typed("forms", pd.DataFrame(rows)) if rows else empty("forms")


def has_functions(raw: Path) -> bool:
    """Whether yappi had a window in any process."""
    return any(
        event["event"] == "functions"
        for path in raw.glob("events-*.jsonl")
        for event in reading.read_lines(path)
    )


def _functions(raw: Path, threads: pd.DataFrame) -> pd.DataFrame:
    """Sums over the windows of one clock, thread and function."""
    tids = dict(zip(threads["ident"], threads["tid"], strict=True))
    rows = [
        (event["clock"], tids.get(row[0], 0), *row[1:])
        for path in sorted(raw.glob("events-*.jsonl"))
        for event in reading.read_lines(path)
        if event["event"] == "functions"
        for row in event["rows"]
    ]
    columns = list(recording.COLUMNS["functions"])
    if not rows:
        return empty("functions")
    keys, sums = columns[:6], columns[6:]
    table = pd.DataFrame(rows, columns=columns)
    grouped = table.groupby(keys, sort=False, as_index=False)[sums].sum()
    return typed("functions", grouped)


def _stacks(
    windows: Iterable[stacks.Window], threads: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Samples of all windows, with each different stack stored once."""
    numbers: dict[tuple[stacks.Frame, ...], int] = {}
    tids = {
        (pid, ident): tid
        for pid, tid, ident in threads[["pid", "tid", "ident"]].itertuples(index=False)
    }
    rows: list[tuple[Any, ...]] = []
    for window in windows:
        if not window.failure():
            rows += _window_rows(window, numbers, tids)
    columns = list(recording.COLUMNS["stacks"])
    frames = [
        (number, depth, *frame)
        for stack, number in numbers.items()
        for depth, frame in enumerate(stack)
    ]
    frame_columns = list(recording.COLUMNS["frames"])
    return (
        typed("stacks", pd.DataFrame(rows, columns=columns)),
        typed("frames", pd.DataFrame(frames, columns=frame_columns)),
    )


def _window_rows(
    window: stacks.Window,
    numbers: dict[tuple[stacks.Frame, ...], int],
    tids: dict[tuple[int, int], int],
) -> list[tuple[Any, ...]]:
    text = window.path.read_text(encoding="utf-8", errors="replace")

    def number(sample: stacks.Sample) -> int:
        return numbers.setdefault(sample.frames, len(numbers))

    if window.kind == "stacks":
        origin = window.start_ns + stacks.STARTUP_NS
        samples = stacks.parse_chrometrace(text, origin)
        return [
            (
                "stacks",
                s.pid,
                tids.get((s.pid, s.thread), 0),
                s.start_ns,
                s.end_ns,
                s.end_ns - s.start_ns,
                number(s),
            )
            for s in samples
        ]
    weight = round(1e9 / stacks.RATE_HZ)
    main = min((pid for pid, _ in tids), default=0)
    found = stacks.parse_raw(text.splitlines(), main)
    times = (window.start_ns, window.end_ns)
    return [
        ("gil", s.pid, s.thread, *times, count * weight, number(s))
        for s, count in found
    ]


def failures(raw: Path, windows: Iterable[stacks.Window]) -> list[NotMeasured]:
    """What the instruments could not do, as each of them states it."""
    found = []
    why = {w.failure() for w in windows if w.failure()}
    for text in sorted(why):
        found.append(NotMeasured("stacks (one or more windows)", text, _remedy(text)))
    sampler = _read_json(raw / spool.SAMPLER_FILE)
    if "failed" in sampler:
        found.append(
            NotMeasured(
                "waits",
                sampler["failed"],
                "run as the same user with ptrace permitted "
                "(in a container: --cap-add SYS_PTRACE)",
            )
        )
    for path in sorted(raw.glob("events-*.jsonl")):
        events = (_event_failure(event) for event in reading.read_lines(path))
        found += [entry for entry in events if entry is not None]
    return found


def _event_failure(event: dict[str, Any]) -> NotMeasured | None:
    """What an event of the agent means for the report."""
    kind = event["event"]
    if kind == "failure":
        return NotMeasured("marks", event["what"], "free some disk space")
    if kind == "functions-refused":
        return NotMeasured("functions", event["why"], "leave that profiler out")
    if kind == "stage-missing":
        why = f"{event['what']} is no plain function or method"
        return NotMeasured("a --stage", why, "name module:Qualified.name of one")
    return None


def _remedy(text: str) -> str:
    if "ermission" in text:
        return "allow ptrace (as root, or in a container: --cap-add SYS_PTRACE)"
    return "profile for longer, or use --no-stacks"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def sampler_facts(raw: Path) -> dict[str, Any]:
    """What the wait sampler says of its own rate and cost."""
    return _read_json(raw / spool.SAMPLER_FILE)


def agent_facts(raw: Path, pid: int) -> dict[str, Any]:
    """What the agent said of the target's process."""
    return _read_json(spool.agent_file(raw, pid))
