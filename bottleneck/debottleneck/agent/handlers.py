"""Exceptions that a signal's handler raises while our own code runs: the script's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from types import FrameType


def of_a_handler(error: BaseException) -> bool:
    """Whether a handler of a signal raised it, and no code that we called.

    A handler is called with the frame that it interrupts.
    """
    return any(
        any(given is frame for given in _given(called))
        for frame, called in pairwise(_frames(error))
    )


def _frames(error: BaseException) -> Iterator[FrameType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _given(frame: FrameType) -> Iterator[object]:
    """What it was called with, `*args` by their items."""
    for value in frame.f_locals.values():
        yield from value if isinstance(value, tuple) else (value,)
