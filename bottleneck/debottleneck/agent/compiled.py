"""JAX: what compiled functions do is told by the arrays that go in and come out.

A jitted function runs no Python of the user's once it is traced, so names say little
of it. Its first calls are looked at: it may take a gradient while it is traced, and
arrays that one call returns may be arguments of another. Without such evidence it
marks nothing. What is traced runs once for all calls, and marks nothing either.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterable
from functools import wraps
from types import FrameType, ModuleType
from typing import Any
from weakref import WeakValueDictionary

from debottleneck.agent.discover import is_own
from debottleneck.agent.marks import hush
from debottleneck.agent.points import stand_in
from debottleneck.agent.wrap import as_frame_of_ours, wrap

KIND = "jitted"
"""Kind of the sites; no strategy acts on them."""

LEARNED_CALLS = 8
"""What a function is must show in so many calls."""

TRACERS = ("scan", "while_loop", "fori_loop", "map", "cond", "switch")
"""Functions of `jax.lax` that compile functions of the user's."""


class _Local(threading.local):
    """A thread's own.

    Attributes:
        silent: Functions are traced, or compiled ones run.
        traced: Whose functions are, from the outermost in.
    """

    silent = False

    def __init__(self) -> None:
        self.traced: list[Evidence] = []


_local = _Local()


class Leaves:
    """Arrays known by identity, for as long as they live."""

    def __init__(self) -> None:
        self._alive: WeakValueDictionary[int, Any] = WeakValueDictionary()

    def add(self, leaves: Iterable[Any]) -> None:
        """Know these; those without weak references, as numbers, stay unknown."""
        for leaf in leaves:
            if type(leaf).__weakrefoffset__:
                self._alive[id(leaf)] = leaf

    def among(self, leaves: Iterable[Any]) -> bool:
        """Whether any of them is known."""
        known = self._alive.get
        return any(known(id(leaf)) is leaf for leaf in leaves)


_gradients, _parameters = Leaves(), Leaves()


class Evidence:
    """What one compiled function does, by the calls seen so far.

    Attributes:
        differentiates: It took a gradient while it was traced.
    """

    def __init__(self) -> None:
        self.differentiates = False
        self.calls = 0
        self._carries = self._takes_gradients = self._takes_parameters = False
        self._returned = Leaves()
        self._largest: list[int] = []

    @property
    def stage(self) -> str:
        """What its calls mark, "" without evidence.

        `update` when arrays that it returns are its next arguments, and it takes a
        gradient or is given one; `backward` when it takes one; `forward` when it is
        given what an update returned.
        """
        if self._carries and (self.differentiates or self._takes_gradients):
            return "update"
        if self.differentiates:
            return "backward"
        return "forward" if self._takes_parameters and not self._carries else ""

    def given(self, leaves: list[Any]) -> None:
        """Learn from a call's arguments."""
        self._carries = self._carries or self._returned.among(leaves)
        self._takes_gradients = self._takes_gradients or _gradients.among(leaves)
        self._takes_parameters = self._takes_parameters or _parameters.among(leaves)

    def gave(self, leaves: list[Any]) -> None:
        """Learn from a call's result, and let others know of its arrays."""
        self.calls += 1
        if self.stage == "update":
            if not self._largest:
                sizes = [getattr(leaf, "size", 0) for leaf in leaves]
                most = max(sizes, default=0)
                self._largest = [i for i, size in enumerate(sizes) if size == most]
            _parameters.add(leaves[i] for i in self._largest if i < len(leaves))
        elif self.differentiates:
            _gradients.add(leaves)
        if self.calls <= LEARNED_CALLS:
            self._returned.add(leaves)


_evidence: dict[tuple[Any, ...], Evidence] = {}


def install(jax: ModuleType) -> None:
    """Mark what `jax` compiles and differentiates for the user from now on."""
    module: Any = jax
    for name in ("jit", "pmap"):
        setattr(jax, name, _compiler(module, getattr(jax, name)))
    for name in ("grad", "value_and_grad"):
        setattr(jax, name, _differentiator(module, getattr(jax, name)))
    module.eval_shape = _silent(module, module.eval_shape)
    for name in TRACERS:
        setattr(module.lax, name, _silent(module, getattr(module.lax, name)))


class _Plainly:
    """What a function calls, which in another process is the user's function.

    Args:
        function: What the user wrote.
        called: What is called here.
    """

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
    """The calls of one compiled function, each marked as what it is.

    Args:
        jax: The module.
        compiled: What `jax.jit` made.
    """

    def __init__(self, jax: Any, compiled: Any) -> None:
        self._jax = jax
        self._compiled = compiled
        self._leaves = jax.tree_util.tree_leaves
        self._marks = _marks(compiled)
        self._evidence = _evidence.setdefault(tuple(self._marks.values()), Evidence())
        self._marked = {"": _silent(jax, compiled)}

    def function(self) -> Callable[..., Any]:
        """A function with all attributes of the compiled one, a C type's too."""
        function = _like(self._compiled, self.call)
        for name in dir(type(self._compiled)):
            if not (name.startswith("__") or hasattr(function, name)):
                method = self._traced(_later(self._compiled, name))
                setattr(function, name, _silent(self._jax, method))
        return function

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call it; the first calls are learned from."""
        evidence = self._evidence
        if _local.silent:
            if evidence.differentiates:
                _note_gradient()
            return self._traced(self._compiled)(*args, **kwargs)
        if evidence.calls < LEARNED_CALLS:
            evidence.given(self._leaves((args, kwargs)))
            result = self._traced(self._as(evidence.stage))(*args, **kwargs)
            evidence.gave(self._leaves(result))
            return result
        result = self._as(evidence.stage)(*args, **kwargs)
        if evidence.stage == "update":
            evidence.gave(self._leaves(result))
        return result

    def _traced(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        """`plain`, within which a gradient is this function's."""
        evidence = self._evidence

        def traced(*args: Any, **kwargs: Any) -> Any:
            _local.traced.append(evidence)
            try:
                return plain(*args, **kwargs)
            finally:
                _local.traced.pop()

        return _like(plain, as_frame_of_ours(traced))

    def _as(self, stage: str) -> Callable[..., Any]:
        if stage not in self._marked:
            self._marked[stage] = wrap(self._marked[""], stage, **self._marks)
        return self._marked[stage]


def _note_gradient() -> None:
    for evidence in _local.traced:
        evidence.differentiates = True


def _differentiator(jax: Any, plain: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.grad`: what it makes is `backward`, or a sign of it where it is traced."""

    def grad(*args: Any, **kwargs: Any) -> Any:
        made = plain(*args, **kwargs)
        if not callable(made):
            return made
        marked: list[Callable[..., Any]] = []

        def differentiate(*args: Any, **kwargs: Any) -> Any:
            if _local.silent:
                _note_gradient()
                return made(*args, **kwargs)
            if not marked:
                marked.append(wrap(made, "backward", **_marks(made)))
            result = marked[0](*args, **kwargs)
            _gradients.add(jax.tree_util.tree_leaves(result))
            return result

        return _like(made, as_frame_of_ours(differentiate))

    return _like(plain, as_frame_of_ours(grad))
