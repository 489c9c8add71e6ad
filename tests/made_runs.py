"""Recordings written by hand: marks as words, waits as rows, times in milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from debottleneck.analysis.timeline import marks_by_thread, raw_segments
from debottleneck.recording.columns import COLUMNS
from debottleneck.recording.loop import BY_HAND, CODE, LOOP, OPENED
from debottleneck.recording.recording import Facts, Recording, typed
from debottleneck.recording.spool import (
    DEVICE,
    ENTER,
    LEAVE,
    STATES,
    STEP_END,
    STEP_START,
)
from debottleneck.words import LINE, STEP

PID = 100
FILE = "/w/train.py"
MS = 1_000_000

FACTS = Facts(
    command=("train.py",),
    script="train.py",
    directory="/w",
    created="2026-11-01T10:00:00+00:00",
    start_ns=0,
    end_ns=10_000 * MS,
    pid=PID,
    main_tid=PID,
)
EMPTY = Recording.of(FACTS, {})

Words = Iterable[tuple[Any, ...]]
"""(ms, "+load") enters, "-load" leaves, "-load*3" leaves three joined calls, "|" and
"||" begin and end explicit steps; a third item is the CPU clock's ms."""


def table(name: str, rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """A table of a recording from its rows; sites of one line, within nothing."""
    if name == "sites":
        rows = [(*row, row[5], -1, "") if len(row) == 7 else row for row in rows]
    return typed(name, pd.DataFrame(rows, columns=list(COLUMNS[name])))


def sites(pid: int = PID) -> pd.DataFrame:
    """A site for every stage and kind of step, numbered as in `loop.CODE`."""
    marked = {LOOP: STEP, BY_HAND: STEP, OPENED: LINE, DEVICE: LINE}
    kinds = {LOOP: "loop", BY_HAND: "api", OPENED: "opened", LINE: "statement"}
    kinds[DEVICE] = DEVICE
    rows = [
        (
            *(pid, code, marked.get(word, word), f"{word}_fn", FILE, 10 * (code + 1)),
            kinds.get(word, "function"),
        )
        for word, code in CODE.items()
    ]
    return table("sites", rows)


def marks(by_thread: Mapping[int, Words], pid: int = PID) -> pd.DataFrame:
    """The table of marks; without a CPU time a thread is always on a core."""
    rows = []
    for tid, words in by_thread.items():
        for ms, word, *cpu in words:
            stage, edge, calls = _read(word)
            cpu_ns = round((cpu[0] if cpu else ms) * MS)
            rows.append((pid, tid, round(ms * MS), cpu_ns, CODE[stage], edge, calls))
    return table("marks", rows)


def _read(word: str) -> tuple[str, int, int]:
    if word in ("|", "||"):
        return BY_HAND, STEP_START if word == "|" else STEP_END, 0
    stage, _, calls = word[1:].partition("*")
    if word[0] == "+":
        return stage, ENTER, 0
    return stage, LEAVE, int(calls or 1)


def segments(recording: Recording) -> pd.DataFrame:
    """Raw segments of every thread, without a loop that was chosen."""
    return raw_segments(marks_by_thread(recording), {})


def wait(
    start: float,
    end: float,
    state: str,
    *,
    tid: int = PID,
    pid: int = PID,
    holder: int = 0,
    oncpu: float = 0.0,
    delay: float = 0.0,
    detail: int = 0,
    slices: int = 0,
) -> tuple[int, ...]:
    """A row of the table of waits."""
    times = (pid, tid, round(start * MS), round(end * MS), STATES.index(state))
    return (*times, detail, holder, round(oncpu * MS), round(delay * MS), slices)


def running(start: float, end: float, **more: Any) -> tuple[int, ...]:
    """A tick on a core, holding the GIL unless told otherwise."""
    tid = more.get("tid", PID)
    return wait(start, end, "running", **{"oncpu": end - start, "holder": tid, **more})


def waits(rows: Sequence[Sequence[int]]) -> pd.DataFrame:
    """The table of waits."""
    return table("waits", rows)


def threads(*rows: tuple[int, str], python: bool = True) -> pd.DataFrame:
    """The table of threads from (tid, name)."""
    return table("threads", [(PID, tid, 9000 + tid, n, python) for tid, n in rows])


def loop_words(
    steps: int, stages: Mapping[str, tuple[float, float]], start: float = 0.0
) -> list[tuple[float, str, float]]:
    """A loop: each step runs these stages for (wall ms, CPU ms)."""
    at = cpu = start
    words = []
    for _ in range(steps):
        for stage, (wall_ms, cpu_ms) in stages.items():
            words.append((at, f"+{stage}", cpu))
            at, cpu = at + wall_ms, cpu + cpu_ms
            words.append((at, f"-{stage}", cpu))
    return words
