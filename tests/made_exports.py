"""A small recording with everything that an exported format can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from made_runs import FACTS, FILE, MS, PID, marks, running, sites, table, wait, waits

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis
from debottleneck.recording.recording import Recording

LOADER, CHILD = 101, 200
STEPS, STEP_MS = 20, 100
PEER = "10.0.0.7:9000"


@dataclass(frozen=True)
class Names:
    """Texts that come from the user's program."""

    thread: str = "loader-0"
    function: str = "load_batch"
    file: str = FILE
    script: str = "train.py"
    peer: str = PEER


PLAIN = Names()
EVIL = "</script><img src=x onerror=alert(1)>;{{7*7}}\n\"'\\u0000\x1b[31m\u2028`1 2"
HOSTILE = Names(f"t{EVIL}", f"f{EVIL}", f"/w/a{EVIL}.py", f"s\ud800{EVIL}", f"p{EVIL}")


def recording(names: Names = PLAIN) -> Recording:
    """Twenty steps of 100 ms: a trainer, a loader thread, and a child process."""
    facts = replace(FACTS, script=names.script, command=("python", names.script))
    tables = {
        "sites": sites().assign(name=names.function, file=names.file),
        "threads": table(
            "threads",
            [
                (PID, PID, 9100, "MainThread", True),
                (PID, LOADER, 9101, names.thread, True),
                (CHILD, CHILD, 0, names.thread, True),
            ],
        ),
        "marks": marks({PID: _trainer(), LOADER: _loader()}),
        "waits": waits([row for step in range(STEPS) for row in _samples(step)]),
        "details": table("details", [(0, "", ""), (1, "recvfrom", names.peer)]),
        "handovers": table("handovers", [(PID, s * MS, s // 2) for s in (0, 500, 900)]),
        "blocks": table("blocks", [("stacks", 1000 * MS, 1190 * MS)]),
    }
    return Recording.of(facts, {**tables, **_stacks(names), **_functions(names)})


def analysis(names: Names = PLAIN) -> Analysis:
    """The recording's analysis."""
    return analyse(recording(names))


def without(*tables: str, names: Names = PLAIN) -> Analysis:
    """The analysis of a recording that lacks some tables."""
    whole = recording(names)
    empties = {name: getattr(whole, name).iloc[:0] for name in tables}
    return analyse(replace(whole, **empties))


def _trainer() -> list[tuple[float, str]]:
    words: list[tuple[float, str]] = []
    for step in range(STEPS):
        at = STEP_MS * step
        words += [(at, "+load"), (at + 50, "-load"), (at + 52, "+forward")]
        words += [(at + 60, "+loss"), (at + 70, "-loss*3"), (at + 80, "-forward")]
        words += [(at + 82, "+update"), (at + 95, "-update")]
    return words


def _loader() -> list[tuple[float, str]]:
    each = [[(STEP_MS * s + 5, "+load"), (STEP_MS * s + 90, "-load")] for s in range(4)]
    return [word for words in each for word in words]


def _samples(step: int) -> Sequence[Sequence[int]]:
    """Waits for the network, then for the GIL that the loader holds, then runs."""
    at, loader = STEP_MS * step, {"tid": LOADER}
    return [
        wait(at, at + 25, "network", holder=LOADER, detail=1),
        wait(at + 25, at + 50, "network", holder=LOADER, detail=1),
        wait(at + 50, at + 75, "gil", holder=LOADER),
        running(at + 75, at + 100),
        running(at, at + 75, **loader),
        wait(at + 75, at + 100, "lock", holder=PID, **loader),
        running(at, at + 100, tid=CHILD, pid=CHILD),
    ]


def _stacks(names: Names) -> dict[str, pd.DataFrame]:
    inner = (names.function, names.file, 41)
    stacks = [("<module>", FILE, 9)], [("<module>", FILE, 9), inner]
    found = [
        (number, depth, *frame)
        for number, stack in enumerate(stacks)
        for depth, frame in enumerate(stack)
    ]
    rows: list[tuple[Any, ...]] = [
        ("stacks", PID, PID, 1000 * MS, 1040 * MS, 40 * MS, 1),
        ("stacks", PID, PID, 1055 * MS, 1058 * MS, 3 * MS, 0),
        ("stacks", PID, PID, 1100 * MS, 1110 * MS, 10 * MS, 1),
        ("stacks", PID, LOADER, 1000 * MS, 1080 * MS, 80 * MS, 1),
        ("gil", PID, LOADER, 1000 * MS, 1080 * MS, 70 * MS, 1),
    ]
    return {"stacks": table("stacks", rows), "frames": table("frames", found)}


def _functions(names: Names) -> dict[str, pd.DataFrame]:
    load = (names.function, names.file, 33)
    rows = [
        ("wall", PID, "MainThread", *load, 6, 30 * MS, 300 * MS),
        ("wall", LOADER, names.thread, *load, 4, 20 * MS, 200 * MS),
        ("wall", PID, "MainThread", "update", FILE, 84, 3, 40 * MS, 40 * MS),
        ("cpu", PID, "MainThread", *load, 6, 5 * MS, 9 * MS),
        ("cpu", PID, "MainThread", "only_cpu", FILE, 99, 6, 5 * MS, 9 * MS),
    ]
    return {"functions": table("functions", rows)}
