"""Let a function's calls mark a stage.

`Marking` exchanges the code of a function whose source is at hand (`inline`); `wrap`
puts another function around any other. The wrapper keeps the kind of what it wraps
(function, generator, coroutine, async generator), its name, signature and pickling.
Its code is named `[stage load]`, so that a stack shows which stage it is in.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial, wraps
from types import CodeType, FunctionType, coroutine
from typing import Any, TypeVar, cast

from debottleneck.agent import written
from debottleneck.agent.inline import Key, fill
from debottleneck.agent.marks import recording
from debottleneck.agent.points import Point, delegated
from debottleneck.agent.sites import site_of
from debottleneck.recording.spool import FRAME_FILE, MARKER_FRAME

F = TypeVar("F", bound=Callable[..., Any])


def wrap(
    function: F,
    stage: str,
    *,
    kind: str = "function",
    name: str = "",
    file: str = "",
    line: int = 0,
) -> F:
    """`function` with its calls marked as `stage`; unchanged if not a function.

    Args:
        function: A Python function; builtins are wrapped with `kind="option"` only.
        stage: The stage's name, or "step".
        kind: How the site was found: "function", "api", "torch" or "option".
        name: Qualified name to report, by default the function's.
        file: Where it is defined, by default from its code.
        line: Its first line, likewise.
    """
    code = getattr(function, "__code__", None)
    if code is None and kind not in ("option", "torch"):
        return function
    name = name or getattr(function, "__qualname__", repr(function))
    file = file or getattr(code, "co_filename", "")
    line = line or getattr(code, "co_firstlineno", 0)
    kind = _kind_of(function, kind)
    point = Point(site_of(stage, name, file, line, kind))
    marked: Any = wraps(function)(_wrapper_for(function)(function, point))
    _renamed(marked, MARKER_FRAME.format(stage))
    for detail in ("__defaults__", "__kwdefaults__"):
        setattr(marked, detail, getattr(function, detail, None))
    if code is not None and code.co_flags & inspect.CO_ITERABLE_COROUTINE:
        marked = coroutine(marked)
    return cast(F, marked)


class Marking:
    """The decorator that the user's functions get when their module runs."""

    code: CodeType | None = None
    """With marks and the placeholder of its point; set once it is compiled."""

    plain: CodeType | None = None
    """What the function has without them; set at the same time."""

    key: Key = ("", 0)
    """What tells it apart from other functions of its file."""

    def __init__(self, stage: str, name: str, line: int, placeholder: str) -> None:
        self.stage = stage
        self.name = name
        self.line = line
        self.placeholder = placeholder

    def __call__(self, function: Any) -> Any:
        """The same function with other code, or a wrapper, or what is no function."""
        if not isinstance(function, FunctionType):
            return function
        code, plain = self.code, function.__code__
        if code is None or not self._wrote(plain):
            return self.around(function)
        if recording():
            kind = _kind_of(function, "function")
            file = plain.co_filename
            point = Point(site_of(self.stage, self.name, file, self.line, kind))
            flags = code.co_flags | plain.co_flags & inspect.CO_ITERABLE_COROUTINE
            marked = fill(code, {self.placeholder: point})
            function.__code__ = marked.replace(co_flags=flags)
            written.marked[function] = self
        return function

    def around(self, function: Any) -> Any:
        """Another function that marks, around this one."""
        return wrap(function, self.stage, name=self.name, line=self.line)

    def _wrote(self, code: CodeType) -> bool:
        """Whether this is the user's own code, not what a decorator made."""
        plain = self.plain
        return plain is not None and all(
            getattr(plain, name) == getattr(code, name)
            for name in ("co_code", "co_qualname", "co_firstlineno", "co_filename")
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """A function that defines marked ones is sent by value, too."""
        return partial, (cast, None)


def _kind_of(function: Callable[..., Any], kind: str) -> str:
    if kind != "function":
        return kind
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return "generator"
    return "coroutine" if inspect.iscoroutinefunction(function) else "function"


def _wrapper_for(function: Callable[..., Any]) -> Callable[..., Callable[..., Any]]:
    if inspect.iscoroutinefunction(function):
        return _coroutine
    if inspect.isasyncgenfunction(function):
        return _async_generator
    if inspect.isgeneratorfunction(function):
        return _generator
    return _plain


def _renamed(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    assert isinstance(function, FunctionType)
    function.__code__ = function.__code__.replace(co_name=name, co_qualname=name)
    return as_frame_of_ours(function)


def as_frame_of_ours(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with its frames recognisable as ours, see FRAME_FILE."""
    assert isinstance(function, FunctionType)
    function.__code__ = function.__code__.replace(co_filename=FRAME_FILE)
    return function


def _plain(function: Callable[..., Any], point: Point) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        token = point.enter()
        try:
            return function(*args, **kwargs)
        finally:
            point.leave(token)

    return wrapper


def _coroutine(
    function: Callable[..., Any], point: Point
) -> Callable[..., Awaitable[Any]]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        token = point.enter()
        try:
            return await function(*args, **kwargs)
        finally:
            point.leave(token)

    return wrapper


def _generator(
    function: Callable[..., Any], point: Point
) -> Callable[..., Generator[Any, Any, Any]]:
    """Marks the time inside the generator, from each resumption to its yield."""

    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return (yield from delegated(point, function(*args, **kwargs)))

    return wrapper


def _async_generator(
    function: Callable[..., Any], point: Point
) -> Callable[..., AsyncGenerator[Any, Any]]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = function(*args, **kwargs)
        go: Callable[..., Any] = inner.asend
        value: tuple[Any, ...] = (None,)
        while True:
            token = point.enter()
            try:
                item = await go(*value)
            except StopAsyncIteration:
                return
            finally:
                point.leave(token)
            try:
                go, value = inner.asend, ((yield item),)
            except GeneratorExit:
                await inner.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 - thrown on into the inner one
                go, value = inner.athrow, (error,)

    return wrapper
