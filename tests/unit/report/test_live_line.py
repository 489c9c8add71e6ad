"""The line that says how far a measurement is: when it is drawn, what it says."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from debottleneck.collect.progress import Progress
from debottleneck.report.text.live import (
    QUIET_S,
    LiveLine,
    LiveTable,
    in_words,
    is_shown,
    table,
)

PACE = Progress(1_203, 12.34, "load", "40 s", 100)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@pytest.mark.parametrize(
    ("pace", "said"),
    [
        (PACE, "1,203 steps, 12.3 ms a step, mostly load, 40 s left"),
        (replace(PACE, top=""), "1,203 steps, 12.3 ms a step, 40 s left"),
        (Progress(0, 0.0, "", "9 s", -1), "no steps yet, 9 s left"),
    ],
)
def test_what_it_says(pace: Progress, said: str) -> None:
    """Steps, their length, where it goes, what is left, and how to end it."""
    assert in_words(pace) == f"bottleneck: {said}, Ctrl-C: report now"


def test_it_keeps_out_of_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits until the script is silent, longer each time it was in the way."""
    monkeypatch.setenv("COLUMNS", "60")
    now, stream = [0.0], Terminal()
    line = LiveLine(stream, lambda: now[0])

    def drawn(after: float, written: int) -> bool:
        now[0] += after
        before = len(stream.getvalue())
        line.show(replace(PACE, written=written))
        return len(stream.getvalue()) > before

    assert not drawn(0.0, 1)
    assert not drawn(QUIET_S / 2, 1)
    assert drawn(QUIET_S, 1)
    assert drawn(1.0, 1)
    assert not drawn(1.0, 2)
    assert not drawn(QUIET_S, 2)
    assert drawn(QUIET_S, 2)
    last = stream.getvalue().rpartition("\r")[0].rpartition("\r")[2]
    assert last.startswith("bottleneck: 1,203 steps")
    assert len(last) <= 59


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_no_line_on_what_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    """Nor on one that cannot go back to the start of a line."""
    monkeypatch.setenv("TERM", "xterm")
    assert is_shown(Terminal())
    assert not is_shown(io.StringIO())
    monkeypatch.setenv("TERM", term)
    assert not is_shown(Terminal())


def test_the_table_has_rows_and_causes_by_size() -> None:
    """Shares of all time, the largest row first; what is tiny is left out."""
    spent = {("load", "disk"): 30.0, ("forward", "native"): 69.0, ("loss", "gil"): 0.4}
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in table(spent, 80)]
    assert [line.split() for line in lines] == [
        ["row", "share", "native", "disk"],
        ["forward", "69.4", "%", "69.4", "%"],
        ["load", "30.2", "%", "30.2", "%"],
    ]


def test_the_table_stands_above_what_scrolls(monkeypatch: pytest.MonkeyPatch) -> None:
    """It draws in its own half and puts the cursor back; at the end all scrolls."""
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("LINES", "20")
    stream = Terminal()
    live = LiveTable(stream)
    assert "\x1b[11;20r" in stream.getvalue()
    live.show(PACE)
    drawn = stream.getvalue().partition("\x1b7")[2]
    assert drawn.endswith("\x1b8")
    assert "1,203 steps" in drawn
    rows = [int(row) for row in re.findall(r"\x1b\[(\d+);1H", drawn)]
    assert rows == list(range(1, 10))
    live.close()
    assert "\x1b[r" in stream.getvalue().rpartition("\x1b8")[2]
