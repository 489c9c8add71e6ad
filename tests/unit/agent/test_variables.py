"""What is found of a script's variables, and by which path."""

from __future__ import annotations

import gc
import io
import random
import sys
import threading
import weakref
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

from debottleneck.agent import sketches, variables
from debottleneck.agent.variables import OURS, Snapshot
from debottleneck.agent.wrap import wrap

MODULE = "users_own"


class Model:
    """An object of the user's."""

    seen = 0

    def __init__(self) -> None:
        self.w = np.zeros(3)
        self.lock = threading.Lock()


class Count(OrderedDict[int, int]):
    """A container of the user's that keeps a number of its own."""

    total = 0


class Slotted:
    """One without a dictionary, with a private slot."""

    __slots__ = ("__n", "w")

    def __init__(self) -> None:
        self.w, self.__n = np.zeros(2), 1


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
    elif isinstance(value, (Model, Slotted)):
        value.w[1] = 1
    elif isinstance(value, (array, bytearray)):
        value[0] += 1
    elif isinstance(value, Count):
        value.total += 1
    elif isinstance(value, dict):
        value[0].w[0] += 1
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
        taken(zip(generator(), count(), strict=False)),
        taken(enumerate(generator())),
        array("d", [1, 2]),
        bytearray(b"ab"),
        Count(),
        Slotted(),
        {number: Model() for number in range(variables.MOST_ITEMS + 1)},
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


def test_how_much_was_printed_is_no_value(
    look: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads hold the stream of errors, whose length tells times that were printed."""
    with (tmp_path / "log.txt").open("w") as log:
        monkeypatch.setattr(sys, "stderr", log)
        log.write("12 s")
        assert not any("position" in path for path in look(log=log))


class Hostile:
    """Whatever is asked of it raises, and is written down."""

    asked: ClassVar[list[str]] = []

    def _fails(self, *args: object) -> Any:
        Hostile.asked.append(type(self).__name__)
        raise AssertionError

    __getattribute__ = __eq__ = __len__ = __iter__ = __next__ = __bool__ = _fails
    __repr__ = __str__ = __array__ = __getitem__ = __contains__ = __hash__ = _fails
    __class__ = property(_fails)  # type: ignore[assignment]
    nbytes = closed = value = property(_fails)
    items = keys = values = tell = getstate = tolist = _fails


BASES = (list, dict, set, tuple, deque, int, float, str, bytes, ModuleType)
BASES = (*BASES, random.Random, np.ndarray, io.StringIO)


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """One object of each kind, none of which may be asked anything."""
    made: list[Any] = [object.__new__(Hostile)]
    for base in BASES:
        kind = type(f"Hostile{base.__name__}", (Hostile, base), {})
        given = {np.ndarray: (3,), ModuleType: ("lazy",)}.get(base, ())
        made.append(base.__new__(kind, *given))  # type: ignore[call-overload]
    monkeypatch.setitem(sys.modules, "lazy", made[1 + BASES.index(ModuleType)])
    Hostile.asked.clear()
    return made


def test_looking_asks_nothing(
    look: Callable[..., dict[str, Any]], hostile: list[Any]
) -> None:
    """Properties, `__getattr__`, `__len__`, `__eq__` and the rest are the script's."""
    keyed = {0: hostile, "many": hostile * 99, "sets": [{1}, deque(hostile)]}
    found = look(x=keyed, last=7)
    assert found["last"] == ["7"]
    assert Hostile.asked == []


def test_nothing_is_kept_alive(look: Callable[..., dict[str, Any]]) -> None:
    """What the script drops after a look vanishes, though the look is kept."""
    model = Model()
    gone = weakref.ref(model)
    kept = Snapshot(owns, large=True)
    module = ModuleType(MODULE)
    module.__file__ = __file__
    vars(module)["model"] = model
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, MODULE, module)
        kept.at(None)
    del model, module.model
    gc.collect()
    assert gone() is None
    assert f"{MODULE}.model.w" in kept.small


def test_what_many_images_weigh(look: Callable[..., dict[str, Any]]) -> None:
    """A data set in a list is as large as its items, and read as rarely."""
    images = [(np.zeros((40, 40)), number) for number in range(300)]
    assert "images" not in look(large=False, images=images)
    first = look(images=images)
    images[77][0][3, 4] = 1
    assert first["images"] != look(images=images)["images"]
    assert first["len(images)"] == [300]


def test_a_vast_array_is_looked_at_in_parts(
    look: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gigabytes of data are no reason to wait; what moves all of it still shows."""
    monkeypatch.setattr(sketches, "VAST_BYTES", 1 << 16)
    table = np.zeros((3, 100_000))
    first = look(x=table)
    table += 1
    assert first != look(x=table)


def test_a_dictionary_that_another_thread_changes(
    look: Callable[..., dict[str, Any]],
) -> None:
    """It is copied at once; what else is there is still found."""
    busy, names = True, {0: 0}

    def change() -> None:
        for number in count():
            names[number % 500] = number
            names.pop(number % 313, None)
            if not busy:
                return

    thread = threading.Thread(target=change)
    thread.start()
    try:
        looks = [look(names=names, last=1) for _ in range(50)]
    finally:
        busy = False
        thread.join()
    assert all(found["last"] == ["1"] for found in looks)
    assert not any([variables.UNREAD] in found.values() for found in looks)


def test_a_huge_number_and_a_deep_nest(look: Callable[..., dict[str, Any]]) -> None:
    """Neither ends the script."""
    nest: list[Any] = []
    for _ in range(5000):
        nest = [nest]
    found = look(x=nest, big=10**6000, last=7)
    assert found["last"] == ["7"]
    assert found["big"] != look(big=10**6000 + 1)["big"]
