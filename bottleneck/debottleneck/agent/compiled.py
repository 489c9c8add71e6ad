"""JAX: a compiled function that takes a gradient is a backward pass, with all in it.

A jitted function runs no Python of the user's once it is traced, so names say little
of it: whether a gradient was taken while it was traced does. What is traced runs once
for all calls, and marks nothing.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable
from functools import wraps
from types import FrameType, ModuleType
from typing import Any

from debottleneck.agent.discover import is_own
from debottleneck.agent.marks import hush
from debottleneck.agent.patches import put
from debottleneck.agent.points import stand_in
from debottleneck.agent.wrap import as_frame_of_ours, wrap

KIND = "jitted"
"""Kind of the sites; no strategy acts on them."""

STAGE = "backward"

TRACERS = ("scan", "while_loop", "fori_loop", "map", "cond", "switch")
"""Functions of `jax.lax` that compile functions of the user's."""


class _Local(threading.local):
    """A thread's own.

    Attributes:
        silent: Functions are traced, or compiled ones run.
        traced: Those whose functions are, from the outermost in.
    """

    silent = False

    def __init__(self) -> None:
        self.traced: list[_Jitted] = []


_local = _Local()


def install(jax: ModuleType) -> None:
    """Mark what `jax` compiles and differentiates for the user from now on."""
    module: Any = jax
    for name in ("jit", "pmap"):
        put(jax, name, _compiler(module, getattr(jax, name)))
    for name in ("grad", "value_and_grad"):
        put(jax, name, _differentiator(module, getattr(jax, name)))
    put(module, "eval_shape", _silent(module, module.eval_shape))
    for name in TRACERS:
        put(module.lax, name, _silent(module, getattr(module.lax, name)))


class _Plainly:
    """What a function calls, which in another process is the user's function."""

    __slots__ = ("_function", "called")

    def __init__(
        self, function: Callable[..., Any], called: Callable[..., Any]
    ) -> None:
        self._function = function
        self.called = called

    def __reduce__(self) -> tuple[Any, ...]:
        return stand_in(called=self._function)


def _like(plain: Callable[..., Any], called: Callable[..., Any]) -> Callable[..., Any]:
    """What looks like `plain` and calls `called`; sent by value, it calls `plain`."""
    plainly = _Plainly(plain, called)

    @wraps(plain)
    def call(*args: Any, **kwargs: Any) -> Any:
        return plainly.called(*args, **kwargs)

    return as_frame_of_ours(call)


def _silent(jax: Any, plain: Callable[..., Any]) -> Callable[..., Any]:
    """`plain` with nothing marked within, unless functions are run and not traced."""

    def silent(*args: Any, **kwargs: Any) -> Any:
        if _local.silent or jax.config.jax_disable_jit:
            return plain(*args, **kwargs)
        before, _local.silent = hush(True), True
        try:
            return plain(*args, **kwargs)
        finally:
            _local.silent = False
            hush(before)

    return _like(plain, as_frame_of_ours(silent))


def _compiler(jax: Any, plain: Callable[..., Any]) -> Callable[..., Any]:
    def jit(*args: Any, **kwargs: Any) -> Any:
        made = plain(*args, **kwargs)
        if not _asked_by_user(sys._getframe(1)):
            return made
        if args or "fun" in kwargs:
            return _jitted(jax, made)
        return lambda fun: _jitted(jax, made(fun))

    return _like(plain, as_frame_of_ours(jit))


def _asked_by_user(frame: FrameType | None) -> bool:
    """Not where a library compiles functions of its own while it is imported."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith("<frozen importlib"):
            return False
        if is_own(file, frame.f_globals.get("__name__", "")):
            return True
        frame = frame.f_back
    return False


def _marks(function: Any) -> dict[str, Any]:
    """Kind, name, file and line of what was compiled, as `wrap` takes them."""
    inner = inspect.unwrap(function)
    code = getattr(inner, "__code__", None)
    return {
        "kind": KIND,
        "name": getattr(inner, "__qualname__", type(inner).__name__),
        "file": getattr(code, "co_filename", ""),
        "line": getattr(code, "co_firstlineno", 0),
    }


def _later(place: Any, name: str) -> Callable[..., Any]:
    """Its method, looked up when called: one of a C type cannot be pickled."""
    return lambda *args, **kwargs: getattr(place, name)(*args, **kwargs)


def _jitted(jax: Any, compiled: Any) -> Any:
    try:
        return _Jitted(jax, compiled).function()
    except TypeError:  # no function can stand for it: as it is
        return compiled


class _Jitted:
    """The calls of one compiled function, marked once it is known to train.

    Attributes:
        differentiates: It took a gradient while it was traced.
    """

    def __init__(self, jax: Any, compiled: Any) -> None:
        self._jax = jax
        self._compiled = compiled
        self._plain = _silent(jax, compiled)
        self._marked = wrap(self._plain, STAGE, **_marks(compiled))
        self.differentiates = False

    def function(self) -> Callable[..., Any]:
        """A function with all attributes of the compiled one, a C type's too."""
        function = _like(self._compiled, self.call)
        for name in dir(type(self._compiled)):
            if not (name.startswith("__") or hasattr(function, name)):
                method = self._traced(_later(self._compiled, name))
                setattr(function, name, _silent(self._jax, method))
        return function

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, marked or as part of what is traced."""
        if _local.silent:
            if self.differentiates:
                _note_gradient()
            return self._traced(self._compiled)(*args, **kwargs)
        if self.differentiates:
            return self._marked(*args, **kwargs)
        return self._traced(self._plain)(*args, **kwargs)

    def _traced(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        """`plain`, within which a gradient is this function's."""

        def traced(*args: Any, **kwargs: Any) -> Any:
            _local.traced.append(self)
            try:
                return plain(*args, **kwargs)
            finally:
                _local.traced.pop()

        return _like(plain, as_frame_of_ours(traced))


def _note_gradient() -> None:
    for jitted in _local.traced:
        jitted.differentiates = True


def _differentiator(jax: Any, plain: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.grad`: what it makes is `backward`, or a sign of it where it is traced."""

    def grad(*args: Any, **kwargs: Any) -> Any:
        made = plain(*args, **kwargs)
        if not callable(made):
            return made
        marked = wrap(made, STAGE, **_marks(made))

        def differentiate(*args: Any, **kwargs: Any) -> Any:
            if not _local.silent:
                return marked(*args, **kwargs)
            _note_gradient()
            return made(*args, **kwargs)

        return _like(made, as_frame_of_ours(differentiate))

    return _like(plain, as_frame_of_ours(grad))
