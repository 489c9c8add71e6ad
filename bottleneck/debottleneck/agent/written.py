"""Code as the user wrote it, for what reads it: compilers of bytecode, and we.

Functions run code in which their stages and loops are prepared. What python would
have made of their source is kept, and given back to functions that others read.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import wraps
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from debottleneck.agent.inline import Key, codes, key_of
from debottleneck.agent.patches import put
from debottleneck.recording.spool import FRAME_FILE

if TYPE_CHECKING:
    from debottleneck.agent.wrap import Marking

_written: dict[str, dict[Key, CodeType]] = {}
"""File -> the code of its functions."""

marked: WeakKeyDictionary[FunctionType, Marking] = WeakKeyDictionary()
"""Functions that mark a stage within -> what made them do so."""


def remember(path: str, module: CodeType) -> None:
    """Keep what python made of a file, of which other code will run."""
    _written[path] = codes(module)


def files() -> set[str]:
    """Those of which other code runs."""
    return {*_written}


def forget() -> None:
    """No other code runs any more."""
    _written.clear()
    marked.clear()


def as_written(code: CodeType) -> CodeType:
    """What python made of a function's source; the same where nothing was prepared."""
    return _written.get(code.co_filename, {}).get(key_of(code), code)


def restore(function: Any) -> Marking | None:
    """Let a function be as written; returns what marked it, if anything did."""
    if not isinstance(function, FunctionType):
        return None
    function.__code__ = as_written(function.__code__)
    return marked.pop(function, None)


def give_back(read: Iterable[CodeType]) -> dict[FunctionType, Marking]:
    """Let functions be as written that others read as bytecode, or what these call.

    Args:
        read: Code of the functions that are to be read; what they name counts as
            called.

    Returns:
        Those that marked a stage, and what made them.
    """
    prepared: dict[str, list[FunctionType]] = defaultdict(list)
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__code__.co_filename in _written:
            prepared[each.__name__].append(each)
            prepared[each.__code__.co_name].append(each)
    given: dict[FunctionType, Marking] = {}
    waiting, done = [*read], set[int]()
    while waiting:
        code = waiting.pop()
        if id(code) in done:
            continue
        done.add(id(code))
        waiting += [c for c in code.co_consts if isinstance(c, CodeType)]
        called = [f for name in code.co_names for f in prepared.pop(name, ())]
        called += [f for f in prepared[code.co_name] if f.__code__ is code]
        for function in called:
            waiting.append(as_written(function.__code__))
            if marking := restore(function):
                given[function] = marking
    return given


def after_numba(numba: ModuleType) -> None:
    """Let numba read functions as written, whichever way it gets them."""
    identity = numba.core.bytecode.FunctionIdentity
    put(identity, "from_function", staticmethod(_reading(identity.from_function)))
    base = numba.core.dispatcher._DispatcherBase
    put(base, "__init__", _reading(base.__init__))


def _reading(plain: Callable[..., Any]) -> Callable[..., Any]:
    """The same, with the functions among its arguments as written."""

    def read(*args: Any, **kwargs: Any) -> Any:
        for function in args:
            restore(function)
        return plain(*args, **kwargs)

    read.__code__ = read.__code__.replace(co_filename=FRAME_FILE)
    return wraps(plain)(read)
