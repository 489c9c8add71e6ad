"""`prefetch`: fetch the next batches while the trainer works on this one."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import getitem
from time import monotonic_ns
from typing import (
    Any,
    Generic,
    Literal,
    Protocol,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from debottleneck.strategies.adaptive import Adaptive, Report, Reporting, Tally
from debottleneck.strategies.blas import cores
from debottleneck.strategies.sources import (
    Loaded,
    Pulled,
    Source,
    fetched,
    is_function,
    is_indexed,
    is_one_pass,
    length_of,
)
from debottleneck.strategies.spec import AUTO
from debottleneck.strategies.window import Batches

S = TypeVar("S")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

AS_ASKED = "as many as were asked for"
ONE_THREAD = "an iterator is pulled by one thread, in order"


class Indexed(Protocol[T_co]):
    """Something that gives an item for a position."""

    def __getitem__(self, index: Any, /) -> T_co: ...


class How(TypedDict, total=False):
    """Settings of `prefetch` that go with any source."""

    workers: int | Literal["auto"]
    depth: int
    where: str
    order: bool


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
    order: bool = True,
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
            the smallest number that keeps the loop fed, see `report`.
        depth: Most batches to hold beyond those.
        where: "thread", or "process": the threads run in a process of their own, for
            sources that keep the GIL from the trainer. An exception is the end there.
        order: Deliver in order; False: as they are completed, a failure still after
            everything before it.
        count: How many batches, where the source is a function.

    Returns:
        An iterable, as often as the source is; an iterator for an iterator. Both have
        `close()`, `report()` and `with`; dropped they leave no thread behind either.

    Raises:
        TypeError: The source is none of these.
        ValueError: A number is too small, or a word unknown.
    """
    settings = Settings(workers, depth, where, order, load)
    if not is_one_pass(source):
        return Prefetch(source, settings, count)
    make, reason = _maker(source, settings, count)
    return _begin(make, settings, _tally(settings, reason, Adaptive(depth)))


@dataclass(frozen=True)
class Settings:
    """The settings of `prefetch`, checked."""

    workers: int | str
    depth: int
    where: str
    order: bool
    load: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        for name in ("workers", "depth"):
            value = getattr(self, name)
            if (name, value) != ("workers", AUTO) and not _is_count(value):
                words = ' or "auto"' if name == "workers" else ""
                raise ValueError(f"{name} is a number from 1 on{words}, not {value!r}")
        if self.where not in ("thread", "process"):
            raise ValueError(f'where is "thread" or "process", not {self.where!r}')


class FromProcess(Reporting, Generic[T]):
    """An iterator over what a process fetches and sends.

    The bound is that of `Batches`: `workers` being fetched and `depth` more. One
    worker needs no thread there. With several, one batch more is being sent.

    Args:
        make: Makes the source, in the process.
        tally: How many threads there, and what it comes to.
        depth: Batches beyond those being fetched.
        order: Deliver in the source's order; False: as they are completed.
    """

    def __init__(
        self,
        make: Callable[[], Source[T]],
        tally: Tally,
        depth: int,
        *,
        order: bool = True,
    ) -> None:
        from debottleneck.strategies.process import Items

        self._tally = tally
        if tally.is_one:
            self._items = Items(partial(_one_by_one, make, tally), depth=depth)
        else:
            fetch = partial(_fetch, make, tally, order)
            self._items = Items(fetch, depth=max(1, depth - 1))

    def __iter__(self) -> FromProcess[T]:
        return self

    def __next__(self) -> T:
        began_ns = monotonic_ns()
        batch, report = next(self._items)
        self._tally.received(report, monotonic_ns() - began_ns)
        return batch

    def close(self, *, wait: bool = True) -> None:
        """End the process, and drop what was fetched.

        Args:
            wait: No difference: a process is ended in the midst of a fetch.
        """
        self._items.close()


def _one_by_one(
    make: Callable[[], Source[T]], tally: Tally
) -> Iterator[tuple[T, Report]]:
    """Runs in the process."""
    source = make()
    while (call := source.next_call()) is not None:
        try:
            batch = call()
        except StopIteration:
            return
        yield batch, tally.report()


def _fetch(
    make: Callable[[], Source[T]], tally: Tally, order: bool
) -> Iterator[tuple[T, Report]]:
    """Runs in the process."""
    with Batches(make(), tally, 0, order=order) as batches:
        for batch in batches:
            yield batch, tally.report()


Iteration = Batches[T] | FromProcess[T]
"""One loop over a prefetch: an iterator with `close`, `report` and `with`."""


class Prefetch(Reporting, Generic[T]):
    """What `prefetch` returns for anything that can be iterated over anew."""

    def __init__(
        self,
        source: Iterable[T] | Indexed[T] | Callable[[int], T],
        settings: Settings,
        count: int | None,
    ) -> None:
        self._source = source
        self._settings = settings
        self._count = count
        self._make, self._why = _maker(source, settings, count)
        self._tally = Tally(0, "no loop has begun")
        self._tuner = Adaptive(settings.depth)
        self._running: weakref.WeakSet[Iteration[T]] = weakref.WeakSet()

    def __iter__(self) -> Iteration[T]:
        if hasattr(type(self._source), "__next__"):  # it starts itself anew
            self.close()
        if len(self._running):  # two loops at once do not share what they find out
            self._tuner = Adaptive(self._settings.depth)
        self._tally = _tally(self._settings, self._why, self._tuner)
        begun: Iteration[T] = _begin(self._make, self._settings, self._tally)
        self._running.add(begun)
        return begun

    def __len__(self) -> int:
        by_count = is_function(self._source)
        length = self._count if by_count else length_of(self._source)
        if length is None:
            raise TypeError(f"object of type {_kind(self._source)} has no len()")
        return length

    def __bool__(self) -> bool:
        return bool(self._source)

    def close(self, *, wait: bool = True) -> None:
        """End the loops that run.

        Args:
            wait: Return when fetches that have begun have ended too.
        """
        for loop in list(self._running):
            loop.close(wait=wait)


def _begin(
    make: Callable[[], Source[T]], settings: Settings, tally: Tally
) -> Iteration[T]:
    if settings.where == "thread" or settings.load is not None:
        return Batches(make(), tally, settings.depth, order=settings.order)
    return FromProcess(make, tally, settings.depth, order=settings.order)


def _tally(settings: Settings, reason: str, tuner: Adaptive) -> Tally:
    if reason == ONE_THREAD:
        return Tally(1, reason)
    return Tally(tuner if settings.workers == AUTO else int(settings.workers), reason)


def _maker(
    source: Any, settings: Settings, count: int | None
) -> tuple[Callable[[], Source[T]], str]:
    """What makes the source of one loop, and why it has its number of workers."""
    if settings.load is not None:
        if count is not None or not hasattr(type(source), "__iter__"):
            raise TypeError("load= takes items of an iterable, without count=")
        return lambda: Loaded(iter(source), _there(settings)), AS_ASKED
    if is_function(source):
        return lambda: fetched(source, count), AS_ASKED
    if count is not None:
        raise TypeError("count= is for functions of a position; a slice limits others")
    if is_indexed(source):
        fetch: Any = partial(getitem, source)
        return lambda: fetched(fetch, length_of(source)), AS_ASKED
    if hasattr(type(source), "__iter__"):
        return lambda: Pulled(iter(source)), ONE_THREAD
    raise TypeError(f"an object of type {_kind(source)} cannot be iterated over")


def _there(settings: Settings) -> Callable[[Any], Any]:
    """`load` where it is to run."""
    load: Any = settings.load
    if settings.where == "thread":
        return load  # type: ignore[no-any-return] # a function
    from debottleneck.strategies.process import Calls

    workers = settings.workers
    return Calls(load, cores() if isinstance(workers, str) else workers, "load")


def _kind(source: object) -> str:
    return repr(type(source).__name__)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 1
