"""Strategy `prefetch:where=process` on the script's own loader threads.

A thread that fills a queue runs in a forked process instead; the thread itself passes
on what comes from there. Its identity, its queue's bound and its end stay what they
were. Until the first item has come, the plain thread can still run in its place.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import CodeType
from typing import Any

from debottleneck.errors import StrategyError
from debottleneck.strategies import randomness
from debottleneck.strategies.automatic.notes import (
    ENGAGED,
    FAILED,
    REFUSED,
    SUMMARY,
    Notes,
)
from debottleneck.strategies.automatic.shared import (
    CALL,
    ERROR,
    LAST,
    LOOKS_ONLY,
    PUT,
    UNFIT,
    InChild,
    answer,
    apply,
)
from debottleneck.strategies.automatic.thread_work import Work, examine
from debottleneck.strategies.child import Child, End, in_child
from debottleneck.strategies.process import carried, died, received
from debottleneck.strategies.spec import PREFETCH, Strategy
from debottleneck.strategies.transport import HELD, MOST_READY, Gone, Receiver, Sender


class Producers:
    """Moves loader threads to processes as the script starts them.

    Args:
        strategy: `prefetch` with its settings.
        notes: What it did and why not.
    """

    def __init__(self, strategy: Strategy, notes: Notes) -> None:
        self._strategy = strategy
        self._notes = notes
        self._plain_start = threading.Thread.start
        self._children: dict[int, Child] = {}
        self._targets: Counter[CodeType] = Counter()
        self._lock = threading.Lock()
        self.closed = False
        self.items = 0

    def install(self) -> None:
        """Look at every thread that is started from now on."""
        plain, move = self._plain_start, self._move

        def start(thread: threading.Thread) -> None:
            if in_child() or not move(thread):
                plain(thread)

        setattr(threading.Thread, "start", start)  # noqa: B010 - undone by `close`

    def close(self) -> None:
        """Undo it; end the processes, and their threads with them."""
        setattr(threading.Thread, "start", self._plain_start)  # noqa: B010 - as it was
        with self._lock:
            self.closed = True
            children = list(self._children.values())
        for child in children:
            child.end(0)
        if self.items:
            text = f"{self.items:,} items came from loader threads' processes"
            self._notes.say(PREFETCH, SUMMARY, text, items=self.items)

    def _move(self, thread: threading.Thread) -> bool:
        """Start it with its work elsewhere; False to have it started as it is."""
        if thread._started.is_set():  # type: ignore[attr-defined] # `start` is to say so
            return False
        work = examine(thread)
        if work is None:
            return False
        if work.obstacle:
            self.say(REFUSED, work, work.obstacle)
            return False
        forked = threading.Event()
        plain = thread.run
        setattr(thread, "run", partial(self._run, work, plain, forked))  # noqa: B010 - this thread's
        self._plain_start(thread)
        forked.wait()  # the fork is not to meet the caller in the midst of its work
        return True

    def _run(
        self, work: Work, plain: Callable[[], None], forked: threading.Event
    ) -> None:
        """The thread's life: pass on, or run what it was to run."""
        vars(work.thread).pop("run", None)
        try:
            moved = self._fork(work, plain)
        finally:
            forked.set()
        if moved is None or not moved.passes_on():
            plain()

    def _fork(self, work: Work, plain: Callable[[], None]) -> _Moved | None:
        bounds = [each.maxsize for each in work.queues]
        depth = self._strategy.number("depth", max(2, *bounds))
        with self._lock:
            number = self._targets[work.function.__code__]
            self._targets[work.function.__code__] += 1
        main = partial(_produce, work, plain, min(depth, MOST_READY), number)
        try:
            child = Child(main, f"thread {work.thread.name}", in_this_thread=True)
        except StrategyError as error:
            self.say(REFUSED, work, f"cannot move: {error}")
            return None
        with self._lock:
            self._children[id(child)] = child
        return _Moved(self, work, child, min(sum(bounds) + HELD, MOST_READY))

    def say(self, state: str, work: Work, what: str) -> None:
        """Note something about one thread."""
        self._notes.say(PREFETCH, state, f"thread {work.thread.name!r} {what}")

    def keep(self, work: Work) -> None:
        """Name the code that makes it permanent."""
        name = getattr(work.function, "__name__", "produce")
        self._notes.keep(
            PREFETCH,
            f"# have {name} yield its batches instead of putting them into a queue:",
            "from debottleneck import prefetch",
            f'for batch in prefetch({name}(...), where="process"):',
        )

    def counted(self) -> None:
        """One more item was passed on."""
        with self._lock:
            self.items += 1

    def forget(self, child: Child) -> None:
        """A child has ended."""
        with self._lock:
            self._children.pop(id(child), None)


class _Moved:
    """The parent's side of one thread that was moved; runs in that thread."""

    def __init__(
        self, producers: Producers, work: Work, child: Child, held: int
    ) -> None:
        self._producers = producers
        self._work = work
        self._child = child
        self._receiver = Receiver(child.connection, held)
        self._acted = False
        self._items = 0

    def passes_on(self) -> bool:
        """Do what the child says until it ends; False: the plain work is to run.

        Once something has been passed on the plain work cannot begin anew. A child
        that dies then raises here, as if the thread had failed.
        """
        try:
            return self._pass_on()
        except Gone:
            return self._gone()
        finally:
            self._child.end()
            self._producers.forget(self._child)

    def _pass_on(self) -> bool:
        while True:
            kind, value = self._receiver.receive()
            if kind == PUT:
                self._put(*value)
            elif kind == CALL:
                self._acted |= value[1] not in LOOKS_ONLY
                self._receiver.reply(answer(self._work.shared, value))
            elif kind == UNFIT:
                return self._unfit(value)
            elif kind == ERROR:
                return self._failed(value)
            elif kind == LAST:
                apply(value, self._work)
                return True

    def _put(self, key: int, item: Any) -> None:
        if not self._items:
            self._producers.say(ENGAGED, self._work, "loads in a process of its own")
            self._producers.keep(self._work)
        self._acted = True
        self._items += 1
        self._producers.counted()
        self._work.shared[key].put(item)

    def _unfit(self, why: str) -> bool:
        if not self._acted:
            self._producers.say(REFUSED, self._work, why)
            return False
        self._producers.say(FAILED, self._work, why)
        raise StrategyError(
            f"thread {self._work.thread.name!r} {why}", "leave out where=process"
        )

    def _failed(self, told: tuple[bytes, str, str]) -> bool:
        """The work raised: before its first item, this may be due to the process."""
        if self._acted:
            raise received(told)
        self._producers.say(REFUSED, self._work, f"fails in a process: {told[1]}")
        return False

    def _gone(self) -> bool:
        why = self._child.why()
        if self._producers.closed:
            return True
        self._producers.say(FAILED, self._work, f"lost its process: it {why}")
        if not self._acted:
            return False
        raise died(self._child.name, why)


def _produce(
    work: Work, plain: Callable[[], None], depth: int, number: int, connection: End
) -> None:
    """The child's life: the thread's work, its queues leading to the parent."""
    sender = Sender(connection, depth)
    randomness.part_ways(number)
    here = InChild(work, sender)
    here.install()
    try:
        plain()
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
    except Gone:
        raise
    except BaseException as error:  # noqa: BLE001 - raised in the thread it was for
        sender.tell(ERROR, carried(error))
    else:
        sender.tell(LAST, here.changes())
