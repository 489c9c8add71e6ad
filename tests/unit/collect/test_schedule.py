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


QUIET, YAPPI = Block("quiet", 1.0), Block("functions-wall", 0.0)


@pytest.mark.parametrize(
    ("block", "seconds", "steps", "has_steps", "over"),
    [
        (QUIET, 0.9, 100, True, False),
        (QUIET, 1.0, schedule.QUIET_STEPS, True, True),
        (QUIET, 1.0, schedule.QUIET_STEPS - 1, True, False),
        (QUIET, schedule.LONGEST_QUIET_S, 0, True, True),
        (QUIET, 1.0, 0, False, True),
        (QUIET, 0.5, 0, False, False),
        (YAPPI, 0.01, schedule.FUNCTION_STEPS, True, True),
        (YAPPI, 0.01, schedule.FUNCTION_STEPS - 1, True, False),
        (YAPPI, schedule.LONGEST_FUNCTIONS_S, 1, True, True),
        (YAPPI, 100.0, 0, True, False),
    ],
)
def test_when_a_block_is_over(
    block: Block, seconds: float, steps: int, has_steps: bool, over: bool
) -> None:
    """Quiet: so long, with enough steps; yappi: some steps, never within the first."""
    assert is_over(block, seconds, steps, has_steps) is over
