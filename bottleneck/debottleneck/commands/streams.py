"""Standard error that never fails: what cannot be written there is lost, no more.

A reader that has gone, a full disk or a closed descriptor must neither end the tool
while the script runs nor change the exit code, which python makes 120 where a stream
cannot be flushed at the end.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

STDERR = 2


class _Lossy(io.FileIO):
    """Standard error's descriptor; says that all was written whatever becomes of it."""

    def write(self, content: Buffer, /) -> int:
        rest = memoryview(content).cast("B")
        size = len(rest)
        try:
            while rest:
                rest = rest[super().write(rest) or len(rest) :]
        except OSError:
            pass
        return size


def secure() -> None:
    """Put such a stream in place of this process's standard error.

    Where the descriptor is closed it is given /dev/null, in this process alone, so that
    neither stdout nor a file that is opened later gets what was meant for it.
    """
    stream = sys.stderr
    if stream is None:
        _occupy(STDERR)
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - kept
    elif _descriptor(stream) == STDERR:
        raw = _Lossy(STDERR, "w", closefd=False)
        sys.stderr = io.TextIOWrapper(
            raw,  # as for `python -u`
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=True,
            write_through=True,
        )


def _descriptor(stream: TextIO) -> int:
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return -1


def _occupy(descriptor: int) -> None:
    """Let it lead nowhere, unless a file has it by now."""
    try:
        os.fstat(descriptor)
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        if null != descriptor:
            os.dup2(null, descriptor, inheritable=False)
            os.close(null)
