"""What a run's variables held after its steps, as `agent.state` wrote it down.

Read into `States`, by thread; how two values differ; the loss curve.
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

from debottleneck.agent.variables import Leaf
from debottleneck.recording import spool
from debottleneck.trials.written import Files

TOLERANCE = 1e-6
"""Of one step, relative: summing in another order moves float64 by some 1e-16 a sum and
float32 by 1e-7. From step to step that adds up as the root of their number."""

NEARLY_EVERY = 0.9
"""A loss is a number in this part of the steps."""

FEWEST_POINTS = 2
"""One step draws no curve."""

_LOSS = re.compile(r"(^|[^a-z])(loss(es)?|cost|nll|objective)([^a-z]|$)|^l$", re.I)
"""How variables are called that hold the loss, or the list of them."""

_PARTS = re.compile(r"\._(?:modules|parameters|buffers)\['([^']*)'\]")
_ITEM = re.compile(r"\[[^\]]*\]")

Floats = NDArray[np.float64]

Curve = Mapping[int, float]
"""Step from 1 -> its loss."""

Loss = tuple[str, int, float]
"""The run's strategies, "" for the plain script; step from 1; value."""


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


@dataclass
class ThreadState:
    """What was within reach of one thread that trains.

    Attributes:
        histories: Path -> how it changed.
        looked: Steps after which small values were looked at -> when, monotonic ns.
        looked_large: Steps after which large ones were, too.
        large: Paths of large values.
        steps: How many steps it did.
        entries: How often it entered the loop.
        complete: Whether everything within reach was looked at.
        own: Paths of what its own function held, or functions gave to it.
    """

    histories: dict[str, History] = field(default_factory=dict)
    looked: dict[int, int] = field(default_factory=dict)
    looked_large: set[int] = field(default_factory=set)
    large: set[str] = field(default_factory=set)
    steps: int = 0
    entries: int = 0
    complete: bool = True
    own: set[str] = field(default_factory=set)

    def add(self, line: Mapping[str, Any]) -> None:
        """Take in one look."""
        step = self.steps = line["step"]
        self.complete = self.complete and line["complete"]
        self.looked[step] = line["t_ns"]
        self.own.update(line["own"])
        self._change(step, line)
        if "large" in line:
            self.looked_large.add(step)
            self.large |= line["large"]["set"].keys()
            self._change(step, line["large"])

    def _change(self, step: int, change: Mapping[str, Any]) -> None:
        for path, leaf in change["set"].items():
            self.history(path).put(step, leaf)
        for path in change["gone"]:
            self.history(path).put(step, None)

    def history(self, path: str) -> History:
        """How the value there changed."""
        return self.histories.setdefault(path, History())


@dataclass(frozen=True)
class States:
    """What one run held.

    Attributes:
        threads: Name -> what was within reach of it, of those that train.
        end: Path -> value when the script was over.
        ended: Whether it came to its own end; else it was stopped somewhere.
        files: What it wrote.
    """

    threads: Mapping[str, ThreadState] = field(default_factory=dict)
    end: Mapping[str, Leaf] = field(default_factory=dict)
    ended: bool = False
    files: Files = ()

    @property
    def steps(self) -> int:
        """How many steps the thread did that did most."""
        return max((of.steps for of in self.threads.values()), default=0)

    @property
    def epochs(self) -> int:
        """How often the loop had come to its end when it was entered again."""
        return max((0, *(of.entries - 1 for of in self.threads.values())))


def read(folder: Path, pid: int, files: Files = ()) -> States:
    """Read what a process left; empty when it wrote nothing."""
    threads: dict[str, ThreadState] = {}
    last: Mapping[str, Any] = {}
    try:
        with spool.state_file(folder, pid).open(encoding="utf-8") as file:
            for line in _parsed(file):
                if "thread" in line:
                    threads.setdefault(line["thread"], ThreadState()).add(line)
                else:
                    last = line
    except OSError:
        return States()
    for name, state in threads.items():
        state.steps = last.get("steps", {}).get(name, state.steps)
        state.entries = last.get("entries", {}).get(name, state.entries)
        state.complete = state.complete and last.get("complete", True)
        if len(threads) > 1:  # what else is there others may change at any time
            held = state.histories.items()
            own = {path: how for path, how in held if path in state.own or "()" in path}
            state.histories = own
    return States(threads, last.get("all", {}), last.get("ended", False), files)


def _parsed(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """The lines up to one that was cut off when the script was killed."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return


def pattern(path: str) -> str:
    """What a path has in common with those of the other items: `cache[]`."""
    return _ITEM.sub("[]", path)


def sketches(leaf: Leaf) -> list[Floats]:
    """Of each float array of a value that is no scalar the values that were kept."""
    values = np.frombuffer(base64.b64decode(leaf[4]), dtype=np.float64)
    return np.split(values, np.cumsum(leaf[3], dtype=np.int64)[:-1])


def number(leaf: Leaf | None) -> float | None:
    """The number with a point that it is, or the only one in it; else None."""
    if leaf is None:
        return None
    if len(leaf) > 1:
        return float(sketches(leaf)[0][0]) if leaf[3] == [1] else None
    text = str(leaf[0])
    try:
        return None if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        return None


def loss_curves(run: States) -> dict[str, Curve]:
    """Path -> its number after each step, of variables that could be the loss.

    Args:
        run: The thread that did most steps counts.
    """
    states = run.threads.values()
    thread = max(states, key=lambda state: state.steps, default=ThreadState())
    steps = [step for step in thread.looked if step]
    found: list[tuple[int, str, Curve]] = []
    for path, history in thread.histories.items():
        if _LOSS.search(path.rpartition(".")[2]):
            at = ((step, number(history.at(step))) for step in steps)
            curve = {step: value for step, value in at if value is not None}
            if len(curve) >= max(FEWEST_POINTS, NEARLY_EVERY * len(steps)):
                found.append((-len({*curve.values()}), path, curve))
    return {path: curve for _, path, curve in sorted(found, key=lambda one: one[:2])}


def loss_rows(runs: Mapping[str, Mapping[str, Curve]]) -> list[Loss]:
    """The curves that can be laid on top of each other: all of the same variable.

    Args:
        runs: A run's strategies -> what `loss_curves` gave for it; "" is the plain
            script, which decides the variable.
    """
    path = next(iter(runs.get("", {})), "")
    return [
        (spec, step, value)
        for spec, curves in runs.items()
        for step, value in sorted(curves.get(path, {}).items())
    ]


def readable(path: str) -> str:
    """A path as its author writes it: `model.0.weight`."""
    return _PARTS.sub(r".\1", path)


def unlike(one: Leaf, other: Leaf | None, step: int = 1) -> str:
    """How two values differ after that step, "" when within the tolerance."""
    tolerance = TOLERANCE * math.sqrt(max(step, 1))
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
    norms = map(max, one[2], other[2])
    arrays = zip(sketches(one), sketches(other), norms, strict=True)
    return max((_gap(*pair) for pair in arrays), default=0.0)


def _gap(one: Floats, other: Floats, norm: float) -> float:
    """The norm of the difference over the norm; equal infinities and NaNs are equal."""
    equal = (one == other) | (np.isnan(one) & np.isnan(other))
    if equal.all():
        return 0.0
    sizes = np.abs([*one, *other, norm])
    size = sizes[np.isfinite(sizes)].max(initial=0.0)
    with np.errstate(all="ignore"):
        apart = np.where(equal, 0.0, one - other) / np.float64(size)
    gap = float(np.linalg.norm(apart))
    return math.inf if math.isnan(gap) else gap
