"""Writes down what the script's variables hold at the ends of steps, for the gate.

A step's end is where the next begins, on the thread that trains. Small values are
looked at before the first step and after each of the first, then ever more rarely;
large arrays more rarely still. Which steps depends on sizes alone, so that every run
looks at the same. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from time import monotonic_ns
from types import FrameType
from typing import IO, Any

from debottleneck.agent import ending
from debottleneck.agent.variables import Leaf, Owns, Snapshot
from debottleneck.words import STEP

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

LOADS = 64
"""Calls of loads before and after which it is seen what they change."""

LARGE_LOADS = 3
"""Of those, so many in which large arrays are looked at too."""

BYTES = 256 << 20
"""A process writes at most so many."""

_ITEM = re.compile(r"\[[^\]]*\]")

COMPUTE = ("forward", "loss", "backward", "update")


class LiveSteps:
    """Counts the steps of a loop while it runs.

    Args:
        by_load: Whether a step begins with the first load after a computation; else
            with the first kind of computation.
        computes: Whether computations are marked at all; else each load is a step, or
            each call of the step function.
    """

    def __init__(self, by_load: bool, computes: bool = True) -> None:
        self.count = 0
        self._by_load = by_load
        self._alone = "" if computes else "load" if by_load else STEP
        self._anchor = ""
        self._before = ""
        self._computed = True

    def begins(self, stage: str) -> bool:
        """Whether a stage that is entered outside all others begins a step."""
        before, self._before = self._before, stage
        if self._alone:
            begins = stage == self._alone
        elif self._by_load:
            begins = stage == "load" and self._computed
            self._computed = stage in COMPUTE or (self._computed and not begins)
        else:
            self._anchor = self._anchor or (stage if stage in COMPUTE else "")
            begins = stage == self._anchor != before
        self.count += begins
        return begins


@dataclass(frozen=True)
class Extent:
    """How far the script is followed.

    Attributes:
        by_load: As in `LiveSteps`, and `computes` too.
        limit: It is ended after so many steps, once the loads of an epoch have come to
            their end; 0 for never.
        most: It is ended after so many whether they have or not.
        loads: Whether it is to be seen what loads change.
    """

    by_load: bool
    limit: int
    most: int
    loads: bool
    computes: bool = True


class StateLog:
    """The file of looks, a line each: what is new in it and what is gone.

    Args:
        path: The file, in a folder that exists.
        owns: Tells the user's own code.
        extent: How far the script is followed.
        by_loop: Whether steps are told by `turned`, not to be seen by stages.
    """

    def __init__(
        self, path: Path, owns: Owns, extent: Extent, *, by_loop: bool = False
    ) -> None:
        self._file: IO[str] | None = path.open("a", encoding="utf-8")
        self._owns = owns
        self._steps = LiveSteps(extent.by_load, extent.computes)
        self._by_loop = by_loop
        self._extent = extent
        self._epochs = 0
        self._loader = ""
        self._first_index: int | None = None
        self._left = BYTES
        self._small: dict[str, Leaf] = {}
        self._large: dict[str, Leaf] = {}
        self._next_small, self._next_large = 0, 1
        self._loads = LOADS if extent.loads else 0
        self._by_loads: set[str] = set()
        self._by_others: set[str] = set()
        self._before_load: Snapshot | None = None
        self._ended = False
        self._trainers: set[int] = set()

    def enters(
        self, stage: str, name: str, args: tuple[Any, ...], frame: FrameType
    ) -> None:
        """An outermost stage begins.

        Args:
            stage: Its word.
            name: The function's.
            args: What it is called with.
            frame: Where it is called.

        Raises:
            SystemExit: The script has done the steps that were asked for.
        """
        if self._ended:
            return
        if stage in COMPUTE:
            self._trainers.add(get_ident())
            if len(self._trainers) > 1:  # what holds at a step's end is chance
                self._write({"several": True})
                self.abandon()
                return
        if not self._by_loop and self._steps.begins(stage):
            self._begin_step(frame)
        if stage == "load":
            self._count_epochs(name, args)
            if self._loads:
                self._watch_loads(frame, self._by_others)

    def turned(self, more: int, frame: FrameType) -> None:
        """An iteration of the training loop begins.

        Args:
            more: 1; or -1 where the one that was told last did not begin.
            frame: Where.

        Raises:
            SystemExit: As `enters`.
        """
        if not self._ended:
            self._steps.count += more
            if more > 0:
                self._begin_step(frame)

    def _begin_step(self, frame: FrameType) -> None:
        done = self._steps.count - 1
        if self._is_enough(done):
            self.close("stopped", frame)
            ending.end_script()
        if done >= self._next_small or done >= self._next_large:
            self._look(done, frame)

    def _is_enough(self, done: int) -> bool:
        if not self._extent.limit or done < self._extent.limit:
            return False
        return bool(self._epochs) or done >= self._extent.most

    def _count_epochs(self, name: str, args: tuple[Any, ...]) -> None:
        """An epoch is over when the index of a load is the first one again."""
        numbers = [arg for arg in args[:2] if type(arg) is int]
        if not numbers or name != (self._loader or name):
            return
        self._loader = name
        if self._first_index is None:
            self._first_index = numbers[0]
        elif numbers[0] == self._first_index:
            self._epochs += 1

    def leaves(self, stage: str, name: str, frame: FrameType) -> None:
        """It ends: an iterator of loads that has no more ends an epoch."""
        if stage != "load" or self._ended:
            return
        if isinstance(sys.exception(), (StopIteration, StopAsyncIteration)):
            self._loader = self._loader or name
            self._epochs += name == self._loader
        if self._loads:
            self._watch_loads(frame, self._by_loads)
            self._loads -= 1
            if not self._loads:
                self._write_loads()

    def close(self, how: str = "ended", frame: FrameType | None = None) -> None:
        """Snapshot for the last time, and write no more.

        Args:
            how: "ended" when the script came to its own end, "stopped" else.
            frame: Where it was stopped.
        """
        if self._ended:
            return
        self._ended = True
        if self._loads:
            self._write_loads()
        look = Snapshot(self._owns, large=True).at(frame)
        values = {**look.small, **look.large}
        fields = {"how": how, "step": self._steps.count, "complete": look.complete}
        fields["epochs"] = self._epochs
        self._write({**fields, "all": values})
        self.abandon()

    def abandon(self) -> None:
        """Write no more: a forked child's variables are not the script's."""
        self._ended = True
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()

    def _look(self, step: int, frame: FrameType) -> None:
        large = step >= self._next_large
        look = Snapshot(self._owns, large=large).at(frame)
        line: dict[str, Any] = {"step": step, "t_ns": monotonic_ns()}
        line |= {"complete": look.complete, **_change(self._small, look.small)}
        self._small = look.small
        if large:
            line["large"] = _change(self._large, look.large)
            self._large = look.large
        self._write(line)
        rarer = HARDLY if look.large_bytes > MANY_BYTES else MUCH_RARER
        if large:
            self._next_large = max(step + 1, int(step * rarer))
        if len(look.small) > MANY_VALUES:
            self._next_small = self._next_large
        else:
            later = step * RARER if step >= EVERY_STEP else 0
            self._next_small = max(step + 1, int(later))

    def _watch_loads(self, frame: FrameType, changed: set[str]) -> None:
        """What is not as it was before has been changed by loads, or by the rest."""
        before = self._before_load
        large = self._loads > LOADS - LARGE_LOADS
        look = self._before_load = Snapshot(self._owns, large=large).at(frame)
        pairs = [(before.small, look.small)] if before else []
        if before and before.large and look.large:
            pairs.append((before.large, look.large))
        for old, new in pairs:
            differ = {path for path in old | new if old.get(path) != new.get(path)}
            if changed is self._by_others:  # a variable that is set has no change yet
                differ &= old.keys() & new.keys()
            changed |= differ

    def _write_loads(self) -> None:
        """The paths, and the patterns of those that are all alike in this."""
        self._loads, self._before_load = 0, None
        alike = set(map(pattern, self._by_loads)) - set(map(pattern, self._by_others))
        self._write({"loads": sorted(alike | (self._by_loads - self._by_others))})

    def _write(self, line: dict[str, Any]) -> None:
        text = json.dumps(line) + "\n"
        self._left -= len(text)
        if self._file is None or self._left < 0:
            return
        try:
            self._file.write(text)
            self._file.flush()
        except OSError:
            self.abandon()


def _change(before: dict[str, Leaf], now: dict[str, Leaf]) -> dict[str, Any]:
    fresh = {path: leaf for path, leaf in now.items() if before.get(path) != leaf}
    return {"set": fresh, "gone": [path for path in before if path not in now]}


def pattern(path: str) -> str:
    """What a path has in common with those of the other items: `cache[]`."""
    return _ITEM.sub("[]", path)
