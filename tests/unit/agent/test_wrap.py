"""Wrapped functions: of their kind, and invisible but for their marks."""

from __future__ import annotations

import asyncio
import inspect
import logging
import pickle
import sys
import textwrap
import types
import warnings
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from debottleneck import stage
from debottleneck.agent import marks
from debottleneck.agent.discover import compile_marked
from debottleneck.agent.spool_writer import SpoolWriter
from debottleneck.agent.wrap import wrap
from debottleneck.recording import spool
from debottleneck.recording.spool import FRAME_FILE


@pytest.fixture(params=[False, True], ids=["off", "recording"], autouse=True)
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[bool]:
    """Every behaviour holds with and without a recording."""
    if not request.param:
        yield False
        return
    (tmp_path / spool.CONTROL_FILE).write_bytes(bytes(spool.CONTROL_BYTES))
    writer = SpoolWriter(tmp_path, lambda mode: None)
    marks.start(writer)
    yield True
    marks.finish()


def add(left: int, right: int = 2, *rest: int, scale: int = 1) -> int:
    """Add up."""
    return (left + right + sum(rest)) * scale


def fetch(rows: list[int]) -> int:
    """Pickled by name, as a worker process gets it."""
    return sum(rows)


fetch = wrap(fetch, "load")


def test_a_function_works_as_before() -> None:
    """Arguments of every kind and the result pass through."""
    wrapped = wrap(add, "load")
    assert wrapped(1) == 3
    assert wrapped(1, 2, 3, scale=10) == 60
    assert wrapped(*(1, 2), **{"scale": 2}) == 6
    with pytest.raises(TypeError, match="missing 1 required"):
        wrapped()  # type: ignore[call-arg]


def test_a_function_looks_as_before() -> None:
    """Name, signature, defaults, documentation and annotations are its own."""
    wrapped = wrap(add, "load")
    for name in ("__name__", "__qualname__", "__doc__", "__module__", "__defaults__"):
        assert getattr(wrapped, name) == getattr(add, name)
    assert wrapped.__annotations__ == add.__annotations__
    assert wrapped.__kwdefaults__ == {"scale": 1}
    assert wrapped.__wrapped__ is add
    assert inspect.signature(wrapped) == inspect.signature(add)
    assert inspect.getsource(wrapped) == inspect.getsource(add)


def test_the_frame_names_the_stage() -> None:
    """A stack shows which stage it is in, in a file that is known as ours."""
    wrapped = wrap(lambda: sys._getframe(1).f_code, "backward")
    code = wrapped()
    assert code.co_name == "[stage backward]"
    assert code.co_filename == FRAME_FILE


def test_an_exception_is_the_same_object() -> None:
    """What the function raises reaches the caller unchanged."""
    error = KeyError("mine")

    def broken() -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        wrap(broken, "load")()
    assert caught.value is error


def test_a_pickled_function_is_found_by_name() -> None:
    """Worker processes receive the wrapped function as they would the plain one."""
    assert pickle.loads(pickle.dumps(fetch)) is fetch
    assert fetch([1, 2]) == 3


def test_methods_bind() -> None:
    """A wrapped function in a class is a method like any other."""

    class Loader:
        size = 4

        @stage("load")
        def take(self, count: int) -> int:
            return self.size * count

        @staticmethod
        @stage("load")
        def plain(count: int) -> int:
            return count

        @classmethod
        @stage("load")
        def whole(cls, count: int) -> int:
            return cls.size + count

    loader = Loader()
    assert loader.take(2) == Loader.take(loader, 2) == 8
    assert loader.plain(3) == Loader.plain(3) == 3
    assert loader.whole(1) == Loader.whole(1) == 5


def test_only_functions_are_wrapped() -> None:
    """Classes and builtins stay as they are, unless the user names them."""
    assert wrap(len, "load") is len
    assert wrap(dict, "load") is dict
    named = wrap(len, "load", kind="option")
    assert named is not len
    assert named([1, 2]) == 2


def test_warnings_point_to_the_caller() -> None:
    """`stacklevel=2` in a wrapped function means the user's line, as without."""

    def old() -> None:
        warnings.warn("old", DeprecationWarning, stacklevel=2)

    wrapped = wrap(old, "load")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        wrapped()
    here = sys._getframe().f_lineno - 1
    assert [(w.filename, w.lineno) for w in caught] == [(__file__, here)]


def test_logging_points_to_the_function() -> None:
    """A record logged in a wrapped function names that function's line."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger = logging.Logger("wrapped")
    logger.addHandler(handler)

    def speak() -> None:
        logger.warning("here")

    wrap(speak, "log")()
    assert [r.funcName for r in records] == ["speak"]
    assert records[0].pathname == __file__


def echo(log: list[object]) -> Generator[object, object, str]:
    """Yield what is sent, note errors and the end, return a word."""
    got: object = "first"
    try:
        while got != "stop":
            try:
                got = yield got
            except ValueError as error:
                log.append(error)
                got = "mended"
        return "returned"
    finally:
        log.append("closed")


Echo = Callable[[list[object]], Generator[object, object, str]]


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function from its own source, with its marks within it."""
    source = textwrap.dedent(inspect.getsource(function)).encode()
    space = {**function.__globals__}
    exec(compile_marked(source, __file__, {function.__name__: "load"}), space)
    return space[function.__name__]  # type: ignore[no-any-return] # as Any


@pytest.fixture(params=["plain", "wrapped", "inlined"])
def echoing(request: pytest.FixtureRequest) -> Echo:
    """The generator function as written, wrapped, inlined: they must not differ."""
    ways = {"plain": lambda function: function, "wrapped": load, "inlined": inlined}
    return ways[request.param](echo)  # type: ignore[no-any-return] # as Any


def load(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrapped as a load."""
    return wrap(function, "load")


def test_a_generator_is_sent_values(echoing: Echo) -> None:
    """It is one; `send` reaches the function, and its return value the caller."""
    assert inspect.isgeneratorfunction(echoing)
    made = echoing([])
    assert inspect.isgenerator(made)
    assert next(made) == "first"
    assert made.send(7) == 7
    assert next(made) is None
    with pytest.raises(StopIteration) as stop:
        made.send("stop")
    assert stop.value.value == "returned"
    with pytest.raises(StopIteration):
        next(made)


def test_a_generator_is_delegated_to(echoing: Echo) -> None:
    """`yield from` gets items and the return value."""

    def outer() -> Generator[object, object, str]:
        return (yield from echoing([])) + "!"

    made = outer()
    assert [next(made), made.send(1)] == ["first", 1]
    with pytest.raises(StopIteration, match="returned!"):
        made.send("stop")


def test_a_generator_is_thrown_errors_and_closed(echoing: Echo) -> None:
    """An error is handled inside or comes back out; `finally` runs, also forgotten."""
    log: list[object] = []
    made = echoing(log)
    made.close()
    assert log == []
    made = echoing(log)
    next(made)
    mine, other = ValueError("mine"), OSError("other")
    assert made.throw(mine) == "mended"
    assert log == [mine]
    with pytest.raises(OSError, match="other") as caught:
        made.throw(other)
    assert caught.value is other
    assert log == [mine, "closed"]
    made = echoing(log)
    next(made)
    made.close()
    assert log == [mine, "closed", "closed"]
    forgotten = echoing(log)
    next(forgotten)
    del forgotten
    assert log == [mine, "closed", "closed", "closed"]


def test_a_stop_iteration_within_is_an_error(echoing: Echo) -> None:
    """PEP 479 holds: StopIteration thrown in does not end the loop silently."""
    made = echoing([])
    next(made)
    with pytest.raises(RuntimeError):
        made.throw(StopIteration())


def test_a_coroutine_is_one() -> None:
    """It is awaited as before, with its result, its errors and its cancellation."""
    log: list[str] = []

    async def get(number: int) -> int:
        try:
            await asyncio.sleep(0)
            if number < 0:
                raise ValueError("negative")
            if number == 0:
                await asyncio.Event().wait()
            return number
        finally:
            log.append(f"end {number}")

    wrapped = wrap(get, "load")
    assert inspect.iscoroutinefunction(wrapped)

    async def main() -> None:
        assert await asyncio.gather(wrapped(1), wrapped(2)) == [1, 2]
        with pytest.raises(ValueError, match="negative"):
            await wrapped(-1)
        task = asyncio.create_task(wrapped(0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert sorted(log) == ["end -1", "end 0", "end 1", "end 2"]


def test_a_generator_based_coroutine_stays_awaitable() -> None:
    """`types.coroutine` functions can still be awaited."""

    @types.coroutine
    def pause() -> Generator[None, None, int]:
        yield
        return 5

    wrapped = wrap(pause, "load")

    async def main() -> int:
        return await wrapped()

    assert asyncio.run(main()) == 5


async def counting(log: list[str]) -> AsyncGenerator[object, object]:
    """Count what is sent, mend errors, note the end."""
    got: object = 0
    try:
        while got != "stop":
            await asyncio.sleep(0)
            try:
                got = yield got
            except ValueError:
                got = "mended"
    finally:
        log.append("closed")


@pytest.mark.parametrize("way", [load, inlined])
def test_an_async_generator_is_one(
    way: Callable[[Callable[..., Any]], Callable[..., Any]],
) -> None:
    """It iterates, takes values and errors, and closes as before."""
    function = way(counting)
    assert inspect.isasyncgenfunction(function)
    log: list[str] = []

    async def main() -> None:
        made = function(log)
        assert await anext(made) == 0
        assert await made.asend(3) == 3
        assert await made.athrow(ValueError()) == "mended"
        with pytest.raises(StopAsyncIteration):
            await made.asend("stop")
        assert log == ["closed"]
        made = function(log)
        await anext(made)
        await made.aclose()
        assert log == ["closed", "closed"]
        assert [item async for item in _first(function(log))] == [0]

    asyncio.run(main())


async def _first(items: AsyncGenerator[object, object]) -> AsyncGenerator[object]:
    async for item in items:
        yield item
        break
    await items.aclose()
