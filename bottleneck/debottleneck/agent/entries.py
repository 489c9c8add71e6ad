"""One thread's entry of a loop: its iterations marked, or a stretch of them not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from operator import length_hint
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Protocol

from debottleneck.agent import marks
from debottleneck.agent.track import was_ours
from debottleneck.recording.spool import ENTER, STEP_END, STEP_START

if TYPE_CHECKING:
    from debottleneck.agent.turns import LoopPoint


class Listener(Protocol):
    """Is told of the loops' progress while the training loop is being looked for."""

    def entered(self, run: LoopEntry) -> None:
        """A loop begins."""

    def turned(self, run: LoopEntry) -> None:
        """An iteration of it begins, one that is marked."""

    def began_row(self, point: LoopPoint) -> None:
        """A statement begins of a loop whose `watched` is true."""

    def left(self, run: LoopEntry) -> None:
        """A loop is over, or raised."""


class _Runs(threading.local):
    """The loops that a thread is in, outermost first."""

    def __init__(self) -> None:
        self.stack: list[LoopEntry] = []


_runs = _Runs()
_listener: list[Listener] = []
_NOTHING: dict[int, Iterator[Any]] = {}
_at_steps: list[Callable[[LoopPoint | None], None]] = []


def at_steps(call: Callable[[LoopPoint | None], None]) -> None:
    """Call this wherever an iteration begins that is not in a stretch, with the loop.

    What it raises is raised in the script's loop.
    """
    _at_steps.append(call)


def tell_step(point: LoopPoint | None) -> None:
    """An iteration of a loop begins, or a step of a loop that a framework runs."""
    for call in _at_steps:
        call(point)


def listen_with(listener: Listener | None) -> None:
    """Tell this of every marked iteration from now on, or nobody any more."""
    _listener[:] = [listener] if listener else []


Step = Callable[["LoopPoint", int], None]
"""Is told where an iteration begins: the loop, and 1; -1 where it did not after all."""

_each_step: list[Step] = []


def step_with(step: Step) -> None:
    """Tell this of the iterations of all loops; each is marked from now on."""
    _each_step.append(step)


def is_each_told() -> bool:
    """Whether no iteration may go unmarked."""
    return bool(_each_step)


def tell_entered(run: LoopEntry) -> None:
    """A loop begins."""
    for listener in _listener:
        listener.entered(run)


def tell_row(point: LoopPoint) -> None:
    """A statement begins."""
    for listener in _listener:
        listener.began_row(point)


def runs() -> list[LoopEntry]:
    """The loops that this thread is in, outermost first."""
    return _runs.stack


class LoopEntry:
    """One entry of a loop, on one thread.

    Attributes:
        point: The loop.
        begun: Whether an iteration was marked.
        done: Iterations completed since the last mark, the present one included.
        rest: The iterator, once the plain copy is to go on with it.
        handed: Whether a `while` loop's plain copy goes on.
        skipped: Iterations of a `while` loop that are still to go unmarked.
        returns: Whether the marked copy goes on after that of a strategy.
        whole: Whether it goes through the plain copy, and none of it is marked.
    """

    __slots__ = (
        "_began", "_busy", "_left", "_ours", "_stretch", "_written", "begun", "done",
        "handed", "point", "rest", "returns", "skipped", "whole",
    )  # fmt: skip

    def __init__(self, point: LoopPoint) -> None:
        self.point = point
        self.begun = self.handed = self.returns = self.whole = False
        self.done = self.skipped = 0
        self.rest: Iterator[Any] | None = None
        self._began = self._busy = self._ours = self._stretch = 0
        self._written, *_ = marks.written()
        self._left: Iterator[int] = iter(())

    def more(self, iterator: Iterator[Any]) -> Iterable[Iterator[Any]]:
        """The iterator, as many times as items are to be taken from it now.

        Raises:
            StopIteration: The plain copy is to go on with what is left.
        """
        now = monotonic_ns()
        if self._stretch:
            self.settle()
        elif self.begun and (stretch := self._stretch_of(iterator)) and self.hush(now):
            self._stretch = stretch
            self._left = iter(range(stretch))  # nothing of ours holds the iterator
            return map(_NOTHING.get, self._left, repeat(iterator))
        if not self.begin(now):
            self.rest = iterator
            raise StopIteration
        return (iterator,)

    def _stretch_of(self, iterator: Iterator[Any]) -> int:
        """Iterations to leave unmarked: not the last one, where it is known which."""
        wanted = self.point.stretch
        if wanted and type(iterator).__module__ == "builtins":
            left = length_hint(iterator, wanted + 1)
            wanted = min(wanted, left - 1)
        return wanted if wanted > 1 else 0  # a single one would pass for marked

    def begin(self, at: int) -> bool:
        """Mark an iteration from that time on; False where the plain copy goes on."""
        point = self.point
        if point.run is not self or point.rewritten is not None:
            return False
        for step in _each_step:
            step(point, 1)
        if point.bounds:
            if point.kept:
                marks.close_stages()
            marks.attend()
        now = self._mark(STEP_START, at)
        if not now or not point.is_worth_it():
            self._began = 0
            self._unmark()
            return False
        point.row, point.since = 0, now
        self.begun = True
        self.done = 1
        for listener in _listener:
            listener.turned(self)
        tell_step(point)
        point.since = marks.mark_row(point.codes[0]) or now
        was_ours(point.since - now)
        return True

    def passed(self) -> None:
        """Mark where an iteration begins of a copy whose statements are not marked."""
        point = self.point
        if point.run is not self:
            return
        for step in _each_step:
            step(point, 1)
        if point.bounds:
            if point.kept:
                marks.close_stages()
            marks.attend()
        now = self._mark(STEP_START)
        if now:
            marks.mark_row(point.codes[0])
            point.row, point.since = 0, now
            self.begun = True
            self.done = 1
        tell_step(point)

    def unbegun(self) -> None:
        """The iteration that was marked last did not begin: the loop was over."""
        self.done -= 1
        for step in _each_step:
            step(self.point, -1)

    def hush(self, at: int = 0, *, whole: bool = False) -> bool:
        """Mark nothing of the next iterations, or, if `whole`, their stages alone.

        False where nothing is marked; `at` as for `marks.mark_row`.
        """
        if marks.is_stepped() or not self._mark(STEP_START, at):
            return False
        self._unmark()
        self.point.on = False
        marks.hush(not whole)
        return True

    def loud(self) -> None:
        """All is marked again."""
        self.point.on = True
        marks.hush(False)

    def settle(self) -> None:
        """Count the unmarked iterations of a `for` loop; marks are made again."""
        if self._stretch:
            self.done += self._stretch - length_hint(self._left)
            self._stretch = 0
            self._left = iter(())
            self.loud()

    def leave(self) -> None:
        """The loop is over, or its plain copy is."""
        point = self.point
        if point.rewritten is not None:
            point.rewritten.leave(self)
        if point.run is not self:
            return
        point.run = None
        point.allow(point.wanted)
        self.settle()
        if not point.on:
            self.loud()
        for listener in _listener:
            listener.left(self)
        if self.whole:
            self._began = 0  # nobody knows how many iterations that was
        if (self.begun or self.whole) and self._mark(STEP_END):
            point.is_over()
            for outer in _runs.stack[-1:]:  # back in its statement, wherever this was
                outer.point.again()

    def _unmark(self) -> None:
        """From here on the thread is in some statement of it: in which goes unmarked.

        What comes is no time of the last one that was marked.
        """
        marks.mark_row(self.point.site << 2 | ENTER)

    def _mark(self, edge: int, at: int = 0) -> int:
        """Mark the loop itself, with the iterations since the last such mark."""
        point = self.point
        now = marks.mark_row(point.site << 2 | edge, self.done, at)
        written, busy, ours = marks.written()
        if now and self._began:
            took = now - self._began - (ours - self._ours), busy - self._busy
            point.book(now, *took, self.done, written - self._written)
        self._began = now
        self._written, self._busy, self._ours = written, busy, ours
        self.done = 0
        return now
