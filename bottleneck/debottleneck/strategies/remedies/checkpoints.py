"""`background:checkpoint`: what a loop saves is copied at once and written beside it.

`torch.save`, `np.save` and their like to a path: a copy of the state is written by one
thread, in order, to a new file that takes the place of the old one. To a file that the
script has opened it is written at once, into the system's cache; the wait for the
disk, `os.fsync`, and the renaming that follows are that thread's. So is the wait for
files that `pickle.dump` wrote. Whoever looks at such a file waits until it is there.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from time import monotonic_ns
from types import ModuleType
from typing import Any

from debottleneck.strategies.remedies.beside import FileJobs, entry
from debottleneck.strategies.remedies.hooks import Remedy, patch
from debottleneck.strategies.rewriting.notes import (
    ENGAGED,
    FAILED,
    REFUSED,
    SUMMARY,
    Notes,
)
from debottleneck.strategies.spec import BACKGROUND, Strategy

MOST_COPIES = 2
"""Copies of a state that wait to be written; whoever saves more waits himself."""

_OF_NUMPY = {"save": ".npy", "savez": ".npz", "savez_compressed": ".npz"}
_WRITTEN = os.O_WRONLY | os.O_CREAT | os.O_TRUNC

Plain = Callable[..., Any]


class Checkpoints(Remedy):
    """Saves beside the loop."""

    def __init__(self, strategy: Strategy, notes: Notes) -> None:
        self._notes = notes
        self._beside = FileJobs()
        self._room = threading.BoundedSemaphore(MOST_COPIES)
        self._undo: list[Callable[[], None]] = []
        self._numpy = False
        self._count = self._stopped_ns = 0
        for name in ("fsync", "fdatasync"):
            self._beside.replace(name, self._sync(getattr(os, name)))
        for name in ("rename", "replace"):
            self._beside.replace(name, self._rename(getattr(os, name)))

    def after_torch(self, torch: ModuleType) -> None:
        """Act on `torch.save`."""
        self._undo.append(patch(torch, "save", self._save(torch.save, 1, "f")))

    def stepped(self) -> None:
        """Act on numpy, where the script has it; raise what a write has raised."""
        numpy = sys.modules.get("numpy")
        if numpy is not None and not self._numpy:
            self._numpy = True
            for name, ending in _OF_NUMPY.items():
                ours = self._save(getattr(numpy, name), 0, "file", ending)
                self._undo.append(patch(numpy, name, ours))
        self._beside.raise_error()

    def close(self) -> None:
        """All is written; the functions are plain again."""
        while self._undo:
            self._undo.pop()()
        begun = monotonic_ns()
        self._beside.close()
        if not self._beside.is_here():
            return
        self._stopped_ns += monotonic_ns() - begun
        if self._count:
            text = f"{self._count} writes, syncs and renames were made beside the loop,"
            text += f" which was stopped for {self._stopped_ns / 1e6:.0f} ms in all"
            self._notes.say(BACKGROUND, SUMMARY, text)
        else:
            text = "the loop calls no torch.save or np.save to a path, and no os.fsync"
            self._notes.say(BACKGROUND, REFUSED, text)
        self._beside.raise_error()

    def _put(self, what: str, paths: list[str], job: Callable[[], object]) -> None:
        """Have a job made, and say so."""
        self._beside.put(paths, job)
        self._count += 1
        name = os.path.basename(paths[0])
        text = f"a thread does {what} of {name} while the loop goes on"
        self._notes.say(BACKGROUND, ENGAGED, text)
        self._notes.keep(BACKGROUND, *_permanent(what))

    def _save(self, plain: Plain, place: int, name: str, ending: str = "") -> Plain:
        """A function that saves to the path given at that place or by that name."""
        what = f"{plain.__module__.partition('.')[0]}.{plain.__name__}"

        @functools.wraps(plain)
        def save(*args: Any, **kwargs: Any) -> Any:
            path = kwargs.get(name, args[place] if len(args) > place else None)
            target = _file(path, ending)
            if not target or self._beside.is_working() or not self._beside.is_here():
                return plain(*args, **kwargs)
            self._beside.raise_error()
            begun = monotonic_ns()
            self._room.acquire()
            try:
                job = self._copied(plain, target, ([*args], kwargs), (place, name))
            except Exception as error:  # noqa: BLE001 - of the user's own objects
                self._room.release()
                self._notes.say(BACKGROUND, FAILED, f"{what} is made at once: {error}")
                return plain(*args, **kwargs)
            self._put(what, [target], job)
            self._stopped_ns += monotonic_ns() - begun
            return None

        return save

    def _copied(
        self, plain: Plain, target: str, given: Any, at: tuple[int, str]
    ) -> Callable[[], object]:
        """What writes a copy of what was given, made now."""
        place, name = at
        args, kwargs = copy.deepcopy(given)
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.current_stream().synchronize()  # the thread has its own
        sys.audit("open", target, "wb", _WRITTEN)  # those who watch see it in order
        head, tail = os.path.split(target)
        folder = tempfile.mkdtemp(prefix=".bottleneck-", dir=head)
        new = os.path.join(folder, tail)
        if name in kwargs:
            kwargs[name] = new
        else:
            args[place] = new
        return partial(self._write, partial(plain, *args, **kwargs), new, target)

    def _write(self, save: Callable[[], object], new: str, target: str) -> None:
        try:
            save()
            with contextlib.suppress(FileNotFoundError):
                shutil.copymode(target, new)
            os.replace(new, target)
        finally:
            self._room.release()
            shutil.rmtree(os.path.dirname(new), ignore_errors=True)

    def _sync(self, plain: Plain) -> Plain:
        @functools.wraps(plain)
        def sync(fd: Any) -> Any:
            number = fd if isinstance(fd, int) else fd.fileno()
            path = _path_of(number)
            if not path or self._beside.is_working() or not self._beside.is_here():
                return plain(fd)
            self._beside.raise_error()
            own = os.dup(number)

            def job() -> None:
                try:
                    plain(own)
                finally:
                    os.close(own)

            self._put("os.fsync", [path], job)
            return None

        return sync

    def _rename(self, plain: Plain) -> Plain:
        @functools.wraps(plain)
        def rename(src: Any, dst: Any, **folders: Any) -> Any:
            old, new = entry(src), entry(dst)
            if folders or not self._beside.is_open(old) or self._beside.is_working():
                return plain(src, dst, **folders)
            if not os.path.isdir(os.path.dirname(new)) or os.path.isdir(new):
                self._beside.wait()
                return plain(src, dst)
            with self._beside.unheard():
                sys.audit("os.rename", old, new, -1, -1)
            self._put("os.replace", [new, old], partial(plain, old, new))
            return None

        return rename


def _file(path: Any, ending: str) -> str:
    """The regular file that a path leads to, or "" where there can be none."""
    try:
        text = os.path.realpath(os.fsdecode(path))
    except (TypeError, ValueError):
        return ""
    text += "" if text.endswith(ending) else ending
    try:
        return text if stat.S_ISREG(os.stat(text).st_mode) else ""
    except OSError:
        return text if os.path.isdir(os.path.dirname(text)) else ""


def _path_of(number: int) -> str:
    """The regular file that is open under a number, as `/proc` names it."""
    try:
        path = os.readlink(f"/proc/self/fd/{number}")
        return path if os.path.isfile(path) else ""
    except OSError:
        return ""


def _permanent(what: str) -> tuple[str, ...]:
    """Lines of code that do the same."""
    save = {
        "torch.save": "torch.save(state, new)",
        "numpy.save": "np.save(new, state)",
    }
    dump = ("pickle.dump(state, new)", "new.flush()", "os.fsync(new.fileno())")
    lines = (save[what],) if what in save else dump
    return (
        "import copy, os",
        "from concurrent.futures import ThreadPoolExecutor",
        "writer = ThreadPoolExecutor(1)  # before the loop",
        "def write(state, path):",
        '    with open(f"{path}.new", "wb") as new:',
        *(f"        {line}" for line in lines),
        '    os.replace(f"{path}.new", path)',
        "written = writer.submit(write, copy.deepcopy(state), path)  # to save",
        "written.result()  # before it is read or saved again, and at the end",
    )
