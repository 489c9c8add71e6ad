"""A run of forward calls that are made at their leader's, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol

from debottleneck.agent.calls import Place
from debottleneck.agent.wrap import as_frame_of_ours
from debottleneck.strategies import pools
from debottleneck.strategies.automatic.runs import Call
from debottleneck.strategies.automatic.siblings import Plan
from debottleneck.strategies.blas import limit, restore
from debottleneck.strategies.together import carrying


class Owner(Protocol):
    """Who is told what happens."""

    def size(self, calls: int) -> int:
        """How many of these calls run at once, the trainer's own included."""

    def engaged(self, calls: int, of: int) -> None:
        """Calls of a run are made ahead for the first time."""

    def count(self, what: str, by: int = 1) -> None:
        """Add to a count: "ahead", "dropped" or "runs"."""

    def failed(self, why: str) -> None:
        """What went wrong."""


class Ahead:
    """Makes calls ahead of their turn and hands their results out in it.

    Args:
        owner: Is told.
        plan: What the run will look like.
        first: Its first call.
        pause: Called when the run is another one.
    """

    def __init__(
        self, owner: Owner, plan: Plan, first: Call, pause: Callable[[], None]
    ) -> None:
        self._owner = owner
        self._pause = pause
        self._plan = plan
        self._first = first
        self._position = -1
        self._futures: dict[int, Future[Any]] = {}
        self._calls: dict[int, Call] = {}
        self._given: dict[int, Mapping[Place, Any]] = {}
        self._limited = self._broken = False

    @as_frame_of_ours
    def serve(self, call: Call, plainly: Callable[[Call], Any]) -> Any:
        """The result of this call, made ahead or here."""
        self._position += 1
        position, plan = self._position, self._plan
        if self._broken or position >= len(plan.parts):
            return plainly(call)
        part = plan.parts[position]
        if position in self._futures:
            if part.is_that(call, self._given[part.leader]):
                return self._take(position, call, plainly)
            self._break()
        elif part.found.function is not call.found.function:
            self._break()
        elif position in plan.members:
            self._launch(position, call)
        return plainly(call)

    def begins_anew(self, call: Call) -> bool:
        """Whether the run's first call comes again."""
        return call.is_like(self._first)

    def end(self) -> None:
        """The run is over; what nobody asked for is dropped."""
        if self._futures:
            self._break()
        self._free()

    def _launch(self, leader: int, call: Call) -> None:
        """Start the calls that share this one's arguments."""
        items, owner = call.items(), self._owner
        if tuple(items) != self._plan.parts[leader].places:
            return self._break()
        members = self._plan.members[leader]
        workers = owner.size(1 + len(members))
        self._given[leader] = items
        limits = limit(workers)
        self._limited = True
        owner.engaged(1 + len(members), len(self._plan.parts))
        owner.count("runs")
        for member in members:
            ahead = self._calls[member] = self._plan.parts[member].as_call(items)
            marked = partial(ahead.found.marked, *ahead.args, **ahead.kwargs)
            try:
                job = pools.shared(workers - 1).submit(carrying(marked, limits))
            except RuntimeError as error:
                owner.failed(f"no thread could be had: {error}")
                return self._break()
            self._futures[member] = job

    @as_frame_of_ours
    def _take(self, position: int, call: Call, plainly: Callable[[Call], Any]) -> Any:
        """Its result; a call that no thread has begun is made here."""
        future = self._futures[position]
        if not future.cancel():
            self._help(future, plainly)
        error = None if future.cancelled() else future.exception()
        del self._futures[position]
        if not self._futures:
            self._free()
        if future.cancelled():
            return plainly(call)
        self._owner.count("ahead")
        if error is not None:
            self._drop()
            raise error
        return future.result()

    def _help(self, wanted: Future[Any], plainly: Callable[[Call], Any]) -> None:
        """Make later calls that no thread has begun, rather than wait for this one."""
        for position in sorted(self._futures, reverse=True):
            if wanted.done():
                return
            if self._futures[position].cancel():
                done: Future[Any] = Future()
                self._futures[position] = done
                try:
                    done.set_result(plainly(self._calls[position]))
                except Exception as error:  # noqa: BLE001 - raised when its call comes
                    done.set_exception(error)

    def _break(self) -> None:
        """The run is not the one foreseen: drop what is ahead, leave it alone."""
        self._drop()
        self._pause()
        self._owner.failed(
            f"your loop changed its order at forward call {self._position + 1}; "
            "the results made ahead were dropped"
        )

    def _drop(self) -> None:
        """Wait for what runs, so that it does not meddle, and forget it."""
        self._broken = True
        self._owner.count("dropped", len(self._futures))
        for future in self._futures.values():
            future.cancel()
        for future in self._futures.values():
            if not future.cancelled():
                future.exception()
        self._futures.clear()
        self._free()

    def _free(self) -> None:
        if self._limited:
            self._limited = False
            restore()
