"""Run a loader in a process of its own: the way out when it holds the GIL.

`Items` streams what an iterable gives, `Calls` makes single calls. Both fork (see
`child`), so that what they run need not be pickled; what it returns comes through
shared memory (see `transport`).
"""

from __future__ import annotations

import pickle
import threading
import traceback
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from debottleneck.errors import StrategyError
from debottleneck.strategies import randomness
from debottleneck.strategies.child import Child
from debottleneck.strategies.standstill import waits
from debottleneck.strategies.transport import End, Gone, Receiver, Sender
from debottleneck.strategies.warned import keep, show

T = TypeVar("T")

MOST_READY = 64
"""Items that may be asked for and not taken."""

_NEXT = pickle.dumps(((), {}))


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

    Raises:
        StrategyError: No process can be started.
    """

    def __init__(
        self, make: Callable[[], Iterable[T]], *, depth: int, name: str = "loader"
    ) -> None:
        streams = randomness.streams(make)
        self._source = _Source(streams)
        self._child = Child(partial(_stream, make, streams), name)
        self._receiver = Receiver(self._child.connection)
        self._lock = threading.Lock()
        self._ended = False
        self._end = weakref.finalize(self, _end, self._child, self._source)
        self._end.atexit = False  # the child's module ends all of them at once
        for _ in range(min(depth, MOST_READY) + 1):
            self._ask()

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
                good, value, states, warned = self._receiver.receive()
            except Gone:
                self._fail()
            except BaseException:  # raised again: the child is not left behind
                self._finish()
                raise
            self._source.told(states)
            if good:
                self._ask()
            else:
                self._finish()
        show(warned)
        if good:
            return value  # type: ignore[no-any-return] # what `make` gives
        raise received(value)

    def close(self) -> None:
        """End the process; what it had ready is dropped."""
        self._end()
        with self._lock:
            self._finish()

    def _ask(self) -> None:
        with suppress(OSError):  # it has died: to be seen where its answer is received
            self._receiver.ask(_NEXT)

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

    def told(self, states: randomness.States) -> None:
        for index, state in enumerate(states):
            if state is not None:
                self._after[index] = state

    def take_over(self) -> None:
        randomness.take_over(self._streams, tuple(self._after), self._before)


def _end(child: Child, source: _Source) -> None:
    child.end()
    source.take_over()


def _stream(
    make: Callable[[], Iterable[Any]], streams: Sequence[Any], connection: End
) -> None:
    """The child's part: send item after item, as they are asked for."""
    with closing(_begun(make)) as items:
        _serve(items.__next__, connection, randomness.Draws(streams).news)


def _begun(make: Callable[[], Iterable[T]]) -> Generator[T, Any, None]:
    yield from make()


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
        self._idle: SimpleQueue[tuple[Child, Receiver]] = SimpleQueue()
        children: list[Child] = []
        self._end = weakref.finalize(self, _end_all, children)
        self._end.atexit = False
        try:
            for number in range(workers):
                children.append(Child(partial(_answer, function, number), name))
        except BaseException:  # raised again: those begun are not left behind
            self._end()
            raise
        for child in children:
            self._idle.put((child, Receiver(child.connection)))

    @waits
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`function(*args, **kwargs)` in a process that is idle, as soon as one is.

        Raises:
            StrategyError: The arguments or the result cannot be sent, the process
                died, or all were closed.
            BaseException: What the call raised.
        """
        ends = self._idle.get()
        try:
            return _asked(*ends, (args, kwargs))
        finally:
            self._idle.put(ends)

    def close(self) -> None:
        """End the processes; calls under way, and later ones, fail."""
        self._end()


def _end_all(children: list[Child]) -> None:
    for child in children:
        child.end(0)


def _asked(child: Child, receiver: Receiver, arguments: object) -> Any:
    try:
        request = pickle.dumps(arguments, protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise StrategyError(
            f"the arguments cannot go to another process: {error}",
            "stay with threads: where='thread'",
        ) from error
    try:
        receiver.ask(request)
        good, value, _, warned = receiver.receive()
    except (Gone, OSError):
        raise died(child.name, child.why()) from None
    show(warned)
    if not good:
        raise received(value)
    return value


def _answer(function: Callable[..., Any], number: int, connection: End) -> None:
    """The child's part: make call after call."""
    randomness.part_ways(number)
    _serve(function, connection, tuple)


def _serve(
    function: Callable[..., Any],
    connection: End,
    news: Callable[[], randomness.States],
) -> None:
    """Answer requests in their order: what a call gives or raises, and the news."""
    sender, warned = Sender(connection), keep()
    while True:
        args, kwargs = pickle.loads(sender.listen())
        try:
            sender.send((True, function(*args, **kwargs), news(), warned()))
        except Gone:
            raise
        except BaseException as error:  # noqa: BLE001 - raised in the parent
            sender.send((False, carried(error), news(), warned()))


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
