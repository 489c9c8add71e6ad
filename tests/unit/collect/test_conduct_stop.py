"""How `--stop` ends a script, step by step, in memory."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import cast

import pytest

from debottleneck.collect import conduct
from debottleneck.collect.conduct import Conductor
from debottleneck.collect.options import Options
from debottleneck.collect.target import TargetProcess


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

    def ask(self, mode: int, seen: object) -> None:
        """It does not heed the agent."""

    def send(self, number: int) -> None:
        """Note it."""
        self.sent.append(number)

    def wait(self, seconds: float) -> bool:
        """Whether it still runs."""
        return self._end not in self.sent


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
    options = Options(
        target="train.py",
        arguments=(),
        module=False,
        python="python",
        steps=1,
        seconds=1.0,
        stop=True,
        warmup=None,
        output=tmp_path,
        stacks=False,
    )
    conductor = Conductor(options, tmp_path, cast(TargetProcess, target), said.append)
    with conductor:
        conductor.outcome.ended_by = "steps"
    steps = ALL.index(end) + 1
    assert target.sent == ALL[:steps]
    words = ("as Ctrl-C would", "in train.py:6; ending it with SIGTERM", "killing it")
    assert len(said) == steps
    assert all(word in line for word, line in zip(words, said, strict=False))
