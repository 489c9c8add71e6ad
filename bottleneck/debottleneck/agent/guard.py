"""Keeps a copy of each file before a trial's script changes it, and puts it back.

An audit hook (PEP 578) sees what Python code opens for writing, renames and removes,
before it happens; torch's own writer is met in PyTorch. Not seen: processes that are
not forked ones, and libraries in C that open files themselves. Standard library only.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import json
import os
import shutil
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

TRIAL = "BOTTLENECK_TRIAL"
"""In the environment of a script that runs as a trial."""

BYTES = 4 << 30
"""Copies of one trial at most; what is beyond is said."""

LIST = "changes.jsonl"
"""In the guard's folder: one line for each file, in the order of the first change."""

MOVED_BYTES = 1 << 26
"""A larger file that is about to be emptied is moved aside and not copied."""

_open = open  # the script may put its own in its place
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_TRUNC | os.O_CREAT
_PASSED = ("/dev/", "/proc/", "/sys/")
_CACHE = f"{os.sep}__pycache__{os.sep}"


@dataclass(frozen=True)
class Changes:
    """What a script did to files.

    Attributes:
        changed: Those that were there before and were put back.
        new: Those that were not, and are still there.
        lost: Sentences: what could not be kept or put back, and why.
    """

    changed: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class Guard:
    """Copies of files, made before they change.

    Args:
        folder: Where copies and their list go; it exists.
        limit: Bytes of copies at most.
        spool: Where the agent writes, which is not the script's doing.
    """

    def __init__(self, folder: str, limit: int, spool: Path) -> None:
        self._folder = folder
        self._left = limit
        self._seen: set[str] = set()
        self._busy = threading.local()
        self._lock = threading.RLock()
        ours = (os.path.join(os.path.realpath(place), "") for place in (folder, spool))
        self._passed = (*_PASSED, *ours)

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        """The audit hook: never raises, and sees nothing of its own doing."""
        meet = _MEETS.get(event)
        if meet is None or getattr(self._busy, "on", False):
            return
        self._busy.on = True
        try:
            with self._lock:
                for path, empties in meet(*args):
                    self._keep(path, empties)
        except (OSError, ValueError, TypeError):
            pass  # a path that cannot be is the script's own error, in a moment
        finally:
            self._busy.on = False

    def keep(self, path: str) -> None:
        """Keep a file that something unseen is about to write anew."""
        self.hook("open", (path, "w", os.O_WRONLY | os.O_TRUNC))

    def _keep(self, path: str, empties: bool) -> None:
        if path in self._seen or path.startswith(self._passed) or _CACHE in path:
            return
        self._seen.add(path)
        try:
            found = os.lstat(path)
        except OSError:
            self._note({"path": path, "new": True})
            return
        if stat.S_ISLNK(found.st_mode):
            self._note({"path": path, "link": os.readlink(path)})
        elif stat.S_ISDIR(found.st_mode):
            for inner in sorted(os.listdir(path)):
                self._keep(os.path.join(path, inner), False)
        elif stat.S_ISREG(found.st_mode):
            self._copy(path, found, empties)

    def _copy(self, path: str, found: os.stat_result, empties: bool) -> None:
        copy = os.path.join(self._folder, f"{os.getpid()}-{len(self._seen)}")
        aside = empties and found.st_size > MOVED_BYTES and os.access(path, os.W_OK)
        try:
            if aside and found.st_dev == os.stat(self._folder).st_dev:
                os.rename(path, copy)
            elif found.st_size > self._left:
                why = f"it has {found.st_size / 1e9:.1f} GB, more than is copied"
                self._note({"path": path, "lost": why})
                return
            else:
                self._left -= found.st_size
                shutil.copy2(path, copy)
        except OSError as error:
            self._note({"path": path, "lost": str(error.strerror)})
        else:
            shared = found.st_ino if found.st_nlink > 1 else 0
            line = {"path": path, "copy": os.path.basename(copy), "inode": shared}
            self._note(line)

    def _note(self, line: Mapping[str, object]) -> None:
        with _open(os.path.join(self._folder, LIST), "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


Met = Iterator[tuple[str, bool]]
"""Paths that are about to change, and whether they are about to be emptied."""


def _target(path: Any) -> str:
    """Where a path leads: what is opened through a link is the file behind it."""
    return os.path.realpath(os.fsdecode(path))


def _entry(path: Any, folder: int = -1) -> str:
    """The entry itself in its folder: removing a link leaves the file behind it."""
    text = os.fsdecode(path)
    if folder >= 0:
        text = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), text)
    head, tail = os.path.split(os.path.abspath(text))
    return os.path.join(os.path.realpath(head), tail)


def _opened(path: Any, mode: Any, flags: int) -> Met:
    if not isinstance(path, int) and flags & _WRITES:
        yield _target(path), bool(flags & os.O_TRUNC)


def _renamed(source: Any, target: Any, folder: int = -1, other: int = -1) -> Met:
    yield _entry(source, folder), False
    yield _entry(target, other), False


def _removed(path: Any, folder: int = -1, *_: Any) -> Met:
    yield _entry(path, folder), False


def _made(_source: Any, path: Any, *folders: int) -> Met:
    yield _entry(path, folders[-1] if folders else -1), False


def _truncated(path: Any, *_: Any) -> Met:
    if not isinstance(path, int):
        yield _target(path), False


def _permitted(path: Any, *_: Any) -> Met:
    if not isinstance(path, int) and os.path.isfile(path):
        yield _target(path), False


def _database(path: Any) -> Met:
    for ending in ("", "-wal", "-shm", "-journal"):
        yield _target(os.fsdecode(path) + ending), False


_MEETS: Mapping[str, Callable[..., Met]] = {
    "open": _opened,
    "os.rename": _renamed,
    "os.remove": _removed,
    "os.link": _made,
    "os.symlink": _made,
    "os.truncate": _truncated,
    "os.chmod": _permitted,
    "shutil.rmtree": _removed,
    "sqlite3.connect": _database,
}

_guards: list[Guard] = []


def install(folder: Path, config: Mapping[str, Any]) -> None:
    """Guard the script's files from now on.

    Args:
        folder: The spool folder.
        config: "guard" is the copies' folder; "tool_pid" the tool that puts them back.
            Where it is gone the script is interrupted, and its exit does.
    """
    os.environ[TRIAL] = "1"
    guard = Guard(config["guard"], int(config.get("guard_bytes", BYTES)), folder)
    _guards.append(guard)
    sys.addaudithook(guard.hook)
    tool = int(config["tool_pid"])
    atexit.register(_restore_alone, config["guard"], os.getpid(), tool)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, int(signal.SIGINT))


def pass_over() -> None:
    """What this thread does to files from now on was met where it was asked for."""
    for guard in _guards:
        guard._busy.on = True


def after_torch(torch: ModuleType) -> None:
    """Meet torch's writer, which opens the file of a checkpoint in C++."""
    writer = torch.serialization._open_zipfile_writer_file
    plain = writer.__init__

    @functools.wraps(plain)
    def begin(self: Any, name: Any, *args: Any, **kwargs: Any) -> None:
        for guard in _guards:
            guard.keep(os.fspath(name))
        plain(self, name, *args, **kwargs)

    writer.__init__ = begin


def _restore_alone(folder: str, pid: int, tool: int) -> None:
    if os.getpid() == pid and _is_gone(tool):
        restore(Path(folder))


def _is_gone(tool: int) -> bool:
    """Whether the tool, this process's parent, has ended or its main thread has.

    Its children hear of the latter, and may be done before the other threads are.
    """
    if os.getppid() != tool:
        return True
    try:
        stat_line = Path(f"/proc/{tool}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat_line.rpartition(")")[2].split()[0] in "ZX"


def restore(folder: Path) -> Changes:
    """Put back what was kept, once the script has ended; the list is then empty.

    Args:
        folder: The guard's; without a list nothing was changed.
    """
    first: dict[str, Mapping[str, Any]] = {}
    with contextlib.suppress(OSError):
        for text in (folder / LIST).read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                line = json.loads(text)
                first.setdefault(line["path"], line)
    changed, new, lost = [], [], []
    for path, line in first.items():
        if line.get("new"):
            new += _files(path)
        elif "lost" in line:
            lost.append(f"{path} may have been changed: {line['lost']}")
        else:
            changed.append(path)
            try:
                _put_back(folder, path, line)
            except OSError as error:
                copy = folder / str(line.get("copy", ""))
                lost.append(f"{path} could not be put back ({error}); see {copy}")
    if not lost:
        with contextlib.suppress(OSError):
            (folder / LIST).unlink()
    return Changes(tuple(changed), tuple(new), tuple(lost))


def _files(path: str) -> list[str]:
    """That file if it is there, or all below that folder."""
    inner = [os.path.join(at, name) for at, _, names in os.walk(path) for name in names]
    is_folder = os.path.isdir(path) and not os.path.islink(path)
    return inner if is_folder else [path] * os.path.lexists(path)


def _put_back(folder: Path, path: str, line: Mapping[str, Any]) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if "link" in line:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.symlink(line["link"], path)
        return
    copy = folder / line["copy"]
    if line["inode"] and line["inode"] == _inode(path):
        shutil.copyfile(copy, path)  # the other names of that file show it too
        shutil.copystat(copy, path)
        copy.unlink()
        return
    beside = f"{path}.bottleneck-{os.getpid()}"
    shutil.move(copy, beside)
    os.replace(beside, path)


def _inode(path: str) -> int:
    try:
        return os.lstat(path).st_ino
    except OSError:
        return 0
