"""A thread that works on files in order, and who waits for it: all that look at them.

An audit hook (PEP 578) sees what Python code opens, renames, removes and lists, and
what it starts, before it happens; `os.stat` and its like, which have no event, are
wrapped. Not seen: libraries in C that open files themselves.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

from debottleneck.agent import guard
from debottleneck.strategies.pools import Workers

_OF_FILES = ("open", "os.", "shutil.")
_OF_PROCESSES = (
    *("os.fork", "os.posix_spawn", "os.spawn", "os.system", "os.exec"),
    "subprocess.",
)
"""Beginnings of the names of events."""

_UNHEARD = ("stat", "lstat", "access")
_SETS = ("dir_fd", "effective_ids", "fd", "follow_symlinks")

Job = Callable[[], object]


class FileJobs:
    """Jobs on files, made one after the other by a thread of its own."""

    def __init__(self) -> None:
        self._thread = Workers(1, "checkpoint")
        self._jobs: list[tuple[tuple[str, ...], futures.Future[None]]] = []
        self._busy = threading.local()
        self._undo: list[tuple[str, Any]] = []
        self._events = _OF_FILES, _OF_PROCESSES
        self._pid = os.getpid()
        sys.addaudithook(self._hook)
        for name in _UNHEARD:
            self.replace(name, self._waiting_first(getattr(os, name)))

    def replace(self, name: str, ours: Callable[..., Any]) -> None:
        """Put ours in place of a function of `os`, among those of its abilities too."""
        plain = getattr(os, name)
        self._undo.append((name, plain))
        setattr(os, name, ours)
        for ability in _SETS:
            able = getattr(os, f"supports_{ability}")
            if plain in able:
                able.add(ours)

    def put(self, paths: Iterable[str], job: Job) -> None:
        """Have a job made after those before it.

        Args:
            paths: What it changes, each as `entry` gives it.
            job: What it raises, `raise_error` raises.
        """
        left = [each for each in self._jobs if not _is_good(each[1])]
        future = self._thread.submit(self._made, job)
        self._jobs = [*left, (tuple(paths), future)]

    def is_open(self, path: str) -> bool:
        """Whether jobs on that path are not done."""
        jobs = self._jobs if self.is_here() else ()
        return any(path in paths and not future.done() for paths, future in jobs)

    def is_here(self) -> bool:
        """Whether this is no child of the process that it works in."""
        return self._pid == os.getpid()

    def wait(self, concerned: Callable[[str], bool] = lambda path: True) -> None:
        """Wait until no job is left on a path that is concerned."""
        if self.is_here():
            jobs = self._jobs
            futures.wait(
                [future for paths, future in jobs if any(map(concerned, paths))]
            )

    def raise_error(self) -> None:
        """Raise what a job has raised, once."""
        failed = [f for _, f in self._jobs if f.done() and not _is_good(f)]
        if failed:
            self._jobs = [each for each in self._jobs if each[1] not in failed]
            failed[0].result()

    def close(self) -> None:
        """Finish all jobs; `os` is python's own again."""
        self.wait()
        if self.is_here():
            self._thread.shutdown()
        while self._undo:
            name, plain = self._undo.pop()
            ours = getattr(os, name)
            setattr(os, name, plain)
            for ability in _SETS:
                getattr(os, f"supports_{ability}").discard(ours)

    def _made(self, job: Job) -> None:
        guard.pass_over()
        with self.unheard():
            job()

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        files, processes = self._events  # of modules nothing is left at the very end
        if not self._jobs or not event.startswith((*files, *processes)):
            return
        if event in ("os.listdir", "os.scandir"):
            self._look(["." if args[0] is None else args[0]], lists=True)
        elif not event.startswith(processes):
            self._look(args[:2])
        elif not self.is_working():
            self.wait()

    def is_working(self) -> bool:
        """Whether this thread's own look at files is not to wait."""
        return getattr(self._busy, "on", False)

    def _look(self, paths: Iterable[Any], *, lists: bool = False) -> None:
        """Somebody looks at paths: wait for what is not done of them."""
        if self.is_working() or all(future.done() for _, future in self._jobs):
            return
        with self.unheard():
            wanted = {*map(entry, paths)} - {""}
            wanted |= {*map(os.path.realpath, wanted)}
            self.wait(lambda p: p in wanted or (lists and os.path.dirname(p) in wanted))

    @contextmanager
    def unheard(self) -> Iterator[None]:
        """What this thread does to files within waits for nothing."""
        self._busy.on = True
        try:
            yield
        finally:
            self._busy.on = False

    def _waiting_first(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(plain)
        def after(path: Any, *args: Any, **kwargs: Any) -> Any:
            if self._jobs:
                self._look([path])
            return plain(path, *args, **kwargs)

        return after


def _is_good(future: futures.Future[None]) -> bool:
    """Whether it is done, and nothing was raised."""
    return future.done() and not future.cancelled() and future.exception() is None


def entry(path: Any) -> str:
    """The place of a file in its folder, however it is written; "" of none."""
    try:
        head, tail = os.path.split(os.path.abspath(os.fsdecode(path)))
    except (TypeError, ValueError):
        return ""
    return os.path.join(os.path.realpath(head), tail)
