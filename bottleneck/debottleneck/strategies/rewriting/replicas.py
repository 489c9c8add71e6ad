"""Connections that only loads use, so that each worker may have one of its own.

An `http.client` connection carries one request at a time: loads that share it run one
after the other. Another one to the same place gives the same answers, if a request
says all that its answer depends on: if it changes nothing (RFC 9110, 9.2.1), is never
asked twice, and the first load gives the same again on another connection. In a worker
the script's own object stands for the worker's, wherever the script holds it. A load
that fails there is made again on the script's.
"""

from __future__ import annotations

import copy
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any

from debottleneck.agent.digests import Content
from debottleneck.errors import StrategyError
from debottleneck.strategies.rewriting.divide import Division, Observation
from debottleneck.strategies.rewriting.flatten import FlatLoop
from debottleneck.strategies.rewriting.locations import ALL, far, owner_of, reach

SENT = "http.client.send"
"""The interpreter's audit event of a request: the connection, its bytes."""

SAFE = ("GET", "HEAD")
"""Methods that change nothing."""

OWN = "each worker has a connection of its own"
"""Why the lines to keep are the user's to write."""

UNREAD = "a load leaves an answer unread"
_IDLE = {"_HTTPConnection__response": None, "_HTTPConnection__state": "Idle"}
_WRONG = 400
_OF_HTTPS = {"_context", "key_file", "cert_file"}

Load = Callable[[list[Any], Any], None]


def asks(data: Any) -> bool:
    """Whether bytes that were sent are a request that changes nothing."""
    return isinstance(data, bytes) and data.partition(b" ")[0].decode() in SAFE


def renewable(value: Any) -> bool:
    """Whether it is an idle connection of which another can be made."""
    client: Any = sys.modules.get("http.client")
    kinds = (client.HTTPConnection, getattr(client, "HTTPSConnection", None))
    if type(value) not in kinds or value._create_connection != socket.create_connection:
        return False
    held, plain = vars(value), vars(client.HTTPConnection("localhost"))
    if not held.keys() <= plain.keys() | _OF_HTTPS or value.source_address:
        return False
    there = value.sock is None or value.sock.getpeername()[1] == value.port
    return bool(there and _is_idle(value) and value.auto_open and not value.debuglevel)


def renewed(
    seen: Observation,
    flat: FlatLoop,
    frame: FrameType,
    divided: Callable[[Observation], tuple[Division, Any]],
) -> tuple[Observation, Replicas]:
    """What was seen, as if connections were new each time; of those, or of none."""
    numbers, connections, plain = [*flat.numbered, -1], list[Any](), seen
    for one in seen.connections:
        owners = {owner_of(held) for held in reach(one)}
        other = replace(seen, fresh=seen.fresh | owners)
        touched = [effects.touches for effects in seen.effects]
        users = {
            number
            for number, places in zip(numbers, touched, strict=True)
            if not owners.isdisjoint(owner for owner, _ in places)
        }
        written = set[Any]().union(*(effects.writes for effects in seen.effects))
        named = any(at == owner_of(one) and name != ALL for at, name in written)
        if not named and users <= {*divided(other)[0].heavy}:
            seen = other
            connections.append(one)
    replicas = Replicas(connections)
    return (seen, replicas) if replicas.are_those_of(frame) else (plain, Replicas())


def _is_idle(connection: Any) -> bool:
    response, state = (vars(connection)[name] for name in _IDLE)
    return state == "Idle" and (response is None or response.isclosed())


class Replicas:
    """What each worker has of its own, while a loop runs ahead.

    Attributes:
        differs: Why workers must not have their own, "" as far as is known.
    """

    def __init__(self, shared: Sequence[Any] = ()) -> None:
        self.differs = ""
        self._shared = [(each, type(each)) for each in shared]
        self._standing = [_standing(type(each), self._own) for each in shared]
        self._mine = threading.local()
        self._made: list[Any] = []
        self._active, self._over = 0, True
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._shared)

    def are_those_of(self, frame: FrameType) -> bool:
        """Whether a loop, by its names, gets at these and at no others."""
        kind = getattr(sys.modules.get("http.client"), "HTTPConnection", ())
        names = [*frame.f_locals.values(), *frame.f_globals.values()] if self else []
        there = {id(o) for v in names for o in far(v) if isinstance(o, kind)}
        return there == {id(shared) for shared, _ in self._shared}

    def around(self, load: Load) -> Load:
        """A load on what is its worker's own.

        Raises:
            StrategyError: It fails there, whatever it does on the script's; or one
                of the script's carries a request.
        """
        if not self:
            return load
        if not all(_is_idle(shared) for shared, _ in self._shared):
            raise StrategyError(UNREAD)
        with self._lock:
            self._over = False
        for (shared, _), kind in zip(self._shared, self._standing, strict=True):
            shared.close()  # the server would, in time; it opens again when it is used
            shared.__class__ = kind

        def on_its_own(values: list[Any], carry: Any) -> None:
            with self._working():
                load(values, carry)

        return on_its_own

    def tried(self, load: Load) -> Load:
        """A load, and the same once more on other connections."""

        def twice(values: list[Any], carry: Any) -> None:
            try:
                again = copy.deepcopy((values, carry))
            except Exception as error:  # noqa: BLE001 - a user's object
                again = [], None
                self.differs = f"{type(error).__name__}: {error}"
            load(values, carry)
            if self.differs:
                return
            try:
                self.around(load)(*again)
                pair = [Content().add(each).fields() for each in (values, again[0])]
                if pair[0] != pair[1]:
                    self.differs = "a load gives another result on another connection"
            except StrategyError as error:
                self.differs = str(error)
            finally:
                self.close()

        return twice if self else load

    def close(self) -> None:
        """The script's connections are themselves again, once no load runs."""
        self._over = True
        self._settle()

    def _settle(self) -> None:
        with self._lock:
            if not self._over or self._active:
                return
            made, self._made = self._made, []
            self._mine = threading.local()
            for shared, kind in self._shared:
                shared.__class__ = kind
        for each in made:
            each.close()

    def _own(self, shared: Any) -> Any:
        """What an object stands for in this thread."""
        return getattr(self._mine, "own", {}).get(id(shared), shared)

    @contextmanager
    def _working(self) -> Iterator[None]:
        with self._lock:
            self._active += 1
        mine = self._mine
        if not hasattr(mine, "made"):
            mine.made = {id(s): _again(s, kind, mine) for s, kind in self._shared}
            self._made += mine.made.values()
        mine.own, mine.wrong = mine.made, ""
        try:
            yield
            if not all(map(_is_idle, mine.made.values())):
                mine.wrong = UNREAD
        except Exception as error:  # noqa: BLE001 - made again, where it is as written
            mine.wrong = mine.wrong or f"{type(error).__name__}: {error}"
        finally:
            mine.own = {}
            with self._lock:
                self._active -= 1
            self._settle()
        if mine.wrong:
            raise StrategyError(f"on a connection of its own {mine.wrong}")


def _standing(kind: type, own: Callable[[Any], Any]) -> type:
    """A class whose instances are what they stand for."""

    def get(self: Any, name: str) -> Any:
        return object.__getattribute__(own(self), name)

    def put(self: Any, name: str, value: Any) -> None:
        object.__setattr__(own(self), name, value)

    names = {"__getattribute__": get, "__setattr__": put, "__module__": kind.__module__}
    return type(kind.__name__, (kind,), names)


def _again(shared: Any, kind: Any, mine: Any) -> Any:
    """A connection to the same place, not yet opened; what it must not do it tells."""
    made = kind.__new__(kind)
    vars(made).update(vars(shared) | _IDLE | {"sock": None, "_buffer": []})

    def putrequest(method: str, *given: Any, **named: Any) -> None:
        if method not in SAFE:
            mine.wrong = f"a load would send {method}"
            raise StrategyError(mine.wrong)
        kind.putrequest(made, method, *given, **named)

    def getresponse() -> Any:
        response = kind.getresponse(made)
        if response.status >= _WRONG:
            mine.wrong = f"the server answered {response.status}"
        return response

    made.putrequest, made.getresponse = putrequest, getresponse
    return made
