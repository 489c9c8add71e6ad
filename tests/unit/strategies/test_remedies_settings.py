"""The collector and thread pools, set for a script and given back."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_acting import Noted

from debottleneck.recording.cores import THREAD_VARIABLES
from debottleneck.strategies import blas
from debottleneck.strategies.blas import Library
from debottleneck.strategies.remedies import install as remedies
from debottleneck.strategies.remedies.hooks import Remedy
from debottleneck.strategies.spec import parse


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Python collects, nothing is frozen, and the environment is as it was."""
    gc.unfreeze()
    before = gc.isenabled(), {name: os.environ.get(name) for name in THREAD_VARIABLES}
    yield
    assert (gc.isenabled(), gc.get_freeze_count()) == (before[0], 0)
    assert {name: os.environ.get(name) for name in THREAD_VARIABLES} == before[1]


def made(spec: str, noted: Noted) -> Remedy:
    """A strategy's hooks."""
    (strategy,) = parse(spec)
    return remedies.made(strategy, noted.notes)


class Cycle:
    """Garbage that only the collector frees."""

    def __init__(self) -> None:
        self.itself = self


def alive() -> int:
    """Cycles that nobody has freed."""
    return sum(type(one) is Cycle for one in gc.get_objects())


def test_frozen_and_collected_at_boundaries(tmp_path: Path) -> None:
    """Python does not collect within steps; cycles of a step go at its end."""
    noted = Noted(tmp_path)
    hooks = made("gc:freeze", noted)
    hooks.stepped()
    assert not gc.isenabled()
    assert gc.get_freeze_count() > 1000
    for _ in range(gc.get_threshold()[0] + 100):
        Cycle()
    assert alive() > gc.get_threshold()[0]
    hooks.stepped()
    assert alive() == 0
    hooks.close()
    assert "are frozen" in noted.said("engaged")[0]
    assert "gc.freeze()" in noted.said("keep")[0]
    assert noted.said("summary")[0].startswith("1 collections between steps took")


def test_off_is_never(tmp_path: Path) -> None:
    """Cycles stay until the end."""
    noted = Noted(tmp_path)
    hooks = made("gc:off", noted)
    hooks.stepped()
    for _ in range(2000):
        Cycle()
    hooks.stepped()
    assert alive() == 2000
    hooks.close()
    gc.collect()
    assert "gc.disable()" in noted.said("keep")[0]


def test_a_script_that_collects_by_itself_is_left_alone(tmp_path: Path) -> None:
    """The collector stays off, and the sentence says why."""
    noted = Noted(tmp_path)
    hooks = made("gc:freeze", noted)
    gc.disable()
    try:
        hooks.stepped()
        hooks.close()
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert noted.said("refused") == ["the script has switched the collector off itself"]


def pool(size: int) -> tuple[Library, Callable[[], int]]:
    """A library's thread pool, and what tells its size."""
    sizes = [size]
    return Library(lambda: sizes[-1], sizes.append), lambda: sizes[-1]


def test_pools_and_those_to_come_have_that_many_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the environment, and once more where training begins."""
    library, size = pool(4)
    monkeypatch.setattr(blas, "mapped", lambda: (library,))
    monkeypatch.setattr(blas, "cores", lambda: 4)
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    noted = Noted(tmp_path)
    hooks = made("blas:threads=2", noted)
    assert {os.environ[name] for name in THREAD_VARIABLES} == {"2"}
    hooks.stepped()
    assert size() == 2
    hooks.close()
    assert noted.said("engaged") == ["BLAS and OpenMP use 2 threads"]
    assert 'os.environ[name] = "2"' in noted.said("keep")[0]


@pytest.mark.parametrize(
    ("libraries", "environment", "cores", "reason"),
    [
        (0, "", 4, "no BLAS or OpenMP library is loaded"),
        (1, "2", 4, "OMP_NUM_THREADS say 2 already"),
        (1, "", 2, "there are 2 cores: it is what libraries take anyway"),
    ],
)
def test_what_is_so_already_is_said(
    libraries: int,
    environment: str,
    cores: int,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is engaged where nothing changes."""
    monkeypatch.setattr(blas, "mapped", lambda: (pool(2)[0],) * libraries)
    monkeypatch.setattr(blas, "cores", lambda: cores)
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if environment:
        monkeypatch.setenv("OMP_NUM_THREADS", environment)
    noted = Noted(tmp_path)
    hooks = made("blas:threads=2", noted)
    hooks.stepped()
    hooks.close()
    assert not noted.said("engaged")
    assert reason in noted.said("refused")[0]
