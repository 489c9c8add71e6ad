"""Who wakes whom: told once a thread was seen to do so, time and again."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from debottleneck.agent import marks, patches, wakers

Event = dict[str, object]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Event]]:
    """What is told while a test runs, each wake looked at."""
    events: list[Event] = []
    monkeypatch.setattr(marks, "recording", lambda: True)
    monkeypatch.setattr(marks, "note", events.append)
    monkeypatch.setattr(wakers, "LOOK_EVERY_NS", 0)
    monkeypatch.setattr(patches, "_undo", [])
    notify = threading.Condition.notify
    wakers.Wakers().install()
    yield events
    patches.take_back()
    assert threading.Condition.notify is notify


def by_queue() -> tuple[Callable[[], object], Callable[[], object]]:
    """What waits, and what wakes it."""
    made: queue.Queue[int] = queue.Queue()
    return made.get, lambda: made.put(1)


def by_event() -> tuple[Callable[[], object], Callable[[], object]]:
    """Likewise."""
    event = threading.Event()

    def take() -> None:
        event.wait()
        event.clear()

    return take, event.set


def by_future() -> tuple[Callable[[], object], Callable[[], object]]:
    """Likewise."""
    made: queue.SimpleQueue[Future[int]] = queue.SimpleQueue()

    def take() -> None:
        future: Future[int] = Future()
        made.put(future)
        future.result()

    return take, lambda: made.get().set_result(1)


@pytest.mark.parametrize("kind", [by_queue, by_event, by_future])
def test_who_wakes_a_thread_is_told_once(
    told: list[Event], kind: Callable[[], tuple[Callable[[], object], ...]]
) -> None:
    """Both threads by their numbers, from the fifth time on that it was seen."""
    take, wake = kind()
    ids, times = [], 2 * wakers.SEEN

    def work() -> None:
        ids.append(threading.get_native_id())
        for _ in range(times):
            take()

    thread = threading.Thread(target=work)
    thread.start()
    for count in range(times):
        assert len(told) == (count >= wakers.SEEN)
        while not waits(thread):
            pass
        wake()
    thread.join()
    own = threading.get_native_id()
    assert told == [{"event": "wakes", "tid": own, "waiter": ids[0]}]


def waits(thread: threading.Thread) -> bool:
    """Whether it has got as far as to the lock that it is woken by."""
    frame = wakers.sys._current_frames().get(thread.ident or 0)
    if frame is None or frame.f_code is not wakers._WAIT:
        return False
    condition = frame.f_locals["self"]
    return bool(condition._waiters) and not condition._is_owned()
