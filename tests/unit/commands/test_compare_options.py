"""`bottleneck compare`: its durations, and its bar."""

from __future__ import annotations

import io

import pytest

from debottleneck.commands.compare import seconds_of
from debottleneck.errors import UsageError
from debottleneck.report.text.progress import LINE_EVERY_S, Bar, time_left


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h", 3600), ("1.5m", 90), ("30", 30), ("2 min", 120)],
)
def test_durations(text: str, seconds: float) -> None:
    """With their unit, as people write them."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "5 parsecs", "-5m", "0s", "1e3", "nan"])
def test_what_is_no_duration(text: str) -> None:
    """Refused with examples."""
    with pytest.raises(UsageError, match="90s, 5m or 1h"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("passed", "done", "left", "text"),
    [
        (10.0, 0, 9, ""),
        (10.0, 2, 4, "20 s"),
        (60.0, 1, 3, "3 min"),
        (0.01, 5, 1, "1 s"),
    ],
)
def test_time_left(passed: float, done: int, left: int, text: str) -> None:
    """By the mean of the trials that have ended; nothing before the first."""
    assert time_left(passed, done, left) == text


def test_without_a_terminal_lines_come_now_and_then() -> None:
    """One at first, then one when some time has passed; no control characters."""
    stream, now = io.StringIO(), [0.0]
    with Bar(stream, clock=lambda: now[0]) as bar:
        bar.watch("round 1 of 5: plain", 0, 6)
        now[0] += 1.0
        bar.watch("round 1 of 5: prefetch", 1, 5)
        now[0] += LINE_EVERY_S
        bar.watch("round 1 of 5: \x1b[31m", 3, 3)
    assert stream.getvalue() == (
        "bottleneck: trial 1 of about 6: round 1 of 5: plain\n"
        "bottleneck: trial 4 of about 6, 21 s left: round 1 of 5: "
        "\N{REPLACEMENT CHARACTER}[31m\n"
    )


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_on_a_terminal_there_is_a_bar() -> None:
    """It shows the trial and the time left, and is gone afterwards."""
    stream, now = Screen(), [0.0]
    with Bar(stream, clock=lambda: now[0]) as bar:
        bar.watch("round 1 of 5: plain", 0, 6)
        now[0] += 30.0
        bar.watch("round 2 of 5: [bold]", 3, 3)
        bar.say("a [line] of words")
    text = stream.getvalue()
    assert "round 2 of 5: [bold]" in text
    assert "30 s" in text
    assert "a [line] of words" in text
