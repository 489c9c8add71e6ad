"""Arguments that two threads may not use at once: each worker gets its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import Any

from debottleneck.agent.calls import Call


class Replicas:
    """A worker's own copy of each connection among a call's arguments.

    `http.client`'s connections carry one request at a time; a fresh one to the same
    host gives the same answers. Everything else is shared as it is.
    """

    def __init__(self) -> None:
        self._local = threading.local()
        self._all: list[Any] = []
        self._lock = threading.Lock()

    def of(self, call: Call) -> Call:
        """The call with this thread's replicas in place."""
        if not needs_replicas(call):
            return call
        kind = sys.modules["http.client"].HTTPConnection
        args = tuple(self._own(v) if isinstance(v, kind) else v for v in call.args)
        kwargs: Mapping[str, Any] = {
            k: self._own(v) if isinstance(v, kind) else v
            for k, v in call.kwargs.items()
        }
        return Call(args, kwargs)

    def _own(self, connection: Any) -> Any:
        known: dict[int, Any] = self._local.__dict__.setdefault("known", {})
        replica = known.get(id(connection))
        if replica is None:
            replica = _fresh(connection)
            known[id(connection)] = replica
            with self._lock:
                self._all.append(replica)
        return replica

    def close(self) -> None:
        """Close every replica."""
        with self._lock:
            for replica in self._all:
                replica.close()
            self._all.clear()


def needs_replicas(call: Call) -> bool:
    """Whether an argument is a connection that two threads may not use at once."""
    http = sys.modules.get("http.client")
    if http is None:
        return False
    return any(isinstance(v, http.HTTPConnection) for v in call.items().values())


def _fresh(connection: Any) -> Any:
    """A connection to the same place with the same settings, not yet opened."""
    from copy import copy

    replica = copy(connection)
    replica.sock = None
    vars(replica).update(_idle_state(connection))
    return replica


def _idle_state(connection: Any) -> dict[str, Any]:
    """What `http.client` sets on a connection that carries no request."""
    names = {"_HTTPConnection__response": None, "_HTTPConnection__state": "Idle"}
    kept: dict[str, Any] = {n: v for n, v in names.items() if n in vars(connection)}
    return {**kept, "_buffer": []}
