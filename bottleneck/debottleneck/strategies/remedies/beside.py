"""A thread that works on files in order, and who waits for it: all that look at them.

An audit hook (PEP 578) sees what Python code opens, renames, removes and lists, and
what it starts, before it happens; `os.stat` and its like, which have no event, are
wrapped. Not seen: libraries in C that open files themselves.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any

from debottleneck.agent import guard
from debottleneck.strategies.standstill import waits

_OF_FILES = frozenset(
    {"open", "os.remove", "os.rename", "os.link", "os.symlink", "os.truncate"}
    | {"os.chmod", "os.utime", "os.listdir", "os.scandir", "shutil.rmtree"}
)
_OF_PROCESSES = frozenset(
    {"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec"}
    | {"subprocess.Popen"}
)
_UNHEARD = ("stat", "lstat", "access")
_SETS = ("dir_fd", "effective_ids", "fd", "follow_symlinks")

Job = Callable[[], object]


class FileJobs:
    """Jobs on files, made one after the other by a thread of its own.

    Attributes:
        waited: Seconds that others have waited for it.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[tuple[str, ...], Job] | None] = SimpleQueue()
        self._open: Counter[str] = Counter()
        self._done = threading.Condition()
        self._busy = threading.local()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._undo: list[tuple[str, Any]] = []
        self._pid = os.getpid()

    def install(self) -> None:
        """Let those wait who look at what is not done."""
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
        if self._thread is None:
            name = "bottleneck checkpoint"
            self._thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._thread.start()
        paths = tuple(paths)
        with self._done:
            self._open.update(paths)
        self._jobs.put((paths, job))

    def is_open(self, path: str) -> bool:
        """Whether jobs on that path are not done."""
        return self.is_here() and self._open[path] > 0

    def is_here(self) -> bool:
        """Whether this is no child of the process that it works in."""
        return self._pid == os.getpid()

    def wait(self, concerned: Callable[[str], bool] = lambda path: True) -> None:
        """Wait until no job is left on a path that is concerned."""
        if not self._open or not self.is_here():
            return
        with self._done:
            self._done.wait_for(lambda: not any(map(concerned, +self._open)))

    def raise_error(self) -> None:
        """Raise what a job has raised, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Finish all jobs; `os` is python's own again."""
        self.wait()
        if self._thread is not None and self.is_here():
            self._jobs.put(None)
            self._thread.join()
            self._thread = None
        while self._undo:
            name, plain = self._undo.pop()
            ours = getattr(os, name)
            setattr(os, name, plain)
            for ability in _SETS:
                getattr(os, f"supports_{ability}").discard(ours)

    @waits
    def _work(self) -> None:
        self._busy.on = True
        guard.pass_over()
        while (task := self._jobs.get()) is not None:
            paths, job = task
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - raised in the loop
                self._error = self._error or error
            with self._done:
                self._open.subtract(paths)
                self._open = +self._open
                self._done.notify_all()

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._open:
            return
        if event in ("os.listdir", "os.scandir"):
            self._look(["." if args[0] is None else args[0]], lists=True)
        elif event in _OF_FILES:
            self._look(args[:2])
        elif event in _OF_PROCESSES and not self.is_working():
            self.wait()

    def is_working(self) -> bool:
        """Whether this thread's own look at files is not to wait."""
        return getattr(self._busy, "on", False)

    def _look(self, paths: Iterable[Any], *, lists: bool = False) -> None:
        """Somebody looks at paths: wait for what is not done of them."""
        if self.is_working() or not self._open:
            return
        with self.unheard():
            wanted = {*map(entry, paths), *(_target(path) for path in paths)} - {""}
            self.wait(lambda p: p in wanted or (lists and _folder(p) in wanted))

    @contextlib.contextmanager
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
            if self._open:
                self._look([path])
            return plain(path, *args, **kwargs)

        return after


def entry(path: Any) -> str:
    """The place of a file in its folder, however it is written; "" of none."""
    try:
        head, tail = os.path.split(os.path.abspath(os.fsdecode(path)))
    except (TypeError, ValueError):
        return ""
    return os.path.join(os.path.realpath(head), tail)


def _target(path: Any) -> str:
    """Where a path leads through links."""
    try:
        return os.path.realpath(os.fsdecode(path))
    except (TypeError, ValueError):
        return ""


_folder = os.path.dirname
