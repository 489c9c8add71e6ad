"""`prefetch`: the plain sequence, bounded, and nothing left behind."""

from __future__ import annotations

import contextlib
import gc
import io
import threading
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np
import pytest

from debottleneck.strategies import pools
from debottleneck.strategies.prefetch import prefetch

LONG_S = 60.0
"""Far more than anything here takes."""


@pytest.fixture(autouse=True)
def all_end() -> Iterator[None]:
    """Threads of iterations that were dropped end; the guard sees the others."""
    yield
    if not ours():
        return
    gc.collect()
    for thread in ours():
        thread.join(LONG_S)


def ours() -> list[threading.Thread]:
    """The threads of iterations that still run."""
    return [
        each for each in threading.enumerate() if each.name.startswith("bottleneck-")
    ]


class Dataset:
    """Indexed like a PyTorch dataset: no `__iter__`, and no IndexError."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> int:
        return index * index


class Endless:
    """No length: ends by IndexError, as the old iteration protocol has it."""

    def __getitem__(self, index: int) -> int:
        if index >= 7:
            raise IndexError(index)
        return -index


class Pages(Sequence[str]):
    """A Sequence that leaves iteration to its base class."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: Any) -> str:
        return "abc"[index]


class Loader:
    """Its own iterator, and starts anew in `__iter__`."""

    def __init__(self) -> None:
        self.begun = 0

    def __iter__(self) -> Loader:
        self.begun += 1
        self.index = 0
        return self

    def __next__(self) -> int:
        if self.index == 4:
            raise StopIteration
        self.index += 1
        return self.index


def numbers(end: int, pulled: list[int] | None = None) -> Iterator[int]:
    """A generator that notes how far it was pulled."""
    for number in range(end):
        if pulled is not None:
            pulled.append(number)
        yield number


SOURCES: dict[str, Callable[[], Iterable[Any]]] = {
    "list": lambda: [3, 1, 2],
    "empty": list,
    "range": lambda: range(2, 20, 3),
    "array": lambda: np.arange(12).reshape(4, 3),
    "mapping": lambda: {"a": 1, "b": 2},
    "lines": lambda: io.StringIO("one\ntwo\n"),
    "generator": lambda: numbers(6),
    "sequence": Pages,
    "no iter": Endless,
    "itself": Loader,
}


@pytest.mark.parametrize("workers", [1, 3, "auto"])
@pytest.mark.parametrize("kind", SOURCES)
def test_the_plain_sequence(kind: str, workers: Any) -> None:
    """Whatever the source, the batches are those of the plain loop."""
    plain = list(map(str, SOURCES[kind]()))
    assert list(map(str, prefetch(SOURCES[kind](), workers=workers))) == plain


def test_a_function_of_a_position() -> None:
    """So many times as asked for or as there are, or until it raises IndexError."""
    assert list(prefetch(Dataset(), workers=2)) == [0, 1, 4, 9, 16]
    squares = prefetch(lambda index: index**2, workers=3, count=4)
    assert list(squares) == [0, 1, 4, 9]
    assert len(squares) == 4
    assert list(prefetch(Endless().__getitem__, workers=3)) == list(range(0, -7, -1))


@pytest.mark.parametrize("source", [[1, 2, 3], Dataset(), {4: 5}, Loader()])
def test_again_where_the_source_is(source: Any) -> None:
    """Each loop over the prefetch is a loop over the source."""
    found = prefetch(source, workers=2)
    assert list(found) == list(found)
    with pytest.raises(TypeError, match="iterator"):
        next(found)


def test_a_loader_that_is_its_own_iterator_begins_anew() -> None:
    """A second loop ends the first one before the loader is reset."""
    loader = Loader()
    found = prefetch(loader, depth=1)
    assert next(iter(found)) == 1
    assert list(found) == [1, 2, 3, 4]
    assert loader.begun == 2


def test_an_iterator_goes_on() -> None:
    """Of an iterator there is one loop, which a second `for` continues."""
    found = prefetch(numbers(5))
    assert [next(found), next(found)] == [0, 1]
    assert list(found) == [2, 3, 4]
    assert list(found) == []


def test_length_and_truth_are_the_sources() -> None:
    """`len` where the source has one, and `bool` as it would be."""
    assert len(prefetch([1, 2])) == 2
    assert len(prefetch(Dataset())) == 5
    assert not prefetch([])
    assert prefetch(Endless())
    for without in (Endless(), abs):
        with pytest.raises(TypeError, match="no len"):
            len(prefetch(without))  # type: ignore[arg-type]


def test_positions_are_fetched_at_once() -> None:
    """As many as there are workers: each waits for the others."""
    together = threading.Barrier(3)

    def fetch(index: int) -> int:
        together.wait(LONG_S)
        return index

    assert list(prefetch(fetch, workers=3, depth=1, count=9)) == list(range(9))


def test_an_iterator_is_pulled_by_one_thread() -> None:
    """However many workers were asked for."""
    threads = set()

    def pulled() -> Iterator[int]:
        for number in range(20):
            threads.add((threading.current_thread().name, pools.is_worker()))
            yield number

    found = prefetch(pulled(), workers=8)
    assert list(found) == list(range(20))
    assert threads == {("bottleneck-prefetch-1", True)}


@pytest.mark.parametrize(("workers", "depth"), [(1, 1), (1, 4), (4, 1), (3, 5)])
def test_never_more_than_the_bound(workers: int, depth: int) -> None:
    """At most `workers` under way, and with those that wait `depth` more."""
    lock = threading.Lock()
    begun = running = taken = most_running = most = 0

    def fetch(index: int) -> int:
        nonlocal begun, running, most_running, most
        with lock:
            begun, running = begun + 1, running + 1
            most_running = max(most_running, running)
            most = max(most, begun - taken)
        with lock:
            running -= 1
        return index

    for _ in prefetch(fetch, workers=workers, depth=depth, count=200):
        with lock:
            taken += 1
    assert most_running <= workers
    # One more: it is the consumer's before the consumer can count it.
    assert most <= workers + depth + 1


def test_it_waits_when_it_is_ahead() -> None:
    """Nothing is pulled before the first batch is asked for, then depth + 1 more."""
    pulled: list[int] = []
    found = prefetch(numbers(100, pulled), depth=3)
    assert pulled == []
    assert next(found) == 0
    while len(pulled) < 5:
        threading.Event().wait(0.001)
    threading.Event().wait(0.02)
    assert pulled == [0, 1, 2, 3, 4]
    found.close()


def fails_at(position: int, error: BaseException) -> Callable[[int], int]:
    """A function of a position that raises at one."""

    def fetch(index: int) -> int:
        if index == position:
            raise error
        return index

    return fetch


def test_its_traceback_is_the_users() -> None:
    """Below the line that asked there is one frame of ours, and then the source's."""

    def outer(index: int) -> int:
        return inner(index)

    def inner(index: int) -> int:
        raise ValueError(index)

    found = prefetch(outer, count=3)
    with pytest.raises(ValueError, match="0") as raised:
        list(found)
    frames = [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert frames[-3:] == ["__next__", "outer", "inner"]
    assert len(frames) == 4


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_every_kind_of_exception_is_carried(error: BaseException) -> None:
    """A source that ends the program ends it from the loop, not from a thread."""
    with pytest.raises(type(error)):
        list(prefetch(fails_at(1, error)))


def test_close_ends_everything() -> None:
    """It waits for what is under way; after it no loop has batches."""
    with prefetch([1, 2, 3], workers=2) as several:
        loop = iter(several)
        assert next(loop) == 1
    assert list(loop) == []
    pulled: list[int] = []
    with prefetch(numbers(1000, pulled)) as found:
        assert next(found) == 0
    assert not ours()
    assert list(found) == []
    so_far = len(pulled)
    assert so_far <= 4
    found.close()


def test_a_waiting_consumer_hears_of_the_close() -> None:
    """Another thread's `close` ends the loop, and waits for the fetch under way."""
    begun, go = threading.Event(), threading.Event()

    def fetch(index: int) -> int:
        begun.set()
        assert go.wait(LONG_S)
        return index

    found = iter(prefetch(fetch, workers=1, depth=3))
    seen: list[int] = []
    consumer = threading.Thread(target=lambda: seen.extend(found))
    consumer.start()
    assert begun.wait(LONG_S)
    threading.Timer(0.05, go.set).start()
    found.close()
    consumer.join(LONG_S)
    assert not consumer.is_alive()
    assert len(seen) <= 1


@pytest.mark.parametrize("workers", [1, 3])
def test_dropped_without_a_word(workers: int) -> None:
    """No reference keeps it, dropping it waits for nothing, and its threads end."""
    begun, go = threading.Semaphore(0), threading.Event()
    fetched: list[int] = []

    def fetch(index: int) -> int:
        fetched.append(index)
        if index > 0:
            begun.release()
            assert go.wait(LONG_S)
        return index

    found = iter(prefetch(fetch, workers=workers, depth=4))
    assert next(found) == 0
    for _ in range(workers):
        assert begun.acquire(timeout=LONG_S)
    seen = weakref.ref(found)
    gc.disable()
    try:
        del found
        assert seen() is None
    finally:
        gc.enable()
    go.set()
    for thread in ours():
        thread.join(LONG_S)
    assert sorted(fetched) == list(range(workers + 1))


def test_an_exception_keeps_nothing_alive() -> None:
    """Neither the loop nor its thread, once the exception is gone."""

    def fails(index: int) -> int:
        raise ValueError(index)

    found = iter(prefetch(fails, workers=2, count=3))
    seen = weakref.ref(found)
    gc.disable()
    try:
        with contextlib.suppress(ValueError):
            next(found)
        del found
        assert seen() is None
    finally:
        gc.enable()


def test_batches_are_not_kept() -> None:
    """A batch is gone when the consumer lets it go."""
    found = prefetch((np.zeros(3) for _ in range(3)), depth=1)
    batch = next(found)
    seen = weakref.ref(batch)
    next(found)
    next(found)
    del batch
    assert seen() is None
    found.close()


def test_a_prefetch_of_a_prefetch() -> None:
    """Each has threads of its own, so that neither waits for the other's."""
    inner = prefetch(range(40), workers=2)
    assert list(prefetch(inner, workers=2, depth=1)) == list(range(40))
    twice = prefetch(prefetch(prefetch(numbers(9)), depth=1))
    assert next(twice) == 0
    twice.close()


def test_the_callers_context_is_carried() -> None:
    """Context variables, among them NumPy's handling of errors, are the loop's."""
    name: ContextVar[str] = ContextVar("name", default="other")
    token = name.set("mine")
    assert list(prefetch(lambda index: name.get(), count=2)) == ["mine"] * 2
    assert list(prefetch(name.get() for _ in range(2))) == ["mine"] * 2
    name.reset(token)


@pytest.mark.torch
def test_gradients_are_as_in_the_loop() -> None:
    """A source that computes does it in the mode of the thread that iterates."""
    import torch

    weight = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        found = list(prefetch(lambda index: weight * index, workers=2, count=3))
    assert not any(batch.requires_grad for batch in found)
    assert all(batch.requires_grad for batch in prefetch([0, 1]) for batch in [weight])


def test_without_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none can be started the consumer fetches, as the plain loop does."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert list(prefetch(numbers(7))) == list(range(7))
    assert list(prefetch(Endless(), workers=3)) == list(Endless())  # type: ignore[call-overload]


def test_two_consumers_share_the_batches() -> None:
    """Each batch comes to one of them."""
    found = prefetch(numbers(200), depth=4)
    seen: list[list[int]] = [[], []]
    threads = [
        threading.Thread(target=lambda mine=mine: mine.extend(found)) for mine in seen
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert sorted(seen[0] + seen[1]) == list(range(200))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"source": 3}, TypeError, "cannot be iterated"),
        ({"workers": 0}, ValueError, "workers is a number from 1 on or"),
        ({"workers": "many"}, ValueError, "workers"),
        ({"depth": 0}, ValueError, "depth is a number from 1 on, not 0"),
        ({"depth": "auto"}, ValueError, "depth"),
        ({"where": "cloud"}, ValueError, '"thread" or "process"'),
        ({"count": 2}, TypeError, "functions of a position"),
        ({"source": iter([]), "count": 2}, TypeError, "functions of a position"),
    ],
)
def test_what_cannot_be_asked_for(
    arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    """It is said at once, not in the loop."""
    with pytest.raises(error, match=words):
        prefetch(**{"source": [1], **arguments})


def test_auto_takes_more_than_one_thread() -> None:
    """Where the load waits, several make batches."""
    clock, threads = threading.Event(), set[int]()

    def load(index: int) -> None:
        threads.add(threading.get_ident())
        clock.wait(0.01)

    assert len(list(prefetch(load, workers="auto", count=60))) == 60
    assert len(threads) > 1
