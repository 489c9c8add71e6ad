"""Run time of a prefetch: one entry of a loop, whose lines ahead run beside it.

One thread runs the lines that keep their order, `workers` threads or processes the
heavy ones; results come in order, at most `depth` are ready or under way. It ends with
the entry: the threads and processes too.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from debottleneck.errors import StrategyError
from debottleneck.strategies import pools
from debottleneck.strategies.standstill import waits
from debottleneck.strategies.together import carrying

if TYPE_CHECKING:
    from debottleneck.strategies.process import Calls

GRACE_S = 0.5
"""How long an entry that is left waits for a fetch that is under way."""

Given = tuple[Any, list[Any], Any]
"""Item, values by line, what the heavy lines need."""


class Lost(Exception):
    """A process died or hangs; what it was to make is to be made here."""


@dataclass
class Item:
    """What was made ahead for one iteration.

    Attributes:
        item: Of the loop's iterable.
        values: By line.
        carry: What the heavy lines need.
        state: What `snapshot` gave when the item was made.
        error: What a line that keeps its order raised.
    """

    item: Any
    values: list[Any]
    carry: Any
    state: Any = None
    error: BaseException | None = None
    future: Future[Any] | None = None


Load = Callable[[Any, Any], None]
"""As `split.Split.load`."""


class Heavy:
    """The heavy lines of several items at once.

    Args:
        load: Runs those of one.
        workers: Threads.
        calls: The processes in which `load` runs them; None where threads do.
    """

    def __init__(self, load: Load, workers: int, calls: Calls | None = None) -> None:
        self._load, self.calls = load, calls
        self._pool = pools.Workers(workers, "load")

    def submit(self, values: list[Any], carry: Any) -> Future[None]:
        """Begin; the values are filled in."""
        return self._pool.submit(carrying(self._load), values, carry)

    def close(self) -> None:
        """Begin no more, end processes; wait a moment for threads that run."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self.calls is not None:
            self.calls.close()
        self._pool.join(GRACE_S)


def in_processes(load: Load, lines: tuple[int, ...], workers: int) -> Heavy:
    """The heavy lines in processes, forked here and now.

    Raises:
        StrategyError: No process can be started.
    """
    from debottleneck.strategies.process import Calls

    def made(carry: Any) -> list[Any]:
        values: dict[int, Any] = {}
        load(values, carry)
        return [values[n] for n in lines]

    def fetched(values: list[Any], carry: Any) -> None:
        for number, value in zip(lines, calls(carry), strict=True):
            values[number] = value

    calls = Calls(made, workers, "load")
    return Heavy(fetched, workers, calls)


END, STOPPED = "end", "stopped"
"""Why there is no further item: the loop is over; nothing more was fetched."""


class AheadItems:
    """Items made ahead of one entry.

    Args:
        index: What `split.Split.index` yields, or the like of it.
        heavy: Runs the heavy lines elsewhere; None where there are none.
        load: Runs them here.
        depth: Items ready or under way, at most.
        snapshot: Called after each item was made in order.
        limit_s: How long one item may take; None for no limit.

    Attributes:
        lost: How the processes were lost, "" if they were not: their lines are run
            here from then on.
        stale: Whether heavy lines are run here again, whatever came of them.
        apart: Whether all of it is in a process: here nothing has moved.
    """

    def __init__(
        self, index: Iterator[Given], heavy: Heavy | None,
        load: Load, depth: int, snapshot: Callable[[], Any],
        limit_s: float | None = None,
    ) -> None:  # fmt: skip
        self.lost = ""
        self.stale = False
        self.apart = isinstance(index, Received)
        self._index = index
        self._heavy = heavy
        self._load = load
        self._snapshot = snapshot
        self._limit_s = limit_s
        self._ready: SimpleQueue[Item | str | BaseException] = SimpleQueue()
        self._room = threading.Semaphore(depth)
        self._stopping = False
        self.lock = threading.Lock()
        self._thread = pools.Workers(1, "ahead")
        self._thread.submit(carrying(self._run))

    @waits
    def take(self) -> Item | str:
        """The next item, or why there is none.

        Raises:
            Lost: A process died or hangs.
            BaseException: What the loop's own iterable raised.
        """
        try:
            limit_s = None if self._heavy is not None else self._limit_s
            made = self._ready.get(timeout=limit_s)
        except Empty:
            raise Lost("a process did not answer") from None
        self._room.release()
        if isinstance(made, StrategyError):
            raise Lost(str(made)) from None
        if isinstance(made, BaseException):
            raise made
        if isinstance(made, Item) and made.future is not None:
            self._result(made, made.future)
        return made

    def _result(self, made: Item, future: Future[Any]) -> None:
        if self.stale:
            with suppress(CancelledError, FutureTimeout):
                future.exception(self._limit_s)
        elif not self.lost:
            try:
                future.result(self._limit_s)
                return
            except FutureTimeout as error:
                if future.done():
                    made.error = error
                    return
                self.lost = "a process did not answer"
            except StrategyError as error:
                self.lost = str(error)
            except CancelledError:  # nobody has begun it
                pass
            except BaseException as error:  # noqa: BLE001 - raised where it is taken
                if self._heavy is None or self._heavy.calls is None:
                    made.error = error
                    return
            if self.lost and self._heavy is not None:
                self._heavy.close()
        try:
            self._load(made.values, made.carry)
        except BaseException as error:  # noqa: BLE001 - raised where it is taken
            made.error = error

    def stop(self) -> None:
        """Fetch no further item; those under way still come."""
        self._stopping = True
        self._room.release()

    def close(self) -> None:
        """End all; what was fetched is dropped."""
        self.stop()
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._heavy is not None:
            self._heavy.close()
        self._thread.join(GRACE_S)
        end = getattr(self._index, "close", None)
        if end is not None and not getattr(self._index, "gi_running", False):
            end()

    def _run(self) -> None:
        while self._made_one():
            pass

    def _made_one(self) -> bool:
        self._room.acquire()
        if self._stopping:
            self._ready.put(STOPPED)
            return False
        with self.lock:
            try:
                item, values, carry = next(self._index)
                state = self._snapshot()
            except StopIteration:
                self._ready.put(END)
                return False
            except BaseException as error:  # noqa: BLE001 - raised at its place
                self._ready.put(error)
                return False
        made = Item(item, values, carry, state)
        if self._heavy is not None and carry is not None:
            try:
                made.future = self._heavy.submit(values, carry)
            except RuntimeError as error:  # it was closed: lost, or the loop is over
                made.future = Future()
                made.future.set_exception(StrategyError(str(error)))
        self._ready.put(made)
        return True


def stated(
    made: Iterator[Given], streams: tuple[Any, ...], snapshot: Callable[[], Any]
) -> Iterator[Given]:
    """In the child: items, with its state in the place of what heavy lines need."""
    for item, values, _ in made:
        yield item, values, snapshot()


class Received:
    """Items that a child makes; the state in the place of what heavy lines need.

    Attributes:
        state: Of the last one.
    """

    def __init__(self, items: Iterator[Given]) -> None:
        self._items: Any = items
        self.state: Any = None

    def __iter__(self) -> Iterator[Given]:
        return self

    def __next__(self) -> Given:
        try:
            item, values, self.state = next(self._items)
        except (StopIteration, StrategyError):
            raise
        except BaseException as error:  # it is raised again where it is made here
            what = f"its process raised {type(error).__name__}"
            raise StrategyError(what) from error
        return item, values, None

    def close(self) -> None:
        """End the child."""
        self._items.close()


def can_go(value: Any) -> bool:
    """Whether it can be sent to a process."""
    try:
        pickle.dumps(value, protocol=5)
    except Exception:  # noqa: BLE001 - a user's object may raise anything here
        return False
    return True


def with_load(index: Iterator[Given], load: Callable[..., None]) -> Iterator[Given]:
    """The heavy lines in their turn."""
    for item, values, carry in index:
        if carry is not None:
            load(values, carry)
        yield item, values, None
