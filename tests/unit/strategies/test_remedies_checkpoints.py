"""Saves beside the loop: the same bytes, in order, there for whoever looks."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_acting import Noted

from debottleneck.strategies.remedies import checkpoints
from debottleneck.strategies.remedies import install as remedies
from debottleneck.strategies.remedies.beside import FileJobs
from debottleneck.strategies.remedies.hooks import Remedy
from debottleneck.strategies.spec import parse

FUNCTIONS = ("fsync", "fdatasync", "rename", "replace", "stat", "lstat", "access")


@pytest.fixture
def noted(tmp_path: Path) -> Noted:
    """Notes beside the files."""
    (tmp_path / "notes").mkdir()
    return Noted(tmp_path / "notes")


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """The thread begins its jobs once this is set."""
    event, plain = threading.Event(), FileJobs._made

    def made(beside: FileJobs, job: Callable[[], object]) -> None:
        event.wait(20)
        plain(beside, job)

    monkeypatch.setattr(FileJobs, "_made", made)
    return event


@pytest.fixture
def acting(noted: Noted, tmp_path: Path) -> Iterator[Remedy]:
    """Saves go beside the loop, in a folder of their own; all is undone after it."""
    before = [*(getattr(os, name) for name in FUNCTIONS), np.save, np.savez]
    able = [set(os.supports_dir_fd), set(os.supports_follow_symlinks)]
    hooks = remedies.made(parse("background:checkpoint")[0], noted.notes)
    hooks.stepped()
    with contextlib.chdir(tmp_path):
        yield hooks
        with contextlib.suppress(OSError, ValueError):
            hooks.close()
    assert [*(getattr(os, name) for name in FUNCTIONS), np.save, np.savez] == before
    assert [set(os.supports_dir_fd), set(os.supports_follow_symlinks)] == able


def saved(path: str, value: Any) -> None:
    """As scripts do to be sure that a file is whole."""
    with open(f"{path}.tmp", "wb") as file:
        pickle.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.tmp", path)


def test_what_is_written_is_what_was_there_when_it_was_saved(
    acting: Remedy, gate: threading.Event, noted: Noted
) -> None:
    """A later change is not in it; the last of several saves stays."""
    state = np.zeros(3)
    np.save("state", state)
    state += 1
    np.save("state2.npy", state)
    state += 1
    gate.set()
    assert np.load("state.npy").tolist() == [0, 0, 0]
    assert np.load("state2.npy").tolist() == [1, 1, 1]
    for number in range(5):
        np.save("state", np.full(3, number))
    acting.close()
    assert np.load("state.npy").tolist() == [4, 4, 4]
    assert sorted(os.listdir()) == ["notes", "state.npy", "state2.npy"]
    assert "numpy.save of state.npy" in noted.said("engaged")[0]
    assert noted.said("summary")[0].startswith("7 writes, syncs and renames")
    assert "np.save(new, state)" in noted.said("keep")[0]


LOOKS: dict[str, Callable[[], object]] = {
    "open": lambda: pickle.loads(Path("s").read_bytes()),
    "exists": lambda: os.path.exists("s"),
    "size": lambda: os.path.getsize("s") > 3,
    "list": lambda: "s" in os.listdir(),
    "link": lambda: pickle.loads(Path("to_s").read_bytes()),
    "child": lambda: not subprocess.run(["test", "-s", "s"], check=False).returncode,
    "remove": lambda: os.remove("s") or True,
}


@pytest.mark.parametrize("look", LOOKS)
def test_who_looks_waits_until_it_is_there(
    look: str, acting: Remedy, gate: threading.Event
) -> None:
    """Whatever the way to look; the rename comes after the sync, and all in order."""
    os.symlink("s", "to_s")
    saved("s", [1, 2])
    threading.Timer(0.05, gate.set).start()
    assert LOOKS[look]()
    assert not os.path.exists("s.tmp")


def test_others_do_not_wait(acting: Remedy, gate: threading.Event) -> None:
    """Files that nobody saves are read while the thread has not begun."""
    Path("data").write_text("rows")
    saved("s", [1])
    assert Path("data").read_text() == "rows"
    assert os.path.getsize("data") == 4
    assert not gate.is_set()
    gate.set()


def test_an_error_is_raised_where_a_step_begins(
    acting: Remedy, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once; what was saved before it is whole, and nothing lies about."""
    Path("state.npy").write_bytes(b"the old one")
    np.save("state.npy", np.zeros(3))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.shutil, "copymode", full)
    gate.set()
    assert Path("state.npy").read_bytes() == b"the old one"
    with pytest.raises(OSError, match="No space"):
        acting.stepped()
    acting.stepped()
    assert sorted(os.listdir()) == ["notes", "state.npy"]


class Whole:
    """Cannot be copied."""

    def __deepcopy__(self, memo: object) -> Whole:
        raise TypeError("it has no copy")


def test_what_cannot_be_copied_is_saved_at_once(acting: Remedy, noted: Noted) -> None:
    """The sentence says why."""
    np.save("state.npy", np.array([Whole()], dtype=object), allow_pickle=True)
    assert os.path.exists("state.npy")
    assert "made at once: it has no copy" in noted.said("failed")[0]


def test_a_folder_that_is_not_there_is_the_script_s_error(acting: Remedy) -> None:
    """At the call itself, as ever."""
    with pytest.raises(FileNotFoundError):
        np.save("nowhere/state.npy", np.zeros(3))
    with pytest.raises(FileNotFoundError):
        os.replace("nowhere", "anywhere")


def test_a_loop_that_saves_nothing_is_told_so(acting: Remedy, noted: Noted) -> None:
    """It is refused at the end."""
    acting.close()
    assert "calls no torch.save or np.save" in noted.said("refused")[0]


@pytest.mark.torch
def test_torch_saves_the_same_bytes(acting: Remedy, tmp_path: Path) -> None:
    """Of a module's state and an optimizer's, the archive's name included."""
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(4, 4)
    Path("plain").mkdir()
    torch.save({"net": net.state_dict(), "at": 3}, "plain/c.pt")
    acting.after_torch(torch)
    torch.save({"net": net.state_dict(), "at": 3}, f="c.pt")
    with torch.no_grad():
        net.weight += 1
    assert Path("c.pt").read_bytes() == Path("plain/c.pt").read_bytes()
    acting.close()


if sys.platform != "linux":
    pytest.skip("files are known by /proc", allow_module_level=True)
