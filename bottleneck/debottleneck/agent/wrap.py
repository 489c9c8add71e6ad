"""Wrap a function so that its calls mark a stage; the point where strategies act.

The wrapper keeps the kind of what it wraps (function, generator, coroutine, async
generator), its name, signature and pickling. Its code is named `[stage load]`, so
that a stack shows which stage it is in. It refers to nothing but `enter` and
`leave`, which pickle by name.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass
from functools import wraps
from types import FunctionType, coroutine
from typing import Any, TypeVar, cast

from debottleneck.agent.marks import enter, leave, site_of
from debottleneck.words import STEP

F = TypeVar("F", bound=Callable[..., Any])

MARKER = "[stage "
"""How the name of a wrapper's frame begins."""

FRAME_FILE = "<debottleneck stage, passed over like importlib._bootstrap>"
"""File of the wrappers' frames. `warnings` and `logging` pass over frames whose
file holds both "importlib" and "_bootstrap", so a `stacklevel` still points to the
user's own line."""


@dataclass(frozen=True)
class Found:
    """A function that marks a stage, as strategies meet it.

    Attributes:
        function: What the user wrote.
        marked: The same, marking each call: for calls on other threads.
        stage: The stage's name, or "step".
        name: Qualified name.
        kind: "function", "generator", "coroutine", "api", "torch" or "option".
    """

    function: Callable[..., Any]
    marked: Callable[..., Any]
    stage: str
    name: str
    kind: str


Act = Callable[[Found, Callable[..., Any]], Callable[..., Any]]
"""(what was found, what the wrapper would call) -> what it calls instead."""

Watch = Callable[[Found], None]
"""Told of a stage's call before anything else happens in it."""

_actors: list[Act] = []
_watchers: list[Watch] = []
_inside = threading.local()


def act_with(act: Act) -> None:
    """Let this decide what the wrappers made from now on call.

    The last one added is the outermost. It returns a function of the same kind
    (plain, generator ...), or what it was given to leave the stage alone.
    """
    _actors.append(act)


def watch_with(watch: Watch) -> None:
    """Let this know of outermost calls of the wrappers made from now on.

    It is called on the thread that calls, before every actor.
    """
    _watchers.append(watch)


def stop_acting() -> None:
    """Wrappers made from now on call the user's function again."""
    _actors.clear()
    _watchers.clear()


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
    site = site_of(stage, name, file, line, kind)
    marked = _renamed(_wrapper_for(function)(function, site), f"{MARKER}{stage}]")
    if _actors or _watchers:
        called = _acting(Found(function, marked, stage, name, kind))
        if called is not function:
            marker = _wrapper_for(function)(called, site)
            marked = wraps(function)(_renamed(marker, f"{MARKER}{stage}]"))
    for name in ("__defaults__", "__kwdefaults__"):
        setattr(marked, name, getattr(function, name, None))
    if code is not None and code.co_flags & inspect.CO_ITERABLE_COROUTINE:
        marked = coroutine(marked)
    return cast(F, marked)


def _acting(found: Found) -> Callable[..., Any]:
    called = found.function
    for act in _actors:
        called = act(found, called)
    if not _watchers or found.kind in ("generator", "coroutine"):
        return called
    return _watched(found, called)


def _watched(found: Found, called: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(called)
    def announced(*args: Any, **kwargs: Any) -> Any:
        if getattr(_inside, "stage", False):
            return called(*args, **kwargs)
        _inside.stage = found.stage != STEP  # a step's stages are outermost ones
        try:
            for watch in _watchers:
                watch(found)
            return called(*args, **kwargs)
        finally:
            _inside.stage = False

    return as_frame_of_ours(announced)


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


def _plain(function: Callable[..., Any], site: int) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        token = enter(site)
        try:
            return function(*args, **kwargs)
        finally:
            leave(token)

    return wrapper


def _coroutine(
    function: Callable[..., Awaitable[Any]], site: int
) -> Callable[..., Awaitable[Any]]:
    @wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        token = enter(site)
        try:
            return await function(*args, **kwargs)
        finally:
            leave(token)

    return wrapper


def _generator(
    function: Callable[..., Generator[Any, Any, Any]], site: int
) -> Callable[..., Generator[Any, Any, Any]]:
    """Marks the time inside the generator, from each resumption to its yield."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inner = function(*args, **kwargs)
        resume: Callable[..., Any] = inner.send
        value: tuple[Any, ...] = (None,)
        while True:
            token = enter(site)
            try:
                item = resume(*value)
            except StopIteration as stop:
                return stop.value
            finally:
                leave(token)
            try:
                resume, value = inner.send, ((yield item),)
            except GeneratorExit:
                inner.close()
                raise
            except BaseException as error:  # noqa: BLE001 - thrown on into the inner one
                resume, value = inner.throw, (error,)

    return wrapper


def _async_generator(
    function: Callable[..., AsyncGenerator[Any, Any]], site: int
) -> Callable[..., AsyncGenerator[Any, Any]]:
    @wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = function(*args, **kwargs)
        resume: Callable[..., Any] = inner.asend
        value: tuple[Any, ...] = (None,)
        while True:
            token = enter(site)
            try:
                item = await resume(*value)
            except StopAsyncIteration:
                return
            finally:
                leave(token)
            try:
                resume, value = inner.asend, ((yield item),)
            except GeneratorExit:
                await inner.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 - thrown on into the inner one
                resume, value = inner.athrow, (error,)

    return wrapper
