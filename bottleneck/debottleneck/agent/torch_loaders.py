"""PyTorch's DataLoaders: their settings, their workers, and items that take long.

An iteration of one with workers is told with its processes and when they began, and
when they were ended; one without workers is told once. The start and the end of
workers are marked as between steps. Workers tell of items that take many times as
long as usual.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from functools import wraps
from itertools import count
from time import monotonic_ns
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from debottleneck.agent import marks
from debottleneck.agent.marks import enter, leave
from debottleneck.agent.patches import put
from debottleneck.agent.sites import site_of
from debottleneck.agent.wrap import as_frame_of_ours, wrap
from debottleneck.recording import spool
from debottleneck.words import START_OF_WORKERS

SLOW_TIMES, SLOW_NS = 4, 1_000_000
"""An item is slow that takes so many times as long as usual, and so long at least."""

KEPT, FEWEST, MOST_TOLD = 512, 32, 50
"""Items that say what is usual; fewer say nothing; slow ones that a worker tells of."""

MOST_LOADERS = 1000
"""Some scripts make one for each batch."""

_numbers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""DataLoader -> its number in this process."""

_next = count()


def install(torch: ModuleType) -> None:
    """Patch the loader's iterators and what fetches batches."""
    from torch.utils.data import _utils, dataloader

    several = dataloader._MultiProcessingDataLoaderIter
    alone = dataloader._SingleProcessDataLoaderIter
    site = site_of(START_OF_WORKERS, "torch DataLoader", "", 0, "torch")
    put(several, "__init__", _starting(torch, several.__init__, site))
    put(several, "_shutdown_workers", _ending(several._shutdown_workers, site))
    put(alone, "__init__", _told_once(torch, alone.__init__))
    rows, stream = _utils.fetch._MapDatasetFetcher, _utils.fetch._IterableDatasetFetcher
    put(rows, "fetch", _timing(rows.fetch, _utils.worker))
    for owner, method, name in (
        (dataloader._BaseDataLoaderIter, "__next__", "torch DataLoader"),
        (rows, "fetch", "torch Dataset and collate"),
        (stream, "fetch", "torch Dataset and collate"),
    ):
        plain = getattr(owner, method)
        put(owner, method, wrap(plain, "load", kind="torch", name=name))


def _settings(torch: ModuleType, loader: Any) -> dict[str, object]:
    """What a DataLoader was told, as `recording.Loader` has it."""
    context = loader.multiprocessing_context
    return {
        "workers": loader.num_workers,
        "persistent": bool(loader.persistent_workers),
        "prefetch": loader.prefetch_factor or 0,
        "pin": bool(loader.pin_memory),
        "sharing": torch.multiprocessing.get_sharing_strategy(),
        "start": context.get_start_method() if context else "",
        "batch": loader.batch_size or 0,
        "sampler": type(loader.sampler).__name__,
        "ordered": bool(getattr(loader, "in_order", True)),
        "may_reorder": hasattr(loader, "in_order"),
        "of_tensors": _is_of_tensors(torch, loader.dataset),
    }


def _is_of_tensors(torch: ModuleType, data: Any) -> bool:
    while type(data) is torch.utils.data.Subset:
        data = data.dataset
    return type(data) is torch.utils.data.TensorDataset


def _tell(torch: ModuleType, loader: Any, pids: list[int], since: int) -> None:
    """Of one without processes once."""
    try:
        number = _numbers.get(loader)
        if number is not None and not pids:
            return
        if number is None:
            number = _numbers[loader] = next(_next)
    except TypeError:  # one of the user's, which cannot be a key
        number = next(_next)
    if number >= MOST_LOADERS:
        return
    around = {"loader": number, "pids": pids, "start_ns": since, "end_ns": 0}
    marks.note({"event": spool.LOADER, **around, **_settings(torch, loader)})


def _starting(
    torch: ModuleType, plain: Callable[..., None], site: int
) -> Callable[..., None]:
    @wraps(plain)
    def __init__(self: Any, loader: Any) -> None:
        since = monotonic_ns()
        token = enter(site)
        try:
            plain(self, loader)
        finally:
            leave(token)
        _tell(torch, loader, [worker.pid for worker in self._workers], since)

    return as_frame_of_ours(__init__)


def _told_once(torch: ModuleType, plain: Callable[..., None]) -> Callable[..., None]:
    @wraps(plain)
    def __init__(self: Any, loader: Any) -> None:
        plain(self, loader)
        _tell(torch, loader, [], monotonic_ns())

    return as_frame_of_ours(__init__)


def _ending(plain: Callable[..., None], site: int) -> Callable[..., None]:
    @wraps(plain)
    def _shutdown_workers(self: Any) -> None:
        if getattr(self, "_shutdown", True):  # it was done before
            plain(self)
            return
        token = enter(site)
        try:
            plain(self)
        finally:
            leave(token)
        pids = [worker.pid for worker in self._workers]
        marks.note({"event": spool.LOADER_ENDED, "pids": pids})

    return as_frame_of_ours(_shutdown_workers)


def _timing(plain: Callable[..., Any], worker: Any) -> Callable[..., Any]:
    """Fetches a batch; in a worker each item of it is timed."""

    @wraps(plain)
    def fetch(self: Any, rows: Any) -> Any:
        in_worker = self.auto_collation and worker.get_worker_info() is not None
        fresh = in_worker and type(self.dataset) is not TimedItems
        if fresh and not hasattr(self.dataset, "__getitems__"):
            self.dataset = TimedItems(self.dataset)
        return plain(self, rows)

    return as_frame_of_ours(fetch)


class TimedItems:
    """A data set as what fetches its items sees it: how long each takes is kept.

    Args:
        timed: The data set.
    """

    def __init__(self, timed: Any) -> None:
        self.timed = timed
        self._took: deque[int] = deque(maxlen=KEPT)
        self._usual = self._count = self._told = 0
        self._look = FEWEST

    def __getattr__(self, name: str) -> Any:
        return getattr(self.timed, name)

    def __getitem__(self, index: Any) -> Any:
        begun = monotonic_ns()
        item = self.timed[index]
        self._note(index, monotonic_ns() - begun)
        return item

    def _note(self, index: Any, took: int) -> None:
        self._took.append(took)
        self._count += 1
        if self._count == self._look:
            self._look += min(self._look, KEPT)
            self._usual = sorted(self._took)[len(self._took) // 2]
        slow = took > max(SLOW_TIMES * self._usual, SLOW_NS) and self._usual
        if slow and self._told < MOST_TOLD:
            self._told += 1
            rank = sorted(self._took)[(len(self._took) - 1) * 99 // 100]
            times = {"took_ns": took, "usual_ns": self._usual, "p99_ns": rank}
            event = {"event": spool.SLOW_ITEM, "pid": os.getpid(), **times}
            marks.note({**event, "index": str(index)[:40], "items": self._count})


as_frame_of_ours(TimedItems.__getitem__)
