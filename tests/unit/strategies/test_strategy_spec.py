"""How strategies are written on the command line."""

from __future__ import annotations

import pytest

from debottleneck.errors import UsageError
from debottleneck.strategies.spec import Strategy, burst_of, known, parse, written


def test_settings_are_numbers_or_words() -> None:
    """A count is a number, a place is a word; what is not given is open."""
    (bare,), (full,) = parse("prefetch"), parse("prefetch:workers=8,where=process")
    assert bare == Strategy("prefetch", {})
    assert full.settings == {"workers": 8, "where": "process"}
    assert (bare.number("workers", 4), full.number("workers", 4)) == (4, 8)
    assert bare.word("where", "thread") == "thread"
    assert full.word("where", "thread") == "process"


def test_several_act_together() -> None:
    """What is written is what was read."""
    text = "prefetch:workers=4+parallel-forward+parallel-update:workers=2"
    assert written(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "burst"),
    [("", 1), ("parallel-forward", 1), ("prefetch", 4), ("prefetch:speed=3", 1)],
)
def test_bursts_are_as_long_as_there_are_workers(text: str, burst: int) -> None:
    """Of a prefetch; a text of another time, or none, names no strategy."""
    assert burst_of(known(text)) == burst


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prefect", "there is no strategy 'prefect'"),
        ("", "there is no strategy ''"),
        ("prefetch:speed=3", "has no setting 'speed=3'"),
        ("prefetch:workers", "has no setting 'workers'"),
        ("prefetch:workers=0", "workers='0' cannot be"),
        ("prefetch:workers=many", "it is auto or a number from 1 to 256"),
        ("prefetch:where=gpu", "it is thread or process"),
        ("parallel-update:depth=2", "it has: workers"),
        ("parallel-forward:chunks=2", "has no setting 'chunks=2'"),
        ("prefetch+prefetch:workers=2", "names a strategy twice"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(text: str, said: str) -> None:
    """The sentence names what was wrong and what there is."""
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert said in str(caught.value)
