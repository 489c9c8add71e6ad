"""How `--stop` ends a script, step by step, in memory."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from operator import length_hint
from pathlib import Path
from typing import cast

import pytest

from debottleneck.collect import conduct, progress
from debottleneck.collect.conduct import Conductor
from debottleneck.collect.options import Options
from debottleneck.collect.schedule import Block
from debottleneck.collect.target import TargetProcess
from debottleneck.recording import spool


class FakeTarget:
    """A script that ends at one signal only.

    Args:
        end: That signal.
    """

    pid = os.getpid()
    start_ns = 0
    returncode = None

    def __init__(self, end: int) -> None:
        self._end = end
        self.sent: list[int] = []
        self.asked: list[int] = []

    def ask(self, mode: int, seen: object) -> None:
        """It does not heed the agent; note it."""
        self.asked.append(mode)

    def send(self, number: int) -> None:
        """Note it."""
        self.sent.append(number)

    def wait(self, seconds: float) -> bool:
        """Whether it still runs."""
        return self._end not in self.sent


@dataclass
class FakeSteps:
    """So many steps of a loop."""

    rule: str
    count: int

    def __len__(self) -> int:
        """How many."""
        return self.count


def conducting(
    target: FakeTarget, folder: Path, said: list[str], steps: int | None = None
) -> Conductor:
    """A conductor of it that waits for nothing else."""
    options = Options(
        target="train.py",
        arguments=(),
        module=False,
        python="python",
        steps=steps,
        seconds=1.0,
        stop=True,
        warmup=None,
        output=folder,
        stacks=False,
        waits=False,
    )
    return Conductor(options, folder, cast(TargetProcess, target), said.append)


ALL = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]


@pytest.mark.parametrize("end", ALL, ids=lambda end: end.name)
def test_each_signal_only_where_the_one_before_did_not_help(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: signal.Signals
) -> None:
    """A script that ignores SIGTERM too is killed, and each time it is said before."""
    for grace in ("STOP_GRACE_S", "INTERRUPT_GRACE_S", "TERMINATE_GRACE_S"):
        monkeypatch.setattr(conduct, grace, -1.0)
    monkeypatch.setattr(conduct.stacks, "where", lambda pid: "train.py:6")
    said: list[str] = []
    target = FakeTarget(end)
    conductor = conducting(target, tmp_path, said, steps=1)
    with conductor:
        conductor.outcome.ended_by = "steps"
    steps = ALL.index(end) + 1
    assert target.sent == ALL[:steps]
    words = ("as Ctrl-C would", "in train.py:6; ending it with SIGTERM", "killing it")
    assert len(said) == steps
    assert all(word in line for word, line in zip(words, said, strict=False))


def test_a_script_may_prepare_for_longer_than_its_training_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Loading data for long ends no measurement; that it is waited for is said once."""
    said: list[str] = []
    conductor = conducting(FakeTarget(signal.SIGINT), tmp_path, said)
    started = conductor.outcome.start_ns / 1e9
    ends = []
    for after in (5.0, 9.5, 17.5, 18.5):
        monkeypatch.setattr(time, "monotonic", lambda after=after: started + after)
        ends.append(conductor._bound_reached())
    assert ends == ["", "", "", "seconds"]
    assert len(said) == 1
    assert "no training yet" in said[0]


def test_a_block_ends_though_another_loop_trains(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its steps are counted from there: what prepared the training had more of them."""
    looks = [("prepare", 300), *(("train", count) for count in range(2, 9))]
    told = iter(looks)

    class FakeCounter:
        def __init__(self, folder: Path, pid: int, *, known: bool) -> None:
            pass

        def look(self) -> progress.Seen:
            steps = cast(progress.Steps, FakeSteps(*next(told)))
            return progress.Seen(steps, 1, spool.ANY_BOUNDARY, True)

    class ShortTarget(FakeTarget):
        def wait(self, seconds: float) -> bool:
            return length_hint(told) > 0

    kinds = ["quiet", "functions-wall", *["quiet"] * 9]
    blocks = [Block(kind, 0.0 if n < 2 else 99.0) for n, kind in enumerate(kinds)]
    monkeypatch.setattr(progress, "StepCounter", FakeCounter)
    monkeypatch.setattr(conduct.schedule, "blocks", lambda **asked: iter(blocks[:]))
    monkeypatch.setattr(conduct, "NAMES_EVERY_S", 99.0)
    target = ShortTarget(signal.SIGINT)
    conducting(target, tmp_path, []).measure()
    assert target.asked[-2:] == [spool.FUNCTIONS_WALL, spool.RECORD]
