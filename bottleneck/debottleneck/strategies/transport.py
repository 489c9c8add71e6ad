"""Send objects to another process; their arrays go through shared memory.

A message is a small pickle. The bytes of arrays beyond `INLINE_BYTES` are copied into a
slot, a piece of shared memory without a name; the receiver's arrays lie in it, and when
they are gone it is used again: to map new memory takes longer than to copy. A slot is
made when none is free, replaced when an object is too large for it, and its descriptor
travels through the connection: nothing is left behind, however a process ends. Where
there is no such memory, all goes through the connection itself.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import pickle
import sys
import weakref
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any, TypeAlias

from debottleneck.errors import StrategyError
from debottleneck.strategies.packing import pack

End: TypeAlias = "Connection[Any, Any]"

INLINE_BYTES = 16 * 1024
"""Arrays up to this size go through the connection: cheaper than a slot."""

HELD = 4
"""Slots that objects in use may occupy: a loop keeps this batch and the last one."""

_ALIGNED = 64
_GROWTH = 1.25
"""Room beyond the largest object so far, so that growing ones need few new slots."""

_UNPICKLABLE = (pickle.PicklingError, TypeError, AttributeError, NotImplementedError)


class Gone(BaseException):
    """The other process wants nothing more, or has ended.

    No `Exception`, so that what the user catches does not stop it.
    """


class Sender:
    """The end that answers requests."""

    def __init__(self, connection: End) -> None:
        self._connection = connection
        self._slots: list[mmap.mmap] = []
        self._free: list[int] = []

    def listen(self) -> bytes:
        """The next request.

        Raises:
            Gone: The receiver has closed its end.
        """
        try:
            message = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise Gone from error
        free, request = pickle.loads(message)
        self._free += free
        return request  # type: ignore[no-any-return] # as `ask` was given it

    def send(self, value: object) -> None:
        """Send an object.

        Raises:
            StrategyError: It cannot be pickled.
            Gone: Nobody will receive it.
        """
        try:
            pickled, buffers = pack(value)
        except _UNPICKLABLE as error:
            raise StrategyError(
                f"what was made cannot go to another process: {error}",
                "return what pickle can take, or stay with threads: where='thread'",
            ) from error
        slot, new = self._copied(buffers)
        parts = [bytearray(b) if slot is None else len(b) for b in buffers]
        size = None if new is None or slot is None else len(self._slots[slot])
        try:
            message = pickle.dumps((pickled, parts, slot, size), protocol=5)
            self._connection.send_bytes(message)
            if new is not None:
                send_handle(self._connection, new, None)
        except OSError as error:
            raise Gone from error
        finally:
            if new is not None:
                os.close(new)

    def _copied(self, buffers: Sequence[memoryview]) -> tuple[int | None, int | None]:
        """The slot that holds them, and its descriptor if it is new; or neither."""
        places, size = _places([*map(len, buffers)])
        if size <= INLINE_BYTES or not hasattr(os, "memfd_create"):
            return None, None
        fits = [slot for slot in self._free if len(self._slots[slot]) >= size]
        slot, new = fits[0] if fits else None, None
        if slot is None:
            try:
                new = os.memfd_create("debottleneck")
                os.ftruncate(new, int(size * _GROWTH))
                memory = mmap.mmap(new, int(size * _GROWTH))
            except OSError:
                if new is not None:
                    os.close(new)
                return None, None
            slot = self._free[0] if self._free else len(self._slots)
            self._slots[slot : slot + 1] = [memory]
        if slot in self._free:
            self._free.remove(slot)
        with memoryview(self._slots[slot]) as target:
            for place, part in zip(places, buffers, strict=True):
                _copy(target[place : place + len(part)], part)
        return slot, new


class Receiver:
    """The end that asks.

    Arrays lie in their slot; whoever keeps the objects of more than `HELD` slots gets
    copies.
    """

    def __init__(self, connection: End) -> None:
        self._connection = connection
        self._slots: dict[int, mmap.mmap] = {}
        self._held = 0
        self._gone: deque[int] = deque()

    def ask(self, request: bytes) -> None:
        """Ask for something, and say which slots nothing lies in any more.

        Raises:
            OSError: The sender has ended.
        """
        free = [self._gone.popleft() for _ in range(len(self._gone))]
        self._held -= len(free)
        self._connection.send_bytes(pickle.dumps((free, request)))

    def receive(self) -> Any:
        """The next object.

        Raises:
            Gone: The sender has ended.
        """
        try:
            message = self._connection.recv_bytes()
            pickled, parts, slot, size = pickle.loads(message)
            if size is not None:
                descriptor = recv_handle(self._connection)
                flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
                try:
                    self._slots[slot] = mmap.mmap(descriptor, size, flags)
                finally:
                    os.close(descriptor)
        except (EOFError, OSError, RuntimeError) as error:
            raise Gone from error
        buffers = parts if slot is None else self._in_slot(slot, parts)
        return pickle.loads(pickled, buffers=buffers)

    def _in_slot(self, slot: int, lengths: Sequence[int]) -> list[Any]:
        memory = self._slots[slot]
        mapped = (ctypes.c_ubyte * len(memory)).from_buffer(memory)
        # Called where the last array dies, within the garbage collector: takes no lock.
        weakref.finalize(mapped, self._gone.append, slot).atexit = False
        view, (places, _) = memoryview(mapped), _places(lengths)
        spans = zip(places, lengths, strict=True)
        buffers = [view[place : place + length] for place, length in spans]
        self._held += 1
        copies = self._held - len(self._gone) > HELD
        return [_owned(buffer) for buffer in buffers] if copies else buffers


def _places(lengths: Sequence[int]) -> tuple[list[int], int]:
    """Where each part goes in a slot, and the room for all of them."""
    places, end = [], 0
    for length in lengths:
        places.append(end)
        end += -(-length // _ALIGNED) * _ALIGNED
    return places, end


def _copy(target: memoryview, source: memoryview) -> None:
    """Copy memory, without the GIL where NumPy is there to do it."""
    numpy = sys.modules.get("numpy")
    if numpy is None or len(source) < 4096:
        target[:] = source.tobytes()  # formats of views may differ, all are bytes
    else:
        bytes_of = numpy.frombuffer
        numpy.copyto(bytes_of(target, numpy.uint8), bytes_of(source, numpy.uint8))


def _owned(part: memoryview) -> Any:
    """A copy that can be written to."""
    owned = memoryview(bytearray(len(part)))
    _copy(owned, part)
    return owned
