"""What a prefetch takes batches from: an iterator, or anything with an index."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, TypeVar

from debottleneck.strategies.torch_context import captured

S = TypeVar("S")
T = TypeVar("T")


class Source(Generic[T]):
    """Hands out calls, each of which gets one batch on some thread.

    They run with the context variables and PyTorch settings (gradients, autocast) of
    the thread that made the source. A call raises `StopIteration` where the sequence
    ends.
    """

    def __init__(self) -> None:
        self._context, self._settings = copy_context(), captured()
        self._stopped = False

    def next_call(self) -> Callable[[], T] | None:
        """The call for the next position; None when there is none."""
        raise NotImplementedError

    def give_back(self) -> None:
        """The last call handed out will not be made."""

    def go_on(self) -> None:
        """What a call raised has been raised to the consumer, too."""

    def stop(self) -> None:
        """Calls handed out get nothing from now on; takes no lock."""
        self._stopped = True


class Pulled(Source[T]):
    """An iterator. Its calls must be made one after the other.

    After a call that raised, calls pull nothing until `go_on`: what lies beyond a
    failure is pulled only when it is asked for.
    """

    def __init__(self, iterator: Iterator[T]) -> None:
        super().__init__()
        self._iterator = iterator
        self._failures = self._seen = 0

    def next_call(self) -> Callable[[], T]:
        """The next pull."""
        return partial(self._pull, self._seen)

    def go_on(self) -> None:
        """Calls handed out from now on pull again."""
        self._seen = self._failures

    def _pull(self, seen: int) -> T:
        if self._stopped or seen != self._failures:
            raise StopIteration
        try:
            with self._settings():
                return self._context.run(next, self._iterator)
        except BaseException:
            self._failures += 1
            raise


class Loaded(Source[T], Generic[S, T]):
    """`load(item)` of each item of an iterator; the calls may be made at once.

    One call after the other takes an item; any failure is the end.

    Args:
        items: Pulled in order.
        load: A function of an item.
        ends: What it raises where the sequence ends.
        length: How many items there are, where that is known.
    """

    def __init__(
        self,
        items: Iterator[S],
        load: Callable[[S], T],
        ends: tuple[type[Exception], ...] = (),
        length: int = sys.maxsize,
    ) -> None:
        super().__init__()
        self._items, self._load = items, load
        self._ends, self._length = ends, length
        self._turns = threading.Condition()
        self._next = self._turn = 0

    def next_call(self) -> Callable[[], T] | None:
        """The load of the next item."""
        if self._stopped or self._next >= self._length:
            return None
        self._next += 1
        return partial(self._get, self._next - 1)

    def give_back(self) -> None:
        """The last turn is handed out again."""
        self._next -= 1

    def _get(self, turn: int) -> T:
        try:
            with self._settings():
                item = self._take(turn)
                return self._context.copy().run(self._loaded, item)
        except BaseException:
            self._stopped = True
            with self._turns:  # also where `stop` came first: it wakes nobody
                self._turns.notify_all()
            raise

    def _take(self, turn: int) -> S:
        """The item of that turn; calls begin in order, so the one before comes."""
        with self._turns:
            self._turns.wait_for(lambda: self._turn == turn or self._stopped)
            if self._stopped:
                raise StopIteration
            item = self._context.run(next, self._items)
            self._turn += 1
            self._turns.notify_all()
            return item

    def _loaded(self, item: S) -> T:
        try:
            return self._load(item)
        except self._ends:
            raise StopIteration from None
        except StopIteration as error:  # it would pass for the end of the items
            raise RuntimeError("load raised StopIteration") from error


def fetched(fetch: Callable[[int], T], length: int | None) -> Loaded[int, T]:
    """`fetch(0)`, `fetch(1)` ..., up to its length or where it raises IndexError."""
    count = sys.maxsize if length is None else length
    return Loaded(iter(range(count)), fetch, (IndexError, StopIteration), count)


def is_indexed(source: object) -> bool:
    """Whether positions of it can be fetched concurrently, as `source[i]`.

    True for known sequences, and for objects with `__getitem__` but no `__iter__`,
    such as PyTorch's map-style datasets.
    """
    kind = type(source)
    if kind in (list, tuple, range) or _is_array(source):
        return True
    own = getattr(kind, "__iter__", None)
    return hasattr(kind, "__getitem__") and own in (None, Sequence.__iter__)


def is_one_pass(source: object) -> bool:
    """Whether it is an iterator that goes on where it was, as generators do.

    Loaders that are their own iterator often start anew in `__iter__`; one that does
    more there than `return self` is taken for such.
    """
    kind = type(source)
    if not (hasattr(kind, "__next__") and hasattr(kind, "__iter__")):
        return False
    begin: Any = inspect.unwrap(kind.__iter__)
    code = getattr(begin, "__code__", None)
    return code is None or code.co_code == _returns_itself.__code__.co_code


def is_function(source: object) -> bool:
    """Whether it can only be called."""
    kind = type(source)
    others = hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")
    return callable(source) and not others


def length_of(source: object) -> int | None:
    """`len(source)`, or None where it has none."""
    if not hasattr(type(source), "__len__"):
        return None
    try:
        return len(source)  # type: ignore[arg-type]
    except TypeError:  # declared, but not to be had: an IterableDataset's loader
        return None


def _returns_itself(itself: T) -> T:
    return itself


def _is_array(source: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(source, numpy.ndarray) and source.ndim > 0
