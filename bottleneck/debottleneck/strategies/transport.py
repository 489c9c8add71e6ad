"""Send objects to another process; their arrays go through shared memory.

The sender copies an object's buffers into a slot, a piece of shared memory without a
name; the receiver's arrays lie in it, and when they are gone it is used again. A slot
is made when none is free and replaced when an object is too large for it. Its
descriptor travels through the connection: nothing is left behind, however a process
ends.
Small objects go through the connection itself, and everything does where there is no
memory without a name (interpreters built for an old C library).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import socket
import struct
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from debottleneck.errors import StrategyError
from debottleneck.strategies.packing import Buffer, copy_bytes, pack, unpack

INLINE_BYTES = 16 * 1024
"""Objects up to this size go through the connection: cheaper than a slot."""

MOST_READY = 64
"""Objects under way: each slot costs both processes a descriptor, and what goes back
for all of them must fit into the pipe while the sender is busy."""

HELD = 4
"""Slots that objects in use may occupy: a loop keeps this batch and the last one."""

_ALIGNED = 64
_GROWTH = 1.25
"""Room beyond the largest object so far, so that growing ones need few new slots."""

_HEADER = struct.Struct("<BBBiQI")
"""Kind, whether a credit is due, whether a new slot's descriptor follows, slot or -1,
the slot's bytes, number of parts; then each part's length, then the parts without a
slot."""

_CREDIT_MARK, _SLOT_MARK, _REPLY_MARK = b"\0", b"\1", b"\2"
"""First byte of what the receiver says: one more may be sent, a slot is free again,
an answer."""
_SLOT = struct.Struct("<ci")

_NAMELESS = hasattr(os, "memfd_create")
"""Whether memory without a name can be had."""

_UNPICKLABLE = (pickle.PicklingError, TypeError, AttributeError, NotImplementedError)


class Gone(BaseException):
    """The other process wants nothing more, or has ended.

    No `Exception`, so that what the user catches does not stop it.
    """


class Sender:
    """The sending end.

    Args:
        connection: Its end of a duplex pipe.
        depth: Most objects that wait to be received; one more waits in `send`.
    """

    def __init__(self, connection: Connection[Any, Any], depth: int) -> None:
        self._connection = connection
        self._credits = min(depth, MOST_READY)
        self._free: list[int] = []
        self._slots: list[mmap.mmap] = []
        self._replies: list[bytes] = []
        self._lock = threading.Lock()

    def send(self, kind: int, value: object) -> None:
        """Send an object as soon as there is room for it.

        Args:
            kind: A number from 0 to 255 for the receiver.
            value: Anything that can be pickled.

        Raises:
            StrategyError: It cannot be pickled.
            Gone: Nobody will receive it.
        """
        parts = packed(value)
        with self._lock:
            while not self._credits or self._connection.poll(0):
                self._listen()
            self._credits -= 1
            self._put(kind, parts, credit=True)

    def tell(self, kind: int, value: object) -> None:
        """Send an object at once, past those that `send` may hold back."""
        parts = packed(value)
        with self._lock:
            self._put(kind, parts, credit=False)

    def listen(self) -> bytes:
        """The next reply of the receiver's process.

        Raises:
            Gone: It has closed its end.
        """
        with self._lock:
            while not self._replies:
                self._listen()
            return self._replies.pop(0)

    def _listen(self) -> None:
        try:
            message = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise Gone from error
        if message[:1] == _REPLY_MARK:
            self._replies.append(message[1:])
        elif message[:1] == _SLOT_MARK:
            self._free.append(_SLOT.unpack(message)[1])
        else:
            self._credits += 1

    def _put(self, kind: int, parts: Sequence[Buffer], credit: bool) -> None:
        lengths = struct.pack(f"<{len(parts)}Q", *map(len, parts))
        places, size = _places(list(map(len, parts)))
        if size <= INLINE_BYTES or not credit or not _NAMELESS:
            head = _HEADER.pack(kind, credit, 0, -1, 0, len(parts))
            self._write(b"".join((head, lengths, *parts)))
            return
        slot, descriptor = self._slot(size)
        memory = memoryview(self._slots[slot])
        for place, part in zip(places, parts, strict=True):
            copy_bytes(memory[place : place + len(part)], part)
        new = descriptor is not None
        head = _HEADER.pack(kind, credit, new, slot, len(memory), len(parts))
        memory.release()
        self._write(head + lengths, descriptor)

    def _write(self, message: bytes, descriptor: int | None = None) -> None:
        try:
            self._connection.send_bytes(message)
            if descriptor is not None:
                with socket_of(self._connection) as door:
                    socket.send_fds(door, [b"0"], [descriptor])
        except OSError as error:
            raise Gone from error
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _slot(self, size: int) -> tuple[int, int | None]:
        """A free slot with that much room; its descriptor when it is new memory."""
        fits = [slot for slot in self._free if len(self._slots[slot]) >= size]
        if fits:
            self._free.remove(fits[0])
            return fits[0], None
        memory, descriptor = _shared(int(size * _GROWTH))
        if self._free:
            slot = self._free.pop()
            self._slots[slot].close()
            self._slots[slot] = memory
        else:
            slot = len(self._slots)
            self._slots.append(memory)
        return slot, descriptor


class Receiver:
    """The receiving end.

    Arrays lie in their slot, which goes back to the sender when the last of them is
    gone: whoever keeps the objects of more than `held` slots gets copies.

    Args:
        connection: Its end of a duplex pipe.
        held: Most slots that objects in use may occupy.
    """

    def __init__(self, connection: Connection[Any, Any], held: int = HELD) -> None:
        self._connection = connection
        self._answers = _Answers(connection)
        self._most_held = held
        self._held: set[int] = set()
        self._slots: dict[int, mmap.mmap] = {}

    def receive(self) -> tuple[int, Any]:
        """The next (kind, object).

        Raises:
            Gone: The sender has ended.
        """
        try:
            message = memoryview(self._connection.recv_bytes())
            kind, credit, new, slot, size, count = _HEADER.unpack_from(message)
            if new:
                self._map(slot, size)
        except (EOFError, OSError) as error:
            raise Gone from error
        begin = _HEADER.size + 8 * count
        lengths = struct.unpack_from(f"<{count}Q", message, _HEADER.size)
        if credit:
            self._answers.say(_CREDIT_MARK)
        if slot < 0:
            return kind, unpack(_split(message[begin:], lengths), copy=True)
        return kind, self._unpack(slot, lengths)

    def reply(self, message: bytes) -> None:
        """Give `Sender.listen` something to return."""
        self._answers.say(_REPLY_MARK + message)

    def _unpack(self, slot: int, lengths: Sequence[int]) -> Any:
        import ctypes

        memory = self._slots[slot]
        mapped = (ctypes.c_ubyte * len(memory)).from_buffer(memory)
        copy = len(self._held) >= self._most_held
        self._held.add(slot)
        back = weakref.finalize(mapped, _give_back, self._answers, self._held, slot)
        back.atexit = False
        view = memoryview(mapped)
        places, _ = _places(lengths)
        spans = zip(places, lengths, strict=True)
        parts = [view[place : place + length] for place, length in spans]
        return unpack(parts, copy=copy)

    def _map(self, slot: int, size: int) -> None:
        with socket_of(self._connection) as door:
            _, (descriptor,), _, _ = socket.recv_fds(door, 1, 1)
        try:
            self._slots[slot] = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)


class _Answers:
    """Writes whole messages from any thread, and from within the garbage collector.

    The collector may run in the midst of a write of its own thread, so nobody waits
    for the lock: whoever holds it writes what the others have left.
    """

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._unsaid: deque[bytes] = deque()

    def say(self, message: bytes) -> None:
        """Write it, or leave it to the thread that writes; nothing once it is shut."""
        self._unsaid.append(message)
        while self._unsaid and self._lock.acquire(blocking=False):
            try:
                with contextlib.suppress(IndexError, OSError):
                    self._connection.send_bytes(self._unsaid.popleft())
            finally:
                self._lock.release()


def _give_back(answers: _Answers, held: set[int], slot: int) -> None:
    """Nothing lies in the slot any more; called where its last array has died."""
    held.discard(slot)
    answers.say(_SLOT.pack(_SLOT_MARK, slot))


def packed(value: object) -> list[Buffer]:
    """`packing.pack` with a sentence for what cannot be pickled.

    Raises:
        StrategyError: It cannot.
    """
    try:
        return pack(value)
    except _UNPICKLABLE as error:
        raise StrategyError(
            f"{type(value).__name__} cannot go to another process: {error}",
            "return what pickle can take, or stay with threads: where='thread'",
        ) from error


def _shared(size: int) -> tuple[mmap.mmap, int]:
    """Memory without a name that another process can map, and its descriptor."""
    size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    descriptor = os.memfd_create("debottleneck")
    try:
        os.ftruncate(descriptor, size)
        return mmap.mmap(descriptor, size), descriptor
    except OSError:
        os.close(descriptor)
        raise


def socket_of(connection: Connection[Any, Any]) -> socket.socket:
    """The connection's socket, to be closed without closing the connection."""
    return socket.fromfd(connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM)


def _places(lengths: Sequence[int]) -> tuple[list[int], int]:
    """Where each part goes in a slot, and the room for all of them."""
    places, end = [], 0
    for length in lengths:
        places.append(end)
        end += -(-length // _ALIGNED) * _ALIGNED
    return places, end


def _split(memory: Buffer, lengths: Sequence[int]) -> list[Buffer]:
    parts, begin = [], 0
    for length in lengths:
        parts.append(memory[begin : begin + length])
        begin += length
    return parts
