"""Scripts whose loop is rewritten at once, in this process, for tests."""

from __future__ import annotations

import ast
import itertools
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from debottleneck.agent import copies, discover, loops
from debottleneck.agent import entries as entered
from debottleneck.agent.changes import ChangePoint
from debottleneck.agent.entries import LoopEntry
from debottleneck.agent.inline import PLACEHOLDER, fill
from debottleneck.agent.turns import LoopPoint
from debottleneck.strategies.rewriting import (
    asking,
    decide,
    divide,
    entries,
    entry,
    install,
    observe,
)
from debottleneck.strategies.rewriting.entries import Rewriting
from debottleneck.strategies.rewriting.flatten import FlatLoop
from debottleneck.strategies.rewriting.notes import Notes
from debottleneck.strategies.rewriting.plan import Plan, Wanted

THREADS = Wanted(workers=3, depth=None, process=False)
PROCESSES = Wanted(workers=2, depth=None, process=True)
AUTOMATIC = Wanted(workers=None, depth=None, process=False)

WAIT_NS = 2_000_000
"""What every wait is taken to last."""

_looks = itertools.count()


@dataclass
class Ran:
    """What became of a script.

    Attributes:
        space: Its globals afterwards.
        rewriting: What its loop's copy referred to.
        said: What was said, each with its state.
    """

    space: dict[str, Any]
    rewriting: Rewriting
    said: list[tuple[str, str]] = field(default_factory=list)

    @property
    def plan(self) -> Plan:
        """The loop's plan."""
        assert self.rewriting.decision is not None
        return self.rewriting.decision.plan


@contextmanager
def eager() -> Iterator[None]:
    """Rewrite whatever can be, however little it gains."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(divide, "SHORTEST_NS", 0)
        patch.setattr(decide, "LEAST_GAIN", -1e9)
        patch.setattr(decide, "HEAVY", 0.0)
        yield


def _waited_ns() -> int:
    """A clock that goes on when this thread waits, and not when others have its core.

    Loads of these scripts sleep: they take the same time on every machine.
    """
    waits = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    return waits * WAIT_NS + next(_looks)


def plainly(path: Path, source: str) -> dict[str, Any]:
    """The script's globals after a plain run."""
    space: dict[str, Any] = {"__name__": "script", "__file__": str(path)}
    exec(compile(source, str(path), "exec"), space)
    return space


def rewritten(
    path: Path,
    source: str,
    settings: Wanted = THREADS,
    line: int | None = None,
    kind: type[Rewriting] = Rewriting,
    patience_s: float = 60.0,
) -> Ran:
    """Run a script with one of its loops rewritten from its first iteration on.

    Args:
        path: Where it is written to.
        source: The script.
        settings: Those of the prefetch.
        line: The loop's; by default the first that is marked `# loop`.
        kind: `Feeding` for one in threads of the script's own.
        patience_s: How long a process may take, besides what is usual.
    """
    path.write_text(source)
    if line is None:
        line = next(n for n, t in enumerate(source.splitlines(), 1) if "# loop" in t)
    user = discover.UserCode((), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entry, "JUDGED", 10**9)  # a slow machine is no reason
        patch.setattr(decide, "PATIENCE_S", patience_s)
        if not kind.several:  # else other threads are seen to call it
            patch.setattr(observe, "perf_counter_ns", _waited_ns)
        patch.setattr(entered, "tell_entered", partial(_keep_open, kind.several))
        patch.setattr(entries, "SLACK", 1e9)
        patch.setattr(entries, "LONG", 0)
        patch.setattr(discover, "_installed", [user])
        patch.setattr(copies, "_copies", [install.copy_of])
        tree = ast.parse(source)
        prepared = loops.prepare(tree, source.splitlines(), PLACEHOLDER)
        points = {p.placeholder: LoopPoint(p, str(path)) for p in prepared.loops}
        point = next(p for p in points.values() if p.plan.line == line)
        flat = point.plan.flat
        assert isinstance(flat, FlatLoop)
        said: list[tuple[str, str]] = []
        point.rewritten = kind(point, flat, settings, _Heard(said))
        for change in prepared.changes:
            made = ChangePoint(change.path)
            points[change.placeholder] = made  # type: ignore[assignment] # a constant too
        code = fill(compile(tree, str(path), "exec"), points)
        space: dict[str, Any] = {"__name__": "script", "__file__": str(path)}
        exec(code, space)
    return Ran(space, point.rewritten, said)


class _Heard(Notes):
    """Notes that are listed."""

    def __init__(self, said: list[tuple[str, str]]) -> None:
        super().__init__(None)
        self._heard = said

    def say(self, strategy: str, state: str, text: str, **more: object) -> None:
        """Note one thing."""
        self._heard.append((state, text))


def _keep_open(several: bool, run: LoopEntry) -> None:
    """As the agent does where several threads may be in a loop."""
    run.point.open = several


@dataclass
class AskedOf:
    """What became of a script, one loop of which was planned and not rewritten.

    Attributes:
        space: Its globals afterwards.
        plans: What was noted.
        rewriting: What the loop's copy referred to.
    """

    space: dict[str, Any]
    plans: list[Plan]
    rewriting: asking.AskedLoop


def asked(path: Path, source: str) -> AskedOf:
    """Run a script and ask for the plan of the loop that is marked `# loop`.

    Args:
        path: Where it is written to.
        source: The script.
    """
    path.write_text(source)
    line = next(n for n, t in enumerate(source.splitlines(), 1) if "# loop" in t)
    plans: list[Plan] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "note", lambda plan, began: plans.append(plan))
        patch.setattr(observe, "perf_counter_ns", _waited_ns)
        patch.setattr(discover, "_installed", [discover.UserCode((), {})])
        patch.setattr(copies, "_copies", [install.copy_of])
        patch.setattr(copies, "_returning", [True])
        tree = ast.parse(source)
        prepared = loops.prepare(tree, source.splitlines(), PLACEHOLDER)
        points = {p.placeholder: LoopPoint(p, str(path)) for p in prepared.loops}
        point = next(p for p in points.values() if p.plan.line == line)
        flat = point.plan.flat
        assert isinstance(flat, FlatLoop)
        notes = Notes(None)
        made = point.rewritten = asking.AskedLoop(point, flat, AUTOMATIC, notes)
        for change in prepared.changes:
            made_point = ChangePoint(change.path)
            points[change.placeholder] = made_point  # type: ignore[assignment] # a constant too
        code = fill(compile(tree, str(path), "exec"), points)
        space: dict[str, Any] = {"__name__": "script", "__file__": str(path)}
        exec(code, space)
    return AskedOf(space, plans, made)
