"""What signal handlers and the script's own threads do beside a loop."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

from debottleneck.strategies.rewriting.callees import Callees
from debottleneck.strategies.rewriting.locations import (
    Effects,
    Location,
    is_shared,
    meet,
)
from debottleneck.strategies.rewriting.values import Value, own_function


def effects_elsewhere() -> Effects:
    """What they read and change."""
    callees = Callees({}, {})
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler):
            _call(callees, handler, [])
    for thread in threading.enumerate():
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


def is_watched() -> bool:
    """Whether the script looks on at what its own thread runs."""
    return sys.gettrace() is not None or sys.getprofile() is not None
