"""What is found of a script's variables, and by which path."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from debottleneck.agent import variables
from debottleneck.agent.variables import OURS, Snapshot
from debottleneck.agent.wrap import wrap

MODULE = "users_own"


class Model:
    """An object of the user's."""

    seen = 0

    def __init__(self) -> None:
        self.w = np.zeros(3)
        self.lock = threading.Lock()


def owns(path: str, module: str) -> bool:
    """The functions of this file, and the made module, are the user's own."""
    return path == __file__ or module == MODULE


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Looks at names as a module of the user's holds them."""

    def looking(large: bool = True, **names: object) -> dict[str, Any]:
        module = ModuleType(MODULE)
        module.__file__ = __file__
        vars(module).update(names)
        monkeypatch.setitem(sys.modules, MODULE, module)
        monkeypatch.delitem(sys.modules, __name__, raising=False)
        found = Snapshot(owns, large=large).at(None)
        lead = f"{MODULE}."
        values = {**found.small, **found.large}
        return {p.replace(lead, ""): v for p, v in values.items() if lead in p}

    return looking


def generator() -> Any:
    """One of the user's, which remembers how far it is."""
    place = 0
    while True:
        place += 1
        yield place


def closure() -> Callable[[], None]:
    """A function that counts its calls in a variable of its own."""
    calls = 3

    def counted() -> None:
        nonlocal calls
        calls += 1

    return counted


def taken(iterator: Any) -> Any:
    """An iterator after its first item."""
    next(iterator)
    return iterator


def moved(value: Any) -> Any:
    """The value, changed as a step would change it."""
    if isinstance(value, (random.Random, np.random.RandomState)):
        value.random() if isinstance(value, random.Random) else value.rand()
    elif isinstance(value, np.random.Generator):
        value.random()
    elif isinstance(value, Model):
        value.w[1] = 1
    elif callable(value):
        value()
    elif isinstance(value, list):
        value[0]["a"] += 1
    elif isinstance(value, np.ndarray):
        value[-1] += 1e-9
    elif isinstance(value, set):
        value.add(5)
    else:
        next(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        random.Random(1),
        np.random.default_rng(1),
        np.random.RandomState(1),
        Model(),
        closure(),
        [{"a": 1}],
        np.zeros(5),
        np.zeros((300, 300)),
        {1, 2},
        taken(generator()),
        taken(iter([1, 2, 3])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_change_shows(look: Callable[..., dict[str, Any]], value: Any) -> None:
    """Whatever a loop changes, another look finds it changed, a third as it was."""
    first = look(x=value)
    assert first == look(x=value)
    assert first != look(x=moved(value))


def test_paths_are_as_people_write_them(look: Callable[..., dict[str, Any]]) -> None:
    """Items, keys and attributes; an alias has the path by which it was met first."""
    model = Model()
    found = look(ema=[np.zeros(2), 1.5], by={"lr": 0.1}, model=model, again=model.w)
    assert {"ema[0]", "ema[1]", "by['lr']", "model.w"} <= set(found)
    assert found["ema[1]"] == ["1.5"]
    assert "again" not in found
    assert not any("lock" in path for path in found)


def test_locals_of_running_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop in a function keeps all in its local variables."""

    def train() -> Snapshot:
        weights = np.ones(2)
        assert weights.any()
        return Snapshot(owns, large=True).at(sys._getframe())

    assert "weights" in train().small


def test_large_arrays_only_when_asked(look: Callable[..., dict[str, Any]]) -> None:
    """They take long to read, so most looks leave them out."""
    big = np.zeros(variables.LARGE_BYTES)
    assert "big" not in look(large=False, big=big, small=1)
    assert "big" in look(large=True, big=big, small=1)


def test_a_marked_function_shows_what_is_inside(
    look: Callable[..., dict[str, Any]],
) -> None:
    """The wrappers of this package are passed through, its objects tell nothing."""
    marked = wrap(generator, "load")()
    next(marked)
    assert look(x=marked)["x.place"] == ["1"]
    assert look(x=Snapshot(owns, large=True))["x"] == [OURS]


def test_no_more_than_the_bound(
    look: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A huge structure is cut off, and the look says so."""
    monkeypatch.setattr(variables, "MOST", 10)
    nested = [[[n, {}] for n in range(5)] for _ in range(5)]
    assert len(look(x=nested)) < 30
    assert not Snapshot(owns, large=True).at(None).complete


def test_what_cannot_be_read_is_passed_over(
    look: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """Files, endless iterators and objects that raise; other values are still found."""

    class Odd:
        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise RuntimeError("no")

    with (tmp_path / "a.txt").open("w") as file:
        file.write("12")
        found = look(file=file, n=count(), odd=Odd(), cycle=[], last=7)
    assert found["last"] == ["7"]
    assert found["file['position']"] == ["2"]
