"""Where a torch loader's batches come from ahead of time: threads, or processes."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from debottleneck.errors import StrategyError
from debottleneck.strategies.adaptive import Tally
from debottleneck.strategies.process import Items
from debottleneck.strategies.sources import Pulled
from debottleneck.strategies.torch_context import captured
from debottleneck.strategies.window import Batches

Draw = Callable[[], Any]
"""Gets the next index from the sampler, or StopIteration."""

Fetch = Callable[[Any], Any]
"""Gets the batch of an index."""


def is_iterable(loader: Any) -> bool:
    """Whether the data set can only be read one row after the other."""
    from torch.utils.data import IterableDataset

    return isinstance(loader.dataset, IterableDataset)


class LoaderThreads:
    """Batches fetched ahead by threads; the next ones begin when one is taken.

    Args:
        loader: The user's.
        draw: Called on the trainer only, but for an iterable data set.
        fetch: Called on the threads.
        tally: How many threads.
        depth: Batches beyond those being fetched.
    """

    def __init__(
        self, loader: Any, draw: Draw, fetch: Fetch, tally: Tally, depth: int
    ) -> None:
        self._drawn = _Drawn(draw, fetch)
        if is_iterable(loader):
            pulled = Pulled(_Plain(draw, fetch))
            one = Tally(1, "an iterable is read by one thread")
            self._batches: Batches[Any] = Batches(pulled, one, depth)
        else:
            self._batches = Batches(self._drawn, tally, depth)

    def take(self) -> Any:
        """The next batch, or what the plain fetch would have raised."""
        batch = next(self._batches)
        self._drawn.delivered()
        return batch

    def close(self) -> None:
        """End the threads."""
        self._batches.close()


@dataclass
class _Plain(Iterator[Any]):
    """The batches of an iterable data set, as the plain loader gets them."""

    draw: Draw
    fetch: Fetch

    def __next__(self) -> Any:
        return self.fetch(self.draw())

    def close(self) -> None:
        """Nothing runs."""


@dataclass
class _Drawn:
    """A source of `Batches`: each call fetches for an index drawn by the trainer.

    After a failure the plain loader goes on with the next index, so those that were
    drawn ahead are kept until the batch before them was taken.
    """

    draw: Draw
    fetch: Fetch
    settings: Any = field(default_factory=captured)
    pending: deque[Any] = field(default_factory=deque)
    handed: int = 0
    stopped: bool = False

    def next_call(self) -> Callable[[], Any] | None:
        """The fetch for the next index; None when the sampler has no more."""
        if self.handed == len(self.pending):
            try:
                self.pending.append((self.draw(), None))
            except StopIteration:
                return None
            except BaseException as error:  # noqa: BLE001 - raised when its batch is due
                self.pending.append((None, error))
        self.handed += 1
        return partial(self._get, *self.pending[self.handed - 1])

    def give_back(self) -> None:
        """The last call handed out will not be made."""
        self.handed -= 1

    def stop(self) -> None:
        """Calls that have not begun get nothing."""
        self.stopped = True

    def delivered(self) -> None:
        """The batch of the first index was taken."""
        if self.pending:
            self.pending.popleft()
            self.handed -= 1

    def go_on(self) -> None:
        """The first index has failed: those after it are handed out again."""
        if self.pending:
            self.pending.popleft()
        self.handed = 0

    def _get(self, index: Any, error: BaseException | None) -> Any:
        if self.stopped:
            raise StopIteration
        if error is not None:
            raise error
        with self.settings():
            return self.fetch(index)


class Forked:
    """The rest of an iterable data set, read by one forked process.

    Args:
        draw: The plain loader's, as it is at the fork.
        fetch: Likewise.
        depth: Batches that may be ready.
        failed: Told what went wrong.
    """

    def __init__(
        self, draw: Draw, fetch: Fetch, depth: int, failed: Callable[[str], None]
    ) -> None:
        self._items: Items[Any] | _Plain
        try:
            make = partial(_Plain, draw, fetch)
            self._items = Items(make, depth=depth, name="DataLoader")
        except StrategyError as error:
            failed(str(error))
            self._items = _Plain(draw, fetch)

    def take(self) -> Any:
        """The next batch, or what its fetch raised."""
        return next(self._items)

    def close(self) -> None:
        """End the process."""
        self._items.close()


class LoaderProcesses:
    """Batches fetched ahead by torch's own worker processes.

    They draw the rest of the same sampler. When one fails, the plain loader takes over
    at the same batch, and raises what it raises.

    Args:
        loader: The user's.
        draw: Called on the trainer.
        fetch: The plain loader's.
        workers: LoaderProcesses.
        depth: Batches beyond those being fetched.
        failed: Told what went wrong.
    """

    def __init__(
        self,
        loader: Any,
        draw: Draw,
        fetch: Fetch,
        workers: int,
        depth: int,
        failed: Callable[[str], None],
    ) -> None:
        self._failed, self._fetch = failed, fetch
        self._rest = _Rest(draw)
        self._workers: Any = None
        try:
            self._workers = _with_processes(loader, self._rest, workers, depth)
        except (OSError, RuntimeError, TypeError, AttributeError, ValueError) as error:
            failed(f"no worker process could be started: {error}")

    def take(self) -> Any:
        """The next batch, or what the plain fetch raises."""
        if self._workers is not None:
            try:
                batch = next(self._workers)
            except (StopIteration, KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # noqa: BLE001 - carried over from a process; the plain fetch raises its own
                self.close()
                self._failed(f"a worker process failed: {type(error).__name__}")
            else:
                self._rest.pending.popleft()
                return batch
        if not self._rest.pending:
            next(self._rest)
        return self._fetch(self._rest.pending.popleft())

    def close(self) -> None:
        """End the processes."""
        workers, self._workers = self._workers, None
        if workers is not None:
            workers._shutdown_workers()


@dataclass
class _Rest:
    """What is left of a sampler; keeps the indices whose batches are not taken."""

    draw: Draw
    pending: deque[Any] = field(default_factory=deque)

    def __iter__(self) -> _Rest:
        return self

    def __next__(self) -> Any:
        self.pending.append(self.draw())
        return self.pending[-1]


def _with_processes(loader: Any, rest: _Rest, workers: int, depth: int) -> Any:
    """Torch's iterator with worker processes over a copy of the loader."""
    import torch
    from torch.utils.data import dataloader

    twin = copy.copy(loader)
    name = "batch_sampler" if loader._auto_collation else "sampler"
    vars(twin).update(
        {
            "num_workers": workers,
            "prefetch_factor": max(1, -(-depth // workers) + 1),
            "pin_memory": False,
            "generator": torch.Generator().manual_seed(torch.initial_seed()),
            name: rest,
        }
    )
    return dataloader._MultiProcessingDataLoaderIter(twin)
