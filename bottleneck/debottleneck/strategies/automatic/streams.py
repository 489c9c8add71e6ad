"""Loads that take the next thing from a source of their own: one thread ahead.

`next_batch(queue)` or `loader.__next__()` gives another result each time it is called
with the same arguments. One thread calls it ahead, in order; what it got is kept by
source until it is asked for, so that an order that changes loses nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from debottleneck.agent.calls import Call
from debottleneck.strategies.pools import Workers


class Stream:
    """One source: a thread of its own that stays at most `depth` results ahead.

    Args:
        make: Takes the next result from the source.
        depth: Most results ahead.
        what: Names the thread.
    """

    def __init__(self, make: Callable[[], Any], depth: int, what: str) -> None:
        self._make = make
        self._ready: deque[tuple[bool, Any]] = deque()
        self._changed = threading.Condition()
        self._depth = depth
        self._closed = False
        self._pool = Workers(1, what)
        self._pool.submit(self._run)

    def _run(self) -> None:
        while self._has_room():
            try:
                made = (True, self._make())
            except BaseException as error:  # noqa: BLE001 - carried over to the trainer
                made = (False, error)
            with self._changed:
                self._ready.append(made)
                self._changed.notify_all()
                if not made[0]:
                    return

    def _has_room(self) -> bool:
        with self._changed:
            while len(self._ready) >= self._depth and not self._closed:
                self._changed.wait()
            return not self._closed

    @property
    def ended(self) -> bool:
        """Whether all that is left is what the source raised."""
        with self._changed:
            return len(self._ready) == 1 and not self._ready[0][0]

    def take(self) -> Any:
        """The next result, or what the source raised instead, once."""
        with self._changed:
            while not self._ready:
                self._changed.wait()
            good, value = self._ready.popleft()
            self._changed.notify_all()
        if good:
            return value
        raise value

    def close(self) -> None:
        """Take nothing more from the source."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._pool.shutdown(wait=False, cancel_futures=True)


class Streams:
    """The streams of one function, by their arguments' identity.

    Args:
        function: Marks its stage, so that the thread shows as a loader.
        depth: Most results ahead of each source.
        what: Names the threads.
    """

    def __init__(self, function: Callable[..., Any], depth: int, what: str) -> None:
        self._function = function
        self._depth = depth
        self._what = what
        self._streams: dict[tuple[int, ...], tuple[Call, Stream]] = {}
        self.taken = 0

    def take(self, call: Call) -> Any:
        """The next result for these arguments."""
        key = tuple(id(value) for value in call.items().values())
        if key not in self._streams:
            make = lambda: self._function(*call.args, **call.kwargs)  # noqa: E731 - one line
            self._streams[key] = call, Stream(make, self._depth, self._what)
        stream = self._streams[key][1]
        self.taken += 1
        if stream.ended:
            del self._streams[key]
            stream.close()
        return stream.take()

    def close(self) -> None:
        """Stop all of them."""
        for _, stream in self._streams.values():
            stream.close()
        self._streams.clear()
