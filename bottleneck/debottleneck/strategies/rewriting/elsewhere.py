"""What signal handlers and the script's own threads do beside a loop."""

from __future__ import annotations

import ast
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from debottleneck.agent.discover import is_own
from debottleneck.strategies.rewriting import known
from debottleneck.strategies.rewriting.bindings import names_in
from debottleneck.strategies.rewriting.callees import Callees
from debottleneck.strategies.rewriting.locations import (
    Effects,
    Location,
    is_shared,
    meet,
    owner_of,
    word,
)
from debottleneck.strategies.rewriting.plan import Reason, handed
from debottleneck.strategies.rewriting.values import Value, own_function


def effects_elsewhere() -> Effects:
    """What they read and change."""
    callees = Callees({}, {}, beside=True)
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler):
            _call(callees, handler, [])
    for thread in threading.enumerate():
        if thread is threading.current_thread():
            continue
        target = getattr(thread, "_target", None)
        if target is not None:
            _call(callees, target, [*getattr(thread, "_args", ())])
        elif own_function(type(thread).run):
            callees.invoke(type(thread).run, [Value.of(thread)], {})
    return callees.effects


def _call(callees: Callees, function: Any, given: list[Any]) -> None:
    if own_function(getattr(function, "__func__", function)):
        callees.call(Value.of(function), [*map(Value.of, given)], {})


def met_elsewhere(ahead: Effects, elsewhere: Effects) -> set[Location]:
    """What both use, and one of them changes."""
    met = meet(elsewhere.writes, ahead.touches)
    shared = {key for key, held in elsewhere.held.items() if is_shared(held)}
    return {at for at in met if at[0] not in shared}


class OtherThreads:
    """What other threads may still do, for a loop in one of the script's own."""

    def __init__(self) -> None:
        self.effects = effects_elsewhere()
        self._cells: set[str] = set()
        frames = sys._current_frames()
        frame = frames.get(threading.main_thread().ident or 0)
        if frame is not None:
            self.effects.add(effects_left(frame))
        for each in _frames(frame):
            code = each.f_code
            stored = {n for s in _left(each) for n in names_in(s, ast.Store)}
            self._cells |= stored & {*code.co_cellvars, *code.co_freevars}

    def met(self, effects: Effects) -> set[Location]:
        """What of some code they change, or the other way round."""
        theirs = self.effects
        found = meet(effects.touches, theirs.writes)
        found |= meet(effects.writes, theirs.touches)
        shared = {owner_of(held) for held in effects.held.values() if is_shared(held)}
        found = {at for at in found if at[0] not in shared}
        cells = {f"cell {name}" for name in self._cells}
        return found | {at for at in effects.touches if at[1] in cells}

    def word(self, met: set[Location], effects: Effects) -> Reason:
        """Why code that touches these stays where it is."""
        found = word(min(met, key=str), [effects])
        return Reason(f"another thread may change {found}", kept_to_one(found))


def kept_to_one(what: str) -> str:
    """The edit of what another thread may change."""
    return f"keep {what} to one thread"


def dangers(
    ahead: Effects, kept: frozenset[str], frame: FrameType, left: set[Location]
) -> Iterator[str]:
    """What might go wrong where a loop runs ahead, each with what would help."""
    yield ahead.bound
    met = met_elsewhere(ahead, effects_elsewhere())
    if met:
        found = word(min(met, key=str), [ahead])
        why = f"a signal handler or another thread may change {found}"
        yield Reason(why, kept_to_one(found))
    code = frame.f_code
    if kept & {*code.co_cellvars, *code.co_freevars}:
        name = min(kept)
        why = f"a function within the loop uses {name}, which the loop sets"
        yield Reason(why, handed(name))
    if left:
        found = word(min(left, key=str), [ahead])
        why = f"the loop may be left early, with {found} ahead of it"
        yield Reason(why, "let it end by itself, without `break`")


def effects_left(frame: FrameType, loop: int = 0) -> Effects:
    """What the user's functions that a thread is in may do from here on.

    Args:
        frame: The innermost one.
        loop: Line of a loop in it that is left out.
    """
    effects = Effects()
    for each in _frames(frame):
        space, local = each.f_globals, each.f_locals
        own = {} if local is space else {n: Value.of(v) for n, v in local.items()}
        callees = Callees(space, own, beside=True)
        for node in _left(each):
            if node.lineno != loop or each is not frame:
                callees.statement(node)
        effects.add(callees.effects)
    return effects


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Those of the user's code, the innermost first."""
    while frame is not None:
        if is_own(frame.f_code.co_filename, ""):
            yield frame
        frame = frame.f_back


def _left(frame: FrameType) -> list[ast.stmt]:
    """Statements of its code that may still run, as wholes."""
    return [
        node
        for node in known.body_of(frame.f_code)
        if (node.end_lineno or node.lineno) >= frame.f_lineno
    ]


def is_watched() -> bool:
    """Whether the script looks on at what its own thread runs."""
    return sys.gettrace() is not None or sys.getprofile() is not None
