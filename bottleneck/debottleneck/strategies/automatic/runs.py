"""Runs of calls of one stage: what a strategy learns from, and acts on.

A run is a series of calls of one stage on one thread that no other stage interrupts.
It ends where another stage begins, where its first call comes again, and, inside a
call of the same stage (a model's `forward` that calls its layers'), where that call
returns.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Protocol

from debottleneck.agent.calls import Call
from debottleneck.agent.wrap import Found, as_frame_of_ours
from debottleneck.strategies import pools
from debottleneck.strategies.conflicts import PLAIN


@dataclass(frozen=True)
class StageCall(Call):
    """One call of a stage as it comes.

    Attributes:
        found: What is called.
        called: Calls it where it is.
    """

    found: Found
    called: Callable[..., Any]

    def subject(self) -> Any:
        """What it is about: the first argument that is not a plain value."""
        for value in self.items().values():
            if not isinstance(value, PLAIN):
                return value
        return None

    def is_method(self) -> bool:
        """Whether its first argument is the object that it is called on."""
        name = self.found.function.__name__
        return bool(self.args) and hasattr(type(self.args[0]), name)

    def is_about(self, other: StageCall) -> bool:
        """Whether it calls the same function on the same subject."""
        same_function = self.found.function is other.found.function
        return same_function and self.subject() is other.subject()

    def is_like(self, other: StageCall) -> bool:
        """Whether it is the other call over again."""
        if self.found.function is not other.found.function:
            return False
        if self.is_method():
            return bool(other.args) and self.args[0] is other.args[0]
        mine, theirs = self.items(), other.items()
        return mine.keys() == theirs.keys() and all(
            same(mine[place], theirs[place]) for place in mine
        )


def same(one: Any, other: Any) -> bool:
    """Whether two arguments are one object, or equal plain values."""
    if one is other:
        return True
    return (
        type(one) is type(other) and isinstance(one, PLAIN) and repr(one) == repr(other)
    )


class Run(Protocol):
    """One run, as a strategy serves it."""

    def serve(self, call: StageCall, plainly: Callable[[StageCall], Any]) -> Any:
        """Give the call its result; `plainly` makes it where it is."""

    def begins_anew(self, call: StageCall) -> bool:
        """Whether this call is the first of the next run."""

    def end(self) -> None:
        """The run is over: wait for what is under way."""


class LeftAlone:
    """A run whose calls are all made where they are.

    Args:
        first: Its first call.
        again: Whether (a call, the first) is the beginning of the next run.
        ended: Told when it is over.
    """

    def __init__(
        self,
        first: StageCall,
        again: Callable[[StageCall, StageCall], bool],
        ended: Callable[[], None],
    ) -> None:
        self._first = first
        self._again = again
        self._ended = ended

    @as_frame_of_ours
    def serve(self, call: StageCall, plainly: Callable[[StageCall], Any]) -> Any:
        """Make it."""
        return plainly(call)

    def begins_anew(self, call: StageCall) -> bool:
        """Whether the first call comes again."""
        return self._again(call, self._first)

    def end(self) -> None:
        """Tell."""
        self._ended()


class Lanes:
    """Sorts the calls of one stage into runs, thread by thread.

    Args:
        begin: (first call, depth) -> its run; the depth is 0 unless it is made inside
            another call of the stage.
    """

    def __init__(self, begin: Callable[[StageCall, int], Run]) -> None:
        self._begin = begin
        self._local = threading.local()
        self._lock = threading.Lock()
        self._all: weakref.WeakSet[_Lane] = weakref.WeakSet()
        self._closed = False

    def acting(self, found: Found, called: Callable[..., Any]) -> Callable[..., Any]:
        """What the stage's wrapper calls instead of `called`."""

        @as_frame_of_ours
        def serve(*args: Any, **kwargs: Any) -> Any:
            if self._closed or pools.is_worker():
                return called(*args, **kwargs)
            return self._lane().serve(StageCall(args, kwargs, found, called))

        return wraps(called)(serve)

    def interrupt(self) -> None:
        """Another stage begins on this thread, outside every stage."""
        lane: _Lane | None = getattr(self._local, "lane", None)
        if lane is not None and lane.pid == os.getpid():
            lane.end()

    def close(self) -> None:
        """End every run; from now on all calls are made where they are."""
        self._closed = True
        with self._lock:
            lanes = [lane for lane in self._all if lane.pid == os.getpid()]
        for lane in lanes:
            lane.end()

    def _lane(self) -> _Lane:
        """This thread's; a forked child begins with a new one."""
        lane: _Lane | None = getattr(self._local, "lane", None)
        if lane is None or lane.pid != os.getpid():
            lane = self._local.lane = _Lane(self._begin)
            with self._lock:
                self._all.add(lane)
        return lane


class _Lane:
    """One thread's open runs, one for each open call of the stage, and the top one."""

    def __init__(self, begin: Callable[[StageCall, int], Run]) -> None:
        self.pid = os.getpid()
        self._begin = begin
        self._runs: list[Run | None] = [None]

    @as_frame_of_ours
    def serve(self, call: StageCall) -> Any:
        run = self._runs[-1]
        if run is not None and run.begins_anew(call):
            self.end()
            run = None
        if run is None:
            run = self._runs[-1] = self._begin(call, len(self._runs) - 1)
        return run.serve(call, self._plainly)

    @as_frame_of_ours
    def _plainly(self, call: StageCall) -> Any:
        self._runs.append(None)
        try:
            return call.called(*call.args, **call.kwargs)
        finally:
            try:
                self.end()
            finally:
                self._runs.pop()

    def end(self) -> None:
        """End the innermost run."""
        run, self._runs[-1] = self._runs[-1], None
        if run is not None:
            run.end()
