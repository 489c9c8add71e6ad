"""Where calls are made ahead: threads of this process, or forked processes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from copy import copy
from typing import Any

from debottleneck.agent.calls import Call, Place
from debottleneck.strategies.pools import Workers


class ThreadCaller:
    """Calls a function in threads of its own.

    Args:
        function: Marks its stage, so that the threads show as loaders.
        workers: Most calls at once.
        what: Names the threads.
    """

    def __init__(self, function: Callable[..., Any], workers: int, what: str) -> None:
        self._function = function
        self._pool = Workers(workers, what)
        self._replicas = Replicas()

    def submit(self, call: Call) -> Future[Any]:
        """Begin one call."""
        return self._pool.submit(self._made, call)

    def submit_all(self, calls: list[Call]) -> Future[list[Any]]:
        """Begin calls that one thread makes, up to the first that fails."""
        return self._pool.submit(up_to_failure, self._made, calls)

    def _made(self, call: Call) -> Any:
        mine = self._replicas.of(call)
        return self._function(*mine.args, **mine.kwargs)

    def close(self) -> None:
        """Drop what has not begun, wait for nothing."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._replicas.close()


class ProcessCaller:
    """Calls a function in forked processes; only the number that advances is sent.

    Everything else, the function included, is as it was at the fork.

    Args:
        function: Marks its stage.
        template: One call, whose other arguments are kept.
        place: Where the number goes.
        workers: Processes.
        what: Names them.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        template: Call,
        place: Place,
        workers: int,
        what: str,
    ) -> None:
        from debottleneck.strategies.process import Calls

        replicas = Replicas()

        def one(value: Any) -> Any:
            call = replicas.of(template.with_value(place, value))
            return function(*call.args, **call.kwargs)

        def made(values: list[Any], alone: bool) -> Any:
            return one(values[0]) if alone else up_to_failure(one, values)

        self._place = place
        self._calls = Calls(made, workers, what)

    def submit(self, call: Call) -> Future[Any]:
        """Begin one call."""
        return self._calls.submit(([call.items()[self._place]], True), {})

    def submit_all(self, calls: list[Call]) -> Future[list[Any]]:
        """Begin calls that one process makes, up to the first that fails."""
        values = [call.items()[self._place] for call in calls]
        return self._calls.submit((values, False), {})

    def close(self) -> None:
        """End the processes."""
        self._calls.close()


def up_to_failure(make: Callable[[Any], Any], calls: list[Any]) -> list[Any]:
    """Results of calls in a row; one that fails is made again where it belongs."""
    results: list[Any] = []
    for call in calls:
        try:
            results.append(make(call))
        except BaseException:  # noqa: BLE001 - the trainer's own call shows it
            break
    return results


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
    replica = copy(connection)
    replica.sock = None
    vars(replica).update(_idle_state(connection))
    return replica


def _idle_state(connection: Any) -> dict[str, Any]:
    """What `http.client` sets on a connection that carries no request."""
    names = {"_HTTPConnection__response": None, "_HTTPConnection__state": "Idle"}
    kept: dict[str, Any] = {n: v for n, v in names.items() if n in vars(connection)}
    return {**kept, "_buffer": []}
