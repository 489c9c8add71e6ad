"""Forks made while no other thread computes.

Libraries that compute on threads of their own (OpenBLAS, OpenMP) end these before a
fork and begin them anew: in the midst of their work that never ends. So threads in
loops of ours wait between two items while another one forks, and all others must be
seen to wait for something, too.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import warnings
from collections.abc import Callable
from operator import attrgetter, call, eq
from time import monotonic, sleep
from types import CodeType, FrameType
from typing import Any, TypeVar

from debottleneck.errors import StrategyError

C = TypeVar("C", bound=Callable[..., Any])

PATIENCE_S = 2.0
"""How long to wait until all others stand still."""

_NAP_S = 0.001

_WAITING = {
    "multiprocessing.connection", "selectors", "socket", "ssl", "subprocess",
    "threading",
}  # fmt: skip
"""Modules whose functions, but for `run`, call nothing in C that computes."""

_waiting: set[CodeType] = set()
_go_on = threading.Event()
_go_on.set()
_turns = threading.Lock()


_ABOUT_THREADS = (
    "ignore", re.compile(".*multi-threaded"), DeprecationWarning,
    re.compile(re.escape(__name__)), 0,
)  # fmt: skip


def waits(function: C) -> C:
    """Mark a function: all that it calls itself in C is to wait for something."""
    _waiting.add(function.__code__)
    return function


def pause() -> None:
    """Between two items of a loop: wait while another thread forks."""
    if not _go_on.is_set():
        _go_on.wait()


def fork() -> int:
    """`os.fork()`, as soon as all others stand still; one thread at a time.

    Raises:
        OSError: No process can be started.
        StrategyError: Another thread goes on to compute.
    """
    turn = _turns
    _take(turn)
    until = monotonic() + PATIENCE_S
    _go_on.clear()
    # Python 3.12 and later warn of locks that other threads hold at a fork: these wait.
    # Put in by hand: `filterwarnings` makes Python forget which warnings it has shown.
    filters: Any = warnings.filters
    filters.insert(0, _ABOUT_THREADS)
    try:
        while (pid := _forked_now()) is None:
            if monotonic() > until:
                raise StrategyError(
                    "no process could be started safely: other threads compute",
                    "use where='thread'",
                )
            sleep(_NAP_S)
        return pid
    finally:
        filters.remove(_ABOUT_THREADS)
        _go_on.set()
        turn.release()


@waits
def _take(turn: threading.Lock) -> None:
    turn.acquire()


def _forked_now() -> int | None:
    """The fork, if all others stand still now."""
    frames = _others()
    where = [frame.f_lasti for frame in frames]
    if not all(map(_stands, frames)):
        return None
    if _others() != frames:
        return None
    # A thread goes on only with the GIL. No bytecode runs, and so it is not given up,
    # between the last look at where they are and the fork.
    still = map(all, [map(eq, map(attrgetter("f_lasti"), frames), where)])
    return next(map(call, map([_not_now, os.fork].__getitem__, still)))


def _not_now() -> None:
    """Somebody has gone on."""


def _others() -> list[FrameType]:
    here = threading.get_ident()
    return [frame for one, frame in sys._current_frames().items() if one != here]


def _stands(frame: FrameType) -> bool:
    code = frame.f_code
    if code in _waiting:
        return True
    return frame.f_globals.get("__name__") in _WAITING and code.co_name != "run"


def _renew() -> None:
    global _go_on, _turns
    _go_on, _turns = threading.Event(), threading.Lock()
    _go_on.set()


os.register_at_fork(after_in_child=_renew)
