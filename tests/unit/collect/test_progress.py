"""Steps counted while the script runs: how often that is looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from debottleneck.collect.progress import LOOK_COST, StepCounter, _top, pace
from debottleneck.recording import spool


def test_looks_take_a_small_part_of_the_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """However long each takes, as there are ever more marks; the last one is made."""
    now, looks = [0.0], [0.0]

    def read() -> None:
        looks.append(looks[-1] + 0.01)
        now[0] += looks[-1]

    counter = StepCounter(tmp_path, 1, known=False, clock=lambda: now[0])
    monkeypatch.setattr(counter, "_read_new", read)
    for _ in range(9_000):
        counter.look()
        now[0] += 0.1
    assert len(looks) > 9
    assert sum(looks[:-1]) < 1.1 * LOOK_COST * now[0]
    counted = len(looks)
    counter.look(last=True)
    assert len(looks) == counted + 1


def test_the_row_in_which_most_time_passed() -> None:
    """A stage, or a line, by what comes after its marks; loops and steps are none."""
    sites: Any = [
        {"stage": "step", "line": 1},
        {"stage": "load", "line": 2},
        {"stage": "line", "line": 17},
    ]
    words = [(0, 0), (1, 1), (2, 5), (0, 9), (1, 10), (2, 30), (0, 31)]
    enter = spool.ENTER
    made = [(t * 1000, site << 2 | enter) for site, t in words]
    records = np.array(made, dtype=[("t", "<u8"), ("code", "<u8")])
    assert _top(records, sites) == "load"
    assert _top(records[2:5], sites) == "line 17"
    assert _top(records[:1], sites) == ""
    assert _top(records[[0, 3]], sites) == ""
    assert _top(None, sites) == ""


def test_what_the_agent_writes_is_not_the_scripts(tmp_path: Path) -> None:
    """Only the rest counts as written; of a process that is gone nothing is known."""
    pid = os.getpid()
    before = pace(None, "9 s", tmp_path, pid)
    (tmp_path / f"events-{pid}.jsonl").write_text("x" * 5_000)
    assert pace(None, "9 s", tmp_path, pid).written == before.written
    (tmp_path / "other").write_text("x" * 5_000)
    assert pace(None, "9 s", tmp_path, pid).written >= before.written + 5_000
    assert pace(None, "9 s", tmp_path, 2**22 + 1).written == -1
