"""When which instrument works: every one that slows the loop gets blocks of its own.

Quiet time first and in between, growing with the run, so that a short run gets every
instrument and a long one is left alone most of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from debottleneck.recording import spool

QUIET_STEPS = 5
"""A quiet block holds at least so many steps, or lasts `LONGEST_QUIET_S`."""

LONGEST_QUIET_S = 20.0
FUNCTION_STEPS = 3
"""A yappi window ends after so many steps, or `LONGEST_FUNCTIONS_S`."""

LONGEST_FUNCTIONS_S = 0.5
SERIES, BETWEEN_S = 4, 1.0
"""Series of virtual speed-ups in a row, and quiet seconds before each; then the other
instruments are at work again."""

TOO_SLOW_S = 2.0
"""A yappi window that took longer than this is the last one: code of tiny calls."""


@dataclass(frozen=True)
class Block:
    """One block to come.

    Attributes:
        kind: "quiet", or the instrument's, as in the recording's table.
        seconds: Its least length (py-spy's is exact and whole).
    """

    kind: str
    seconds: float


def blocks(*, stacks: bool, functions: bool, delays: bool = False) -> Iterator[Block]:
    """The blocks of a run, without end."""
    quiet, long = 1.0, 1
    while True:
        yield Block("quiet", quiet)
        if functions:
            yield Block("functions-wall", 0.0)
            yield Block("functions-cpu", 0.0)
        if stacks:
            yield Block("stacks", long)
            yield Block("quiet", quiet)
            yield Block("gil", long)
        for _ in range(SERIES * delays):
            yield Block("quiet", BETWEEN_S)
            yield Block(spool.DELAYED, 0.0)
        quiet = min(quiet * 3, LONGEST_QUIET_S)
        long = 2


def is_over(block: Block, seconds: float, steps: int, has_steps: bool) -> bool:
    """Whether a quiet or yappi block has lasted long enough.

    Args:
        block: The block.
        seconds: Since it began.
        steps: Steps ended since.
        has_steps: Whether the script shows any.
    """
    if block.kind == "quiet":
        enough = not has_steps or steps >= QUIET_STEPS
        return seconds >= block.seconds and (enough or seconds >= LONGEST_QUIET_S)
    return steps >= FUNCTION_STEPS or (seconds >= LONGEST_FUNCTIONS_S and steps >= 1)
