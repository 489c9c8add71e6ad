"""The agent in a process that has run for a while, and out of it again.

What a script gets as its modules are compiled, functions that are there already get by
an exchange of their code: the same pass over the same source. At the end each has its
own code again, and everything that was put in others' places comes out.
"""

from __future__ import annotations

import gc
import linecache
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from json import dumps
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from debottleneck.agent import (
    discover,
    evidence,
    functions,
    marks,
    patches,
    turns,
    written,
)
from debottleneck.agent.aside import each_aside
from debottleneck.agent.bootstrap import after_imports, record
from debottleneck.agent.inline import codes, key_of
from debottleneck.agent.wrap import Marking
from debottleneck.recording import spool

_SAME = ("co_code", "co_freevars", "co_varnames", "co_flags", "co_firstlineno")
"""What tells that a function has the code that its source has now."""

_exchanged: WeakKeyDictionary[FunctionType, CodeType] = WeakKeyDictionary()
"""Functions whose code was exchanged -> their own."""


def start(folder: Path, config: Mapping[str, Any]) -> None:
    """Begin to record in this process; `stop` ends it.

    Args:
        folder: The spool folder.
        config: As `bootstrap.main` reads it.
    """
    user = discover.UserCode(tuple(config["include"]), {})
    no_yappi = "" if config["functions"] else "switched off"
    record(folder, config, no_yappi or functions.unavailable(), user)
    hooks = each_aside(after_imports(config, user), config)
    for name in [name for name in hooks if name in sys.modules]:
        for hook in hooks.pop(name):
            hook(sys.modules[name])
    discover.install(user, hooks)
    _prepare(user)


def stop(folder: Path, called: Callable[[str], str] = str) -> None:
    """End it: nothing of ours is left in functions, classes and lists of others.

    Args:
        folder: The spool folder.
        called: Name of code that is in no file -> what people call it.
    """
    marks.finish(attend=True)
    evidence.stop()
    turns.settle_on(None)
    turns.points().clear()
    paths = written.files()
    cells = {p: (called(p), _source(p)) for p in paths if not os.path.exists(p)}
    if cells:
        spool.write_private(folder / spool.CELLS_FILE, dumps(cells))
    for function in _functions():
        if function.__code__.co_filename in paths:
            written.restore(function)
    for function, code in _exchanged.items():
        function.__code__ = code
    _exchanged.clear()
    written.forget()
    patches.take_back()


def compile_cell(source: str, path: str) -> CodeType:
    """A cell of a notebook with its loops and stages marked.

    Raises:
        SyntaxError: As `compile` would raise it.
    """
    return discover.compile_marked(source.encode(), path, {})


def _prepare(user: discover.UserCode) -> None:
    """Exchange the code of functions of the user's that are there."""
    by_file: defaultdict[str, list[FunctionType]] = defaultdict(list)
    for function in _functions():
        path = function.__code__.co_filename
        if user.owns(path, function.__module__ or "") or _is_cell(path):
            by_file[path].append(function)
    for path, found in by_file.items():
        source = _source(path)
        try:
            plain = compile(source, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError):
            continue
        marked = discover.compile_marked(source.encode(), path, {}, plain=plain)
        if marked is not plain:
            _exchange(found, plain, marked)


def _exchange(found: list[FunctionType], plain: CodeType, marked: CodeType) -> None:
    own, made = codes(plain), codes(marked)
    markings = {marking.key: marking for marking in _markings(marked)}
    for function in found:
        code, key = function.__code__, key_of(function.__code__)
        if key in own and all(getattr(own[key], n) == getattr(code, n) for n in _SAME):
            _exchanged[function] = code
            function.__code__ = made[key]
            if key in markings:
                markings[key](function)


def _markings(code: CodeType) -> Iterator[Marking]:
    for constant in code.co_consts:
        if isinstance(constant, Marking):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _markings(constant)


def _functions() -> list[FunctionType]:
    return [each for each in gc.get_objects() if type(each) is FunctionType]


def _source(path: str) -> str:
    """Of a file, or of a cell that was run."""
    return "".join(linecache.getlines(path))


def _is_cell(path: str) -> bool:
    """Whether it is one of IPython's on a terminal."""
    return path.startswith("<ipython-input")
