"""The table of a script that runs: what the spool holds so far, by row and cause."""

from __future__ import annotations

import json
from pathlib import Path

from debottleneck.collect.ticks import Ticks
from debottleneck.recording import spool

PID, MS = 7, 1_000_000
RUNNING, GIL = spool.STATES.index("running"), spool.STATES.index("gil")
PLACE = {"name": "f", "file": "/w/x.py", "end": 12, "within": -1, "side": ""}
SITES = [
    {"site": 0, "stage": "load", "line": 3, "kind": "function", **PLACE},
    {"site": 1, "stage": "line", "line": 12, "kind": "statement", **PLACE},
]


def mark(ms: float, site: int, edge: int) -> bytes:
    """One record of a mark file."""
    return spool.MARK.pack(round(ms * MS), 0, site << 2 | edge, 0)


def tick(ms: float, state: int, *, tid: int = PID, holder: int = 0) -> bytes:
    """One record of the sampler's, of the 5 ms before; with a holder 2 were queued."""
    start, end = round((ms - 5) * MS), round(ms * MS)
    delay = 2 * MS if holder else 0
    return spool.WAIT.pack(PID, tid, start, end, 0, delay, holder, state, 0, 0)


def written(folder: Path, marks: bytes, ticks: bytes) -> None:
    """All that agent and sampler wrote so far; mark files have room for more."""
    head = spool.MARK_HEADER.pack(spool.MARK_MAGIC, PID, PID, 0)
    whole = head.ljust(spool.MARK_START, b"\0") + marks
    (folder / f"marks-{PID}-1.bin").write_bytes(whole + bytes(10 * spool.MARK.size))
    lines = "".join(f"{json.dumps(site)}\n" for site in SITES)
    spool.sites_file(folder, PID).write_text(lines)
    (folder / spool.WAITS_FILE).write_bytes(ticks)


def test_ticks_are_laid_on_the_row_of_their_time(tmp_path: Path) -> None:
    """A stage or a line from its entry on, other after a leave; a tick counts once.

    What was before the first look is not of the training; where no mark is known to
    follow, a tick waits for one.
    """
    ticks = Ticks(tmp_path, PID)
    entered, left = spool.ENTER, spool.LEAVE
    early = mark(1, 0, entered) + mark(90, 0, left) + mark(91, 0, entered)
    written(tmp_path, early, tick(50, GIL))
    assert ticks.look(PID) == {}
    later = mark(120, 1, entered) + mark(140, 1, left) + mark(200, 0, entered)
    later += mark(220, 0, left)
    samples = [
        tick(100, GIL),
        tick(105, RUNNING, holder=PID),
        tick(130, RUNNING),
        tick(150, GIL),
        tick(100, GIL, tid=99),
        tick(210, GIL),
    ]
    written(tmp_path, early + later, tick(50, GIL) + b"".join(samples))
    found = {
        ("load", "gil"): 5.0,
        ("load", "python"): 3.0,
        ("load", "runqueue"): 2.0,
        ("line 12", "native"): 5.0,
        ("other", "gil"): 5.0,
    }
    assert ticks.look(PID) == found
    assert ticks.look(PID) == found


def test_without_samples_there_is_nothing_to_show(tmp_path: Path) -> None:
    """As with --no-waits."""
    written(tmp_path, mark(1, 0, spool.ENTER) + mark(2, 0, spool.LEAVE), b"")
    (tmp_path / spool.WAITS_FILE).unlink()
    ticks = Ticks(tmp_path, PID)
    assert [ticks.look(PID), ticks.look(PID)] == [{}, {}]
