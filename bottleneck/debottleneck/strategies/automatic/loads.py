"""Strategy `prefetch` on the functions of a script that load."""

from __future__ import annotations

import dis
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from inspect import isasyncgenfunction
from typing import Any

from debottleneck.agent.calls import Call, Place, Progression, is_source, same
from debottleneck.agent.elements import Pattern
from debottleneck.agent.results import reuses
from debottleneck.agent.wrap import Found, as_frame_of_ours
from debottleneck.strategies.automatic.callers import (
    ProcessCaller,
    ThreadCaller,
    needs_replicas,
)
from debottleneck.strategies.automatic.fanout import Fanout
from debottleneck.strategies.automatic.notes import ENGAGED, REFUSED, SUMMARY, Notes
from debottleneck.strategies.automatic.speculate import Caller, Speculation
from debottleneck.strategies.automatic.streams import Streams
from debottleneck.strategies.pools import is_worker
from debottleneck.strategies.prefetch import prefetch
from debottleneck.strategies.spec import (
    NO_LOAD,
    PREFETCH,
    SOURCE,
    VARIES,
    Strategy,
    prefetch_size,
)

LEAST_IN_PROCESS = 2
"""Elements in a message to a process, which costs 0.1 to 0.2 ms."""

WATCHED = 4
"""Calls after which a function's kind of load is decided."""


class Loads:
    """Fetches ahead for every function that marks `load`.

    Args:
        strategy: `prefetch` with its settings.
        notes: What it did and why not.

    Attributes:
        depth: Most batches ahead.
        in_process: Whether loads run in other processes.
    """

    def __init__(self, strategy: Strategy, notes: Notes) -> None:
        self._workers, self.depth = prefetch_size(strategy)
        self.in_process = strategy.word("where", "thread") == "process"
        self._notes = notes
        self._functions: list[_Function] = []
        self._generators = 0
        self._found: dict[object, Found] = {}
        self._pools: dict[object, Caller] = {}
        least = LEAST_IN_PROCESS if self.in_process else 1
        self._fanout = Fanout(
            self._submit, self._helpers, least, self._fans_out, self._refuse
        )
        self._lock = threading.Lock()

    def act(self, found: Found, called: Callable[..., Any]) -> Callable[..., Any]:
        """Fetch ahead what this function loads; other stages are left alone."""
        if found.stage != "load" or found.kind in ("torch", "api", "framework"):
            return called
        self._found[called] = found
        if found.kind == "coroutine" or isasyncgenfunction(found.function):
            self._refuse(f"{found.name} is asynchronous: the event loop interleaves it")
            return called
        if found.kind == "generator" and _takes(found.function):
            self._refuse(f"{found.name} takes what its user sends to it")
            return called
        if found.kind == "generator":
            return self._generator(found, called)
        return self._function(found, called)

    def _function(self, found: Found, called: Callable[..., Any]) -> Callable[..., Any]:
        mine = _Function(self, found, called)
        self._functions.append(mine)

        def load(*args: Any, **kwargs: Any) -> Any:
            if is_worker():
                return called(*args, **kwargs)
            if self._fanout.inside():
                return self._fanout.inner(called, Call(args, kwargs), called)
            return mine.load(args, kwargs)

        return as_frame_of_ours(load)

    def outer(self, called: Callable[..., Any], call: Call) -> Any:
        """A load in place, whose inner loads may run together."""
        return self._fanout.outer(called, call, called)

    def _submit(self, pattern: Pattern, calls: list[Call]) -> Future[list[Any]]:
        key = pattern.inner
        with self._lock:
            if key not in self._pools:
                found = self._found[key]
                where = calls[0], pattern.place
                self._pools[key] = self.caller(found, *where, self._helpers)
        return self._pools[key].submit_all(calls)

    @property
    def _helpers(self) -> int:
        """Workers for one batch's elements: the trainer is one of them itself."""
        return max(1, self._workers - 1)

    def caller(
        self, found: Found, template: Call, place: Place, workers: int = 0
    ) -> Caller:
        """Where calls of this function are made ahead."""
        what = f"prefetch-{found.name.rpartition('.')[2]}"
        workers = workers or self._workers
        if self.in_process:
            return ProcessCaller(found.marked, template, place, workers, what)
        return ThreadCaller(found.marked, workers, what)

    def _fans_out(self, key: object, pattern: Pattern) -> None:
        inner = self._found[pattern.inner]
        outer = self._found[key]
        kind = "Process" if self.in_process else "Thread"
        elements = parameter(outer.function, pattern.elements)
        call = f"{inner.name.rpartition('.')[2]}, {elements}"
        keep = (
            f"from concurrent.futures import {kind}PoolExecutor",
            f"pool = {kind}PoolExecutor({self._workers})  # once, before the loop",
            f"items = list(pool.map({call}, chunksize=8))  # in {outer.name}",
        )
        text = f"the calls of {inner.name} for one batch are made at once"
        self.engaged(text, *keep)

    def _generator(
        self, found: Found, called: Callable[..., Any]
    ) -> Callable[..., Any]:
        def ahead(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            if is_worker():
                return (yield from called(*args, **kwargs))
            items = found.marked(*args, **kwargs)
            seen: list[Any] = []
            ended, value = yield from _first(items, seen)
            if ended:
                return value
            if reuses(*seen):
                self._refuse(f"{found.name} fills the same array for every batch")
                return (yield from items)
            seen.clear()
            return (yield from self._ahead(found, items))

        return as_frame_of_ours(ahead)

    def _ahead(
        self, found: Found, items: Generator[Any, Any, Any]
    ) -> Generator[Any, Any, Any]:
        self.engaged(f"{found.name} runs ahead of the loop")
        returned: list[Any] = []
        source = _returning(items, returned)
        where = "process" if self.in_process else "thread"
        batches = prefetch(source, depth=self.depth, where=where)
        try:
            for batch in batches:
                self._generators += 1
                yield batch
        finally:  # a source that gives nothing more must not hold up the loop's end
            batches.close(wait=False)
        return returned[0] if returned else None

    def engaged(self, text: str, *keep: str) -> None:
        """Note that it acts from now on, and code that a permanent form needs."""
        self._notes.say(PREFETCH, ENGAGED, text)
        if keep:
            self._notes.keep(PREFETCH, *keep)

    def _refuse(self, text: str) -> None:
        self._notes.say(PREFETCH, REFUSED, text)

    def refused(self, found: Found, why: str) -> None:
        """Note why this function's calls are not made ahead."""
        self._refuse(f"{found.name}: {why}")

    @property
    def fans_out(self) -> bool:
        """Whether inner loads were made at once."""
        return self._fanout.ahead > 0

    def close(self) -> None:
        """Stop fetching, and say what it came to."""
        ahead = self._generators + self._fanout.ahead
        calls = self._generators + self._fanout.ahead
        for function in self._functions:
            counts = function.close()
            ahead, calls = ahead + counts[0], calls + counts[1]
        for pool in self._pools.values():
            pool.close()
        if ahead:
            text = f"{ahead:,} of {calls:,} loads were made ahead"
            self._notes.say(PREFETCH, SUMMARY, text, ahead=ahead, calls=calls)
        if not self._found:
            self._refuse(NO_LOAD)


def _takes(function: Callable[..., Any]) -> bool:
    """Whether a generator uses what it is sent: a `yield` has a value."""
    operations = [i.opname for i in dis.get_instructions(function)]
    after = {
        operations[index + 2]
        for index, name in enumerate(operations[:-2])
        if name == "YIELD_VALUE" and not operations[index + 2].startswith("JUMP_BACK")
    }
    return bool(after - {"POP_TOP"})


def _first(
    items: Generator[Any, Any, Any], seen: list[Any]
) -> Generator[Any, Any, tuple[bool, Any]]:
    """Yield and keep the first two items; whether that was all, and its value."""
    for _ in range(2):
        try:
            seen.append(next(items))
        except StopIteration as stop:
            return True, stop.value
        yield seen[-1]
    return False, None


def parameter(function: Callable[..., Any], place: Place) -> str:
    """The name of a function's parameter at that place."""
    code = getattr(function, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if code is not None else ()
    if isinstance(place, int):
        return str(names[place]) if place < len(names) else "items"
    return place


def _returning(
    items: Generator[Any, Any, Any], returned: list[Any]
) -> Generator[Any, Any, None]:
    returned.append((yield from items))


class _Function:
    """One loading function: watched at first, then fetched ahead if it can be."""

    def __init__(self, loads: Loads, found: Found, called: Callable[..., Any]) -> None:
        self._loads = loads
        self._function = found
        self._called = called
        self._streams: Streams | None = None
        self._first: list[Any] | None = None
        self._before: Any = None
        self._reuses = False
        self._calls = 0
        self._speculation = Speculation(
            self._plain,
            self._begin,
            loads.depth,
            lambda: loads.engaged(f"{found.name} is called ahead"),
            lambda why: loads.refused(found, why),
        )

    def load(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The trainer's call."""
        call = Call(args, kwargs)
        self._calls += 1
        sources = self._sources(call)
        if sources is None:
            return self._speculation(*args, **kwargs)
        if self._first is None:
            self._first = sources
        if not self._takes_only(sources):
            return self._called(*args, **kwargs)
        if self._streams is None:
            return self._begin_streams(call)
        return self._streams.take(call)

    def _sources(self, call: Call) -> list[Any] | None:
        """The arguments with sources left out; None when there is none."""
        values = list(call.items().values())
        if self._function.name.endswith(".__next__"):
            return values[1:]
        rest = [value for value in values if not is_source(value)]
        return rest if len(rest) < len(values) else None

    def _takes_only(self, rest: list[Any]) -> bool:
        """Whether nothing but the source changes from call to call."""
        first = self._first or []
        if self._loads.in_process:
            why = SOURCE
        elif len(first) == len(rest) and all(map(same, first, rest)):
            return True
        else:
            why = "it takes from a source by arguments that change"
        self._loads.refused(self._function, why)
        return False

    def _begin_streams(self, call: Call) -> Any:
        """The first calls are plain, so that a loop of two steps pays nothing."""
        if self._calls < WATCHED:
            result = self._called(*call.args, **call.kwargs)
            self._reuses = self._reuses or reuses(self._before, result)
            self._before = result
            return result
        self._before = None
        if self._reuses:
            self._loads.refused(self._function, "it fills the same array each time")
            return self._called(*call.args, **call.kwargs)
        name = self._function.name
        self._loads.engaged(f"{name} takes from its source ahead of the loop")
        what = f"prefetch-{name.rpartition('.')[2]}"
        self._streams = Streams(self._function.marked, self._loads.depth, what)
        return self._streams.take(call)

    def _plain(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._loads.outer(self._called, Call(args, kwargs))

    def _begin(self, progression: Progression, call: Call) -> Caller:
        if needs_replicas(call):
            self._loads.engaged(
                "each worker has a connection of its own",
                "# give each thread a connection of its own, as in threading.local():",
                "# one connection carries one request at a time",
            )
        assert progression.place is not None, "it is asked for when one foresees"
        return self._loads.caller(self._function, call, progression.place)

    def close(self) -> tuple[int, int]:
        """(calls made ahead, calls)."""
        self._speculation.close()
        if self._streams is not None:
            self._streams.close()
            return self._streams.taken, self._calls
        ahead = self._speculation.made_ahead
        watched = self._speculation.calls >= WATCHED
        if watched and not ahead and not self._loads.fans_out:
            self._loads.refused(self._function, VARIES)
        return ahead, ahead and self._calls
