"""Which thread holds a lock that another waits for, and at which line: read outside.

A waiter's frame holds the lock object, whose word at 16 is the semaphore that the
thread waits on. `with lock:` leaves the bound `__exit__` on the holder's value stack,
below the depth that the exception table gives for the instruction it is at; an `RLock`
keeps its owner; who is in the `try` right behind an `acquire()` came out of it. What
`Condition.wait` waits with has no holder, but somebody to be woken by: a queue, event
or future, named by its class. Nothing is stopped: what does not fit is not told.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from debottleneck.collect.code import Code, depths, lines_of

Read = Callable[[int, int], bytes]

TYPE, OWNER = 8, 24
"""Of an object its type; of an `RLock`, behind its semaphore, the owner's ident."""

NAME, LOCK, REENTRANT = 24, b"_thread.lock", b"_thread.RLock"
"""Of a type: its name; and those of locks."""

SELF = 24
"""Of a bound method, in C or in Python: the object."""

LOCALS = 72
"""Of a frame: the first of its variables."""

MOST_FRAMES, MOST_THREADS, MOST_SLOTS = 200, 256, 200
MOST_CODES = 5_000
BEFORE, HEAD, SIZE, MOST_SIZE = 32, 16, 32, 256
"""Before an object of a class in Python: pointers to its attributes; its slots begin
behind its head; where a type keeps the size of its objects."""

ATTRIBUTES, WAITING = 16, 3
"""Attributes looked at, and innermost frames of a thread that waits."""

HANDED = {"Condition.wait", "Thread._wait_for_tstate_lock"}
"""Functions of `threading` that wait with a lock of their own until they are woken."""

HANDLERS = "/logging/__init__.py"
ENTERS = (".acquire", ".__enter__")

CALL = 24
"""Bytes of code from a call of `acquire` to the `try` behind it, at most."""

TRIED, SELDOM = 8, 16
"""Where nobody was seen to hold it so often (a condition's waiters, an event), only one
wait in so many is looked at again."""


@dataclass(frozen=True)
class Layout:
    """Offsets that `agent.layout` found; addresses of the main thread and of types.

    `inline` is 1 where attributes lie behind an object, not where it points to.
    """

    state: int
    ident: int
    native_id: int
    top: int
    within: int
    previous: int
    code: int
    instruction: int
    start: int
    first: int
    exceptions: int
    lines: int
    file: int
    name: int
    text: int
    method: int
    builtin: int
    inline: int


@dataclass(frozen=True)
class Held:
    """Who holds a lock: the thread, 0 if unknown, and where.

    `kind` is a word of `words.LOCKS`, or the class whose method waits to be woken.
    """

    kind: str
    tid: int = 0
    function: str = ""
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class _Wait:
    """A thread that waits: its frames, innermost first, the lock, and its own."""

    frames: list[_Frame]
    lock: int
    woken: bool

    @property
    def place(self) -> tuple[int, int]:
        """Where it waits."""
        return self.frames[0].slots, self.frames[0].at

    @property
    def guard(self) -> int:
        """Address of what it tries to enter, 0 for nothing: a semaphore."""
        for frame in self.frames[1:2] if self.woken else ():
            if frame.code.function.endswith(ENTERS):
                return frame.slots
        return 0

    def kind(self, lock: str) -> str:
        """What it waits for: that lock, or to be woken by whoever knows its caller."""
        own, *callers = (frame.code for frame in self.frames)
        if not self.woken:
            return "logging" if own.file.endswith(HANDLERS) else lock
        home = f"{os.path.dirname(own.file)}/"
        for code in callers:
            if not code.file.startswith(home) or "site-packages" in code.file:
                break
            if not code.function.startswith("Condition."):
                return code.function.split(".")[0]
        return own.function.split(".")[0]


@dataclass(frozen=True)
class _Frame:
    """One frame of a thread: its code, where it is in it, its variables' address."""

    code: Code
    at: int
    slots: int

    def place(self) -> tuple[str, str, int]:
        """Function, file and line."""
        return self.code.function, self.code.file, self.code.line(self.at)


class Holders:
    """Reads one process's threads and frames.

    Args:
        read: (address, size) -> bytes, b"" where nothing can be read.
        layout: Of its interpreter.
    """

    def __init__(self, read: Read, layout: Layout) -> None:
        self._read = read
        self._layout = layout
        self._codes: dict[int, Code | None] = {}
        self._kinds: dict[int, bytes] = {}
        self._missed: Counter[tuple[int, int]] = Counter()
        self._states: dict[int, int] = {}
        self._told: dict[int, Held] = {}

    def look_anew(self) -> None:
        """Time has passed: forget which threads there are, and who holds what."""
        self._states = {}
        self._told.clear()

    def main_stack(self) -> tuple[tuple[str, str, int], ...]:
        """Where the main thread is, the outermost frame first."""
        return tuple(f.place() for f in self._frames(self._layout.state))[::-1]

    def holder(self, waiter: int, futex: int) -> Held | None:
        """Who holds what that thread waits for; None if that is no lock of Python's.

        Of several that wait for one lock since `look_anew` the first is looked at.
        """
        if futex in self._told:
            return self._told[futex]
        threads = self._states = self._states or dict(self._threads())
        wait = self._wait_of(threads[waiter], futex) if waiter in threads else None
        if wait is None:
            return None
        is_reentrant = self._is_called(self._word(wait.lock + TYPE), REENTRANT)
        kind = wait.kind("RLock" if is_reentrant else "lock")
        owner = self._word(wait.lock + OWNER) if is_reentrant else 0
        self._missed[wait.place] += 1
        if self._missed[wait.place] > TRIED and self._missed[wait.place] % SELDOM:
            return Held(kind)
        held = self._holder(waiter, futex, owner, wait)
        if held is None:
            return Held(kind)
        del self._missed[wait.place]
        self._told[futex] = Held(kind, held[0], *held[1].place())
        return self._told[futex]

    def _holder(
        self, waiter: int, futex: int, owner: int, wait: _Wait
    ) -> tuple[int, _Frame] | None:
        """The thread and frame that has the lock, the owner's innermost if need be."""
        behind: list[tuple[int, _Frame]] = []
        guard = self._word(wait.guard) if wait.guard else 0
        for tid, state in self._states.items():
            ident = self._word(state + self._layout.ident)
            if tid == waiter or (owner and owner != ident):
                continue
            frames = [*self._frames(state)]
            within = (f for f in frames if self._holds(f, futex, guard))
            frame = next(within, frames[0] if owner and frames else None)
            if frame is not None:
                return tid, frame
            behind += [(tid, f) for f in frames if self._came_through(f, wait, futex)]
        return behind[0] if len(behind) == 1 and not wait.woken else None

    def _came_through(self, frame: _Frame, wait: _Wait, futex: int) -> bool:
        """Whether it is in the `try` behind the very call that waits, for that lock."""
        own = wait.frames[0]
        if frame.code is not own.code or not any(
            begin <= frame.at < end and 0 < begin - own.at <= CALL
            for begin, end, _ in own.code.depths
        ):
            return False
        return all(
            self._knows(theirs, futex) or not self._knows(ours, futex)
            for ours, theirs in zip(
                self._words(own.slots, own.code.variables),
                self._words(frame.slots, own.code.variables),
                strict=False,
            )
        )

    def _knows(self, value: int, futex: int) -> bool:
        is_object = bool(value) and not value & 7
        return is_object and (self._is_lock(value, futex) or self._keeps(value, futex))

    def _word(self, address: int) -> int:
        return int.from_bytes(self._read(address, 8), "little")

    def _threads(self) -> Iterator[tuple[int, int]]:
        """Tid -> thread state, from the main thread's, the oldest, to the newest."""
        state, count = self._layout.state, 0
        while state and count < MOST_THREADS:
            count += 1
            tid = self._word(state + self._layout.native_id) & 0xFFFFFFFF
            if tid:
                yield tid, state
            state = self._word(state)

    def _frames(self, state: int) -> Iterator[_Frame]:
        """A thread's frames, the innermost first."""
        layout, count = self._layout, 0
        frame = self._word(state + layout.top)
        if layout.within >= 0:
            frame = self._word(frame + layout.within)
        while frame and count < MOST_FRAMES:
            count += 1
            head = self._read(frame, LOCALS)
            if len(head) < LOCALS:
                return
            address, frame_before = (
                struct.unpack_from("<Q", head, place)[0]
                for place in (layout.code, layout.previous)
            )
            code = self._code(address)
            if code is not None:
                pointer = struct.unpack_from("<Q", head, layout.instruction)[0]
                at = pointer - address - layout.start
                yield _Frame(code, at, frame + LOCALS)
            frame = frame_before

    def _code(self, address: int) -> Code | None:
        if address not in self._codes:
            if len(self._codes) > MOST_CODES:
                self._codes.clear()
            self._codes[address] = self._read_code(address)
        return self._codes[address]

    def _read_code(self, address: int) -> Code | None:
        layout = self._layout
        numbers = self._read(address + layout.first - 4, 12)
        if len(numbers) < 12:
            return None
        stack, first, variables = struct.unpack("<3i", numbers)
        lines = self._bytes(self._word(address + layout.lines))
        if not (0 <= stack < 1000 and 0 <= variables < 1000 and lines):
            return None
        try:
            table = self._bytes(self._word(address + layout.exceptions))
            return Code(
                self._text(self._word(address + layout.name)),
                self._text(self._word(address + layout.file)),
                min(variables + stack, MOST_SLOTS),
                variables,
                tuple(depths(table)),
                tuple(lines_of(lines, first)),
            )
        except (ValueError, StopIteration):
            return None

    def _bytes(self, address: int) -> bytes:
        """A bytes object's content."""
        size = self._word(address + 16)
        return self._read(address + 32, size) if 0 < size < 1 << 20 else b""

    def _text(self, address: int) -> str:
        """A str of ASCII characters; "" of others."""
        size = self._word(address + 16)
        raw = self._read(address + self._layout.text, size) if size < 4096 else b""
        return raw.decode("ascii") if raw.isascii() else ""

    def _is_lock(self, address: int, futex: int) -> bool:
        """Whether a lock that is alive lies there, and it is the one waited for."""
        if not address or address & 7:
            return False
        body = self._read(address, OWNER)
        if len(body) < OWNER:
            return False
        count, kind, semaphore = struct.unpack("<QQQ", body)
        is_alive = semaphore == futex and 0 < count < 1 << 31
        return is_alive and self._is_called(kind, LOCK, REENTRANT)

    def _is_called(self, kind: int, *names: bytes) -> bool:
        """Whether a type has one of these names; its address is another in each run."""
        if kind not in self._kinds:
            self._kinds[kind] = self._read(self._word(kind + NAME), 16).split(b"\0")[0]
        return self._kinds[kind] in names

    def _wait_of(self, state: int, futex: int) -> _Wait | None:
        """How a thread waits for a lock, found among what its innermost frames hold."""
        frames = [*islice(self._frames(state), WAITING)]
        for frame in frames:
            words = self._words(frame.slots, frame.code.slots)
            for number, value in enumerate(words):
                own = value
                if self._word(value + TYPE) == self._layout.builtin:
                    own = self._word(value + SELF)
                if self._is_lock(own, futex):
                    is_variable = number < frame.code.variables and own == value
                    woken = is_variable and frames[0].code.function in HANDED
                    return _Wait(frames, own, woken)
        return None

    def _words(self, address: int, count: int) -> list[int]:
        raw = self._read(address, 8 * count)
        return [*struct.unpack(f"<{len(raw) // 8}Q", raw[: len(raw) // 8 * 8])]

    def _holds(self, frame: _Frame, futex: int, guard: int) -> bool:
        """Whether it is within a `with` of what keeps that lock, or of the guard."""
        layout, code = self._layout, frame.code
        depth = max((d for a, b, d in code.depths if a <= frame.at < b), default=0)
        for exit_ in self._words(frame.slots + 8 * code.variables, depth):
            body = self._read(exit_, SELF + 8) if exit_ and not exit_ & 7 else b""
            if len(body) < SELF + 8:
                continue
            kind, owner = (struct.unpack_from("<Q", body, at)[0] for at in (8, SELF))
            if kind == layout.builtin and self._is_lock(owner, futex):
                return True
            if kind == layout.method and (
                (guard and owner == guard) or self._keeps(owner, futex)
            ):
                return True
        return False

    def _keeps(self, owner: int, futex: int) -> bool:
        """Whether an object of a class in Python has an attribute that is that lock."""
        size = min(self._word(self._word(owner + TYPE) + SIZE), MOST_SIZE)
        own = self._words(owner + HEAD, (size - HEAD) // 8)
        if self._layout.inline:
            own += self._words(owner + size + 8, ATTRIBUTES)
        for value in self._words(owner - BEFORE, 2):
            own += self._words(value & ~7, ATTRIBUTES) if value & ~7 else []
        return any(self._is_lock(value, futex) for value in own)
