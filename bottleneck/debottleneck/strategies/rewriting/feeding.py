"""Loops that feed the one that trains: in threads of the script's own, into a queue.

What leads to the `put` runs ahead of it. The `put` itself stays in the user's thread,
in order, and so does all that other threads hand over or may change. Every thread that
runs such a loop has its own plan and its own items.
"""

from __future__ import annotations

import ast
import atexit
import ctypes
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from types import FrameType
from typing import Any, TypeVar

from debottleneck.agent.dataflow import SCOPES
from debottleneck.agent.entries import LoopEntry
from debottleneck.errors import StrategyError
from debottleneck.strategies import pools, randomness
from debottleneck.strategies.rewriting.decide import Decision, decide
from debottleneck.strategies.rewriting.divide import Observation
from debottleneck.strategies.rewriting.elsewhere import OtherThreads, effects_left
from debottleneck.strategies.rewriting.entries import Rewriting
from debottleneck.strategies.rewriting.flatten import FlatLoop
from debottleneck.strategies.rewriting.locations import is_shared, owner_of
from debottleneck.strategies.rewriting.observe import Observed
from debottleneck.strategies.rewriting.plan import ACTS, DRAWN, NO_GAIN, Reason

T = TypeVar("T")

PUTS = {"put", "put_nowait", "append", "appendleft"}
"""Methods by which a thread hands something over, to a queue at least."""

BUSY_NS = 1_000_000
"""What runs ahead is on a core for so long, at least, if a process is to gain."""

UNBOUNDED = Reason(
    "nothing says how far it may be ahead of who takes from it",
    "give that queue a `maxsize`",
)
"""Why a thread that looks after something all the time is left as it is."""

SHARED_DRAWS = Reason(
    "it draws from a generator that all threads share",
    "give each thread a generator of its own",
)
"""Why such a line stays: when others draw is not known."""

_WAITS = ("Condition", "Semaphore", "BoundedSemaphore")

_TRAINING = "what comes of the training"

_closing = threading.Event()


class Fed(Rewriting):
    """What the copy of such a loop refers to."""

    def _decided(
        self, flat: FlatLoop, observed: Observed, frame: FrameType,
        besides: Mapping[str, Any],
    ) -> Decision:  # fmt: skip
        seen, beside, bounded = observed.seen(), OtherThreads(), flat.target is not None
        drawn = {owner_of(stream) for stream in randomness.streams()}
        for place, effects in enumerate(seen.effects):
            if any(owner in drawn for owner, _ in effects.touches):
                effects.bound = effects.bound or SHARED_DRAWS
            shared = {owner_of(one): one for one in effects.held.values()}
            shared = {
                key: one
                for key, one in shared.items()  # a lock only guards something
                if is_shared(one) and type(one).__name__ not in ("lock", "RLock")
            }
            handed = {at for at in effects.touches if at[0] in shared}
            met = beside.met(effects) | handed
            if met:
                effects.bound = effects.bound or beside.word(met, effects)
            if handed:  # a wait for the other side is no time of its own
                seen.ns[place] = min(seen.ns[place], seen.cpu_ns[place])
                bounded = bounded or any(_is_bounded(shared[at[0]]) for at in handed)
        left = {at[0] for at in effects_left(frame, self._point.plan.line).touches}
        point, settings = self._point, self._settings
        decision = decide(flat, seen, settings, point, frame, besides, left)
        return _of_thread(decision, seen, frame, left, "" if bounded else UNBOUNDED)


class Feeding(threading.local, Fed):
    """The same for each thread that runs the loop, by itself."""

    several = True
    judged = False
    ahead: Any = None  # what runs ahead of the thread

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        _made.append(vars(self))

    def ended(self, why: str) -> None:
        """It is not worth it, or not safe; at the interpreter's end nobody is told."""
        if _closing.is_set():
            assert self.decision is not None
            self.decision = self.decision.refused(why)
            return
        super().ended(why)

    def begin(self, make: Callable[[], T], *, apart: bool) -> T:
        """Run ahead from here on."""
        if _closing.is_set():
            raise StrategyError("the interpreter ends")
        if apart:
            from debottleneck.strategies import child  # noqa: F401 - ends before `close`

            atexit.unregister(close)
            atexit.register(close)
        made = self.ahead = make()
        return made


def _of_thread(
    decision: Decision, seen: Observation, frame: FrameType, left: set[Any], why: str
) -> Decision:
    """What the thread itself does not gain, the one that trains does: its GIL."""
    plan, stays = decision.plan, {*decision.division.stays}
    times = zip([*decision.flat.numbered, -1], seen.cpu_ns, strict=True)
    cpu_ns = sum(ns for number, ns in times if number not in stays)
    reason = plan.reason
    if _TRAINING in reason:
        reason = Reason(reason.replace(_TRAINING, "what other threads hand over"))
    if reason == NO_GAIN and plan.where == "process" and cpu_ns > BUSY_NS:
        reason = ACTS
    elif plan.where == "thread" and not plan.heavy:
        reason = reason or NO_GAIN  # a thread ahead of a thread
    own = {owner_of(value) for value in frame.f_locals.values()} - left
    drawn = plan.unwritten == DRAWN
    drawn = drawn and not all(owner_of(s) in own for s in decision.kept.streams)
    unwritten = "" if plan.unwritten == DRAWN and not drawn else plan.unwritten
    reason = Reason.first([reason, why])
    plan = replace(plan, reason=reason, feeds=True, unwritten=unwritten)
    return replace(decision, plan=plan)


def _is_bounded(value: Any) -> bool:
    """Whether a thread may have to wait there until others have taken something."""
    most = getattr(value, "maxsize", getattr(value, "_maxsize", 0))
    return most > 0 or type(value).__name__ in _WAITS


_made: list[dict[str, Any]] = []


def made() -> Iterator[tuple[Decision, int]]:
    """The plans of all threads, and how many items were made ahead by each."""
    for one in _made:
        if one.get("decision") is not None:
            yield one["decision"], one["fetched"]


def close() -> None:
    """The interpreter ends: threads of the script's that are left go on as written.

    Something of the script's may wait for them even now.
    """
    if _closing.is_set():
        return
    _closing.set()
    for one in _made:  # what they are in the midst of is never closed, by any thread
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))
        if one.get("ahead") is not None:
            one["ahead"].stop()


def feeds(run: LoopEntry) -> bool:
    """Whether a loop hands something over, in a thread of the script's own."""
    if threading.current_thread() is threading.main_thread() or pools.is_worker():
        return False
    flat = run.point.plan.flat
    if not isinstance(flat, FlatLoop):
        return False
    return any(_puts(line.node, PUTS) for line in flat.lines)


def _puts(node: ast.AST, methods: Collection[str]) -> bool:
    """Whether it hands something over, not within a `for` loop of its own."""
    if isinstance(node, (ast.For, *SCOPES)):
        return False
    called = node.func if isinstance(node, ast.Call) else None
    if isinstance(called, ast.Attribute) and called.attr in methods:
        return True
    return any(_puts(inner, methods) for inner in ast.iter_child_nodes(node))
