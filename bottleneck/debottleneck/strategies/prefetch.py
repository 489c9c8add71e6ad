"""`prefetch`: fetch the next batches while the trainer works on this one."""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import getitem
from typing import (
    Any,
    Generic,
    Literal,
    Protocol,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from debottleneck.strategies.adaptive import Adaptive
from debottleneck.strategies.blas import cores
from debottleneck.strategies.spec import AUTO
from debottleneck.strategies.window import Batches, Closing, Source

S = TypeVar("S")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Indexed(Protocol[T_co]):
    """Something that gives an item for a position."""

    def __getitem__(self, index: Any, /) -> T_co: ...


class How(TypedDict, total=False):
    """Settings of `prefetch` that go with any source."""

    workers: int | Literal["auto"]
    depth: int
    where: str


@overload
def prefetch(  # type: ignore[overload-overlap]  # an iterator is an iterable too
    source: Iterator[T], **how: Unpack[How]
) -> Iteration[T]: ...


@overload
def prefetch(  # type: ignore[overload-overlap]  # likewise
    source: Iterator[S], load: Callable[[S], T], **how: Unpack[How]
) -> Iteration[T]: ...


@overload
def prefetch(
    source: Iterable[S], load: Callable[[S], T], **how: Unpack[How]
) -> Prefetch[T]: ...


@overload
def prefetch(
    source: Iterable[T] | Indexed[T] | Callable[[int], T],
    load: None = None,
    *,
    count: int | None = None,
    **how: Unpack[How],
) -> Prefetch[T]: ...


def prefetch(
    source: Any,
    load: Callable[[Any], T] | None = None,
    *,
    workers: int | Literal["auto"] = 1,
    depth: int = 2,
    where: str = "thread",
    count: int | None = None,
) -> Prefetch[T] | Iteration[T]:
    """Iterate with the next batches fetched in the background, exceptions in place.

    Args:
        source: What the loop runs over. `workers` positions at once are fetched of

            * a sequence, or an object with `__getitem__` but no `__iter__`, such as a
              PyTorch dataset: up to its length or the first IndexError;
            * a function of a position: `source(0)`, `source(1)` ..., likewise.

            One thread, whatever `workers` is, pulls in order

            * any other iterable, such as a DataLoader: anew for each loop;
            * an iterator, such as a generator. What was fetched of it but not asked
              for is lost when the loop is left.
        load: Called with each item of `source`, `workers` at once, for the batch: the
            source, any iterable, says in order what to load. With `where="process"`
            only this runs elsewhere, in a process for each worker, on copies.
        workers: Threads that fetch, that is batches under way at once; "auto" finds
            the smallest number that keeps the loop fed.
        depth: Most batches to hold beyond those.
        where: "thread", or "process": the threads run in a process of their own, for
            sources that keep the GIL from the trainer. An exception is the end there.
        count: How many batches, where the source is a function.

    Returns:
        An iterable, as often as the source is; an iterator for an iterator. Both have
        `close()` and `with`; dropped they leave no thread behind either.

    Raises:
        TypeError: The source is none of these.
        ValueError: A number is too small, or a word unknown.
    """
    asked = _Asked(source, load, workers, depth, where, count)
    return asked.begun(Adaptive(depth)) if _is_one_pass(source) else Prefetch(asked)


@dataclass(frozen=True)
class _Asked:
    """What `prefetch` was asked for, checked."""

    source: Any
    load: Callable[[Any], Any] | None
    workers: int | str
    depth: int
    where: str
    count: int | None

    def __post_init__(self) -> None:
        for name in ("workers", "depth"):
            value = getattr(self, name)
            if (name, value) != ("workers", AUTO) and not _is_count(value):
                words = ' or "auto"' if name == "workers" else ""
                raise ValueError(f"{name} is a number from 1 on{words}, not {value!r}")
        if self.where not in ("thread", "process"):
            raise ValueError(f'where is "thread" or "process", not {self.where!r}')
        iterable = hasattr(type(self.source), "__iter__")
        if self.load is not None and (self.count is not None or not iterable):
            raise TypeError("load= takes items of an iterable, without count=")
        if self.count is not None and not is_function(self.source):
            raise TypeError(
                "count= is for functions of a position; a slice limits others"
            )
        if not (iterable or is_function(self.source) or _is_indexed(self.source)):
            kind = _kind(self.source)
            raise TypeError(f"an object of type {kind} cannot be iterated over")

    def length(self) -> int | None:
        """How many batches there are, where that is known."""
        return self.count if is_function(self.source) else _length_of(self.source)

    def begun(self, tuner: Adaptive) -> Iteration[Any]:
        """One loop over it.

        Args:
            tuner: Finds the number of workers where it is to be found.
        """
        if self.where == "thread" or self.load is not None:
            return self._here(tuner, self.depth)
        from debottleneck.strategies.process import Items

        depth = self.depth if self.workers == 1 else max(1, self.depth - 1)
        items = Items(partial(self._here, tuner, 0, asking=True), depth=depth)
        return Batches[Any](Source(items, close=items.close), 0, depth)

    def _here(
        self, tuner: Adaptive, depth: int, *, asking: bool = False
    ) -> Batches[Any]:
        """The same in this process; where `asking`, one worker needs no thread."""
        source = self._made()
        workers = self.workers if isinstance(self.workers, int) else tuner
        if source.load is None:
            workers = 1
        return Batches(source, 0 if asking and workers == 1 else workers, depth)

    def _made(self) -> Source:
        """What one loop takes from."""
        source, load = self.source, self.load
        if load is not None:
            if self.where == "thread":
                return Source(iter(source), load)
            from debottleneck.strategies.process import Calls

            workers = self.workers if isinstance(self.workers, int) else cores()
            calls = Calls(load, workers, "load")
            return Source(iter(source), calls, close=calls.close)
        if not is_function(source) and not _is_indexed(source):
            return Source(iter(source))
        length = self.length()
        fetch = source if is_function(source) else partial(getitem, source)
        positions = iter(range(sys.maxsize if length is None else length))
        return Source(positions, fetch, (IndexError, StopIteration))


Iteration: TypeAlias = Batches[T]
"""One loop over a prefetch: an iterator with `close` and `with`."""


class Prefetch(Closing, Generic[T]):
    """What `prefetch` returns for anything that can be iterated over anew."""

    def __init__(self, asked: _Asked) -> None:
        self._asked = asked
        self._tuner = Adaptive(asked.depth)
        self._running: weakref.WeakSet[Iteration[T]] = weakref.WeakSet()

    def __iter__(self) -> Iteration[T]:
        if hasattr(type(self._asked.source), "__next__"):  # it starts itself anew
            self.close()
        if len(self._running):  # two loops at once do not share what they find out
            self._tuner = Adaptive(self._asked.depth)
        begun: Iteration[T] = self._asked.begun(self._tuner)
        self._running.add(begun)
        return begun

    def __len__(self) -> int:
        length = self._asked.length()
        if length is None:
            kind = _kind(self._asked.source)
            raise TypeError(f"object of type {kind} has no len()")
        return length

    def __bool__(self) -> bool:
        return bool(self._asked.source)

    def close(self) -> None:
        """End the loops that run."""
        for loop in list(self._running):
            loop.close()


def _is_indexed(source: object) -> bool:
    """Whether positions of it can be fetched concurrently, as `source[i]`.

    True for known sequences, and for objects with `__getitem__` but no `__iter__`,
    such as PyTorch's map-style datasets.
    """
    kind = type(source)
    if kind in (list, tuple, range) or _is_array(source):
        return True
    own = getattr(kind, "__iter__", None)
    return hasattr(kind, "__getitem__") and own in (None, Sequence.__iter__)


def _is_one_pass(source: object) -> bool:
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


def _length_of(source: object) -> int | None:
    """`len(source)`, or None where it has none."""
    if not hasattr(type(source), "__len__"):
        return None
    try:
        return len(source)  # type: ignore[arg-type]
    except TypeError:  # declared, but not to be had: an IterableDataset's loader
        return None


def _returns_itself(itself: Any) -> Any:
    return itself


def _is_array(source: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(source, numpy.ndarray) and source.ndim > 0


def _kind(source: object) -> str:
    return repr(type(source).__name__)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 1
