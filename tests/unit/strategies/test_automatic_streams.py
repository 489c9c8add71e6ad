"""A source that is read one result ahead gives the same results in the same order."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from debottleneck.agent.calls import Call, is_source
from debottleneck.strategies.automatic.streams import Streams


@pytest.fixture(autouse=True)
def threads_end() -> Iterator[None]:
    """Closed streams' threads are given the moment they need."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("bottleneck-test"):
            thread.join(10)


def test_results_come_in_order_and_few_ahead() -> None:
    """With depth 2 the source is at most two results ahead of what was asked for."""
    asked, ahead = 0, []
    counter = itertools.count()

    def take(source: Any) -> int:
        ahead.append(next(counter) - asked)
        return len(ahead) - 1

    streams = Streams(take, 2, "test")
    for expected in range(20):
        assert streams.take(Call((counter,), {})) == expected
        asked += 1
    streams.close()
    assert max(ahead) <= 3


def test_sources_taken_in_turn_keep_their_own_order() -> None:
    """Two queues in any order: each one's items come as they were put."""
    first: queue.Queue[str] = queue.Queue()
    second: queue.Queue[str] = queue.Queue()
    for n in range(6):
        first.put(f"a{n}")
        second.put(f"b{n}")
    streams = Streams(lambda source: source.get(), 2, "test")
    order = [first, second, second, first, first, second]
    found = [streams.take(Call((source,), {})) for source in order]
    assert found == ["a0", "b0", "b1", "a1", "a2", "b2"]
    streams.close()


def test_what_the_source_raises_comes_once_at_its_place() -> None:
    """The end of an iterator is raised after its last item, and again if asked."""
    items = iter([1, 2])
    streams = Streams(next, 4, "test")
    call = Call((items,), {})
    assert [streams.take(call), streams.take(call)] == [1, 2]
    for _ in range(2):
        with pytest.raises(StopIteration):
            streams.take(call)
    streams.close()


def test_closing_leaves_a_thread_that_waits_no_work() -> None:
    """A source that never gives anything does not hold up the end."""
    dry: queue.Queue[int] = queue.Queue()
    streams = Streams(lambda source: source.get(), 1, "test")
    got: list[int] = []
    reader = threading.Thread(target=lambda: got.append(streams.take(Call((dry,), {}))))
    reader.start()
    dry.put(7)
    reader.join()
    streams.close()
    dry.put(8)
    assert got == [7]


def test_queues_and_iterators_are_sources() -> None:
    """What gives something else each time it is asked."""
    assert all(map(is_source, (queue.Queue(), queue.SimpleQueue(), iter([1]))))
    assert not any(map(is_source, ([1], {}, 3, "abc")))
