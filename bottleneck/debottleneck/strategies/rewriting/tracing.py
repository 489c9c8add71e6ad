"""One iteration looked at while it runs: what no reading of the code shows.

Which functions of the user's were called by whatever led there, which random
generators, files and connections were used within libraries, which files were opened.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import debottleneck
from debottleneck.agent.aside import again
from debottleneck.agent.discover import is_own
from debottleneck.strategies import pools, randomness
from debottleneck.strategies.conflicts import is_random
from debottleneck.strategies.rewriting import known, replicas
from debottleneck.strategies.rewriting.callees import Callees
from debottleneck.strategies.rewriting.known import draws_in_torch
from debottleneck.strategies.rewriting.locations import ALL, File, file_at
from debottleneck.strategies.rewriting.values import Value

MOST_CALLS = 3
"""Calls of one function that are kept, with what they were given."""

MOST_EVENTS = 50_000
"""Events after which no more are looked at."""

_TOOL = os.path.join(os.path.dirname(debottleneck.__file__), "")
_STREAMS = (io.IOBase,)
_FORKS = ("os.fork", "os.forkpty", "os.kill", "os.killpg", "pty.spawn")
_CHANGED = ("os.remove", "os.rename", "os.truncate", "sqlite3.connect")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

Call = tuple[types.CodeType, dict[str, Any], dict[str, Any]]
Opened = Sequence[tuple[File, bool]]
"""Files that were opened, True where they may be changed."""


@dataclass
class Events:
    """What happened.

    Attributes:
        calls: Code of the user's, its globals, what its names held at first.
        used: Objects that draw, read or write.
        files: Files that were opened, True where they may be changed.
        forks: Whether the process was forked, or sent a signal.
    """

    calls: list[Call] = field(default_factory=list)
    used: list[Any] = field(default_factory=list)
    files: dict[File, bool] = field(default_factory=dict)
    forks: bool = False

    def into(self, callees: Callees) -> None:
        """Add it to what is known of some code."""
        for code, space, local in self.calls:
            if known.place_of(code) in callees.followed:
                continue
            names = {n: Value.of(v) for n, v in local.items()}
            cells = tuple(types.CellType(local.get(n)) for n in code.co_freevars)
            function = types.FunctionType(code, space, closure=cells or None)
            callees.follow(function, names, {})
        for value in self.used:
            callees.note(value, ALL, write=True)
        for file, changes in self.files.items():
            callees.note(file, ALL, write=changes)
        if self.forks:
            what = "it forks or signals the process"
            callees.effects.bound = callees.effects.bound or what


class Tracing:
    """Collects events of the calling thread, from `start` to `stop`.

    Files that other threads open, which may work for it, are its own; not the main
    thread's.

    Attributes:
        connections: That carried requests; None for one that may not have others.
    """

    def __init__(self) -> None:
        self.connections: dict[int, Any] = {}
        self._requests = set[Any]()
        self._events = Events()
        self._own: dict[types.CodeType, int] = {}
        self._streams: Any = ()
        self._left = MOST_EVENTS
        self.on = False

    def start(self) -> None:
        """Begin, if nothing of the user's looks on already."""
        yappi: Any = sys.modules.get("yappi")
        if sys.getprofile() is not None or (yappi and yappi.is_running()):
            return
        self.on, self._thread = True, threading.get_ident()
        others = threading.current_thread() is not threading.main_thread()
        self._streams = () if others else randomness.streams()  # that one draws, too
        self._states = randomness.states(self._streams)
        _listeners.append(self._heard)
        _listen()
        again(RuntimeError, sys.setprofile, self._event)

    def stop(self) -> None:
        """Look no more."""
        if self.on:
            self.on = False
            again(RuntimeError, sys.setprofile, None)
            _listeners.remove(self._heard)

    def taken(self) -> Events:
        """What happened since the last time."""
        events, self._events = self._events, Events()
        if self.on:
            again(RuntimeError, sys.setprofile, None)
            before, self._states = self._states, randomness.states(self._streams)
            states = zip(self._streams, before, self._states, strict=True)
            events.used += [stream for stream, old, new in states if old != new]
            if self._left > 0:
                again(RuntimeError, sys.setprofile, self._event)
        return events

    def _event(self, frame: types.FrameType, event: str, arg: Any) -> None:
        if event == "call":
            code = frame.f_code
            count = self._own.get(code)
            if count is None:
                count = 0 if _is_followed(code) else MOST_CALLS
            self._own[code] = count + 1
            if count < MOST_CALLS:
                call = code, frame.f_globals, dict(frame.f_locals)
                self._events.calls.append(call)
        elif event == "c_call" and arg is not sys.setprofile:
            owner = getattr(arg, "__self__", None)
            tells = isinstance(owner, _STREAMS) or is_random(owner)
            if (tells or _is_connection(owner)) and not _is_ours(frame):
                self._events.used.append(owner)
            elif draws_in_torch(arg) and not self._sees_torch():
                self._events.used.append(sys.modules["torch"].default_generator)
        self._left -= 1
        if self._left < 0:
            again(RuntimeError, sys.setprofile, None)

    def _sees_torch(self) -> bool:
        """Whether a draw from torch's own generators shows in their states."""
        torch: Any = sys.modules["torch"]
        seen = any(stream is torch.default_generator for stream in self._streams)
        return seen and not torch.cuda.is_initialized()

    def _heard(self, event: str, given: tuple[Any, ...], opened: Opened) -> None:
        if self._thread != threading.get_ident() == threading.main_thread().ident:
            return
        if event == replicas.SENT:
            self._sent(*given)
        self._events.forks |= event in _FORKS
        files = self._events.files
        for file, changes in opened:
            files[file] = changes or files.get(file, False)

    def _sent(self, connection: Any, data: Any) -> None:
        """A request; whoever answers may count those that are not each another."""
        new = replicas.asks(data) and data not in self._requests
        before = self.connections.get(id(connection), connection)
        self.connections[id(connection)] = before if new else None
        if new:
            self._requests.add(data)


class Files:
    """Files that the lines ahead open, and that the others write afterwards.

    Attributes:
        met: Such a file.
    """

    def __init__(self) -> None:
        self.met: File | None = None
        self._read: set[File] = set()
        self._here = threading.get_ident()

    def start(self) -> None:
        """Hear of them."""
        _listeners.append(self._heard)
        _listen()

    def stop(self) -> None:
        """Hear no more."""
        _listeners.remove(self._heard)

    def _heard(self, event: str, given: tuple[Any, ...], opened: Opened) -> None:
        for file, changes in opened:
            if pools.is_worker():
                self._read.add(file)
            elif changes and file in self._read and threading.get_ident() == self._here:
                self.met = file


def _opened(event: str, given: tuple[Any, ...]) -> Iterator[tuple[File, bool]]:
    """Files that an event is about, and whether it changes them."""
    if event == "os.chdir":
        yield _FOLDER, True
    if event != "open" and event not in _CHANGED:
        return
    changes = event != "open" or bool((given[2] or 0) & _WRITES)
    for path in given[: 2 if event == "os.rename" else 1]:
        if isinstance(path, str | bytes | os.PathLike):
            yield file_at(os.fspath(path)), changes
            if not os.path.isabs(path):
                yield _FOLDER, False


def _is_followed(code: types.CodeType) -> bool:
    """Whether it is a function of the user's, not a part of one."""
    named = code.co_name == "<lambda>" or code.co_name[0] not in "<."
    return named and is_own(code.co_filename, "")


def _is_ours(frame: types.FrameType | None) -> bool:
    """Whether the user's code called the tool there, as where results are noted."""
    while frame is not None and not is_own(frame.f_code.co_filename, ""):
        if frame.f_code.co_filename.startswith(_TOOL):
            return True
        frame = frame.f_back
    return False


def _is_connection(value: Any) -> bool:
    return type(value).__module__ in ("socket", "_socket", "ssl", "_ssl", "sqlite3")


_FOLDER = File("the working directory")
"""What a relative path begins at."""

_listeners: list[Callable[[str, tuple[Any, ...], Opened], None]] = []
_hooked: list[bool] = []


def _listen() -> None:
    """Hear of files that are opened; a hook cannot be taken out again."""
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_audit)


def _audit(event: str, given: tuple[Any, ...]) -> None:
    opened = [*_opened(event, given)] if _listeners else []
    if (opened or event in _FORKS) and _is_ours(sys._getframe(1)):
        return
    for heard in _listeners:
        heard(event, given, opened)
