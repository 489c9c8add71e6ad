"""Who wakes threads that wait for a queue, an event, a future, a barrier.

All of Python's own go through `Condition.notify`, which knows that somebody waits, but
not who: that is looked up in the threads' frames, now and then.
"""

from __future__ import annotations

import functools
import sys
from _thread import get_ident
from collections import Counter
from threading import Condition
from time import monotonic_ns

from debottleneck.agent import marks
from debottleneck.agent.patches import put
from debottleneck.agent.spool_writer import THREADS
from debottleneck.recording import spool

LOOK_EVERY_NS = 5_000_000
"""A look takes some microseconds: a thousandth of the time at most."""

SEEN = 5
"""So often one thread was seen to wake another before that is told: each thread that is
started wakes once who started it."""

_WAIT = Condition.wait.__code__


class Wakers:
    """Tells who wakes whom from now on."""

    def __init__(self) -> None:
        self._due = 0
        self._seen: Counter[tuple[int, int]] = Counter()

    def install(self) -> None:
        """Begin."""
        wakes = Condition.notify

        @functools.wraps(wakes)
        def notify(condition: Condition, n: int = 1) -> None:
            waits = getattr(condition, "_waiters", None)
            if waits and marks.recording() and monotonic_ns() >= self._due:
                self._look(condition)
            wakes(condition, n)

        put(Condition, "notify", notify)

    def _look(self, condition: Condition) -> None:
        """Note those that wait for it: this thread wakes them."""
        self._due, own = monotonic_ns() + LOOK_EVERY_NS, get_ident()
        for ident, frame in sys._current_frames().items():
            if frame.f_code is _WAIT and frame.f_locals.get("self") is condition:
                self._seen[own, ident] += 1
                if self._seen[own, ident] == SEEN:
                    tid, waiter = (_native_id(thread) for thread in (own, ident))
                    marks.note({"event": spool.WAKES, "tid": tid, "waiter": waiter})


def _native_id(ident: int) -> int:
    thread = THREADS.get(ident)
    return (thread.native_id or 0) if thread else 0
