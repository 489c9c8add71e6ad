"""Run a loader in a process of its own: the way out when it holds the GIL.

`Items` streams what an iterable gives, `Calls` makes single calls. Both fork (see
`child`), so that what they run need not be pickled; what it returns comes through
shared memory (see `transport`).
"""

from __future__ import annotations

import functools
import pickle
import threading
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from debottleneck.errors import StrategyError
from debottleneck.strategies import randomness
from debottleneck.strategies.child import Child, End
from debottleneck.strategies.standstill import waits
from debottleneck.strategies.transport import Gone, Receiver, Sender

T = TypeVar("T")

ITEM, LAST, ERROR = range(3)
"""Kinds of what a child sends."""


class Remote(Exception):
    """The traceback of an exception as it was in the other process; its cause here."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._text = text

    def __str__(self) -> str:
        return f'\n"""\n{self._text}"""'


class Items(Iterator[T], Generic[T]):
    """What `make()` gives, made in order by a process of its own.

    What the child raises comes at its place, once. `close`, the end of the items, the
    last reference and the interpreter's end each end the process.

    Args:
        make: Called in the child.
        depth: Most items that are ready; the child works on one more.
        name: For messages.

    Raises:
        StrategyError: No process can be started.
    """

    def __init__(
        self, make: Callable[[], Iterable[T]], *, depth: int, name: str = "loader"
    ) -> None:
        streams = randomness.streams(make)
        self._source = _Source(streams)
        self._child = Child(functools.partial(_stream, make, depth, streams), name)
        self._receiver = Receiver(self._child.connection)
        self._lock = threading.Lock()
        self._ended = False
        self._end = weakref.finalize(self, _end, self._child, self._source)
        self._end.atexit = False  # the child's module ends all of them at once

    def __iter__(self) -> Items[T]:
        return self

    def __next__(self) -> T:
        """The next item.

        Raises:
            StrategyError: The child has died.
        """
        with self._lock:
            if self._ended:
                raise StopIteration
            try:
                kind, (value, states) = self._receiver.receive()
            except Gone:
                self._fail()
            except BaseException:  # raised again: the child is not left behind
                self._finish()
                raise
            self._source.told(states)
            if kind == ITEM:
                return value  # type: ignore[no-any-return] # what `make` gives
            self._finish()
        if kind == ERROR:
            raise received(value)
        raise StopIteration

    def close(self) -> None:
        """End the process; what it had ready is dropped."""
        self._end()
        with self._lock:
            self._finish()

    def _finish(self) -> None:
        self._ended = True
        self._end()

    def _fail(self) -> None:
        """The connection has ended: closed by another thread, or the child died."""
        closed = not self._end.alive
        how = "" if closed else self._child.why()
        self._finish()
        if closed:
            raise StopIteration
        raise died(self._child.name, how)


class _Source:
    """The random streams of a source, and where the items received have left them."""

    def __init__(self, streams: Sequence[Any]) -> None:
        self._streams = streams
        self._before = randomness.states(streams)
        self._after: list[bytes | None] = [None] * len(streams)

    def told(self, states: randomness.States | None) -> None:
        for index, state in enumerate(states or ()):
            if state is not None:
                self._after[index] = state

    def take_over(self) -> None:
        randomness.take_over(self._streams, tuple(self._after), self._before)


def _end(child: Child, source: _Source) -> None:
    child.end()
    source.take_over()


def _stream(
    make: Callable[[], Iterable[Any]],
    depth: int,
    streams: Sequence[Any],
    connection: End,
) -> None:
    """The child's part: send item after item."""
    sender = Sender(connection, depth)
    draws = randomness.Draws(streams)
    items: Iterable[Any] = ()
    try:
        items = iter(make())
        for item in items:
            sender.send(ITEM, (item, draws.news()))
    except Gone:
        close = getattr(items, "close", None)
        if close is not None:
            close()
        raise
    except BaseException as error:  # noqa: BLE001 - raised in the parent
        sender.tell(ERROR, (carried(error), draws.news()))
    else:
        sender.tell(LAST, (None, draws.news()))


class Calls:
    """A function that forked processes make the calls of, each one at a time.

    Each process draws other numbers from the global random streams than its siblings.

    Args:
        function: Called in the children; it is as it was when they were forked.
        workers: Processes.
        name: For messages.

    Raises:
        StrategyError: No process can be started.
    """

    def __init__(
        self, function: Callable[..., Any], workers: int, name: str = "calls"
    ) -> None:
        self._idle: SimpleQueue[_Server] = SimpleQueue()
        servers: list[_Server] = []
        self._end = weakref.finalize(self, _end_servers, servers)
        self._end.atexit = False
        try:
            for number in range(workers):
                servers.append(_Server(function, number, name))
        except BaseException:  # raised again: those begun are not left behind
            self._end()
            raise
        for server in servers:
            self._idle.put(server)

    @waits
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`function(*args, **kwargs)` in a process that is idle, as soon as one is.

        Raises:
            StrategyError: The arguments or the result cannot be sent, the process
                died, or all were closed.
            BaseException: What the call raised.
        """
        server = self._idle.get()
        try:
            return server.call(args, kwargs)
        finally:
            self._idle.put(server)

    def close(self) -> None:
        """End the processes; calls under way, and later ones, fail."""
        self._end()


class _Server:
    """One child that answers calls, one at a time."""

    def __init__(self, function: Callable[..., Any], number: int, name: str) -> None:
        self.child = Child(functools.partial(_serve, function, number), name)
        self._receiver = Receiver(self.child.connection)

    def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        try:
            request = pickle.dumps((args, dict(kwargs)), protocol=5)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise StrategyError(
                f"the arguments cannot go to another process: {error}",
                "stay with threads: where='thread'",
            ) from error
        try:
            self._receiver.reply(request)
            kind, value = self._receiver.receive()
        except Gone:
            raise died(self.child.name, self.child.why()) from None
        if kind == ERROR:
            raise received(value)
        return value


def _end_servers(servers: list[_Server]) -> None:
    for server in servers:
        server.child.end(0)


def _serve(function: Callable[..., Any], number: int, connection: End) -> None:
    """The child's part: answer call after call."""
    randomness.part_ways(number)
    sender = Sender(connection, depth=1)
    while True:
        args, kwargs = pickle.loads(sender.listen())
        try:
            result = function(*args, **kwargs)
            sender.send(ITEM, result)
        except Gone:
            raise
        except BaseException as error:  # noqa: BLE001 - raised in the parent
            sender.tell(ERROR, carried(error))


def carried(error: BaseException) -> tuple[bytes, str, str]:
    """An exception as it travels: pickled or b"", in words, its traceback's text."""
    text = "".join(traceback.format_exception(error))
    words = f"{type(error).__qualname__}: {error}"
    try:
        pickled = pickle.dumps(error)
        pickle.loads(pickled)
    except BaseException:  # noqa: BLE001 - a user's exception may do anything here
        return b"", words, text
    return pickled, words, text


def received(message: tuple[bytes, str, str]) -> BaseException:
    """The exception again, its own traceback's text as its cause.

    One that cannot be pickled becomes a RuntimeError of the same words.
    """
    pickled, words, text = message
    error: BaseException = pickle.loads(pickled) if pickled else RuntimeError(words)
    error.__cause__ = Remote(text)
    return error


def died(name: str, how: str) -> StrategyError:
    """What to say when a child is gone before its time."""
    return StrategyError(
        f"the process of {name} {how}",
        "see what it printed; where='thread' runs the same in this process",
    )
