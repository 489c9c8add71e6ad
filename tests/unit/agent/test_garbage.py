"""Garbage collections: each is written down where it happens, in children too."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from debottleneck.agent import garbage, marks
from debottleneck.recording import reading


@pytest.fixture
def collections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[garbage.Collections]:
    """Those of this process, written to `tmp_path` while a test runs."""
    monkeypatch.setattr(marks, "recording", lambda: True)
    before = list(gc.callbacks)
    made = garbage.Collections(tmp_path)
    made.install()
    yield made
    gc.callbacks[:] = before


def written(folder: Path) -> pd.DataFrame:
    """What was written down so far."""
    return reading.read_fixed(folder, *reading.FIXED["collections"])


def cycle() -> None:
    """Garbage that only a collection frees."""
    loop: list[object] = []
    loop.append(loop)


def test_a_collection_is_written_down(
    tmp_path: Path, collections: garbage.Collections
) -> None:
    """Thread, generation, what it freed, how many objects there are, and its time."""
    gc.collect()
    cycle()
    gc.collect()
    table = written(tmp_path)
    last = table[table["generation"] == 2].iloc[-1]
    assert last["tid"] == threading.get_native_id()
    assert last["collected"] >= 1
    assert 0 < last["cpu_ns"] <= last["end_ns"] - last["start_ns"]
    assert table["tracked"].max() > 1000
    gc.collect(0)
    assert written(tmp_path)["generation"].iloc[-1] == 0


def test_each_thread_has_its_own(
    tmp_path: Path, collections: garbage.Collections
) -> None:
    """A collection belongs to the thread in which it happens."""
    thread = threading.Thread(target=gc.collect)
    thread.start()
    thread.join()
    assert thread.native_id in set(written(tmp_path)["tid"])


def test_objects_are_counted_for_a_twentieth_of_the_time(
    tmp_path: Path, collections: garbage.Collections
) -> None:
    """A count that would cost more is left out."""
    gc.collect()
    collections._counting = 10**15
    gc.collect()
    assert written(tmp_path)["tracked"].iloc[-1] == 0


def test_a_full_file_is_followed_by_another(
    tmp_path: Path, collections: garbage.Collections
) -> None:
    """Nothing is lost where one ends."""
    gc.collect()
    count = len(written(tmp_path))
    collections._pos = garbage._BYTES
    gc.collect()
    assert len(list(tmp_path.iterdir())) == 2
    assert len(written(tmp_path)) > count


def test_a_forked_child_has_a_file_of_its_own(
    tmp_path: Path, collections: garbage.Collections
) -> None:
    """It does not write to its parent's."""
    gc.collect()
    child = os.fork()
    if not child:
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    assert {os.getpid(), child} <= set(written(tmp_path)["pid"])


def test_without_a_folder_nothing_happens(
    tmp_path: Path, collections: garbage.Collections
) -> None:
    """The measurement is over, and its files are gone: the script goes on."""
    collections._folder = tmp_path / "none"
    gc.collect()
    assert list(tmp_path.iterdir()) == []
