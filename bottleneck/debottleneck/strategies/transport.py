"""Send objects to another process; their arrays go through shared memory.

A message is a small pickle. The bytes of arrays beyond `INLINE_BYTES` are written into
memory without a name, whose descriptor travels with the message: the receiver's arrays
lie in it, and it is gone with the last of them. Nothing is left behind, however a
process ends. Where there is no such memory, all goes through the connection itself.
"""

from __future__ import annotations

import mmap
import os
import pickle
import weakref
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any, TypeAlias

from debottleneck.errors import StrategyError
from debottleneck.strategies.packing import pack

End: TypeAlias = "Connection[Any, Any]"

INLINE_BYTES = 16 * 1024
"""Arrays up to this size go through the connection, which costs less than memory."""

MOST_MAPPED = 64
"""Messages whose arrays are in use: each costs a descriptor, so more are copied."""

_ALIGNED = 64
_in_use: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
_UNPICKLABLE = (pickle.PicklingError, TypeError, AttributeError, NotImplementedError)


class Gone(BaseException):
    """The other process wants nothing more, or has ended.

    No `Exception`, so that what the user catches does not stop it.
    """


def send(connection: End, value: object) -> None:
    """Send an object.

    Args:
        connection: One end of a duplex pipe.
        value: Anything that can be pickled.

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
    descriptor = _shared(buffers)
    parts = [bytearray(b) if descriptor is None else len(b) for b in buffers]
    try:
        message = pickled, parts, descriptor is not None
        connection.send_bytes(pickle.dumps(message, protocol=5))
        if descriptor is not None:
            send_handle(connection, descriptor, None)
    except OSError as error:
        raise Gone from error
    finally:
        if descriptor is not None:
            os.close(descriptor)


def receive(connection: End) -> Any:
    """The next object.

    Raises:
        Gone: The sender has ended.
    """
    try:
        message = connection.recv_bytes()
        pickled, parts, is_shared = pickle.loads(message)
        buffers = _mapped(recv_handle(connection), parts) if is_shared else parts
    except (EOFError, OSError, RuntimeError) as error:
        raise Gone from error
    return pickle.loads(pickled, buffers=buffers)


def _shared(buffers: Sequence[memoryview]) -> int | None:
    """The descriptor of memory that holds a copy; None where there need or can be none.

    Written rather than mapped: without the GIL, and without a fault for each page.
    """
    if sum(map(len, buffers)) <= INLINE_BYTES or not hasattr(os, "memfd_create"):
        return None
    try:
        descriptor = os.memfd_create("debottleneck")
    except OSError:
        return None
    try:
        with open(descriptor, "wb", closefd=False) as memory:
            for buffer in buffers:
                memory.write(buffer)
                memory.write(bytes(-len(buffer) % _ALIGNED))
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _mapped(descriptor: int, lengths: Sequence[int]) -> list[memoryview]:
    places, end = [], 0
    for length in lengths:
        places.append(end)
        end += length + -length % _ALIGNED
    with open(descriptor, "rb") as file:
        if len(_in_use) < MOST_MAPPED:
            mapped = mmap.mmap(descriptor, end, mmap.MAP_SHARED | mmap.MAP_POPULATE)
            _in_use.add(mapped)
            memory = memoryview(mapped)
        else:
            memory = memoryview(bytearray(end))
            file.seek(0)
            file.readinto(memory)
    return [memory[at : at + n] for at, n in zip(places, lengths, strict=True)]
