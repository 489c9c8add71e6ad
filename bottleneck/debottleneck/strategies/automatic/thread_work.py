"""What a thread of the script's own works with: can it move to another process?

From the thread's function everything is followed that its code names: arguments,
attributes, closures, globals, the user's functions and classes that it calls. Queues
and events can be reached from another process, see `shared`. A lock, an iterator, a
pool cannot, and what the thread assigns would be assigned there only.
"""

from __future__ import annotations

import dis
import functools
import inspect
import queue
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from debottleneck.agent.discover import UserCode
from debottleneck.strategies import randomness

MOST_OBJECTS, MOST_ELEMENTS = 5000, 200
"""How many objects are looked at, and how many of one container."""

_OWN = UserCode((), {})
_LOCKS = (
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Condition,
    threading.Semaphore,
    threading.Barrier,
    queue.SimpleQueue,
)
_THREAD_NAMES = frozenset(vars(threading.Thread(name="debottleneck")))
_SCALARS = (str, bytes, int, float, complex, types.NoneType)
_CONTAINERS = (list, tuple, set, frozenset, deque)
_MUTABLE = (list, dict, set, deque)

Function = types.FunctionType


@dataclass
class Work:
    """What was found.

    Attributes:
        thread: The thread, not yet started.
        function: What it runs, as the user wrote it.
        shared: Its queues and events.
        arrays: NumPy arrays and tensors, which the script may read as well.
        given: Lists and the like that it was handed.
        objects: Instances of the user's classes.
        obstacle: Why it cannot move, as the rest of a sentence about it, or "".
    """

    thread: threading.Thread
    function: Function
    shared: list[Any] = field(default_factory=list)
    arrays: list[Any] = field(default_factory=list)
    given: list[Any] = field(default_factory=list)
    objects: list[Any] = field(default_factory=list)
    obstacle: str = ""

    @property
    def queues(self) -> list[queue.Queue[Any]]:
        """Those it may fill."""
        return [each for each in self.shared if isinstance(each, queue.Queue)]


def examine(thread: threading.Thread) -> Work | None:
    """What the thread works with; None when it does not run the user's own code."""
    if type(thread).run is threading.Thread.run:
        private = vars(thread)
        target = private.get("_target")
        handed = (private.get("_args") or (), private.get("_kwargs") or {})
    else:
        target, handed = type(thread).run, ((), {})
    function = _function_of(target)
    if function is None or not _is_own(function.__code__.co_filename):
        return None
    work = Work(thread, function)
    args, kwargs = handed
    given = [*args, *kwargs.values()]
    work.given = [each for each in given if isinstance(each, _MUTABLE)]
    _follow(work, [target, *given, thread])
    if not work.obstacle and not work.queues:
        work.obstacle = "fills no queue"
    return work


def _follow(work: Work, roots: list[Any]) -> None:
    seen: set[int] = set()
    names: set[str] = set()
    kinds: list[type] = []
    waiting = roots
    while waiting and len(seen) < MOST_OBJECTS and not work.obstacle:
        each = waiting.pop()
        if id(each) not in seen and not isinstance(each, _SCALARS):
            seen.add(id(each))
            _note(work, each)
            waiting += _leads_to(each, names, kinds)
        if not waiting:
            methods = (m for kind in kinds for m in _methods(kind, names))
            waiting = [method for method in methods if id(method) not in seen]


def _note(work: Work, each: Any) -> None:
    """Sort one object in."""
    if isinstance(each, queue.Queue | threading.Event):
        work.shared.append(each)
    elif isinstance(each, _LOCKS):
        work.obstacle = "shares a lock with other threads"
    elif isinstance(each, Executor) or type(each).__module__ in _POOLS:
        work.obstacle = "uses workers or channels of this process"
    elif _is_iterator(each):
        work.obstacle = "takes from an iterator or file that others may take from too"
    elif isinstance(each, _buffers()):
        work.arrays.append(each)
    elif isinstance(each, Function) and (variable := _assigns(each)):
        work.obstacle = f"assigns {variable!r}, which the script may read"
    elif _is_instance(each):
        work.objects.append(each)


_POOLS = ("multiprocessing.pool", "multiprocessing.queues", "multiprocessing.managers")


def _leads_to(each: Any, names: set[str], kinds: list[type]) -> list[Any]:
    """What an object holds or its code names; also collects names and classes."""
    if isinstance(each, dict):
        return list(islice(each.values(), MOST_ELEMENTS))
    if isinstance(each, _CONTAINERS):
        return list(islice(each, MOST_ELEMENTS))
    if isinstance(each, functools.partial):
        return [each.func, each.args, each.keywords]
    if isinstance(each, types.MethodType):
        return [each.__self__, each.__func__]
    if isinstance(each, Function):
        return _of_function(each, names)
    if isinstance(each, type):
        if _is_own_type(each):
            kinds.append(each)
        return []
    if _is_instance(each):
        kinds.append(type(each))
        return list(attributes(each).values())
    return []


def _of_function(function: Function, names: set[str]) -> list[Any]:
    found = [*filter(None, [getattr(function, "__wrapped__", None)])]
    if not _is_own(function.__code__.co_filename):
        return found
    used = {name for code in _codes(function.__code__) for name in code.co_names}
    names |= used
    found += randomness.cells(function)
    for name in used & function.__globals__.keys():
        value = function.__globals__[name]
        if not isinstance(value, types.ModuleType):
            found.append(value)
        elif _is_own(getattr(value, "__file__", None) or "<none>"):
            found += [vars(value)[each] for each in used & vars(value).keys()]
    return found


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code of a function and of those defined within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _methods(kind: type, names: set[str]) -> list[Any]:
    """Methods that the code names, and those that operators call."""
    found = []
    for base in kind.__mro__:
        for name, value in vars(base).items():
            plain = getattr(value, "__func__", value)
            called = name in names or (name.startswith("__") and name != "__init__")
            if called and isinstance(plain, Function):
                found.append(plain)
    return found


def _assigns(function: Function) -> str:
    """A global or outer variable that the function assigns, or ""."""
    code = function.__code__
    if not _is_own(code.co_filename):
        return ""
    for each in dis.get_instructions(code):
        outer = each.opname == "STORE_DEREF" and each.argval in code.co_freevars
        if outer or each.opname == "STORE_GLOBAL":
            return str(each.argval)
    return ""


def _function_of(target: Any) -> Function | None:
    """The Python function behind what a thread calls."""
    while isinstance(target, functools.partial):
        target = target.func
    target = getattr(target, "__func__", target)
    if not isinstance(target, Function) and callable(target):
        target = vars(type(target)).get("__call__")
    plain: Callable[..., Any] | None = target and inspect.unwrap(target)
    return plain if isinstance(plain, Function) else None


def attributes(each: Any) -> dict[str, Any]:
    """An instance's attributes, without those that make it a thread."""
    held = getattr(each, "__dict__", {})
    if not isinstance(each, threading.Thread):
        return dict(held)
    return {name: value for name, value in held.items() if name not in _THREAD_NAMES}


def _buffers() -> tuple[type, ...]:
    """Arrays and tensors, of the libraries that are loaded."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    found = getattr(numpy, "ndarray", None), getattr(torch, "Tensor", None)
    return tuple(kind for kind in found if kind is not None)


def _is_iterator(each: Any) -> bool:
    kind = type(each)
    return hasattr(kind, "__next__") and not _is_own_type(kind)


def _is_instance(each: Any) -> bool:
    return not isinstance(each, type | Function) and _is_own_type(type(each))


def _is_own_type(kind: type) -> bool:
    module = sys.modules.get(kind.__module__)
    return _is_own(getattr(module, "__file__", None) or "<none>")


@functools.cache
def _is_own(path: str) -> bool:
    """Whether a file is neither the standard library's nor an installed package's."""
    return not path.startswith("<") and _OWN.owns(path, "")
