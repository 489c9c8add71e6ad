"""`prefetch(items, load)`: in order, each loaded by one of several threads."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator

import pytest

from debottleneck.strategies import pools, prefetch


@pytest.fixture(autouse=True)
def all_end() -> Iterator[None]:
    """Threads of iterations that were dropped end."""
    yield
    gc.collect()
    pools.close_all()


def _double(item: int) -> int:
    time.sleep(0.001 * (item % 3))
    return 2 * item


@pytest.mark.parametrize("where", ["thread", "process"])
def test_the_batches_are_those_of_map(where: str) -> None:
    """In the order of the items, whoever is done first; as often as they are."""
    found = prefetch(range(50), _double, workers=3, where=where)
    assert [*found] == [*found] == [2 * item for item in range(50)]
    assert len(found) == 50
    once = prefetch(iter(range(5)), _double, workers=8, where=where)
    assert [*once] == [0, 2, 4, 6, 8]
    assert [*once] == []


def test_items_come_from_one_call_at_a_time() -> None:
    """What draws or counts need not be safe for threads."""
    inside = threading.Lock()

    def items() -> Iterator[int]:
        for item in range(60):
            assert inside.acquire(blocking=False)
            time.sleep(0.0005)
            inside.release()
            yield item

    assert [*prefetch(items(), lambda item: item, workers=6)] == [*range(60)]


def test_loads_run_at_once() -> None:
    """As many as there are workers."""
    together = threading.Barrier(4, timeout=30)
    found = prefetch(range(8), lambda _: together.wait() >= 0, workers=4)
    assert [*found] == [True] * 8


def test_processes_load_elsewhere() -> None:
    """Each load in a process, the items in this one."""
    found = {*prefetch(range(8), lambda item: os.getpid(), workers=2, where="process")}
    assert os.getpid() not in found


@pytest.mark.parametrize("where", ["thread", "process"])
@pytest.mark.parametrize("error", [IndexError, KeyError, StopIteration])
def test_a_load_that_fails(where: str, error: type[Exception]) -> None:
    """It fails in its place and is the end; none passes for the end of the items."""

    def load(item: int) -> int:
        if item == 5:
            raise error(item)
        return item

    loop = iter(prefetch(range(20), load, workers=3, where=where))
    assert [next(loop) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError if error is StopIteration else error):
        next(loop)
    assert [*loop] == []


def test_an_item_that_fails() -> None:
    """What was before it comes first."""

    def items() -> Iterator[int]:
        yield from (1, 2)
        raise KeyError("gone")

    found = prefetch(items(), _double, workers=3)
    assert (next(found), next(found)) == (2, 4)
    with pytest.raises(KeyError, match="gone"):
        next(found)
    assert [*found] == []


@pytest.mark.parametrize("how", [{"count": 3}, {"source": _double}])
def test_a_load_needs_items(how: dict[str, object]) -> None:
    """A function of a position, or a count, says what to load in another way."""
    given: dict[str, object] = {"source": [1], "load": _double, **how}
    with pytest.raises(TypeError, match="load= takes items"):
        prefetch(**given)  # type: ignore[call-overload]
