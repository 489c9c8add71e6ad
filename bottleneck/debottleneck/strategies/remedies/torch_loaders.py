"""`dataloader:...`: a torch DataLoader's own settings, by its `__init__`.

The order of batches, the sampler and the seeds of workers stay torch's. Workers that
are kept for the next epoch get the seed that a new iterator would have drawn, so that
later shuffles are those of the plain script.
"""

from __future__ import annotations

import inspect
import multiprocessing
from collections.abc import Callable, Mapping
from functools import wraps
from types import ModuleType
from typing import Any
from weakref import WeakSet

from debottleneck.agent.wrap import as_frame_of_ours
from debottleneck.strategies.blas import cores
from debottleneck.strategies.remedies.hooks import Remedy, patch
from debottleneck.strategies.rewriting.notes import ENGAGED, REFUSED, Notes
from debottleneck.strategies.spec import DATALOADER, ON, Setting, Strategy

_WITHOUT_WORKERS: Mapping[str, Any] = {
    "num_workers": 0,
    "prefetch_factor": None,
    "persistent_workers": False,
    "multiprocessing_context": None,
    "timeout": 0,
}
"""What a loader may have that has no workers."""


class Loaders(Remedy):
    """Gives each new DataLoader its settings.

    Args:
        strategy: Them; without any, workers that stay for all epochs.
        notes: Where it says what it does.
    """

    def __init__(self, strategy: Strategy, notes: Notes) -> None:
        if not strategy.settings:
            given: dict[str, Setting] = {"workers": max(cores(), 2), "persistent": ON}
            strategy = Strategy(strategy.name, given)
        self._wanted, self._notes = strategy, notes
        self._kept: WeakSet[Any] = WeakSet()
        self._undo: list[Callable[[], None]] = []

    def after_torch(self, torch: ModuleType) -> None:
        """Act on every loader that is made from now on."""
        kind = torch.utils.data.DataLoader
        plain, plain_iter = kind.__init__, kind.__iter__
        signature = inspect.signature(plain)

        @wraps(plain)
        def __init__(loader: Any, *args: Any, **kwargs: Any) -> None:
            try:
                given = signature.bind(loader, *args, **kwargs)
            except TypeError:
                plain(loader, *args, **kwargs)  # which says what is wrong
                raise
            given.apply_defaults()
            changes = self._changes(torch, given.arguments)
            given.arguments.update(changes)
            plain(*given.args, **given.kwargs)
            if changes.get("persistent_workers"):
                self._kept.add(loader)

        @wraps(plain_iter)
        def __iter__(loader: Any) -> Any:
            if loader in self._kept and loader._iterator is not None:
                seed = torch.empty((), dtype=torch.int64)
                seed.random_(generator=loader.generator)
            return plain_iter(loader)

        for name, ours in (("__init__", __init__), ("__iter__", __iter__)):
            self._undo.append(patch(kind, name, as_frame_of_ours(ours)))
        if self._wanted.has("whole"):
            fetcher = torch.utils.data._utils.fetch._MapDatasetFetcher
            self._undo.append(patch(fetcher, "fetch", _whole(torch, fetcher.fetch)))
        if "sharing" in self._wanted.settings:
            sharing = torch.multiprocessing
            plain_way = sharing.get_sharing_strategy()
            sharing.set_sharing_strategy(self._wanted.word("sharing", plain_way))

    def close(self) -> None:
        """Loaders are made as they are written again."""
        while self._undo:
            self._undo.pop()()

    def _changes(self, torch: ModuleType, given: Mapping[str, Any]) -> dict[str, Any]:
        """What is otherwise than the script says; says so."""
        if multiprocessing.current_process().daemon:  # it may have no children
            return {}
        wanted, changes = self._wanted, self._of_workers(torch, given)
        if wanted.has("pin") and torch.accelerator.is_available():
            changes["pin_memory"] = True
        elif wanted.has("pin"):
            self._refused("there is no accelerator that pinned memory is read by")
        changes = {k: v for k, v in changes.items() if given[k] != v}
        written = [f"{key}={value!r}" for key, value in changes.items()]
        if "sharing" in wanted.settings:
            if not self._is_shared(given, changes):
                return changes
            written.append(f"sharing strategy {wanted.settings['sharing']}")
        if wanted.has("whole") and _whole_rows(torch, given):
            written.append("rows taken whole batches at a time")
        if written:
            text = f"a DataLoader of {given['num_workers']} workers has "
            self._notes.say(DATALOADER, ENGAGED, text + ", ".join(written))
            self._notes.keep(DATALOADER, *self._permanent(changes))
        elif wanted.has("whole"):
            self._refused(
                "the script's DataLoader does not give plain rows of a TensorDataset"
            )
        else:
            self._refused("the script's DataLoader has these settings already")
        return changes

    def _of_workers(
        self, torch: ModuleType, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        plain = given["num_workers"]
        workers = self._wanted.number("workers", plain)
        if isinstance(given["dataset"], torch.utils.data.IterableDataset):
            workers = min(workers, max(plain, 1))  # each one reads all of it
        if workers == 0:
            return dict(_WITHOUT_WORKERS)
        changes: dict[str, Any] = {"num_workers": workers}
        if self._wanted.has("persistent"):
            changes["persistent_workers"] = True
        if "prefetch" in self._wanted.settings:
            changes["prefetch_factor"] = self._wanted.number("prefetch", 2)
        return changes

    def _is_shared(self, given: Mapping[str, Any], changes: Mapping[str, Any]) -> bool:
        """Whether its workers know of the way to share that was asked for."""
        context = given["multiprocessing_context"]
        name = getattr(context, "_name", context) or multiprocessing.get_start_method()
        if {**given, **changes}["num_workers"] and name == "fork":
            return True
        self._refused("only workers that are forked know of the sharing strategy")
        return False

    def _permanent(self, changes: Mapping[str, Any]) -> list[str]:
        """Lines of code that do the same."""
        lines = []
        if "sharing" in self._wanted.settings:
            way = self._wanted.settings["sharing"]
            lines.append(f'torch.multiprocessing.set_sharing_strategy("{way}")')
        if changes:
            given = ", ".join(f"{key}={value!r}" for key, value in changes.items())
            lines.append(f"loader = DataLoader(..., {given})")
        if self._wanted.has("whole"):
            lines.append(
                "loader = DataLoader(loader.dataset, batch_size=None, "
                "sampler=loader.batch_sampler)  # indexed by lists"
            )
        if changes.get("persistent_workers"):
            lines.append(
                "torch.empty((), dtype=torch.int64).random_()  # before each epoch but "
                "the first: its shuffle stays as it was"
            )
        return lines

    def _refused(self, text: str) -> None:
        self._notes.say(DATALOADER, REFUSED, text)


def _whole(torch: Any, plain: Callable[..., Any]) -> Callable[..., Any]:
    """Torch's way to fetch a batch, all rows at once where that gives the same."""
    kinds = torch.utils.data

    @wraps(plain)
    def fetch(fetcher: Any, rows: Any) -> Any:
        data, index = getattr(fetcher.dataset, "timed", fetcher.dataset), rows
        try:
            while type(data) is kinds.Subset:
                data, index = data.dataset, [data.indices[i] for i in index]
            fits = fetcher.auto_collation and _is_whole(torch, data, fetcher.collate_fn)
            if fits and all(type(i) is int for i in index):
                return [tensor[index] for tensor in data.tensors]
        except (IndexError, TypeError):
            pass  # as torch itself says it
        return plain(fetcher, rows)

    return as_frame_of_ours(fetch)


def _is_whole(torch: Any, data: Any, collate: Any) -> bool:
    """Whether rows of a data set stacked are the same as taken at once."""
    if type(data) is not torch.utils.data.TensorDataset:
        return False
    return collate is torch.utils.data.default_collate and all(
        type(t) is torch.Tensor and t.is_contiguous() and not t.requires_grad
        for t in data.tensors
    )


def _whole_rows(torch: Any, given: Mapping[str, Any]) -> bool:
    """Whether a loader takes such rows, by what it is given."""
    data: Any = given["dataset"]
    while type(data) is torch.utils.data.Subset:
        data = data.dataset
    collate = given["collate_fn"] or torch.utils.data.default_collate
    batches = given["batch_sampler"], given["batch_size"]
    return batches != (None, None) and _is_whole(torch, data, collate)
