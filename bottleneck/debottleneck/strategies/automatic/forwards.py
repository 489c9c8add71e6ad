"""Runs forward calls that take the same arguments side by side.

For two steps the calls are watched. When the same layers were called with the same
argument objects, none of them another one's output, the first of them starts the
others in threads, each with the very arguments that the first has got. Each later
call is checked when it comes: the same function, layer and arguments get the result
that is ready, anything else is called plainly and the results ahead are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

from debottleneck.agent.calls import Place
from debottleneck.agent.wrap import as_frame_of_ours
from debottleneck.strategies import pools
from debottleneck.strategies.automatic.learner import Kind, Learner
from debottleneck.strategies.automatic.notes import Notes
from debottleneck.strategies.automatic.runs import LeftAlone, Run, StageCall
from debottleneck.strategies.automatic.siblings import (
    Plan,
    Portrait,
    common,
    likely,
    why_not,
)
from debottleneck.strategies.blas import limit, restore
from debottleneck.strategies.randomness import Draws, streams
from debottleneck.strategies.spec import Strategy
from debottleneck.strategies.together import carrying

MOST_WATCHED = 256
"""Calls of one run that are described; a longer one repeats itself."""


class Forwards(Learner):
    """The actor of `parallel-forward`.

    Args:
        strategy: Its settings.
        notes: Where it says what it does.
    """

    stage = "forward"
    found_kinds = ("function", "option", "torch")
    most_kinds = 256
    begins_anew = StageCall.is_like
    unlike = "no two steps make the same forward calls in the same order"
    unmet = "no call of a forward function was met"

    def __init__(self, strategy: Strategy, notes: Notes) -> None:
        super().__init__(strategy, notes, ("ahead", "dropped", "runs"))

    def engaged(self, calls: int, of: int) -> None:
        """Say that it acts, once."""
        text = f"{calls} of {of} forward calls a step run side by side"
        self._engage(text, self.size(calls))

    def _summary(self) -> str:
        return (
            f"{self._counts['ahead']} forward calls were made ahead of their turn in "
            f"{self._counts['runs']} runs, {self._counts['dropped']} were dropped"
        )

    def _subject(self, call: StageCall) -> Any:
        """The object that it is a method of."""
        return call.args[0] if call.is_method() else None

    def _new_kind(self, subject: Any) -> Kind:
        return _Layers(self, subject)

    def _importance(self, reason: str) -> int:
        """Objections first, then chains, then single calls."""
        order = ("your layers share", "your layers feed", "your layers do", "one forw")
        ranks = [i for i, beginning in enumerate(order) if reason.startswith(beginning)]
        return ranks[0] if ranks else -1


class _Layers(Kind):
    """Runs that begin with the same function and layer."""

    _learner: Forwards

    def _acted_on(self, call: StageCall) -> Run:
        return _Ahead(self._learner, self._plan, call, self.pause)

    def _watched(self, call: StageCall, depth: int) -> Run:
        guess = likely(self._last) if self._last is not None else None
        return _Watched(self, Portrait(guess), call, depth)

    def learn(self, portrait: Portrait, depth: int) -> None:
        """Take a watched run in."""
        portrait.finished()
        parts = tuple(portrait.parts)
        plan = common(self._last, parts) if self._last is not None else None
        self._last = parts
        reason = portrait.objection
        if plan is not None and plan.members and not reason:
            if plan.ahead <= portrait.seen:
                self._plan, self._last = plan, None
            return
        if not reason and not likely(parts).members:
            reason = why_not(parts)
        if len(parts) == 1 and parts[0].found.kind == "torch":
            reason = ""  # said of whole modules by the actor for torch
        self._tried(depth, reason, hopeless=bool(portrait.objection))


class _Watched(LeftAlone):
    """A run that is described while all its calls are made where they are."""

    def __init__(
        self, kind: _Layers, portrait: Portrait, first: StageCall, depth: int
    ) -> None:
        ended = partial(kind.learn, portrait, depth)
        super().__init__(first, StageCall.is_like, ended)
        self._portrait = portrait

    @as_frame_of_ours
    def serve(self, call: StageCall, plainly: Callable[[StageCall], Any]) -> Any:
        if len(self._portrait.parts) >= MOST_WATCHED:
            return plainly(call)
        look = self._portrait.before(call)
        draws = Draws(streams()) if look is not None else None
        result = plainly(call)
        self._portrait.after(call, result, look, draws)
        return result


class _Ahead:
    """Makes calls ahead of their turn and hands their results out in it.

    Args:
        forwards: Is told.
        plan: What the run will look like.
        first: Its first call.
        pause: Called when the run is another one.
    """

    def __init__(
        self,
        forwards: Forwards,
        plan: Plan,
        first: StageCall,
        pause: Callable[[], None],
    ) -> None:
        self._forwards = forwards
        self._pause = pause
        self._plan = plan
        self._first = first
        self._position = -1
        self._futures: dict[int, Future[Any]] = {}
        self._calls: dict[int, StageCall] = {}
        self._given: dict[int, Mapping[Place, Any]] = {}
        self._limited = self._broken = False

    @as_frame_of_ours
    def serve(self, call: StageCall, plainly: Callable[[StageCall], Any]) -> Any:
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

    def begins_anew(self, call: StageCall) -> bool:
        """Whether the run's first call comes again."""
        return call.is_like(self._first)

    def end(self) -> None:
        """The run is over; what nobody asked for is dropped."""
        if self._futures:
            self._break()
        self._free()

    def _launch(self, leader: int, call: StageCall) -> None:
        """Start the calls that share this one's arguments."""
        items, forwards = call.items(), self._forwards
        if tuple(items) != self._plan.parts[leader].places:
            return self._break()
        members = self._plan.members[leader]
        workers = forwards.size(1 + len(members))
        self._given[leader] = items
        limits = limit(workers)
        self._limited = True
        forwards.engaged(1 + len(members), len(self._plan.parts))
        forwards.count("runs")
        for member in members:
            ahead = self._calls[member] = self._plan.parts[member].as_call(items)
            marked = partial(ahead.found.marked, *ahead.args, **ahead.kwargs)
            try:
                job = pools.shared(workers - 1).submit(carrying(marked, limits))
            except RuntimeError as error:
                forwards.failed(f"no thread could be had: {error}")
                return self._break()
            self._futures[member] = job

    @as_frame_of_ours
    def _take(
        self, position: int, call: StageCall, plainly: Callable[[StageCall], Any]
    ) -> Any:
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
        self._forwards.count("ahead")
        if error is not None:
            self._drop()
            raise error
        return future.result()

    def _help(self, wanted: Future[Any], plainly: Callable[[StageCall], Any]) -> None:
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
        self._forwards.failed(
            f"your loop changed its order at forward call {self._position + 1}; "
            "the results made ahead were dropped"
        )

    def _drop(self) -> None:
        """Wait for what runs, so that it does not meddle, and forget it."""
        self._broken = True
        self._forwards.count("dropped", len(self._futures))
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
