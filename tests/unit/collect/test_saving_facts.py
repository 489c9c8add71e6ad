"""What a recording's facts take from the spool."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_runs import PID, table

from debottleneck.collect import saving
from debottleneck.recording import spool
from debottleneck.recording.columns import COLUMNS, without_rows


@pytest.mark.parametrize("frames", [None, {"state": 1}])
def test_where_holders_are_not_read_that_is_said(
    tmp_path: Path, frames: dict[str, int] | None
) -> None:
    """Locks of CPython 3.14 are others: its agent finds no layout."""
    options = SimpleNamespace(waits=True, stacks=False, functions="", attached=True)
    gaps = saving._lacking(options, tmp_path, [], {"pid": 1, "frames": frames})
    assert ("holders of locks" in {gap.what for gap in gaps}) is (frames is None)


def test_who_wakes_the_trainer_and_who_wakes_them(tmp_path: Path) -> None:
    """Nobody that only others wait for."""
    edges = [(7, 5), (8, 7), (5, 7), (9, 6)]
    lines = [
        json.dumps({"event": spool.WAKES, "t_ns": 1, "tid": tid, "waiter": waiter})
        for tid, waiter in edges
    ]
    spool.events_file(tmp_path, PID).write_text("".join(f"{x}\n" for x in lines))
    tables = {name: without_rows(COLUMNS[name]) for name in ("loops", "marks")}
    tables["loops"] = table("loops", [(PID, 1, 5, 0, ""), (PID, 2, 6, 1, "")])
    assert saving._wakers(tmp_path, tables, PID) == (7, 8)


def test_sizes_are_those_of_the_first_and_the_last_third(tmp_path: Path) -> None:
    """Of lines since the first step; of few nothing is said."""
    lines = [[t, 0.0, 0.0, 100 + t, 20] for t in range(10)]
    (tmp_path / spool.LOAD_FILE).write_text("".join(f"{x}\n" for x in lines))
    assert saving._sizes(tmp_path, 1) == ((102, 108), (20, 20))
    assert saving._sizes(tmp_path, 7) == ()
