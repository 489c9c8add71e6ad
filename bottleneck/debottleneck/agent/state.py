"""Writes down what the script's variables hold at the ends of steps, for the gate.

A step's end is where the next begins, on the thread that trains; where several threads
train, each has steps of its own. Small values are looked at before the first step and
after each of the first, then ever more rarely; large arrays more rarely still, and once
more where a thread leaves its loops. Which steps depends on sizes alone, so that every
run looks at the same ones.
"""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from types import FrameType
from typing import Any

from debottleneck.agent import ending
from debottleneck.agent.variables import Leaf, Owns, Snapshot
from debottleneck.recording import spool

EVERY_STEP = 64
"""Steps after each of which everything small is looked at."""

RARER, MUCH_RARER = 1.02, 1.4
"""Then the next look comes after so many times as many steps; large values are looked
at, from the first step on, after so many times as many."""

MANY_VALUES = 4_000
"""With more of them, small values are looked at as rarely as large ones."""

MANY_BYTES = 1 << 26
"""Of more, large values are looked at after `HARDLY` times as many steps."""

HARDLY = 4.0

RESULTS = 16
"""Results of a function that are kept of one step; of more calls nothing is said."""

BYTES = 256 << 20
"""A process writes at most so many."""


@dataclass(frozen=True)
class Extent:
    """How far the script is followed.

    Attributes:
        limit: A thread is ended after so many steps, once its loop was entered anew;
            0 for never.
        most: It is ended after so many whether it was or not.
        anchor: The stage at whose first entry a step begins where no loop is known;
            "" where a framework begins it.
    """

    limit: int
    most: int
    anchor: str = ""


class StateLog:
    """The file of looks, a line each: what is new in it and what is gone.

    Args:
        path: The file, in a folder that exists.
        owns: Tells the user's own code.
        extent: How far the script is followed.
    """

    def __init__(self, path: Path, owns: Owns, extent: Extent) -> None:
        self._file = spool.lines_file(path)
        self._owns = owns
        self._extent = extent
        self._lock = threading.Lock()
        self._threads: dict[tuple[int, str], _Steps] = {}
        self._left = BYTES

    def entered(self) -> None:
        """The training loop is entered on this thread."""
        self._steps().entries += 1

    def gave(self, name: str, value: Any) -> None:
        """A function returns this on a thread that trains, to whom it may concern."""
        steps = self._threads.get(_key())
        if steps is not None:
            held = steps.results.setdefault(name, [])
            held += [value] * (len(held) <= RESULTS)

    def turned(self, more: int, frame: FrameType) -> None:
        """A step begins on this thread.

        Args:
            more: 1; or -1 where the one that was told last did not begin.
            frame: Where.

        Raises:
            SystemExit: The thread has done the steps that were asked for.
        """
        steps = self._steps()
        steps.count += more
        if more < 0 or not self._left:
            return
        done = steps.count - 1
        if self._is_enough(steps, done):
            self._look(steps, done, frame, whole=True)
            ending.end_script()
        if done >= steps.next_small or done >= steps.next_large:
            self._look(steps, done, frame)
        steps.results = {}

    def left(self, frame: FrameType) -> None:
        """This thread is in no loop any more: the last step has no next one."""
        steps = self._threads.get(_key())
        if steps is not None and self._left and not ending.is_ending():
            steps.lefts += 1
            if steps.lefts >= steps.next_left:
                steps.next_left = max(steps.lefts + 1, int(steps.lefts * MUCH_RARER))
                self._look(steps, steps.count, frame, whole=True)

    def close(self) -> None:
        """Look at what modules hold when the script ends, and write no more."""
        if not self._left:
            return
        look = Snapshot(self._owns, large=True).at(None)
        values = {**look.small, **look.large}
        steps = {of.thread: of.count for of in self._threads.values()}
        entries = {of.thread: of.entries for of in self._threads.values()}
        counts = {"steps": steps, "entries": entries, "complete": look.complete}
        self._write({"ended": not ending.is_ending(), **counts, "all": values})
        self.abandon()

    def abandon(self) -> None:
        """Write no more: a forked child's variables are not the script's."""
        self._left = 0
        with contextlib.suppress(OSError):
            self._file.close()

    def _steps(self) -> _Steps:
        """This thread's."""
        key = _key()
        return self._threads.get(key) or self._threads.setdefault(key, _Steps(key[1]))

    def _is_enough(self, steps: _Steps, done: int) -> bool:
        if not self._extent.limit or done < self._extent.limit:
            return False
        return steps.entries > 1 or done >= self._extent.most

    def _look(
        self, steps: _Steps, step: int, frame: FrameType, whole: bool = False
    ) -> None:
        large = whole or step >= steps.next_large
        look = Snapshot(self._owns, large=large)
        look.at(frame, steps.given().items())
        line: dict[str, Any] = {"thread": steps.thread, "step": step}
        line |= {"t_ns": monotonic_ns(), "complete": look.complete}
        line["own"] = [path for path in look.own if path not in steps.own]
        steps.own |= look.own
        line |= _change(steps.small, look.small)
        steps.small = look.small
        if large:
            line["large"] = _change(steps.large, look.large)
            steps.large = look.large
        self._write(line)
        steps.plan(step, look, large)

    def _write(self, line: dict[str, Any]) -> None:
        text = json.dumps(line) + "\n"
        with self._lock:
            self._left = max(self._left - len(text), 0)
            if not self._left:
                return
            try:
                self._file.write(text)
                self._file.flush()
            except OSError:
                self.abandon()


def _key() -> tuple[int, str]:
    """This thread."""
    return threading.get_ident(), threading.current_thread().name


class _Steps:
    """One thread's steps, and what was there at its last look."""

    def __init__(self, thread: str) -> None:
        self.thread = thread
        self.count = self.entries = 0
        self.small: dict[str, Leaf] = {}
        self.large: dict[str, Leaf] = {}
        self.next_small, self.next_large = 0, 1
        self.lefts, self.next_left = 0, 1
        self.own: set[str] = set()
        self.results: dict[str, list[Any]] = {}

    def given(self) -> dict[str, Any]:
        """What functions returned in the step, by how many times they were called."""
        return {
            f"{name}()" if len(held) == 1 else f"{name}() {n} of {len(held)}": value
            for name, held in self.results.items()
            for n, value in enumerate(held, 1)
            if len(held) <= RESULTS
        }

    def plan(self, step: int, look: Snapshot, large: bool) -> None:
        """Say when to look next."""
        rarer = HARDLY if look.large_bytes > MANY_BYTES else MUCH_RARER
        if large:
            self.next_large = max(step + 1, int(step * rarer))
        if len(look.small) > MANY_VALUES:
            self.next_small = self.next_large
        else:
            later = step * RARER if step >= EVERY_STEP else 0
            self.next_small = max(step + 1, int(later))


def _change(before: dict[str, Leaf], now: dict[str, Leaf]) -> dict[str, Any]:
    fresh = {path: leaf for path, leaf in now.items() if before.get(path) != leaf}
    return {"set": fresh, "gone": [path for path in before if path not in now]}
