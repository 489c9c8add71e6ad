"""Hands calls to threads; those of one group are made one at a time, in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from debottleneck.strategies import pools
from debottleneck.strategies.automatic.runs import StageCall
from debottleneck.strategies.blas import Limits
from debottleneck.strategies.together import carrying


class Turns:
    """One run's calls.

    Args:
        groups: Positions of calls that must keep their order.
        threads: How many pool threads make calls, besides the caller's own.
        limits: The threads that each may use in its libraries.
    """

    def __init__(
        self, groups: Sequence[Sequence[int]], threads: int, limits: Limits
    ) -> None:
        self._threads = threads
        self._limits = limits
        self._lock = threading.Lock()
        self._errors: dict[int, BaseException] = {}
        self._queues: dict[int, _Queue] = {}
        for group in groups:
            queue = _Queue()
            self._queues.update(dict.fromkeys(group, queue))
        self.returned = ""

    def give(self, position: int, call: StageCall) -> None:
        """Have a call made by a thread, after the earlier ones of its group."""
        made = partial(call.found.marked, *call.args, **call.kwargs)
        job = partial(self._made, position, carrying(made, self._limits))
        self._queues[position].add(job, self._submit)

    def make(
        self, position: int, call: StageCall, plainly: Callable[[StageCall], Any]
    ) -> Any:
        """Make a call here, after the earlier ones of its group; what it returns."""
        self._queues[position].finish()
        return self._made(position, partial(plainly, call))

    def wait(self) -> None:
        """Until all calls have been made; those that no thread has begun, here."""
        queues = {id(queue): queue for queue in self._queues.values()}.values()
        for queue in queues:
            queue.help()
        for queue in queues:
            queue.finish()

    def first_error(self) -> BaseException | None:
        """What the first call, in order, that failed has raised."""
        return self._errors[min(self._errors)] if self._errors else None

    def _submit(self, job: Callable[[], None]) -> Future[None] | None:
        try:
            return pools.shared(self._threads).submit(job)
        except RuntimeError:  # the interpreter is ending
            return None

    def _made(self, position: int, call: Callable[[], Any]) -> Any:
        """Make a call; what it raises is kept until the run is waited for."""
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - raised where the run is waited for
            with self._lock:
                self._errors[position] = error
            return None
        if result is not None:
            self.returned = type(result).__name__
        return result


class _Queue:
    """Jobs that one thread at a time makes, in their order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._busy = False
        self._future: Future[None] | None = None

    def add(
        self,
        job: Callable[[], None],
        submit: Callable[[Callable[[], None]], Future[None] | None],
    ) -> None:
        """Queue a job, and ask for a thread unless one is at it."""
        with self._lock:
            self._waiting.append(job)
            if self._busy:
                return
            self._busy = True
        self._future = submit(self._work)
        if self._future is None:
            self._work()

    def help(self) -> None:
        """Make the jobs here, if no thread has begun with them."""
        if self._future is not None and self._future.cancel():
            self._future = None
            self._work()

    def finish(self) -> None:
        """Until no job is left."""
        self.help()
        if self._future is not None:
            self._future.result()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._busy = False
                    return
                job = self._waiting.popleft()
            job()
