"""Which instrument works when, and when a block is over."""

from __future__ import annotations

from itertools import islice

import pytest

from debottleneck.collect import schedule
from debottleneck.collect.schedule import Block, blocks, is_over


def kinds(count: int, **which: bool) -> list[str]:
    """The kinds of the first blocks."""
    return [block.kind for block in islice(blocks(**which), count)]


def test_every_instrument_has_its_turn_between_quiet_blocks() -> None:
    """Quiet first, then each in turn; py-spy's two windows are apart."""
    one = ["quiet", "functions-wall", "functions-cpu", "stacks", "quiet", "gil"]
    assert kinds(12, stacks=True, functions=True) == one * 2


@pytest.mark.parametrize(
    ("stacks", "functions", "expected"),
    [
        (False, False, {"quiet"}),
        (True, False, {"quiet", "stacks", "gil"}),
        (False, True, {"quiet", "functions-wall", "functions-cpu"}),
    ],
)
def test_what_is_switched_off_has_no_block(
    stacks: bool, functions: bool, expected: set[str]
) -> None:
    """A run without an instrument never schedules it."""
    assert set(kinds(30, stacks=stacks, functions=functions)) == expected


def test_a_long_run_is_left_alone_most_of_the_time() -> None:
    """Quiet blocks grow up to a bound, and outweigh the windows."""
    made = list(islice(blocks(stacks=True, functions=True), 60))
    quiet = [block.seconds for block in made if block.kind == "quiet"]
    assert quiet == sorted(quiet)
    assert quiet[0] == 1.0
    assert quiet[-1] == schedule.LONGEST_QUIET_S
    windows = [block.seconds for block in made if block.kind in ("stacks", "gil")]
    assert sum(windows[-2:]) < 0.2 * sum(quiet[-2:])


@pytest.mark.parametrize(
    ("seconds", "steps", "has_steps", "over"),
    [
        (0.9, 100, True, False),
        (1.0, schedule.QUIET_STEPS, True, True),
        (1.0, schedule.QUIET_STEPS - 1, True, False),
        (schedule.LONGEST_QUIET_S, 0, True, True),
        (1.0, 0, False, True),
        (0.5, 0, False, False),
    ],
)
def test_a_quiet_block_holds_enough_steps(
    seconds: float, steps: int, has_steps: bool, over: bool
) -> None:
    """So long, with so many steps, or for the longest time at least."""
    assert is_over(Block("quiet", 1.0), seconds, steps, has_steps) is over


@pytest.mark.parametrize(
    ("seconds", "steps", "over"),
    [
        (0.01, schedule.FUNCTION_STEPS, True),
        (0.01, schedule.FUNCTION_STEPS - 1, False),
        (schedule.LONGEST_FUNCTIONS_S, 1, True),
        (100.0, 0, False),
    ],
)
def test_a_yappi_window_ends_after_steps(
    seconds: float, steps: int, over: bool
) -> None:
    """A few steps, or one of a slow loop; never in the middle of the first."""
    assert is_over(Block("functions-wall", 0.0), seconds, steps, True) is over
