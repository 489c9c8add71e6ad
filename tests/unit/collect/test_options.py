"""What the user asked for, checked at the door."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from debottleneck.collect.options import LoopTarget, Options, StageTarget
from debottleneck.errors import UsageError
from debottleneck.words import NAMED

GOOD = Options(
    target="train.py",
    arguments=("--epochs", "3"),
    module=False,
    python="/usr/bin/python3",
    steps=None,
    seconds=60.0,
    stop=False,
    warmup=None,
    output=Path("run"),
)


@pytest.mark.parametrize("stage", [*NAMED, "step"])
def test_a_stage_target_of_every_stage(stage: str) -> None:
    """Each stage, and the step, can be given to a function."""
    found = StageTarget.parse(f"{stage}=pkg.data:Reader.next_rows")
    assert found == StageTarget(stage, "pkg.data", "Reader.next_rows")


@pytest.mark.parametrize(
    ("text", "what", "remedy"),
    [
        *(
            (text, "--stage", "write for example")
            for text in ("", "load", "load=", "load=data", "load=data:", "load=:read")
        ),
        ("=data:read", "names no stage", "load, augment"),
        *(
            (f"{stage}=data:read", "names no stage", "load, augment")
            for stage in ("other", "loading", "Load", " load")
        ),
    ],
)
def test_another_stage_target_is_refused(text: str, what: str, remedy: str) -> None:
    """What is missing is shown by an example, an unknown stage by the list."""
    with pytest.raises(UsageError, match=what) as caught:
        StageTarget.parse(text)
    assert remedy in caught.value.remedy
    assert "other" not in caught.value.remedy


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"steps": 0}, "--steps"),
        ({"steps": -5}, "--steps"),
        ({"seconds": 0.0}, "--seconds"),
        ({"seconds": -1.0}, "--seconds"),
        ({"seconds": float("nan")}, "--seconds"),
        ({"seconds": float("inf")}, "--seconds"),
        ({"warmup": -1}, "--warmup"),
        ({"rate": 0.0}, "--rate"),
        ({"rate": 2001.0}, "--rate"),
        ({"rate": float("nan")}, "--rate"),
    ],
)
def test_a_number_out_of_range_is_refused(change: dict[str, Any], option: str) -> None:
    """Before anything runs, and with the option's name."""
    with pytest.raises(UsageError, match=option):
        dataclasses.replace(GOOD, **change)


@pytest.mark.parametrize(
    "change", [{"steps": 1}, {"seconds": 0.1}, {"warmup": 0}, {"rate": 1.0}]
)
def test_the_least_values_are_accepted(change: dict[str, Any]) -> None:
    """The bounds themselves are fine."""
    assert dataclasses.replace(GOOD, **change)


def test_the_command_is_what_follows_the_interpreter() -> None:
    """A script by its path, a module with -m."""
    assert GOOD.command == ("train.py", "--epochs", "3")
    module = dataclasses.replace(GOOD, module=True, target="pkg.train")
    assert module.command == ("-m", "pkg.train", "--epochs", "3")


def test_any_loop_can_be_asked_for(tmp_path: Path) -> None:
    """Also one that pauses; where there is none, others are named."""
    script = tmp_path / "train.py"
    script.write_text(
        "def batches():\n    for x in y: yield x\n"
        "async def go():\n    await z\n    for x in y: print(x)\n"
    )
    with pytest.raises(UsageError, match="no `for` or `while`") as refused:
        LoopTarget.parse(f"{script}:4")
    assert "of its loops: 2, 5" in str(refused.value)
    assert LoopTarget.parse(f"{script}:2").line == 2
