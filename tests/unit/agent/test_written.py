"""Code as written: given back to what reads bytecode, and to nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest

from debottleneck.agent import evidence, opened, written
from debottleneck.agent.discover import compile_marked

SOURCE = """
def inner(x):
    for i in range(3):
        x = abs(x) + i
    return x

def outer(x):
    while x < 5:
        x = inner(x) + 1
    return x

def apart(x):
    for i in range(3):
        x += abs(i)
    return x
"""


@pytest.fixture
def space() -> Iterator[dict[str, Any]]:
    """The module with its loops prepared."""
    evidence.start(None, opened.Opening(lambda path: False))
    made: dict[str, Any] = {"__name__": "example"}
    exec(compile_marked(SOURCE.encode(), "example.py", {}), made)
    yield made
    evidence.stop()


def is_plain(function: FunctionType) -> bool:
    """Whether its code holds nothing but what python puts there."""
    return all(type(c).__module__ == "builtins" for c in function.__code__.co_consts)


def test_what_is_read_and_what_it_calls_is_as_written(space: dict[str, Any]) -> None:
    """Other functions keep their loops prepared."""
    names = ("outer", "inner", "apart")
    assert not any(is_plain(space[name]) for name in names)
    written.give_back([space["outer"].__code__])
    assert [is_plain(space[name]) for name in names] == [True, True, False]
    assert space["outer"](1) == 5


def test_numba_reads_functions_as_written(space: dict[str, Any]) -> None:
    """Whether they are decorated, or compiled in another way."""
    seen: list[bool] = []

    class Dispatcher:
        def __init__(self, function: Any) -> None:
            seen.append(is_plain(function))

    class Identity:
        from_function = staticmethod(lambda function: seen.append(is_plain(function)))

    core = SimpleNamespace(
        bytecode=SimpleNamespace(FunctionIdentity=Identity),
        dispatcher=SimpleNamespace(_DispatcherBase=Dispatcher),
    )
    written.after_numba(SimpleNamespace(core=core))  # type: ignore[arg-type] # a stand-in
    Dispatcher(space["apart"])
    Identity.from_function(space["inner"])
    assert seen == [True, True]
