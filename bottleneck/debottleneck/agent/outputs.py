"""Writes down what every stage returned, for the equality gate.

Only in runs of its own, which nobody times. A line an outermost stage call of a
thread that trains; calls that strategies make ahead on their own threads are not
written, as the trainer gets their results in its own lines. What an update changed
is looked at when the next other stage begins: others at the same time are done then.
"""

from __future__ import annotations

import atexit
import inspect
import math
import os
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from time import monotonic_ns
from types import MappingProxyType, ModuleType
from typing import Any

from debottleneck.agent import discover, entries, marks
from debottleneck.agent.digests import Content
from debottleneck.agent.outputs_file import (
    Line,
    Look,
    OutputsFile,
    ThreadOutputs,
)
from debottleneck.agent.state import COMPUTE, Extent, StateLog
from debottleneck.agent.turns import LoopPoint
from debottleneck.agent.wrap import as_frame_of_ours, watch_with
from debottleneck.recording import spool
from debottleneck.words import STEP

LINES = 20_000
"""Lines that a process writes at most, unless the configuration says otherwise."""

OBJECTS_UPDATED = 2
"""Objects within objects in which an update's arrays are looked for: an optimizer's
parameters and their values."""

_SILENT = ("log", "checkpoint")
"""What they return goes nowhere, and often holds the time."""

_NOTHING = object()
_NO_NAMES: Mapping[str, Any] = MappingProxyType({})


def _never() -> bool:
    return False


is_worker: Callable[[], bool] = _never
"""Whether this thread is a strategy's own; set by what installs strategies."""


@dataclass(frozen=True)
class _Stage:
    """What is watched.

    Attributes:
        stage: The stage's name, or "step".
        name: Qualified name.
        reached: Where an update's arrays are, from its arguments.
    """

    stage: str
    name: str
    reached: Callable[[tuple[Any, ...], Mapping[str, Any]], Any]


_step: int | None = None
"""Of the training loop: 0 before the first; None where that loop is not known."""

_outputs: OutputsFile | None = None
_states: StateLog | None = None
_inside: ContextVar[bool] = ContextVar("inside a stage's coroutine", default=False)


def install(folder: Path, config: Mapping[str, Any]) -> None:
    """Write the outputs of every stage that is wrapped from now on.

    Args:
        folder: The spool folder.
        config: The run's configuration; `outputs_lines` bounds what is written, and
            "gate" says which steps are looked at, "loop" which iterations are steps.
    """
    global _outputs, _states, _step
    path = spool.outputs_file(folder, os.getpid())
    _outputs = OutputsFile(path, int(config.get("outputs_lines", LINES)))
    if config.get("gate"):
        state = spool.state_file(folder, os.getpid())
        extent = Extent(**config["gate"])
        by_loop = config.get("loop") is not None
        _states = StateLog(state, discover.is_own, extent, by_loop=by_loop)
    if config.get("loop"):
        _step = 0
        entries.step_with(_steps_of(config["loop"]))
    watch_with(_watching)
    os.register_at_fork(after_in_child=_forget)


def _steps_of(loop: Mapping[str, Any]) -> entries.Step:
    """Counts the steps of the loop that stands there, each so many iterations."""
    begun = 0

    def turned(point: LoopPoint, more: int) -> None:
        nonlocal begun
        global _step
        if point.plan.line != loop["line"] or is_worker():
            return
        if os.path.abspath(point.file) == loop["file"] and _step is not None:
            begun += more
            before, _step = _step, math.ceil(begun / loop.get("iterations", 1))
            if _states is not None and _step != before:
                _states.turned(_step - before, sys._getframe(1))

    return turned


def after_torch(torch: ModuleType) -> None:
    """Watch the optimizers, whose steps PyTorch's classes wrap themselves."""
    optimizer = torch.optim.Optimizer
    plain = optimizer.profile_hook_step
    optimizer.profile_hook_step = staticmethod(_watching_steps(plain))


def finish() -> None:
    """Write what waits, and that the script ran to its end if it did."""
    outputs = _outputs
    if outputs is None:
        return
    ended = marks.recording() and getattr(sys, "last_type", None) is None
    outputs.close(ended)
    if _states is not None:
        _states.close()
    _forget()


def _forget() -> None:
    """Also of a forked child: its outputs are its parent's inputs."""
    global _outputs, _states
    if _states is not None:
        _states.abandon()
    _outputs = _states = None


atexit.register(finish)


def _watching(plain: Callable[..., Any], stage: str, name: str) -> Callable[..., Any]:
    """What the wrapper calls: the same, with its outputs written down."""
    kind = _kind_of(plain)
    if name.endswith("Optimizer.zero_grad") or (
        kind in (_generator, _async_generator) and _step is not None
    ):  # the loop over its items is rewritten: the variables tell
        return plain
    return kind(_Stage(stage, name, lambda args, kwargs: (args, kwargs)), plain)


def _kind_of(
    plain: Callable[..., Any],
) -> Callable[[_Stage, Callable[..., Any]], Callable[..., Any]]:
    if inspect.iscoroutinefunction(plain):
        return _coroutine
    if inspect.isasyncgenfunction(plain):
        return _async_generator
    return _generator if inspect.isgeneratorfunction(plain) else _function


def _function(stage: _Stage, called: Callable[..., Any]) -> Callable[..., Any]:
    @as_frame_of_ours
    def watched(*args: Any, **kwargs: Any) -> Any:
        return _watch(stage, called, args, kwargs)

    return watched


def _coroutine(stage: _Stage, called: Callable[..., Any]) -> Callable[..., Any]:
    @as_frame_of_ours
    async def watched(*args: Any, **kwargs: Any) -> Any:
        return await _watch_async(stage, called, args, kwargs)

    return watched


def _generator(stage: _Stage, called: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: _Items(stage, called(*args, **kwargs))


def _async_generator(stage: _Stage, called: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: _AsyncItems(stage, called(*args, **kwargs))


class _Items:
    """A generator, each item of which is an output."""

    def __init__(self, stage: _Stage, inner: Any) -> None:
        self._stage, self._inner = stage, inner

    def __iter__(self) -> _Items:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        return _watch(self._stage, self._inner.send, (value,))

    def throw(self, *error: Any) -> Any:
        return _watch(self._stage, self._inner.throw, error)

    def close(self) -> None:
        self._inner.close()


class _AsyncItems:
    """An asynchronous generator, likewise."""

    def __init__(self, stage: _Stage, inner: Any) -> None:
        self._stage, self._inner = stage, inner

    def asend(self, value: Any) -> Any:
        return _watch_async(self._stage, self._inner.asend, (value,))

    def athrow(self, *error: Any) -> Any:
        return _watch_async(self._stage, self._inner.athrow, error)

    def aclose(self) -> Any:
        return self._inner.aclose()


def _watching_steps(plain: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(plain)
    def profile_hook_step(function: Callable[..., Any]) -> Callable[..., Any]:
        stepped = plain(function)

        @as_frame_of_ours
        @wraps(stepped)
        def step(self: Any, *args: Any, **kwargs: Any) -> Any:
            name = f"torch.optim.{type(self).__name__}.step"
            stage = _Stage("update", name, _parameters)
            return _watch(stage, stepped, (self, *args), kwargs)

        return step

    return profile_hook_step


def _parameters(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return [group["params"] for group in args[0].param_groups]


@as_frame_of_ours
def _watch(
    stage: _Stage,
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] = _NO_NAMES,
) -> Any:
    thread = _enter(stage, args)
    if thread is None:
        return call(*args, **kwargs)
    opens = stage.stage != STEP
    thread.depth += opens
    result = _NOTHING
    try:
        result = call(*args, **kwargs)
        return result
    finally:
        thread.depth -= opens
        _leave(thread, stage, result, args, kwargs)


@as_frame_of_ours
async def _watch_async(
    stage: _Stage,
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] = _NO_NAMES,
) -> Any:
    """Tasks take turns on a thread: what is open is in the task's context."""
    thread = _enter(stage, args)
    if thread is None:
        return await call(*args, **kwargs)
    token = _inside.set(stage.stage != STEP)
    result = _NOTHING
    try:
        result = await call(*args, **kwargs)
        return result
    finally:
        _inside.reset(token)
        _leave(thread, stage, result, args, kwargs)


def _enter(stage: _Stage, args: tuple[Any, ...]) -> ThreadOutputs | None:
    """A stage begins; None when its output is not to be written."""
    outputs = _outputs
    if outputs is None or is_worker():
        return None
    thread = outputs.thread()
    if thread.depth or _inside.get():
        return None
    goes_on = stage.stage == "update" and _subject(stage, args) not in thread.updated
    if thread.waiting and not goes_on:
        outputs.write_waiting(thread)
    if _states is not None and thread.trains:
        _states.enters(stage.stage, stage.name, args, sys._getframe(1))
    return thread


def _subject(stage: _Stage, args: tuple[Any, ...]) -> tuple[str, int]:
    """Which update it is: the function, and what it is called on or with."""
    return stage.name, id(args[0]) if args else 0


def _leave(
    thread: ThreadOutputs,
    stage: _Stage,
    result: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> None:
    """Write what came of the call, or let it wait; an interruption is no output."""
    thread.trains = thread.trains or stage.stage in COMPUTE
    if _states is not None and thread.trains:
        _states.leaves(stage.stage, stage.name, sys._getframe(1))
    error = sys.exception() if result is _NOTHING else None
    interrupted = result is _NOTHING and not isinstance(error, Exception)
    outputs = _outputs
    if interrupted or outputs is None or not thread.trains or stage.stage in _SILENT:
        return
    line: Line = {"t_ns": monotonic_ns(), "thread": thread.number}
    line |= {"stage": stage.stage, "name": stage.name}
    if _step is not None:
        line["step"] = _step
    if error is not None:
        outputs.note(thread, line, f"raised {type(error).__qualname__}")
    elif stage.stage == "update":
        look = _look_at(result, lambda: stage.reached(args, kwargs))
        outputs.postpone(thread, line, _subject(stage, args), look)
    else:
        outputs.note(thread, line, result)


def _look_at(result: Any, reached: Callable[[], Any]) -> Look:
    """What an update returned, and the arrays within its reach by then."""

    def look() -> dict[str, Any]:
        content = Content().add(result).add_arrays(reached(), OBJECTS_UPDATED)
        return content.fields()

    return look
