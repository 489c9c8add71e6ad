"""The state of two runs compared: what their variables held at the same steps.

`agent.state` wrote it down. What differs between two plain runs does not count. What
only loads change, and whatever holds in a step what it holds later in the plain script,
may be ahead of it while the loop runs; at the script's own end it must be what it is
there in the plain one.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from debottleneck.agent.state import pattern
from debottleneck.agent.variables import GENERATOR, OURS, UNREAD, Leaf
from debottleneck.recording import spool

OURS_LEAF, UNREAD_LEAF = [OURS], [UNREAD]

SETTINGS = ("['fused']", "['foreach']")
"""What a strategy sets of an optimizer, and no result."""

MOVES = 3
"""Changes of the plain script's after which a value of loads that never changed under a
strategy is what the loads of another process have left behind."""

AHEAD = 16
"""Steps in a row in which what is ahead may hold what the plain script never held: at
the end of an epoch, or when more is ahead than steps were looked at."""

_PRIVATE = re.compile(r"\._\w+$")
_PARTS = re.compile(r"\._(?:modules|parameters|buffers)\['([^']*)'\]")


@dataclass
class History:
    """How one value changed: the steps after which it was found new, None once gone."""

    steps: list[int] = field(default_factory=list)
    leaves: list[Leaf | None] = field(default_factory=list)

    def put(self, step: int, leaf: Leaf | None) -> None:
        """Note what was found after a step."""
        self.steps.append(step)
        self.leaves.append(leaf)

    def at(self, step: int) -> Leaf | None:
        """What was found at or before that step."""
        place = int(np.searchsorted(self.steps, step, side="right"))
        return self.leaves[place - 1] if place else None


@dataclass(frozen=True)
class States:
    """What one run's variables held.

    Attributes:
        histories: Path -> how it changed.
        looked: Steps after which small values were looked at.
        looked_large: Likewise large ones.
        large: Paths of large values.
        by_loads: Paths that only loads changed, as far as it was seen.
        end: Path -> value at the end.
        ended: Whether the script came to its own end.
        steps: How many steps it did.
        complete: Whether everything within reach was looked at.
        epochs: How often what is loaded came to its end.
    """

    histories: Mapping[str, History]
    looked: tuple[int, ...]
    looked_large: tuple[int, ...]
    large: frozenset[str]
    by_loads: frozenset[str]
    end: Mapping[str, Leaf]
    ended: bool
    steps: int
    complete: bool
    epochs: int


@dataclass(frozen=True)
class StateDifference:
    """Where two runs' state first differs: a step counted from 1, and how."""

    step: int
    what: str


def read(folder: Path, pid: int) -> States | None:
    """Read what a process left; None if nothing, or if several threads trained.

    Args:
        folder: The run's spool folder.
        pid: The script's process.
    """
    try:
        with spool.state_file(folder, pid).open(encoding="utf-8") as file:
            return _assembled(parsed(file))
    except OSError:
        return None


def parsed(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """The lines up to one that was cut off when the script was killed."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return


def _assembled(lines: Iterable[Mapping[str, Any]]) -> States | None:
    histories: dict[str, History] = {}
    looked, looked_large = [], []
    large: set[str] = set()
    by_loads: list[str] = []
    last: Mapping[str, Any] = {}
    complete = True
    for line in lines:
        if "several" in line:
            return None
        complete = complete and line.get("complete", True)
        if "set" in line:
            looked.append(line["step"])
            _add(histories, line["step"], line)
            if "large" in line:
                looked_large.append(line["step"])
                large |= line["large"]["set"].keys()
                _add(histories, line["step"], line["large"])
        by_loads += line.get("loads", ())
        last = line if "how" in line else last
    if not looked:
        return None
    return States(
        histories=histories,
        looked=tuple(looked),
        looked_large=tuple(looked_large),
        large=frozenset(large),
        by_loads=frozenset(by_loads),
        end=last.get("all", {}),
        ended=last.get("how") == "ended",
        steps=last.get("step", looked[-1]),
        complete=complete,
        epochs=last.get("epochs", 0),
    )


def _add(histories: dict[str, History], step: int, change: Mapping[str, Any]) -> None:
    for path, leaf in change["set"].items():
        histories.setdefault(path, History()).put(step, leaf)
    for path in change["gone"]:
        if path in histories:
            histories[path].put(step, None)


def compare(
    first: States, second: States, candidate: States, tolerance: float
) -> tuple[StateDifference | None, bool]:
    """Where a run under a strategy first holds what two plain runs do not.

    Args:
        first: A plain run.
        second: Another one.
        candidate: The run with the strategy.
        tolerance: Relative difference that still counts as equal.

    Returns:
        The difference or None, and whether everything agrees in every bit.
    """
    same = True
    worst: StateDifference | None = None
    counted = _Counted(first, second, candidate, tolerance)
    for path in counted.paths():
        found, identical = counted.differ(path)
        same = same and identical
        if found is not None and (worst is None or found.step < worst.step):
            worst = found
    return worst, same


@dataclass
class _Counted:
    """What counts of three runs."""

    first: States
    second: States
    candidate: States
    tolerance: float

    def paths(self) -> list[str]:
        """Those that are the same in both plain runs, and the script's own.

        What differs before the first step, a date for one, is no strategy's doing.
        """
        own = {p for p, h in self.candidate.histories.items() if OURS_LEAF in h.leaves}
        return [
            path
            for path in {**self.first.histories, **self.first.end}
            if not path.endswith(SETTINGS)
            and not _below(path, own)
            and self._begins_alike(path)
            and self._is_steady(path)
        ]

    def _begins_alike(self, path: str) -> bool:
        runs = self.first, self.candidate
        here, there = (run.histories.get(path, History()).at(0) for run in runs)
        return here is None or here == there

    def _is_steady(self, path: str) -> bool:
        one, other = self.first, self.second
        along, _ = self._along(path, one, other)
        at_end, _ = self._at_end(path, one, other)
        return along is None and at_end is None

    def differ(self, path: str) -> tuple[StateDifference | None, bool]:
        """The first difference in that path beyond the tolerance; all bits equal?"""
        one, other = self.first, self.candidate
        found, same = None, True
        if {path, pattern(path)} & one.by_loads:
            absent = path not in other.histories and path not in other.end
            few = len(one.histories.get(path, History()).steps) < MOVES
            if absent and (few or not other.complete):
                return None, True  # what loads keep for later, kept in another process
            found = self._left_behind(path)
        else:
            found, same = self._along(path, one, other)
            if found is not None and self._runs_ahead(path):
                found, same = None, True
        if found is None:
            found, end = self._at_end(path, one, other)
            same = same and end
        return found, same

    def _runs_ahead(self, path: str) -> bool:
        """Whether it holds in a step what the plain script holds in a later one.

        As far as every step was looked at; generators may be between two draws.
        """
        if GENERATOR in path:
            return True
        plain = self.first.histories.get(path, History())
        own = self.candidate.histories.get(path, History())
        met, lost = False, 0
        for step in (s for n, s in enumerate(self.first.looked) if s == n):
            leaf = own.at(step)
            if leaf is None or leaf == plain.at(step):
                lost = 0
                continue
            later = plain.leaves[int(np.searchsorted(plain.steps, step)) :]
            met, lost = (True, 0) if leaf in later else (met, lost + 1)
            if lost > AHEAD:
                return False
        return met

    def _along(
        self, path: str, one: States, other: States
    ) -> tuple[StateDifference | None, bool]:
        here = one.histories.get(path, History())
        there = other.histories.get(path, History())
        looked = one.looked_large if path in one.large else one.looked
        both = set(other.looked_large if path in one.large else other.looked)
        changes = sorted({*here.steps, *there.steps} & both & set(looked))
        same = True
        for step in changes:
            leaf, its = here.at(step), there.at(step)
            if leaf is None or leaf == its or not self._tell(path, leaf, its):
                continue
            how = unlike(leaf, its, self.tolerance)
            if how:
                when = _since(step, looked)
                return StateDifference(step, f"{readable(path)} {when}: {how}"), False
            same = False
        return None, same

    def _tell(self, path: str, here: Leaf, there: Leaf | None) -> bool:
        """Whether both were read, or one is surely not there.

        A private attribute that is not there has not been computed yet: `Path._str`.
        """
        if UNREAD_LEAF in (here, there):
            return False
        runs = self.first, self.second, self.candidate
        late = _PRIVATE.search(path) or not all(run.complete for run in runs)
        return there is not None or not late

    def _at_end(
        self, path: str, one: States, other: States
    ) -> tuple[StateDifference | None, bool]:
        """At the scripts' own end; where one was stopped there is none."""
        if not (one.ended and other.ended) or path not in one.end:
            return None, True
        leaves = one.end[path], other.end.get(path)
        if leaves[0] == leaves[1] or not self._tell(path, *leaves):
            return None, True
        how = unlike(leaves[0], leaves[1], self.tolerance)
        what = f"{readable(path)} differs at the script's end: {how}"
        return (StateDifference(one.steps, what) if how else None), False

    def _left_behind(self, path: str) -> StateDifference | None:
        if GENERATOR in path:
            return None
        steps = range(self.candidate.looked[0], self.candidate.looked[-1] + 1)
        plain = self.first.histories.get(path, History())
        own = self.candidate.histories.get(path, History())
        here = [step for step in plain.steps if step in steps]
        last = own.steps[-1] if own.steps else 0
        later = [step for step in here if step > last]
        has_all = plain.leaves[-1:] == own.leaves[-1:]
        if has_all or len(later) < max(MOVES, len(here) // 2):
            return None
        when = f"after step {last}" if last else "at first"
        what = f"{readable(path)} stays as it was {when}"
        return StateDifference(later[0], what)


def _below(path: str, roots: set[str]) -> bool:
    """Whether a path is one of those, or leads on from it."""
    if path in roots:
        return True
    ends = (number for number, sign in enumerate(path) if sign in ".[")
    inner = path.removeprefix("len(").removesuffix(")")
    return inner in roots or any(path[:end] in roots for end in ends)


def _since(step: int, looked: tuple[int, ...]) -> str:
    before = [other for other in looked if other < step]
    if step == 1 or (before and before[-1] == step - 1):
        return f"differs from step {step} on"
    seen = f" (not yet after step {before[-1]})" if before else ""
    return f"differs after step {step}{seen}"


def readable(path: str) -> str:
    """A path as its author writes it: `model.0.weight`."""
    return _PARTS.sub(r".\1", path)


def unlike(one: Leaf, other: Leaf | None, tolerance: float) -> str:
    """How two values differ, "" when within the tolerance."""
    if other is None:
        return "it is missing"
    if len(one) != len(other) or (len(one) == 1 and one[0] == other[0]):
        return "" if one == other else "it is of another kind"
    if len(one) == 1:
        return _unlike_scalars(one[0], other[0], tolerance)
    if one[0] != other[0]:
        return "other integers, texts or shapes"
    apart = _apart(one, other)
    if apart <= tolerance:
        return ""
    if not math.isfinite(apart):
        return "its values differ by more than can be said"
    share = f"{apart * 100:.0f} %" if apart >= 0.01 else f"a relative {apart:.1e}"
    return f"its values differ by {share}"


def _unlike_scalars(one: Any, other: Any, tolerance: float) -> str:
    try:
        here, there = complex(one), complex(other)
    except (TypeError, ValueError):
        return f"{_short(one)} against {_short(other)}"
    if str(one).lstrip("+-").isdigit() or str(other).lstrip("+-").isdigit():
        return f"{_short(one)} against {_short(other)}"
    if abs(here - there) <= tolerance * max(abs(here), abs(there)):
        return ""
    return f"{here.real:.6g} against {there.real:.6g}"


def _short(text: Any) -> str:
    return str(text) if len(str(text)) <= 40 else f"{str(text)[:37]}..."


def _apart(one: Leaf, other: Leaf) -> float:
    """The largest relative difference of the arrays in two values."""
    if one[1] == other[1]:
        return 0.0
    worst = 0.0
    norms = map(max, one[2], other[2])
    for here, there, norm in zip(_sketches(one), _sketches(other), norms, strict=True):
        with np.errstate(all="ignore"):
            gap = float(np.linalg.norm(here - there) / np.float64(norm))
        worst = max(worst, math.inf if math.isnan(gap) else gap)
    return worst


def _sketches(leaf: Leaf) -> list[NDArray[np.float64]]:
    values = np.frombuffer(base64.b64decode(leaf[4]), dtype=np.float64)
    return np.split(values, np.cumsum(leaf[3], dtype=np.int64)[:-1])
