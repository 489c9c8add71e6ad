"""Prefetch for an unmodified `DataLoader(num_workers=0)`.

The loader's iterator stays torch's own. Only where it gets a batch is replaced: the
first two batches are fetched plainly and watched for random numbers, the rest is
fetched ahead. The sampler is asked on the trainer's thread, where it always was.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from debottleneck.agent.wrap import as_frame_of_ours
from debottleneck.strategies import pools, randomness
from debottleneck.strategies.adaptive import Adaptive, Tally
from debottleneck.strategies.remedies.torch_ahead import (
    Draw,
    Fetch,
    Forked,
    LoaderProcesses,
    LoaderThreads,
    is_iterable,
)
from debottleneck.strategies.rewriting.notes import (
    ENGAGED,
    FAILED,
    REFUSED,
    SUMMARY,
    Notes,
)
from debottleneck.strategies.spec import AUTO, PREFETCH, Strategy

Ahead = LoaderThreads | LoaderProcesses | Forked

WATCHED = 2
"""Batches of a loader that are fetched plainly at first."""


class Loaders:
    """Patches `DataLoader.__iter__`.

    Args:
        strategy: The settings of `prefetch`.
        notes: Where it says what it does.
    """

    def __init__(self, strategy: Strategy, notes: Notes) -> None:
        self.depth = strategy.number("depth", 2)
        self.process = strategy.word("where", "thread") == "process"
        self._auto = strategy.settings.get("workers") == AUTO
        self._workers = strategy.number("workers", 1)
        self._notes = notes
        self.failed = partial(notes.say, PREFETCH, FAILED)
        self.refused = partial(notes.say, PREFETCH, REFUSED)
        self._known: weakref.WeakKeyDictionary[Any, _Seen] = weakref.WeakKeyDictionary()
        self._feeds: weakref.WeakSet[_Feed] = weakref.WeakSet()
        self._undo: Callable[[], None] = lambda: None
        self.batches = 0

    def install(self, torch: ModuleType) -> None:
        """Begin to act on loaders."""
        kind = torch.utils.data.DataLoader
        plain = kind.__iter__

        def __iter__(loader: Any) -> Any:
            iterator = plain(loader)
            self._begun(loader, iterator)
            return iterator

        self._undo = patch(kind, "__iter__", as_frame_of_ours(__iter__))

    def close(self) -> None:
        """Undo it, end what runs, say what it came to."""
        self._undo()
        for feed in list(self._feeds):
            feed.close()
        if self.batches:
            text = f"{self.batches} batches of a DataLoader were fetched ahead"
            self._notes.say(PREFETCH, SUMMARY, text, batches=self.batches)

    def tally(self) -> Tally:
        """How many threads one iteration has."""
        workers = Adaptive(self.depth) if self._auto else self._workers
        return Tally(workers, "as asked")

    @property
    def workers(self) -> int:
        """LoaderThreads or processes where the number stays."""
        return 2 if self._auto else self._workers

    @property
    def several(self) -> bool:
        """Whether batches are fetched at the same time."""
        return self._auto or self._workers > 1

    def engaged(self) -> None:
        """Say that it acts."""
        what = "process" if self.process else "thread"
        if self._auto and not self.process:
            who = "as many threads as it takes fetch"
        elif self.workers == 1:
            who = f"a {what} fetches"
        else:
            who = f"{self.workers} {what}{'es' if self.process else 's'} fetch"
        text = f"{who} the batches of your DataLoader ahead, {self.depth} beyond those"
        self._notes.say(PREFETCH, ENGAGED, text, workers=self.workers)
        self._notes.keep(PREFETCH, *self._permanent())

    def _permanent(self) -> list[str]:
        """Lines of code that do the same."""
        if self.process:
            return [f"loader = DataLoader(..., num_workers={self.workers})"]
        batch = "loader.collate_fn([loader.dataset[i] for i in batches[n]])"
        return [
            "from debottleneck import prefetch",
            "batches = list(loader.batch_sampler)",
            f"load = lambda n: {batch}",
            f"for batch in prefetch(load, workers={self.workers}, count=len(batches)):",
        ]

    def _begun(self, loader: Any, iterator: Any) -> None:
        """An iteration over a loader begins: have its batches come from a feed."""
        from torch.utils.data import get_worker_info

        if pools.is_worker() or get_worker_info() is not None:
            return
        if loader.num_workers:
            self.refused(
                f"your DataLoader already loads ahead in {loader.num_workers} worker "
                "processes; raise num_workers instead",
            )
            return
        if type(iterator).__name__ != "_SingleProcessDataLoaderIter":
            return  # somebody's own way to iterate
        if loader not in self._known:
            self._known[loader] = _Seen(loader, self)
        feed = _Feed(self, loader, iterator, self._known[loader])
        iterator._next_data = feed.take
        self._feeds.add(feed)


def patch(owner: Any, name: str, ours: Any) -> Callable[[], None]:
    """Put ours in place of a function of torch's; what takes it back."""
    plain = getattr(owner, name)
    setattr(owner, name, ours)

    def undo() -> None:
        if getattr(owner, name) is ours:
            setattr(owner, name, plain)

    return undo


class _Seen:
    """What the first batches of one loader showed."""

    def __init__(self, loader: Any, owner: Loaders) -> None:
        self._owner = owner
        self._globals = randomness.streams()
        self._own = randomness.streams(loader.dataset, loader.collate_fn)
        self._own = tuple(each for each in self._own if each not in self._globals)
        self.batches = 0
        self.refusal = ""

    @property
    def done(self) -> bool:
        """Whether it is decided."""
        return self.batches >= WATCHED or bool(self.refusal)

    def watch(self, draw: Draw, fetch: Fetch, first: bool) -> Any:
        """Get one batch plainly, and see what it does to random numbers.

        Args:
            draw: Gets an index.
            fetch: Gets its batch.
            first: Whether it is the iteration's first, where samplers shuffle.
        """
        before = randomness.states(self._globals)
        index = draw()
        drawn, own = randomness.states(self._globals), randomness.states(self._own)
        batch = fetch(index)
        if drawn != before and not first:
            self.refusal = (
                "your DataLoader's sampler draws from the global random numbers for "
                "every batch: drawing ahead would change them"
            )
        elif randomness.states(self._globals) != drawn:
            self.refusal = (
                "your data set draws from the global random numbers: loading ahead "
                "would change them; give it a generator of its own, workers=1"
            )
        elif self._in_another_order(own):
            self.refusal = (
                "your data set draws from a generator of its own, whose numbers would "
                "go to other batches; use one thread: prefetch:workers=1"
            )
        self.batches += 1
        if self.done:
            if self.refusal:
                self._owner.refused(self.refusal)
            else:
                self._owner.engaged()
        return batch

    def _in_another_order(self, own: randomness.States) -> bool:
        if not self._owner.process and not self._owner.several:
            return False
        return randomness.states(self._own) != own


class _Feed:
    """Where one iteration gets its batches. It must not refer to the iterator.

    Args:
        owner: Settings and notes.
        loader: The user's.
        iterator: Torch's iterator over it, just begun.
        seen: What is known of the loader.
    """

    def __init__(self, owner: Loaders, loader: Any, iterator: Any, seen: _Seen) -> None:
        self._owner, self._loader, self._seen = owner, loader, seen
        self._draw: Draw = iterator._sampler_iter.__next__
        self._fetch: Fetch = iterator._dataset_fetcher.fetch
        self._pin = _pinned(iterator)
        self._ahead: Ahead | None = None
        self._first = True

    def take(self) -> Any:
        """The next batch: torch calls it on the trainer, within `load`."""
        first, self._first = self._first, False
        seen = self._seen
        if self._ahead is None and not seen.done:
            return self._pin(seen.watch(self._draw, self._fetch, first))
        if self._ahead is None and seen.refusal:
            return self._pin(self._fetch(self._draw()))
        if self._ahead is None:
            self._ahead = self._begun()
        batch = self._pin(self._ahead.take())
        self._owner.batches += 1
        return batch

    def _begun(self) -> Ahead:
        owner, loader = self._owner, self._loader
        if owner.process and is_iterable(loader):
            return Forked(self._draw, self._fetch, owner.depth, owner.failed)
        if owner.process:
            how = owner.workers, owner.depth, owner.failed
            return LoaderProcesses(loader, self._draw, self._fetch, *how)
        return LoaderThreads(
            loader, self._draw, self._fetch, owner.tally(), owner.depth
        )

    def close(self) -> None:
        """End the threads or processes."""
        if self._ahead is not None:
            self._ahead.close()


def _pinned(iterator: Any) -> Callable[[Any], Any]:
    """What the iterator does to a batch after it was fetched."""
    if not iterator._pin_memory:
        return lambda batch: batch
    from torch.utils.data._utils.pin_memory import pin_memory

    device = iterator._pin_memory_device
    return lambda batch: pin_memory(batch, device)
