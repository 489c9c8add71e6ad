"""Where the steps of the equality gate's runs begin, on each thread that trains.

The iterations of the training loop are told, also on threads for which it is not
marked; else the steps that a framework begins, or the stages of threads that compute.
So is what functions with training names return, as nobody may keep it. Only in runs of
their own, which nobody times.
"""

from __future__ import annotations

import atexit
import math
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from debottleneck.agent import discover, entries, marks, points, sites
from debottleneck.agent.entries import runs
from debottleneck.agent.plans import LoopPlan
from debottleneck.agent.state import Extent, StateLog
from debottleneck.agent.turns import LoopPoint
from debottleneck.recording import spool

COMPUTE = ("forward", "loss", "backward", "update")

_logs: list[StateLog] = []


def install(folder: Path, config: Mapping[str, Any]) -> None:
    """Write down what variables hold after each step from now on.

    Args:
        folder: The spool folder.
        config: The run's configuration: "gate" is an `Extent`, "loop" says which
            iterations are steps.
    """
    extent = Extent(**config["gate"])
    log = StateLog(spool.state_file(folder, os.getpid()), discover.is_own, extent)
    _logs[:] = [log]
    loop = config.get("loop")

    def point(plan: LoopPlan, file: str) -> LoopPoint:
        trains = loop and (os.path.abspath(file), plan.line) == (
            loop["file"],
            loop["line"],
        )
        return (ToldLoop if trains else GateLoop)(plan, file)

    if loop:
        _Iterated.size = loop.get("iterations", 1)
        discover.points_with(point)
        entries.step_with(_turned)
    elif extent.anchor:
        _Stages(extent.anchor)
    else:
        entries.at_steps(_begun)
    points.results[:] = [_gave]
    atexit.register(finish)
    os.register_at_fork(after_in_child=_forget)


def after_torch(torch: ModuleType) -> None:
    """Nothing of PyTorch's is to be known."""


def finish() -> None:
    """Look for the last time."""
    for log in _logs:
        log.close()
    _logs.clear()


def _forget() -> None:
    for log in _logs:
        log.abandon()
    _logs.clear()


def _step(more: int) -> None:
    for log in _logs:
        log.turned(more, sys._getframe(1))


def _gave(site: int, value: Any) -> None:
    for log in _logs:
        log.gave(sites.mark_of(site)[1], value)


class _Iterated(threading.local):
    """Iterations of the loop that the thread began, of which `size` are a step."""

    size, begun = 1, 0


_here = _Iterated()


def _iterated(more: int) -> None:
    before, _here.begun = _here.begun, _here.begun + more
    steps = math.ceil(_here.begun / _Iterated.size) - math.ceil(before / _Iterated.size)
    if steps:
        _step(steps)


def _turned(point: LoopPoint, more: int) -> None:
    if isinstance(point, ToldLoop):
        _iterated(more)


def _begun(point: LoopPoint | None) -> None:
    """A framework begins a step, where there is no loop."""
    if point is None:
        _step(1)


class _Before(threading.local):
    """The thread's last outermost stage, and whether it is one that trains."""

    stage = ""
    trains = False


class _Stages:
    """Steps by the outermost stages of threads that compute, and of the main thread.

    Args:
        anchor: Each first entry of that stage after another begins a step.
    """

    def __init__(self, anchor: str) -> None:
        self._anchor, self._here = anchor, _Before()
        self._then = marks.witness_with(self.entered)

    def entered(self, site: int) -> None:
        """A stage is entered."""
        if not marks.in_stage():
            here, stage = self._here, sites.WORDS[site]
            before, here.stage = here.stage, stage
            is_main = threading.current_thread() is threading.main_thread()
            here.trains = here.trains or is_main or stage in COMPUTE
            if here.trains and stage == self._anchor != before:
                _step(1)
        if self._then is not None:
            self._then(site)


class GateLoop(LoopPoint):
    """Any loop: once its thread is in none any more, what was trained is looked at."""

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if not runs() and error[0] is None:
            for log in _logs:
                log.left(sys._getframe(1))


class ToldLoop(GateLoop):
    """The training loop: its iterations are told on every thread, and marked on one."""

    _open = True

    @property
    def open(self) -> bool:
        """Whether the marked copy runs; always where another thread is in the loop."""
        return self._open or (self.run is not None and self.run not in runs())

    @open.setter
    def open(self, value: bool) -> None:
        self._open = value

    def __enter__(self) -> None:
        super().__enter__()
        for log in _logs:
            log.entered()

    def turns(self, iterator: Iterator[Any]) -> Iterator[Any]:
        """The items of a `for` loop."""
        run = self._here()
        is_marked = run is None or run is self.run
        return super().turns(iterator) if is_marked else _each_told(iterator)

    def turn(self) -> bool:
        """Whether a `while` loop goes on."""
        run = self._here()
        if run is None or run is self.run:
            return super().turn()
        _iterated(1)
        return True


def _each_told(iterator: Iterator[Any]) -> Iterator[Any]:
    while True:
        _iterated(1)
        try:
            item = next(iterator)
        except StopIteration:
            return
        yield item
